# SPDX-License-Identifier: Apache-2.0
"""WATCH, MULTI and EXEC through redis-py: a conflict, then transfers between a few accounts while the
master is killed twice. No money comes or goes, and what was acknowledged was executed once."""
import json
import os
import subprocess
import time

from case import WAIT_S, main, require
from clients import sentinels

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'clients')
SECONDS = 12


def conflict(cluster, master):
    """Two connections; the second one writes between WATCH and EXEC of the first."""
    one, two = cluster.client(master), cluster.client(master)
    require(one.call('SET', 'k', '1') == 'OK', 'set')
    require(one.call('WATCH', 'k') == 'OK' and one.call('MULTI') == 'OK', 'begun')
    require(one.call('INCR', 'k') == 'QUEUED', 'queued')
    require(two.call('INCR', 'k') == 2, 'the other one')
    require(not one.call('EXEC'), 'a conflict')
    require(one.call('MULTI') == 'OK' and one.call('INCR', 'k') == 'QUEUED', 'again')
    require(one.call('GET', 'k') == 'QUEUED', 'a read')
    require(one.call('EXEC') == [3, '3'], 'executed')
    one.close()
    two.close()


def test(case):
    cluster = case.cluster
    cluster.log_size = '64MiB'
    cluster.up()
    case.step('a conflict')
    cluster.with_master(lambda master: conflict(cluster, master))
    case.step('transfers through two kills')
    process = subprocess.Popen(
        ['/usr/bin/python3', os.path.join(HERE, 'client_transfer.py'), 'tern', str(SECONDS),
         *sentinels(cluster)], stdout=subprocess.PIPE, text=True)
    try:
        require(process.stdout.readline() == 'began\n', 'the client began')
        for _ in range(2):
            time.sleep(SECONDS / 4)
            victim = cluster.kill_master()
            other = cluster.other(victim)
            cluster.wait('the other one to serve', lambda s, other=other: s[other].get('serving'))
            cluster.dev('start', victim)
            cluster.wait_duplex()
        out, _ = process.communicate(timeout=2 * WAIT_S + SECONDS)
    finally:
        process.kill()
        process.wait(timeout=30)
    print(out, flush=True)
    found = json.loads(out)
    require(isinstance(found, list), f'{found}')
    require(not any(thread['errors'] for thread in found), f'errors: {found}')
    require(sum(thread['conflicts'] for thread in found) > 0, f'no conflicts: {found}')
    cluster.settle()
    client = cluster.follower()
    money = client.call('MGET', *[f'account:{i}' for i in range(4)])
    require(sum(int(value) for value in money) == 4000, f'money came or went: {money}')
    for number, thread in enumerate(found):
        done = int(client.call('GET', f'done:{number}') or 0)
        require(thread['done'] > 20, f'hardly any load: {found}')
        require(thread['done'] <= done <= thread['done'] + thread['unknown'],
                f'thread {number}: {done} executed, {thread}')
    client.close()


main(test)
