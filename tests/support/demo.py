#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""usage: demo.py BUILD_DIR CLUSTER_DIR

Starts a cluster, uses it, kills the master under load, and reports: how long service was away and
whether anything acknowledged was lost. Leaves the cluster running."""
import os
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cluster, journal_gap  # noqa: E402
from failure import Failure  # noqa: E402


def say(text):
    print(f'\n== {text}', flush=True)


def show(cluster):
    print(cluster.run('status', check=False).stdout, flush=True)


def main():
    build, directory = sys.argv[1:3]
    cluster = Cluster(build, directory, log_size='2GiB')
    say(f'start: {os.path.relpath(cluster.tern)} dev up')
    cluster.up()
    cluster.settle()
    show(cluster)

    say('use it: any Redis client will do')
    master = cluster.wait_master()
    host, port = cluster.resp(master).rsplit(':', 1)
    client = cluster.client(master)
    for command in (('SET', 'greeting', 'hello'), ('GET', 'greeting'),
                    ('TERN.INCRBY', 'user:1', '70', 'MIN', '0'),
                    ('TERN.INCRBY', 'user:1', '-1000', 'MIN', '0')):
        print(f'redis-cli -h {host} -p {port} {" ".join(command)}')
        reply = client.call(*command)
        print(f'  {getattr(reply, "text", reply)}')
    client.close()

    say(f'kill the master ({master}) under load')
    journal = os.path.join(tempfile.mkdtemp(prefix='tern-demo-'), 'journal')
    load = cluster.load_start(journal, f'demo:{os.getpid()}')
    time.sleep(2)
    kill_ns = time.monotonic_ns()
    cluster.dev('kill', master)
    killed_ns = time.monotonic_ns()
    cluster.wait('the other node to serve', lambda s: cluster.master(s) not in (None, master))
    time.sleep(1)
    totals = cluster.load_stop(load)
    show(cluster)

    say(f'start {master} again: it catches up')
    cluster.dev('start', master)
    cluster.settle()
    show(cluster)

    found = cluster.verify(journal)
    gap_ns = journal_gap(journal, kill_ns, killed_ns)
    say('report')
    print(f'writes sent                 {totals["sent"]}')
    print(f'acknowledged                {totals["acknowledged"]}')
    print(f'  of these read back        {found["found"]}')
    print(f'  of these lost             {found["lost"]}')
    print(f'outcome unknown (cut off)   {totals["unknown"]}, of which '
          f'{found["unknown_found"]} had been executed')
    if gap_ns is None:
        raise Failure('the load did not span the kill')
    print(f'service was away for        {gap_ns / 1e6:.0f} ms')
    os.unlink(journal)
    os.rmdir(os.path.dirname(journal))
    tool = os.path.relpath(cluster.tern)
    print(f'\nThe cluster goes on running: {tool} status   {tool} dev down')
    return 1 if found['lost'] else 0


if __name__ == '__main__':
    try:
        sys.exit(main())
    except Failure as failure:
        print(f'quickstart: {failure}')
        sys.exit(1)
