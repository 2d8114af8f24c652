# SPDX-License-Identifier: Apache-2.0
"""Logs in RAM: status says so, the device holds the superblock only, replication and failover go on,
and a node that ended does not start again on its blank log (exit code 8): it would vote."""
import os
import subprocess

from case import main, require


def memory_client(cluster, name):
    """Where logs are volatile nothing can be durable, and a client has to say that it knows."""
    client = cluster.client(name)
    require(client.call('TERN.CLASS', 'memory') == 'OK', 'TERN.CLASS')
    return client


def test(case):
    cluster = case.cluster
    cluster.log = 'ram'
    cluster.up()
    cluster.settle()
    master = cluster.wait_master()
    replica = cluster.other(master)
    client = memory_client(cluster, master)
    for i in range(2000):
        client.send('SET', f'key{i}', f'value {i}')
    for i in range(2000):
        require(client.read() == 'OK', 'SET')
    cluster.settle()

    case.step('what it says of itself')
    status = cluster.status()
    for name in (master, replica):
        node = status[name]
        print(f'   {name}: {node["disk_mode"]}')
        require(node['disk_mode'].startswith('ram VOLATILE, superblock on io_uring O_DIRECT'),
                node['disk_mode'])
        require(node['disk']['volatile'] is True and node['disk']['direct'] is False,
                f'{node["disk"]}')
        require(node['disk']['writes'] > node['disk']['durable_writes'], f'{node["disk"]}')
        require(node['groups_written'] > 0, f'{node["groups_written"]}')
        size = os.path.getsize(os.path.join(cluster.dir, name, 'storage', 'device0'))
        require(size == 1 << 20, f'the device holds {size} bytes')
    verified = cluster.run('log', 'verify')
    print(verified.stdout)

    case.step('the kind of log is kept')
    done = cluster.run('dev', 'up', '--log', 'file', check=False)
    require(done.returncode == 2 and 'logs in RAM already' in done.stderr, f'{done}')

    case.step('the master dies; the other one has every write')
    cluster.dev('kill', master)
    cluster.wait('the replica serves', cluster.serves_without([master]))
    client = memory_client(cluster, replica)
    require(client.call('GET', 'key1999') == 'value 1999', 'the write is there')
    require(client.call('SET', 'after', 1) == 'OK', 'writes go on')

    case.step('the dead one does not come back as its old self')
    conf = os.path.join(cluster.dir, master, 'node.conf')
    done = subprocess.run([os.path.join(cluster.build, 'control/daemon/ternd'), '--config', conf],
                          capture_output=True, text=True, timeout=60)
    print('   ' + done.stderr.strip().splitlines()[-1])
    require(done.returncode == 8 and 'must not vote again' in done.stderr,
            f'exit {done.returncode}\n{done.stderr}')
    case.step('nor when its node file forgets that its log was in RAM')
    with open(conf, encoding='utf-8') as handle:
        text = handle.read()
    require('volatile = true;' in text, text)
    with open(conf, 'w', encoding='utf-8') as handle:
        handle.write(text.replace('volatile = true;', ''))
    done = subprocess.run([os.path.join(cluster.build, 'control/daemon/ternd'), '--config', conf],
                          capture_output=True, text=True, timeout=60)
    print('   ' + done.stderr.strip().splitlines()[-1])
    require(done.returncode == 8 and 'no room for the log' in done.stderr,
            f'exit {done.returncode}\n{done.stderr}')
    require(memory_client(cluster, replica).call('GET', 'after') == '1', 'the other one goes on')


main(test)
