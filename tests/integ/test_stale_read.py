# SPDX-License-Identifier: Apache-2.0
"""A paused master must not answer from the past. The master is stopped; a GET is put into its
socket; the new master takes a write to the key; the old one is continued: it may answer anything
but the old value. 200 rounds; in every other one the old master is continued behind a cut, so that
it cannot hear of the new one before it looks at the GET. A build without the read round must fail
this soon."""
import socket
import time

from case import main, require

ROUNDS = 200
ROUNDS_OF_BROKEN = 200  # at most: the first stale read is enough


def write_beside(cluster, old, value, until):
    """Writes k at whichever data node becomes master beside @old. False: none did in time."""
    clients = [cluster.client(name, timeout=10) for name in cluster.others(old)]
    try:
        while time.monotonic() < until:
            for client in clients:
                if client.call('SET', 'k', value) == 'OK':
                    return True
            time.sleep(0.002)
    finally:
        for client in clients:
            client.close()
    return False


def one_round(cluster, number, is_cut):
    """What the old master answered to the GET that waited in its socket; None: the round could not
    begin, because the master had gone SOLO or was another just before."""
    old = cluster.wait_duplex()
    client = cluster.client(old, timeout=10)
    try:
        has_begun = client.call('SET', 'k', f'old-{number}') == 'OK'
    except ConnectionError:
        has_begun = False
    if not has_begun:
        client.close()
        return None
    cluster.dev('stop', old)
    client.send('GET', 'k')
    has_moved = write_beside(cluster, old, f'new-{number}', time.monotonic() + 10)
    if is_cut:
        cluster.isolate(old)
    cluster.dev('cont', old)
    try:
        answer = client.read() if has_moved else None
    except (ConnectionError, socket.timeout, TimeoutError):
        answer = 'closed'
    client.close()
    if is_cut:
        cluster.isolate(old, 'heal')
    return getattr(answer, 'text', answer)


def test(case, rounds=str(ROUNDS)):
    case.step('the read round holds')
    case.cluster.log_size = '64MiB'
    case.cluster.up()
    answers = {}
    number = 0
    while sum(answers.values()) < int(rounds):
        number += 1
        require(number < 2 * int(rounds) + 10, f'too many rounds that could not begin: {answers}')
        answer = one_round(case.cluster, number, number % 2 == 1)
        if answer is None:
            continue
        require(answer != f'old-{number}', f'round {number}: the old value was read')
        kind = answer.split()[0] if answer else answer
        answers[kind] = answers.get(kind, 0) + 1
    print(f'   answers of the old master: {answers}')

    case.step('a build without it is found out')
    case.another(ternd='control/daemon/ternd-no-read-round')
    found = next((number for number in range(ROUNDS_OF_BROKEN)
                  if one_round(case.cluster, number, True) == f'old-{number}'), None)
    print(f'   stale read of the broken build: in round {found}')
    require(found is not None, 'the test does not see stale reads')


if __name__ == '__main__':
    main(test)
