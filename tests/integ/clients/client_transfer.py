# SPDX-License-Identifier: Apache-2.0
"""usage: client_transfer.py NAME SECONDS SENTINEL...   Threads move amounts between the same few
accounts with WATCH, MULTI and EXEC, through failovers. Prints one line of JSON: per thread what was
acknowledged and what is unknown, and how many conflicts there were."""
import json
import random
import sys
import threading
import time

import redis
import redis.sentinel

ACCOUNTS = [f'account:{i}' for i in range(4)]
THREADS = 4
ENOUGH = 20  # transfers of each thread: a busy host is given longer


def transfer(client, number, rng):
    source, target = rng.sample(ACCOUNTS, 2)
    with client.pipeline() as pipe:
        pipe.watch(source, target)
        have, other = int(pipe.get(source)), int(pipe.get(target))
        amount = rng.randint(1, 50)
        pipe.multi()
        pipe.set(source, have - amount)
        pipe.set(target, other + amount)
        pipe.incr(f'done:{number}')
        pipe.mget(*ACCOUNTS)
        seen = pipe.execute()[3]
    if sum(int(value) for value in seen) != 4000:
        print(json.dumps({'error': f'a transaction saw {seen}'}), flush=True)
        sys.exit(1)


def work(client, number, until, found):
    rng = random.Random(number)
    late = until + 60
    while time.monotonic() < until or (found['done'] <= ENOUGH and time.monotonic() < late):
        try:
            transfer(client, number, rng)
            found['done'] += 1
        except redis.WatchError as error:
            # redis-py says so, too, when it lost a connection that watched.
            found['unknown' if 'Connection' in str(error) else 'conflicts'] += 1
        except redis.ReadOnlyError:
            time.sleep(0.02)  # refused: it was not executed
        except (redis.ConnectionError, redis.TimeoutError):
            found['unknown'] += 1
            time.sleep(0.02)
        except redis.ResponseError:
            time.sleep(0.02)
        except redis.RedisError as error:
            found['errors'].append(repr(error))
            return


def main():
    name, seconds = sys.argv[1], float(sys.argv[2])
    addresses = [(a.split(':')[0], int(a.split(':')[1])) for a in sys.argv[3:]]
    sentinel = redis.sentinel.Sentinel(addresses, socket_timeout=5, min_other_sentinels=2)
    client = sentinel.master_for(name, socket_timeout=5)
    client.mset({account: 1000 for account in ACCOUNTS})
    print('began', flush=True)
    found = [{'done': 0, 'conflicts': 0, 'unknown': 0, 'errors': []} for _ in range(THREADS)]
    until = time.monotonic() + seconds
    threads = [threading.Thread(target=work, args=(client, i, until, found[i]))
               for i in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps(found), flush=True)


main()
