# SPDX-License-Identifier: Apache-2.0
"""The story of test_stale_read.py with reads by lease: the master is stopped while a GET waits in its
socket, another one takes a write to the key, and the old one is continued, in every other round
behind a cut. It may answer anything but the old value. The lease that it held when it was stopped is
over then, by its clock and by nothing else."""
from contextlib import closing

from case import main, require
from test_stale_read import one_round

ROUNDS = 60


def profile_of(case):
    return case.profile('leases', ('policy = {', 'policy = {\n\tlease_reads = true;'))


def reads(cluster, name):
    return cluster.status()[name]['reads']


def test(case, rounds=str(ROUNDS)):
    cluster = case.cluster
    cluster.log_size = '64MiB'
    case.step('without leases every read has its round')
    cluster.up()
    master = cluster.wait_duplex()
    with closing(cluster.client(master, timeout=10)) as client:
        for _ in range(100):
            require(client.call('GET', 'k') is None, 'a value in a new cluster')
    require(not reads(cluster, master)['leases'], 'leases are off by default')
    require(reads(cluster, master)['by_lease'] == 0, 'a lease that nobody asked for')

    case.step('with leases hardly any has')
    case.another(profile=profile_of(case))
    cluster = case.cluster
    master = cluster.wait_duplex()
    with closing(cluster.client(master, timeout=10)) as client:
        require(client.call('SET', 'k', 'v') == 'OK', 'SET')
        for _ in range(1000):
            require(client.call('GET', 'k') == 'v', 'GET')
    found = reads(cluster, master)
    print(f'   reads: {found}')
    require(found['leases'] and found['by_lease'] > 0, f'no read by lease: {found}')

    case.step('a master that slept answers nothing by a lease of before')
    answers = {}
    number = by_lease = 0
    while sum(answers.values()) < int(rounds):
        number += 1
        require(number < 2 * int(rounds) + 10, f'too many rounds that could not begin: {answers}')
        answer = one_round(cluster, number, number % 2 == 1)
        if answer is None:
            continue
        require(answer != f'old-{number}', f'round {number}: the old value was read')
        kind = answer.split()[0] if answer else answer
        answers[kind] = answers.get(kind, 0) + 1
        name = cluster.wait_duplex()
        with closing(cluster.client(name, timeout=10)) as client:
            client.call('GET', 'k')
        by_lease += reads(cluster, name)['by_lease']
    print(f'   answers of the old master: {answers}')
    require(by_lease > 0, 'no read by lease')


main(test)
