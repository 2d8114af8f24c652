# SPDX-License-Identifier: Apache-2.0
"""What only three copies show: any two links of one node may go; a cut between two of them lets the
third decide; -MOVED names the right master at both replicas; two lost nodes stop service and nothing
else; and one node alone says so, loudly, and keeps what it acknowledged over SIGKILL."""
import time

from case import main, require


def moved_everywhere(cluster, what):
    """Every replica names the address of the one master."""
    return cluster.with_master(lambda master: moved_to(cluster, what, master))


def moved_to(cluster, what, master):
    for name in cluster.others(master):
        client = cluster.client(name)
        reply = client.call('GET', 'k')
        client.close()
        require(getattr(reply, 'text', '') == f'MOVED 0 {cluster.resp(master)}',
                f'{what}: {name} answers {reply!r}, the master {master} is at '
                f'{cluster.resp(master)}')
    return master


def cut_beside_master(case, journal, is_of_master):
    """A link of the two replicas, or of the master and one of them, is cut for some commits."""
    cluster = case.cluster
    master = cluster.wait_duplex()
    one, two = cluster.others(master)
    ends = (master, one) if is_of_master else (one, two)
    before = cluster.standing(master)
    cluster.dev('cut', *ends)
    time.sleep(0.7)
    cluster.load_goes_on(journal, 20)
    after = cluster.standing(master)
    cluster.dev('heal', *ends)
    return before, after


def three(case):
    cluster = case.cluster
    cluster.up()
    cluster.settle()
    case.step('-MOVED names the right master of three, after each hand-over')
    for target in cluster.data_names():
        cluster.switchover(target)
        moved_everywhere(cluster, target)

    journal = case.path('journal')
    load = cluster.load_begin(journal, 'three')
    case.step('cut two data nodes from one another: nothing stops')
    cluster.undisturbed('cut between the others', lambda: cut_beside_master(case, journal, False))
    case.step('cut the master from one replica: the other one keeps it master')
    cluster.undisturbed('cut from one of two', lambda: cut_beside_master(case, journal, True))
    case.step('cut the master off from all: another one is elected')
    master, _ = cluster.cut_off_in_sync()
    cluster.isolate(master, 'heal')
    cluster.wait_duplex()

    case.step('two nodes die: no service, no loss')
    master = cluster.wait_duplex()
    for name in cluster.others(master):
        cluster.dev('kill', name)
    cluster.wait('the end of service', lambda s: cluster.master(s) is None)
    cluster.dev('start', cluster.other(master))
    cluster.wait('service by two of three', cluster.master)
    cluster.dev('start', cluster.others(master)[1])
    cluster.wait_duplex()
    cluster.load_end(load, journal)
    cluster.settle()
    found = cluster.verify(journal)
    require(found['lost'] == 0, f'{found}')


def one(case):
    case.step('one node alone')
    case.topology = '1'
    cluster = case.another()
    require(cluster.wait_duplex() == 'a', 'a serves')
    require('NO REDUNDANCY' in cluster.run('status').stdout, 'status must say it')
    journal = case.path('journal-one')
    load = cluster.load_begin(journal, 'one')
    cluster.dev('kill', 'a')
    cluster.dev('start', 'a')
    cluster.wait_duplex()
    cluster.load_end(load, journal)
    found = cluster.verify(journal)
    require(found['lost'] == 0, f'{found}')


def test(case):
    three(case)
    one(case)


main(test)
