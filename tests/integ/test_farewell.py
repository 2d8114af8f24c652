# SPDX-License-Identifier: Apache-2.0
"""A master whose process dies is spoken for: the others need not miss it. T_elect is longer than this
test waits, so silence alone elects nobody in time; who is elected has heard a farewell."""
import os
import signal
import subprocess
import time

from case import main, require

ELECT_S = (24, 26)
SOON_S = 20  # below T_elect; a farewell makes a node campaign within a quarter of it


def slow_profile(case):
    return case.profile('slow', ('t_elect_min = "50ms"', f't_elect_min = "{ELECT_S[0]}s"'),
                        ('t_elect_max = "80ms"', f't_elect_max = "{ELECT_S[1]}s"'))


def farewells(cluster, name):
    return cluster.status()[name].get('farewells')


def stop_and_go_on(case):
    """A process that does not run is not dead."""
    cluster = case.cluster

    def attempt():
        master = cluster.wait_duplex()
        others = cluster.rest(master)
        before = [(name, farewells(cluster, name)) for name in others]
        cluster.dev('stop', master)
        time.sleep(1)
        after = [(name, farewells(cluster, name)) for name in others]
        cluster.dev('cont', master)
        return before, after
    case.step('SIGSTOP of the master: nothing is said')
    cluster.undisturbed('a stopped master', attempt)


def kill_and_hear(case):
    cluster = case.cluster
    case.step('SIGKILL of the process of the master: another one serves')
    cluster.wait_duplex()
    before = {name: farewells(cluster, name) for name in cluster.nodes}
    victim = cluster.kill_in_sync(kill=cluster.kill_process)
    heir = cluster.wait('service without it', cluster.serves_without([victim]), seconds=SOON_S)
    require(farewells(cluster, heir) > before[heir], f'{heir} has heard no farewell')
    if 'w' in cluster.nodes:
        require(farewells(cluster, 'w') > before['w'], 'the witness has heard no farewell')
    cluster.dev('start', victim)
    cluster.settle()


def start_at_once(case):
    """Its port and its storage are free as soon as it is dead."""
    cluster = case.cluster
    master = cluster.wait_duplex()
    replica = cluster.other(master)
    for victim in (replica, replica, replica, master):
        case.step(f'SIGKILL of the process of {victim}, and a start at once')
        cluster.kill_process(victim)
        cluster.dev('start', victim)


def lose_machine(case):
    """Who would speak is killed first, as when the whole machine fails."""
    cluster = case.cluster
    case.step('`tern dev kill` of the master: nothing is said')
    cluster.wait_duplex()
    before = {name: farewells(cluster, name) for name in cluster.nodes}
    victim = cluster.kill_in_sync()
    time.sleep(1)
    for name in cluster.rest(victim):
        require(farewells(cluster, name) == before[name], f'{name} has heard a farewell')
    cluster.dev('start', victim)


def refused_start(case):
    """The storage is in use: it ends, and nobody of its group stays."""
    cluster = case.cluster
    name = cluster.data_names()[0]
    case.step('a start that is refused leaves nobody behind')
    second = subprocess.Popen(
        [*cluster.inside(name), os.path.join(cluster.build, 'control/daemon/ternd'), '--config',
         os.path.join(cluster.dir, name, 'node.conf')],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True)
    _, why = second.communicate(timeout=120)
    require(second.returncode == 8, f'exit {second.returncode}: {why}')
    try:
        os.killpg(second.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    require(False, 'somebody is left')


def test(case):
    cluster = case.another(profile=slow_profile(case))
    stop_and_go_on(case)
    kill_and_hear(case)
    start_at_once(case)
    lose_machine(case)
    refused_start(case)
    case.step('nobody is left after the end')
    pids = cluster.pids()
    words = {name: cluster.last_word(name) for name in cluster.data_names()}
    require(all(words.values()), f'a second process each: {words}')
    cluster.down()
    for name, pid in [*pids.items(), *words.items()]:
        require(not cluster.is_alive(pid), f'{name}: {pid} is left')


main(test)
