# SPDX-License-Identifier: Apache-2.0
"""A node whose files are gone, and a witness whose register is gone, refuse to start and name the
next step (exit code 8); the rest of the cluster goes on."""
import glob
import os
import subprocess

from case import main, require


def refuses(case, program, node):
    conf = os.path.join(case.cluster.dir, node, 'node.conf')
    done = subprocess.run([*case.cluster.inside(node), os.path.join(case.cluster.build, program),
                           '--config', conf], capture_output=True, text=True, timeout=60)
    print('   ' + done.stderr.strip().splitlines()[-1])
    require(done.returncode == 8, f'{program} for {node}: exit {done.returncode}\n{done.stderr}')
    require('tern node init' in done.stderr or 'replaced' in done.stderr,
            f'the next step must be named: {done.stderr}')


def test(case):
    cluster = case.cluster
    cluster.log_size = '64MiB'
    cluster.up()
    cluster.settle()
    client = cluster.follower()
    for i in range(100):
        require(client.call('SET', f'key{i}', i) == 'OK', 'SET')
    replica = cluster.other(cluster.wait_master())

    case.step('the replica loses its files')
    cluster.dev('kill', replica)
    files = [path for path in glob.glob(os.path.join(cluster.dir, replica, 'storage', '*'))
             if os.path.isfile(path)]
    require(files, 'storage files')
    for path in files:
        os.unlink(path)
    refuses(case, 'control/daemon/ternd', replica)
    require(client.call('GET', 'key99') == '99', 'the master goes on')

    if 'w' in cluster.nodes:
        case.step('the witness loses its register')
        cluster.dev('kill', 'w')
        for path in glob.glob(os.path.join(cluster.dir, 'w', 'storage', '*')):
            os.unlink(path)
        refuses(case, 'control/witness/tern-witness', 'w')

    case.step('blank and foreign devices')
    master = cluster.wait_master()
    device = [path for path in glob.glob(os.path.join(cluster.dir, master, 'storage', '*'))
              if os.path.isfile(path) and os.path.getsize(path) > 1 << 20][0]
    target = os.path.join(cluster.dir, replica, 'storage', os.path.basename(device))
    with open(target, 'wb') as handle:
        handle.truncate(os.path.getsize(device))
    refuses(case, 'control/daemon/ternd', replica)
    with open(device, 'rb') as source, open(target, 'r+b') as handle:
        handle.write(source.read(1 << 20))
    refuses_foreign(case, replica)


def refuses_foreign(case, node):
    conf = os.path.join(case.cluster.dir, node, 'node.conf')
    done = subprocess.run([*case.cluster.inside(node),
                           os.path.join(case.cluster.build, 'control/daemon/ternd'), '--config',
                           conf], capture_output=True, text=True, timeout=60)
    print('   ' + done.stderr.strip().splitlines()[-1])
    require(done.returncode == 8 and 'another' in done.stderr,
            f'another node\'s storage: exit {done.returncode}\n{done.stderr}')


main(test)
