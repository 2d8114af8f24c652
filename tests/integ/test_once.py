# SPDX-License-Identifier: Apache-2.0
"""libtern with 200 increments in flight while the master is killed five times: every increment is
executed exactly once, and none is called unknown."""
import json
import os
import subprocess
import time

from case import main, require


def start(case, key):
    addresses = ','.join(case.cluster.nodes[name]['client'] for name in case.cluster.data_names())
    return subprocess.Popen(
        [os.path.join(case.build, 'tests/support/once_client'), '--addresses', addresses,
         '--key', key, '--window', '200', '--rate', '10000', '--seconds', '600', '--deadline-ms', '60000'],
        stdout=subprocess.PIPE, text=True)


def ten_times(cluster, master):
    """In a session of its own, on a key that counts from 0: the session, and what was told."""
    resp = cluster.client(master)
    require(resp.call('DEL', 'resp') in (0, 1), 'DEL')
    session = resp.call('TERN.SESSION', 'OPEN')
    require(isinstance(session, int), f'TERN.SESSION: {session}')
    return session, [resp.call('TERN.ONCE', session, seq, 'INCR', 'resp') for seq in range(1, 11)]


def test(case):
    cluster = case.cluster
    cluster.up()
    client = start(case, 'counter')
    try:
        for number in range(5):
            case.step(f'failover {number + 1}')
            cluster.wait_duplex()
            time.sleep(0.5)
            master = cluster.kill_master()
            cluster.wait('another one to serve', cluster.serves_without([master]))
            time.sleep(0.5)
            cluster.dev('start', master)
        case.step('the end')
        cluster.wait_duplex()
        client.terminate()
        out, _ = client.communicate(timeout=90)
    finally:
        client.kill()
    print(out)
    found = json.loads(out)
    require(found['submitted'] > 1000, f'hardly any load: {found}')
    require(found['unknown'] == 0 and found['refused'] == 0, f'not all done: {found}')
    require(found['done'] == found['submitted'] == found['value'], f'not exactly once: {found}')
    require(found['masters'] >= 5, f'failovers went unnoticed: {found}')
    require(found['sessions'] == 1, f'more than one session: {found}')
    case.step('RESP sees the same')
    require(cluster.ask('GET', 'counter') == str(found['value']), 'the value over RESP')
    cluster.settle()
    case.step('TERN.ONCE across a failover')
    session, told = cluster.with_master(lambda master: ten_times(cluster, master))
    require(told == list(range(1, 11)), f'told {told}')
    master = cluster.kill_master()
    cluster.wait('another one to serve', cluster.serves_without([master]))
    resp = cluster.follower()
    again = [resp.call('TERN.ONCE', session, seq, 'INCR', 'resp') for seq in range(1, 13)]
    require(again == list(range(1, 13)), f'told again {again}')
    require(resp.call('GET', 'resp') == '12', 'each once')
    require(resp.call('TERN.SESSION', 'CLOSE', session) == 'OK', 'closed')
    cluster.dev('start', master)
    cluster.settle()


main(test)
