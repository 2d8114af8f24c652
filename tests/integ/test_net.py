# SPDX-License-Identifier: Apache-2.0
"""Networks of `tern dev up`: namespaces that are made, repaired and removed, also after a crash;
RESP on 127.0.0.1 after kill and start; a lost carrier; jumbo frames, which take fewer; what is
refused. Of three nodes: the first half of it, with the switch. argument: the network."""
import json
import os
import shutil
import subprocess

from case import main, require
from resp import Client


def namespaces(name=''):
    done = subprocess.run(['ip', 'netns', 'list'], capture_output=True, text=True, check=True)
    return sorted(line.split()[0] for line in done.stdout.splitlines() if name in line)


def prefix(cluster):
    """The name that all namespaces of this cluster begin with."""
    return os.path.basename(json.loads(cluster.dev('status', '-o', 'json', check=False).stdout)
                            ['run_dir'])


def expected(cluster, name):
    """The namespaces that this cluster has while it is up."""
    ends = [*cluster.nodes, 'hub', *(['switch'] if len(cluster.data_names()) > 2 else [])]
    return sorted(f'{name}-{end}' for end in ends)


def fill(cluster, first, count, value_bytes=64):
    """Writes keys; the values together are longer than a block."""
    client = cluster.follower()
    value = 'v' * value_bytes
    replies = client.call_all([('SET', f'key:{i}', value) for i in range(first, first + count)])
    require(set(replies) == {'OK'}, f'SET: {replies}')
    client.close()


def cluster_port(cluster, name):
    """RESP of any node, the witness too, which `dev up` does not list."""
    nodes = cluster.description()['nodes']
    return Client(f'127.0.0.1:{[n["resp_port"] for n in nodes if n["name"] == name][0]}')


def check_life(case):
    cluster = case.cluster
    case.step('up, twice')
    cluster.log_size = '64MiB'
    cluster.up()
    cluster.settle()
    name = prefix(cluster)
    require(namespaces(name) == expected(cluster, name), f'{namespaces(name)}')
    pids = {node['pid'] for node in cluster.nodes.values()}
    cluster.log_size = '64MiB'
    cluster.up()
    require(pids == {node['pid'] for node in cluster.nodes.values()}, 'up left alone what runs')
    status = cluster.status()
    for node in cluster.data_names():
        require(status[node]['port_driver'] == cluster.driver(), status[node]['port_driver'])
        require(os.readlink(f'/proc/{cluster.nodes[node]["pid"]}/ns/net') !=
                os.readlink('/proc/self/ns/net'), f'{node} has a namespace of its own')
    fill(cluster, 0, 1000)

    case.step('RESP after kill and start, at once')
    for _ in range(3):
        victim = cluster.other(cluster.wait_master())
        cluster.dev('kill', victim)
        cluster.dev('start', victim)
        require(cluster.client(victim).call('PING') == 'PONG', 'PING')
        cluster.settle()

    for node in cluster.nodes:
        require(cluster_port(cluster, node).call('PING') == 'PONG', f'PING {node}')

    case.step('another network is refused while nodes run')
    done = cluster.run('dev', 'up', '--net', 'memif', check=False)
    require(done.returncode == 2 and 'dev down' in done.stderr, done.stderr)
    return name


def carrier_lost(cluster, name):
    """Who was master before, and in spite of it."""
    master = cluster.wait_duplex()
    replica = cluster.other(master)
    # Behind a switch only the one end sees it; a cable has two.
    is_switched = len(cluster.data_names()) > 2
    port = 'data0' if is_switched else f'data-{master}'
    losers = [replica] if is_switched else [master, replica]
    link = ['ip', '-n', f'{name}-{replica}', 'link', 'set', port]
    subprocess.run([*link, 'down'], check=True)
    cluster.wait('the ports to be down', lambda s: not any(s[node]['port_up'] for node in losers))
    fill(cluster, 1000, 3000)
    serves = cluster.wait_mode(cluster.lone_mode)
    subprocess.run([*link, 'up'], check=True)
    cluster.wait('all ports to be up', lambda s: all(s[node]['port_up'] for node in
                                                     cluster.data_names()))
    cluster.settle()
    require(cluster.status()['a']['keys'] == 4000, 'all keys')
    return master, serves


def check_removal(case, name):
    cluster = case.cluster
    case.step('up repairs what a crash left')
    for node in cluster.nodes:
        cluster.dev('kill', node)
    for gone in (name + '-b', *([name + '-switch'] if len(cluster.data_names()) > 2 else [])):
        subprocess.run(['ip', 'netns', 'del', gone], check=True)
    cluster.log_size = '64MiB'
    cluster.up()
    cluster.settle()
    require(namespaces(name) == expected(cluster, name), f'{namespaces(name)}')
    require(cluster.ask('DBSIZE') == 4000, 'DBSIZE')
    case.step('down after a crash')
    for node in cluster.nodes:
        cluster.dev('kill', node)
    cluster.dev('down')
    cluster.dev('down')
    require(namespaces(name) == [], f'left behind: {namespaces(name)}')


def check_root(case):
    """The binary is copied to where anybody may run it, and run as nobody."""
    case.step('root is required')
    place = '/tmp/' + os.path.basename(case.dir)
    os.mkdir(place)
    try:
        os.chmod(place, 0o777)
        shutil.copy(case.cluster.tern, f'{place}/tern')
        done = subprocess.run(
            ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups', f'{place}/tern',
             'dev', 'up', '--net', 'veth', '--dir', f'{place}/c'], capture_output=True, text=True,
            timeout=60)
        require(done.returncode == 1 and 'needs root' in done.stderr, done.stderr)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def frames_sent(cluster, master):
    """Frames and bytes that @master sends for a load."""
    before = cluster.status()
    fill(cluster, 0, 2000, 4096)
    cluster.settle()
    after = cluster.status()
    require(cluster.master(after) == master and after[master]['mode'] == 'DUPLEX',
            cluster.brief(after))
    other = cluster.other(master)
    return [after[master]['peers'][other]['data'][key] - before[master]['peers'][other]['data'][key]
            for key in ('tx_frames', 'tx_bytes')]


def check_jumbo(case, net):
    """Frames that the master sends for the same load, which is replicated in full blocks."""
    cluster = case.cluster
    sent = {}
    for mtu in ('1500', '9000'):
        case.step(f'frames on {net} with MTU {mtu}')
        cluster.net, cluster.mtu = net, mtu
        cluster.log_size = '64MiB'
        cluster.up()
        cluster.settle()
        sent[mtu] = cluster.with_master(lambda master: frames_sent(cluster, master))
        cluster.down()
    print(f'frames, bytes sent: {sent}')
    require(all(size > 2000 * 4096 for _, size in sent.values()), f'{sent}')
    small, large = (size / frames for frames, size in (sent['1500'], sent['9000']))
    require(small <= 1472 and large > 3 * 1472, f'bytes a frame: {small:.0f}, {large:.0f}')


def test(case, net):
    cluster = case.cluster
    cluster.net = net
    if net != 'memif':
        name = check_life(case)
        case.step('lost carrier')
        cluster.undisturbed('a lost carrier', lambda: carrier_lost(cluster, name))
        check_removal(case, name)
        if case.topology != '2+w':
            return
        check_root(case)
    if net != 'veth-xdp':
        check_jumbo(case, net)
        return
    case.step('jumbo frames are refused')
    done = cluster.run('dev', 'up', '--net', net, '--mtu', '9000', check=False)
    require(done.returncode == 2 and 'less than a page' in done.stderr, done.stderr)


main(test)
