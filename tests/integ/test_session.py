# SPDX-License-Identifier: Apache-2.0
"""libtern's reads that ask nobody, through failovers: a client writes and hands its position on,
another one reads at every node. In a session it never sees less than was written or shown, whoever
is master and while nobody is; what is bounded in age is no older; a snapshot is one position."""
import json
import os
import signal
import subprocess
import time

from case import main, require

FAILOVERS = 3


def start(case):
    cluster = case.cluster
    names = cluster.data_names()
    addresses = ','.join(cluster.nodes[name]['client'] for name in names)
    return subprocess.Popen(
        [os.path.join(case.build, 'tests/support/session_client'), '--addresses', addresses,
         '--nodes', str(len(names))],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(client):
    client.send_signal(signal.SIGTERM)
    out, err = client.communicate(timeout=90)
    require(client.returncode == 0, f'session_client: {err}')
    print(out)
    return json.loads(out)


def test(case):
    cluster = case.cluster
    cluster.up()
    cluster.settle()
    client = start(case)
    try:
        for number in range(FAILOVERS):
            case.step(f'failover {number + 1}')
            cluster.wait_duplex()
            time.sleep(1)
            master = cluster.kill_master()
            cluster.wait('another one to serve', cluster.serves_without([master]))
            time.sleep(0.5)
            if client.poll() is not None:
                finish(client)
            cluster.dev('start', master)
        case.step('the end')
        cluster.wait_duplex()
        time.sleep(1)
        found = finish(client)
    finally:
        client.kill()
    require(found['writes'] > 40, f'hardly any write: {found}')
    require(found['sessions'] > 200 and found['stales'] > 80, f'hardly any read: {found}')
    require(found['snapshots'] > 10 and found['dirty'] > 10, f'hardly any read: {found}')
    require(found['without_master'] > 0, f'no read while there was no master: {found}')
    require(min(found['by_node']) > 80, f'a node was hardly asked: {found}')
    cluster.settle()


main(test)
