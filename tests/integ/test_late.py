# SPDX-License-Identifier: Apache-2.0
"""How long a replica may stand still is said of each (`t_late` in `nodes`). The disk of a replica
hangs while it answers heartbeats: one with a small t_late is left behind, though the profile's would
have the master wait for longer than this test does; one with a large t_late is waited for, though
the profile's would have the master go on without it. Looked at is the order of events alone."""
import os
import re
import select
import subprocess

from case import main, require

WAITS_S = 2  # for nothing to happen: some times the profile's t_late of the second part
TRIES = 6


def profile(case, t_late):
    return case.profile(f'late-{t_late}', ('t_late = "300ms"', f't_late = "{t_late}"'))


class Nodes:
    """The data nodes, started with a t_late of their own in each node file, which `dev start` would
    write anew."""

    def __init__(self, cluster, t_late):
        self.cluster, self.processes = cluster, []
        daemon = os.path.join(os.path.dirname(os.path.realpath(cluster.tern)), '..', 'daemon',
                              'ternd')
        for name in cluster.data_names():
            cluster.dev('kill', name)
        for name in cluster.data_names():
            path = os.path.join(cluster.dir, name, 'node.conf')
            self.write(path, t_late)
            log = open(os.path.join(cluster.dir, name, 'log'), 'a', encoding='utf-8')
            self.processes.append(subprocess.Popen([daemon, '--config', path], stdout=log,
                                                   stderr=log, start_new_session=True))
            log.close()

    def write(self, path, t_late):
        with open(path, encoding='utf-8') as handle:
            head, nodes = handle.read().split('nodes = (', 1)
        nodes, count = re.subn(r'kind = "data";', rf'kind = "data"; t_late = "{t_late}";', nodes)
        require(count == len(self.cluster.data_names()), f'{path}: {count} data nodes')
        with open(path, 'w', encoding='utf-8') as handle:
            handle.write(head + 'nodes = (' + nodes)

    def end(self):
        for process in self.processes:
            process.kill()
            process.wait()


def told(cluster, text):
    """`tern status` tells what is not the profile's."""
    done = cluster.run('status', check=False)
    require(text in done.stdout, f'{text}: {done.stdout}')


def left_behind(case):
    cluster = case.another(profile=profile(case, '600s'))
    cluster.settle()
    nodes = Nodes(cluster, '50ms')
    try:
        cluster.settle()
        told(cluster, 'late after 50 ms')
        master = cluster.wait_master()
        replica = cluster.other(master)
        case.step(f'the disk of {replica} hangs: it is left behind')
        cluster.dev('fault', replica, '0=hang')
        require(cluster.follower().call('SET', 'left', 'behind') == 'OK', 'SET without it')
        status = cluster.status()
        name = cluster.master(status)
        require(name is not None and status[name]['mode'] == cluster.lone_mode,
                f'the master goes on alone: {cluster.brief(status)}')
        cluster.dev('fault', replica, '0=none')
        cluster.settle()
    finally:
        nodes.end()


def is_waited_for(cluster):
    """One try. False: the host was busy, and a copy was lost for another reason."""
    master = cluster.wait_duplex()
    replica = cluster.other(master)
    before = cluster.standing(master)
    client = cluster.client(master)
    cluster.dev('fault', replica, '0=hang')
    client.send('SET', 'waited', 'for')
    answered = select.select([client.socket], [], [], WAITS_S)[0]
    is_same = cluster.standing(master) == before
    cluster.dev('fault', replica, '0=none')
    require(not (is_same and answered), 'an answer while the second copy had none of it')
    if not is_same:
        client.close()
        return False
    require(client.read() == 'OK', 'SET with it')
    client.close()
    return cluster.standing(master) == before  # it was never left behind


def waited_for(case):
    cluster = case.another(profile=profile(case, '300ms'))
    cluster.settle()
    nodes = Nodes(cluster, '600s')
    try:
        cluster.settle()
        told(cluster, 'late after 600000 ms')
        case.step('the disk of a replica hangs: it is waited for')
        for number in range(TRIES):
            if is_waited_for(cluster):
                return
            print(f'   try {number + 1}: the master was alone for another reason', flush=True)
            cluster.settle()
        require(False, 'the replica was left behind every time')
    finally:
        nodes.end()


def test(case):
    left_behind(case)
    waited_for(case)


main(test)
