# SPDX-License-Identifier: Apache-2.0
"""Cut links under load: A-B (the master goes SOLO, the replica stays locked out), A-W (no effect),
and back. While a pair is cut its received-frame counters stand still on every path."""
import time

from case import main, require

def received(status, at, sender):
    """Frames that @at received from @sender, by path."""
    peer = status[at]['peers'][sender]
    return {path: peer[path]['rx_frames'] for path in ('data', 'mgmt')}


def frozen(case, x, y, is_from_start=False):
    """No frame passes between @x and @y; @is_from_start: none has since @y was started."""
    first = case.cluster.status()
    if is_from_start:
        got = received(first, y, x)
        require(not any(got.values()), f'{y} has had frames from {x} since its start: {got}')
    time.sleep(0.3)
    second = case.cluster.status()
    for at, sender in ((x, y), (y, x)):
        before, after = received(first, at, sender), received(second, at, sender)
        require(before and before == after, f'frames from {sender} at {at} moved: {before} {after}')


def cut_beside(case, master, replica):
    """A link that is cut while one of its nodes does not run: it is cut when the node comes."""
    cluster = case.cluster
    case.step('cut while the replica is ended')
    cluster.dev('kill', replica)
    cluster.dev('cut', master, replica)
    cluster.dev('start', replica)
    frozen(case, master, replica, is_from_start=True)
    cluster.dev('heal', master, replica)
    cluster.wait_duplex()
    case.step('cut while the replica is stopped')
    cluster.dev('stop', replica)
    cluster.dev('cut', master, replica)
    cluster.dev('cont', replica)
    frozen(case, master, replica)
    cluster.dev('heal', master, replica)
    cluster.wait_duplex()


def test(case):
    cluster = case.cluster
    cluster.up()
    cluster.settle()
    master = cluster.wait_master()
    replica = cluster.other(master)
    journal = case.path('journal')
    load = cluster.load_start(journal, 'cut')
    time.sleep(0.5)

    case.step('cut master-replica')
    cluster.dev('cut', master, replica)
    cluster.wait('SOLO', lambda s: s[master].get('mode') == 'SOLO' and s[master].get('serving'))
    frozen(case, master, replica)
    for _ in range(20):
        require(cluster.status()[replica]['role'] != 'master', 'the replica must stay locked out')
    case.step('the cut holds over kill and start')
    cluster.dev('kill', replica)
    cluster.dev('start', replica)
    time.sleep(0.5)
    frozen(case, master, replica)
    case.step('heal')
    cluster.dev('heal', master, replica)
    cluster.wait_duplex()
    cut_beside(case, master, replica)

    case.step('cut master-witness')
    term = cluster.status()[master]['term']
    cluster.dev('cut', master, 'w')
    time.sleep(0.5)
    frozen(case, master, 'w')
    status = cluster.status()
    require(cluster.master(status) == master and status[master]['mode'] == 'DUPLEX' and
            status[master]['term'] == term, f'no effect expected:\n{cluster.brief(status)}')
    cluster.dev('heal', master, 'w')

    case.step('one-way cut replica -> master')
    cluster.dev('cut', replica, master, '--one-way')
    cluster.wait('SOLO', lambda s: s[master].get('mode') == 'SOLO' and s[master].get('serving'))
    cluster.dev('heal', replica, master)
    cluster.wait_duplex()

    case.step('cut the master off from both')
    cluster.dev('cut', master, replica)
    cluster.dev('cut', master, 'w')
    cluster.wait('the other node to serve', lambda s: s[replica].get('role') == 'master' and
                 s[replica].get('serving'))
    cluster.dev('heal', master, replica)
    cluster.dev('heal', master, 'w')
    cluster.wait_duplex()
    totals = cluster.load_stop(load)
    require(totals['acknowledged'] > 100, f'load: {totals}')
    cluster.settle()
    case.restart_all_and_verify([journal])


main(test)
