# SPDX-License-Identifier: Apache-2.0
"""A data node that was away comes back while clients write as fast as they are served: they are held
back so far that the node reaches the end of the log, and the second copy is there again before
they have ended."""
import subprocess
import time

from case import main, require

AWAY_S = 3


def test(case):
    cluster = case.cluster
    cluster.log_size = '2GiB'
    cluster.up()
    cluster.settle()
    master = cluster.wait_master()
    replica = cluster.other(master)
    journal = case.path('journal')
    load = cluster.load_start(journal, 'return')
    full = subprocess.Popen(
        [cluster.tern, 'bench', 'run', '--dir', cluster.dir, '--pipeline', '16', '--connections',
         '50', '--value-size', '1000', '--duration', '300s'], stdout=subprocess.DEVNULL)
    cluster.loads.append(full)
    case.step(f'{replica} is away under full load')
    time.sleep(1)
    cluster.dev('kill', replica)
    cluster.wait('service without it', cluster.serves_without([replica]))
    time.sleep(AWAY_S)
    behind = cluster.status()[cluster.wait_master()]
    case.step(f'{replica} comes back under it')
    cluster.dev('start', replica)
    cluster.wait_duplex()
    require(full.poll() is None, 'the load goes on')
    node = cluster.status()[cluster.wait_master()]
    print(f"   last {behind['last_index']} -> {node['last_index']}, held {node['held_turns']} turns")
    require(node['last_index'] > behind['last_index'], f'clients wrote meanwhile: {node}')
    require(node['held_turns'] > 0, f'and had to wait: {node}')
    full.terminate()
    full.wait(timeout=60)
    cluster.load_stop(load)
    cluster.wait_equal()
    case.verify([journal])
    case.step('alone with the copy that came back')
    cluster.kill_master()
    case.verify([journal])


main(test)
