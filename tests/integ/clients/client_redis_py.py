# SPDX-License-Identifier: Apache-2.0
"""usage: client_redis_py.py plain|sentinel NAME PREFIX SENTINEL...   Writes keys one after the other
until it is ended; prints "A KEY VALUE" for each that was acknowledged."""
import itertools
import sys
import time

import redis
import redis.sentinel


def plain(name, addresses):
    """A client of one address, which asks for it when it has to connect."""
    for host, port in itertools.cycle(addresses):
        try:
            with redis.Redis(host=host, port=port, socket_timeout=5) as asked:
                found = asked.sentinel_get_master_addr_by_name(name)
            if found is not None:
                return redis.Redis(host=found[0], port=int(found[1]), socket_timeout=5)
        except redis.RedisError:
            pass
        time.sleep(0.02)


def main():
    kind, name, prefix = sys.argv[1:4]
    addresses = [(a.split(':')[0], int(a.split(':')[1])) for a in sys.argv[4:]]
    if kind == 'sentinel':
        sentinel = redis.sentinel.Sentinel(addresses, socket_timeout=5, min_other_sentinels=2)
        client = sentinel.master_for(name, socket_timeout=5)
    else:
        client = plain(name, addresses)
    for i in itertools.count():
        while True:
            try:
                client.set(f'{prefix}:{i}', i)
                break
            except redis.RedisError as error:
                print(f'E {error!r}', flush=True)
                time.sleep(0.02)
                if kind == 'plain':
                    client = plain(name, addresses)
        print(f'A {prefix}:{i} {i}', flush=True)
        time.sleep(0.002)


main()
