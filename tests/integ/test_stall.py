# SPDX-License-Identifier: Apache-2.0
"""A master whose disk hangs under load is no good master, however healthy its heartbeats are: within
t_stall it gives up and says that it was stalled, the other copy serves, and nothing acknowledged is
lost. With a t_stall longer than this test it stays what it is. Looked at is the order of events
alone."""
import time

from case import main, require

WAITS_S = 2  # for nothing to happen: some times the profile's t_stall of the first part
TRIES = 6


def stalls(cluster, name):
    return cluster.status()[name].get('alarms', {}).get('stalled', 0)


def moves(cluster):
    """One try: the disk of the master hangs, and another one serves. Its name; None: the mastership
    moved for another reason, or it was the only copy, which nobody may replace: the host is busy."""
    hung = cluster.wait_duplex()
    before = stalls(cluster, hung)
    cluster.dev('fault', hung, '0=hang')
    if cluster.was_alone(hung):
        return None
    cluster.wait('service without it', cluster.serves_without([hung]))
    return hung if stalls(cluster, hung) > before else None


def hang(cluster):
    for _ in range(TRIES):
        hung = moves(cluster)
        if hung is not None:
            return hung
        print('   alone, or it moved before it was stalled: once more', flush=True)
        for name in cluster.data_names():
            cluster.dev('fault', name, '0=none')
    return require(False, 'no master gave up because it was stalled')


def gives_up(case):
    cluster = case.cluster
    cluster.up()
    cluster.settle()
    journal = case.path('journal')
    load = cluster.load_begin(journal, 's')
    case.step('the disk of the master hangs')
    hung = hang(cluster)
    cluster.load_goes_on(journal)
    status = cluster.status()
    require(status[hung].get('role') not in (None, 'master'),
            f'{hung} lives and is master no more: {cluster.brief(status)}')
    case.step('it answers again')
    cluster.dev('fault', hung, '0=none')
    cluster.wait_duplex()
    cluster.load_end(load, journal)
    cluster.settle()
    case.restart_all_and_verify([journal])


def stays(cluster):
    """One try. False: the host was busy, and the mastership moved for another reason."""
    master = cluster.wait_duplex()
    before = cluster.standing(master)
    client = cluster.client(master)
    cluster.dev('fault', master, '0=hang')
    client.send('SET', 'written', 'later')
    time.sleep(WAITS_S)
    is_same = cluster.standing(master) == before
    cluster.dev('fault', master, '0=none')
    if is_same:
        require(client.read() == 'OK', 'SET when the disk answers again')
    client.close()
    return is_same


def waits(case):
    cluster = case.another(
        profile=case.profile('patient', ('t_stall = "500ms"', 't_stall = "600s"')))
    case.step('t_stall is long: the master waits for its disk')
    for number in range(TRIES):
        cluster.settle()
        if stays(cluster):
            return
        print(f'   try {number + 1}: it moved for another reason', flush=True)
    require(False, 'the mastership moved every time')


def test(case):
    gives_up(case)
    waits(case)


main(test)
