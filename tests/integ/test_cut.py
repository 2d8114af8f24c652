# SPDX-License-Identifier: Apache-2.0
"""Cut links under load: A-B (the master goes SOLO, the replica stays locked out), A-W (no effect),
and back. While a pair is cut its received-frame counters stand still on every path."""
import time

from case import Failure, main, require

def received(status, at, sender):
    """Frames that @at received from @sender, by path."""
    peer = status[at]['peers'][sender]
    return {path: peer[path]['rx_frames'] for path in ('data', 'mgmt')}


def refused(status, at, sender):
    """Frames to and from @sender that the cut took at @at."""
    peer = status[at]['peers'][sender]
    return sum(peer[path][way] for path in ('data', 'mgmt') for way in ('rx_cut', 'tx_cut'))


def frozen(case, x, y, is_from_start=False):
    """No frame passes between @x and @y; @is_from_start: none has since @y was started. Counters are
    published now and then: a data node's are of after the cut once that has taken a frame. The
    witness sends only what is asked of it, and publishes whenever it has woken."""
    cluster = case.cluster
    first = cluster.status()
    if is_from_start:
        got = received(first, y, x)
        require(not any(got.values()), f'{y} has had frames from {x} since its start: {got}')

    def is_felt(status):
        is_it = all(at in status and refused(status, at, sender) > refused(first, at, sender)
                    for at, sender in ((x, y), (y, x)) if at != 'w')
        return status if is_it else None

    second = cluster.wait('the data nodes to feel the cut', is_felt)
    time.sleep(0.3)
    third = cluster.status()
    for at, sender in ((x, y), (y, x)):
        before, after = received(second, at, sender), received(third, at, sender)
        require(before and before == after, f'frames from {sender} at {at} moved: {before} {after}')


def cut_to_solo(case, *how, is_healed=True):
    """The link of master and replica is cut, or the way from the replica to it; returns the master,
    which goes SOLO. On a starved host the other one may be elected just before: once more."""
    cluster = case.cluster
    for _ in range(8):
        master = cluster.wait_duplex()
        replica = cluster.other(master)
        cluster.dev('cut', replica, master, *how)
        if cluster.wait_mode('SOLO') == master:
            if is_healed:
                cluster.dev('heal', replica, master)
                cluster.wait_duplex()
            return master
        print(f'   {replica} was elected first: once more', flush=True)
        cluster.dev('heal', replica, master)
    raise Failure('the master never goes SOLO behind a cut')


def cut_from_witness(case):
    cluster = case.cluster
    master = cluster.wait_duplex()
    before = cluster.standing(master)
    cluster.dev('cut', master, 'w')
    frozen(case, master, 'w')
    after = cluster.standing(master)
    cluster.dev('heal', master, 'w')
    return before, after


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
    journal = case.path('journal')
    load = cluster.load_begin(journal, 'cut')

    case.step('cut master-replica')
    master = cut_to_solo(case, is_healed=False)
    replica = cluster.other(master)
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
    master = cluster.wait_duplex()
    cut_beside(case, master, cluster.other(master))

    case.step('cut master-witness')
    cluster.undisturbed('cut from the witness', lambda: cut_from_witness(case))

    case.step('one-way cut replica -> master')
    cut_to_solo(case, '--one-way')

    case.step('cut the master off from both')
    master, _ = cluster.cut_off_in_sync()
    cluster.isolate(master, 'heal')
    cluster.wait_duplex()
    cluster.load_end(load, journal)
    cluster.settle()
    case.restart_all_and_verify([journal])


main(test)
