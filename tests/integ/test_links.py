# SPDX-License-Identifier: Apache-2.0
"""Two data links between any two nodes, one of them lost under load: another port takes over, term,
epoch and mode stay as they are, and nothing is lost. On veth an interface loses its carrier; among
three nodes the two others see no such thing, only that nothing is answered any more. On memif a node
comes back with one link of two."""
import json
import os
import subprocess

from case import main, require


def name_of(cluster):
    """What the namespaces of this cluster begin with."""
    return os.path.basename(json.loads(cluster.dev('status', '-o', 'json').stdout)['run_dir'])


def interface(cluster, peer, link):
    """The port by which a node reaches @peer."""
    if len(cluster.data_names()) > 2:
        return f'data{link}'
    return f'data{"1" if link else ""}-{peer}'


def set_link(cluster, prefix, node, peer, link, state):
    subprocess.run(['ip', '-n', f'{prefix}-{node}', 'link', 'set', interface(cluster, peer, link),
                    state], check=True)


def ports_for(status, node, peer):
    """Which of its data ports @node sends to @peer by, and how often another took over."""
    used = [number for number, port in enumerate(status[node]['ports'])
            if peer in port['used_for']]
    require(len(used) == 1, f'{node} uses {used} for {peer}')
    return used[0], status[node]['peers'][peer]['data']['takeovers']


def standing(status, master):
    return [status[master][key] for key in ('mode', 'term', 'epoch', 'solo_entries')]


def ports_a_link(cluster):
    """Ports are numbered link by link."""
    return 1 if cluster.net != 'memif' and len(cluster.data_names()) > 2 else \
        len(cluster.data_names()) - 1


def used_link(cluster, node, peer):
    """The link by which @node sends to @peer, and how often another took over."""
    status = cluster.wait(f'{node} to answer', lambda s: s if 'ports' in s[node] else None)
    port, takeovers = ports_for(status, node, peer)
    return port // ports_a_link(cluster), takeovers


def wait_used(cluster, node, peer, link):
    """Waits until @node sends to @peer over @link."""
    def look(status):
        return status if 'ports' in status[node] and \
            ports_for(status, node, peer)[0] // ports_a_link(cluster) == link else None
    return cluster.wait(f'{node} to use link {link} for {peer}', look)


def lose_link(case, master, replica, link):
    """One link goes down at the replica's end, and comes back. False: the master's standing
    changed, as it may on a busy machine at any time."""
    cluster = case.cluster
    prefix = name_of(cluster)
    wait_used(cluster, master, replica, link)
    before = standing(cluster.wait('all copies', lambda s: s if s[master].get('serving') and
                                   s[master]['mode'] == cluster.whole_mode else None), master)
    set_link(cluster, prefix, replica, master, link, 'down')
    wait_used(cluster, replica, master, 1 - link)
    status = wait_used(cluster, master, replica, 1 - link)
    require(not all(port['up'] for port in status[replica]['ports']), 'a port is down')
    here = status[master]['commit_index']
    cluster.wait('commits over the other link', lambda s: not s[master].get('serving') or
                 s[master].get('commit_index', 0) > here + 20)
    set_link(cluster, prefix, replica, master, link, 'up')
    cluster.wait('the port to be up again',
                 lambda s: all(port['up'] for port in s[replica].get('ports', [{'up': False}])))
    after = standing(cluster.status(), master)
    if after != before:
        print(f'   {before} became {after}: once more')
    return after == before


def takeovers_of_third(cluster, master, replica):
    """Of the node of three whose links are left alone: how often another port took over."""
    third = [name for name in cluster.others(master) if name != replica]
    return used_link(cluster, master, third[0])[1] if third else None


def lose_links(case, journal):
    """Each link in turn; four times nothing changed, and at least once nothing did for the third
    node, which may stand still for a moment on a busy machine, and is silent then, too."""
    cluster = case.cluster
    master = cluster.wait_duplex()
    replica = cluster.other(master)
    table = cluster.run('status').stdout
    require('USED FOR' in table and table.count('net_af_packet1') == len(cluster.data_names()),
            table)
    load = cluster.load_begin(journal, 'links')
    clean = attempts = takeovers = 0
    is_third_left_alone = len(cluster.data_names()) == 2
    while clean < 4 or not is_third_left_alone:
        attempts += 1
        require(attempts <= 12, f'{clean} of {attempts} times nothing changed; for the third: '
                                f'{is_third_left_alone}')
        if cluster.wait_duplex() != master:
            master = cluster.wait_duplex()
            replica = cluster.other(master)
        link, before = used_link(cluster, master, replica)
        third_before = takeovers_of_third(cluster, master, replica)
        case.step(f'link {link} between {master} and {replica} goes down under load')
        if lose_link(case, master, replica, link):
            clean += 1
            is_third_left_alone |= takeovers_of_third(cluster, master, replica) == third_before
        takeovers += used_link(cluster, master, replica)[1] - before
    cluster.load_end(load, journal)
    require(takeovers >= 4, f'{takeovers} times another port took over')
    status = cluster.status()
    for port in status[master]['ports']:
        require(port['tx_frames'] > 50, f'{master}: {port}')


def come_back_with_one(case, journal):
    """The replica is started with a link that leads nowhere, first one, then the other."""
    cluster = case.cluster
    load = cluster.load_start(journal, 'links')
    for number in range(2):
        master = cluster.wait_duplex()
        replica = cluster.other(master)
        case.step(f'{replica} comes back with a dead link {number}')
        cluster.dev('kill', replica)
        conf = os.path.join(cluster.dir, replica, 'node.conf')
        with open(conf, encoding='utf-8') as handle:
            text = handle.read()
        socket = 'm1-2b.sock' if number else 'm1-2.sock'
        require(text.count(socket) == 1, text)
        dead = conf + '.dead'
        with open(dead, 'w', encoding='utf-8') as handle:
            handle.write(text.replace(socket, 'nowhere.sock'))
        with open(os.path.join(cluster.dir, replica, 'log'), 'ab') as log:
            node = subprocess.Popen([os.path.join(cluster.build, 'control/daemon/ternd'),
                                     '--config', dead], stderr=log)
        try:
            cluster.wait('all copies', lambda s, name=replica: s[name].get('ports') and
                         cluster.master(s) and
                         s[cluster.master(s)]['mode'] == 'DUPLEX')
            status = wait_used(cluster, master, replica, 1 - number)
            require(not status[master]['ports'][number]['up'], 'that link is down')
            frames = status[replica]['ports'][1 - number]['rx_frames']
            cluster.wait('frames over the other link', lambda s, name=replica, at=frames:
                         s[name].get('ports') and
                         s[name]['ports'][1 - number]['rx_frames'] > at + 100)
        finally:
            node.kill()
            node.wait()
        cluster.dev('start', replica)
        cluster.wait_duplex()
        cluster.wait('both links', lambda s: all(s[name].get('ports') and port['up'] for name in
                                                 ('a', 'b') for port in s[name].get('ports', [])))
    cluster.load_end(load, journal)


def test(case):
    cluster = case.cluster
    cluster.up()
    cluster.settle()
    journal = case.path('journal')
    if cluster.net == 'memif':
        come_back_with_one(case, journal)
    else:
        lose_links(case, journal)
    case.step('nothing is lost')
    cluster.settle()
    found = cluster.verify(journal)
    require(found['lost'] == 0, f'{found}')


main(test)
