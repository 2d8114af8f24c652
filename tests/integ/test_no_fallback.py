# SPDX-License-Identifier: Apache-2.0
"""No silent fallback: the port is DPDK's, its packet counters moved at least as much as blocks were
replicated; O_DIRECT is in the descriptor's flags; there was a durable write for every write group.
State hashes at one index with more than 10,000 keys are equal and found again by a scan. A flipped
byte is seen: in the log by its node, which is mended by the other or refuses to start, in the state `log verify` says which node."""
import glob
import json
import os
import socket

from case import main, require

CRITICAL, BAD_STORAGE = 4, 8  # exit codes


def direct_flags(pid, name):
    """Open flags of the process's descriptors on files called @name."""
    out = []
    for link in glob.glob(f'/proc/{pid}/fd/*'):
        try:
            if os.path.basename(os.readlink(link)) != name:
                continue
            with open(f'/proc/{pid}/fdinfo/{os.path.basename(link)}', encoding='ascii') as info:
                out += [int(line.split()[1], 8) for line in info if line.startswith('flags:')]
        except OSError:
            continue
    return out


def write_all(cluster):
    """As long as one node is master, the others accept blocks and it sends them."""
    client = cluster.follower()
    master = cluster.wait_duplex()
    before = cluster.standing(master)
    for first in range(0, 12000, 500):
        replies = client.call_all([('SET', f'key:{i}', f'value {i}')
                                   for i in range(first, first + 500)])
        require(set(replies) == {'OK'}, f'SET: {replies}')
    client.close()
    return before, cluster.standing(master)


def test(case):
    cluster = case.cluster
    cluster.log_size = '64MiB'
    cluster.up()
    cluster.settle()
    case.step('write 12,000 keys')
    cluster.undisturbed('writes', lambda: write_all(cluster))
    index, value = cluster.settle()
    require(index > 0 and int(value, 16) != 0, f'{index} {value}')
    master = cluster.wait_master()
    replicas = cluster.others(master)
    status = cluster.status()
    for name in cluster.data_names():
        node = status[name]
        require(node['keys'] > 10000, f'{name}: {node["keys"]} keys')
        require(node['port_driver'] == cluster.driver(), node['port_driver'])
        require('O_DIRECT' in node['disk_mode'], node['disk_mode'])
        disk = node['disk']
        require(disk['direct'] is True, f'{disk}')
        require(disk['durable_writes'] >= node['groups_written'] > 0, f'{disk} {node}')
        devices = [os.path.basename(path) for path in
                   glob.glob(os.path.join(cluster.dir, name, 'storage', '*'))
                   if os.path.isfile(path)]
        flags = [flag for device in devices for flag in direct_flags(cluster.nodes[name]['pid'],
                                                                     device)]
        require(any(flag & os.O_DIRECT for flag in flags), f'{name}: flags {flags}')
    for replica in replicas:
        blocks = status[replica]['blocks_accepted']
        sent = status[master]['data_port']['opackets']
        received = status[replica]['data_port']['ipackets']
        require(blocks > 20 and sent >= blocks and received >= blocks,
                f'{replica}: blocks {blocks}, ethdev sent {sent}, received {received}')

    case.step('verify by scan')
    done = cluster.run('log', 'verify')
    print(done.stdout)
    case.step('one flipped byte of the log is seen')
    cluster.dev('kill', replica)
    flip(cluster, replica)
    cluster.dev('start', replica)
    cluster.settle()
    cluster.wait('the log is repaired', lambda s: not s[replica]['damaged'] or None)
    cluster.wait_equal()
    said = log_end(cluster, replica, 30)
    require('log_mended' in said or ('log_damaged_no_vote' in said and 'log_repaired' in said),
            f'it says so, and that it is whole again: {said}')
    print('mended in place' if 'log_mended' in said else 'repaired by the master')
    if cluster.net == 'memif':  # the state does not depend on the network
        flip_in_state(case)


def flip_in_state(case):
    case.step('one flipped byte of the state is seen')
    cluster = case.another(ternd='control/daemon/ternd-state-flip')
    cluster.settle()
    replica = cluster.other(cluster.wait_master())
    require(cluster.ask('SET', 'key', 'value') == 'OK', 'SET')
    cluster.settle()
    require(cluster.run('log', 'verify').returncode == 0, 'equal before')
    require(ask(cluster.nodes[replica]['admin'], verb='state-flip', key='key')['flipped'] is True,
            'flipped')
    done = cluster.run('log', 'verify', check=False)
    print(done.stdout)
    require(done.returncode == CRITICAL and 'MISMATCH: a node' in done.stdout,
            f'{done.returncode} {done.stdout}{done.stderr}')
    require([line.split()[0] for line in done.stdout.splitlines() if line.endswith('NO')] ==
            [replica], done.stdout)


def flip(cluster, node):
    """Flips one bit of a value in the middle of the log area."""
    path = [path for path in glob.glob(os.path.join(cluster.dir, node, 'storage', '*'))
            if os.path.isfile(path)][0]
    with open(path, 'r+b') as handle:
        data = handle.read(64 << 20)
        at = data.find(b'value 777')
        require(at > 0, 'the value is in the log')
        handle.seek(at)
        handle.write(b'walue 777')


def log_end(cluster, node, lines=3):
    with open(os.path.join(cluster.dir, node, 'log'), encoding='utf-8') as handle:
        return ''.join(handle.readlines()[-lines:])


def ask(path, **request):
    """One request to a node's admin socket."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        connection.sendall(json.dumps({'api': 'admin/v1', **request}).encode() + b'\n')
        answer = json.loads(connection.makefile().readline())
    require(answer['ok'], f'{answer}')
    return answer['result']


main(test)
