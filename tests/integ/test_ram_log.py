# SPDX-License-Identifier: Apache-2.0
"""Logs in RAM: status says so, the device holds the superblock only, replication and failover go on.
A node that ended has forgotten its log: it comes back as no voter, catches up, and is whole again
only then: after that it takes over with every write. All at once are gone for ever, and nobody
leads. A node whose log is on its device has no place among them."""
import os
import re
import subprocess
import time

from case import main, require


def test(case):
    cluster = case.cluster
    cluster.log = 'ram'
    cluster.up()
    cluster.settle()
    # Where logs are volatile nothing can be durable, and a client has to say that it knows.
    client = cluster.follower(('TERN.CLASS', 'memory'))
    replies = client.call_all([('SET', f'key{i}', f'value {i}') for i in range(2000)])
    require(set(replies) == {'OK'}, f'SET: {replies}')
    cluster.settle()
    master = cluster.wait_master()
    replica = cluster.other(master)

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
    cluster.kill_in_sync(master)
    cluster.wait('the replica serves', cluster.serves_without([master]))
    require(client.call('GET', 'key1999') == 'value 1999', 'the write is there')
    require(client.call('SET', 'after', 1) == 'OK', 'writes go on')

    case.step('a node file that forgets that the log was in RAM')
    conf = os.path.join(cluster.dir, master, 'node.conf')
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
    with open(conf, 'w', encoding='utf-8') as handle:
        handle.write(text)

    case.step('the dead one comes back, and is whole when it has caught up')
    cluster.dev('start', master)
    cluster.wait_duplex()
    cluster.wait('it to be whole', lambda s: not s[master]['forgetful'])
    require(client.call('SET', 'both', 1) == 'OK', 'writes go on')
    print(cluster.run('log', 'verify').stdout)
    cluster.kill_in_sync(replica)
    cluster.wait('it takes over', cluster.serves_without([replica]))
    for key, value in (('key1999', 'value 1999'), ('after', '1'), ('both', '1')):
        require(client.call('GET', key) == value, key)

    case.step('a node whose log is on its device finds a master whose log is not')
    storage = case.path('durable')
    mixed = case.path('mixed.conf')
    with open(os.path.join(cluster.dir, replica, 'node.conf'), encoding='utf-8') as handle:
        text = handle.read()
    for pattern, value in (('volatile = true;', ''), (r'storage = "[^"]*"', f'storage = "{storage}"'),
                           (r'path = "[^"]*device0"', f'path = "{storage}/device0"')):
        text, count = re.subn(pattern, value, text)
        require(count == 1, f'{pattern} in {text}')
    with open(mixed, 'w', encoding='utf-8') as handle:
        handle.write(text)
    done = subprocess.run([cluster.tern, 'node', 'init', '--config', mixed], capture_output=True,
                          text=True, timeout=60)
    require(done.returncode == 0, done.stderr)
    done = subprocess.run([os.path.join(cluster.build, 'control/daemon/ternd'), '--config', mixed],
                          capture_output=True, text=True, timeout=60)
    print('   ' + '\n   '.join(line for line in done.stderr.splitlines() if 'ternd: ' in line))
    require(done.returncode == 8 and 'all data nodes have one kind' in done.stderr,
            f'exit {done.returncode}\n{done.stderr}')
    require(client.call('SET', 'alone', 1) == 'OK', 'the master goes on')

    case.step('all die: nobody remembers, nobody leads')
    cluster.dev('kill', master)
    for name in (master, replica):
        cluster.dev('start', name, check=False)
    time.sleep(2)
    status = cluster.status()
    for name in (master, replica):
        require(status[name]['role'] != 'master' and status[name]['forgetful'], f'{status[name]}')


main(test)
