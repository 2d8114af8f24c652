# SPDX-License-Identifier: Apache-2.0
"""SIGSTOP of the master for 2 s under load: the other side takes over; the paused one comes back as
a replica, and what it was told but never confirmed does not survive."""
import os
import time

from case import main, require


def test(case):
    cluster = case.cluster
    cluster.up()
    cluster.settle()
    case.step('stop the master for 2 s under load')
    journal = case.path('journal')
    load = cluster.load_begin(journal, 'pause')
    for _ in range(20):
        master = cluster.wait_duplex()
        cluster.dev('stop', master)
        began = time.monotonic()
        other = cluster.heir_of(master)
        if other is not None:
            break
        cluster.dev('cont', master)
    require(other is not None, 'the master was alone whenever it was stopped')
    time.sleep(max(0.0, 2.0 - (time.monotonic() - began)))
    case.step('continue it')
    cluster.dev('cont', master)
    cluster.wait_duplex()
    stood = cluster.status()[master]['stood_still']
    require(stood['count'] > 0 and stood['worst_ms'] >= 1900, f'it knows how long: {stood}')
    with open(os.path.join(cluster.dir, master, 'log'), encoding='utf-8') as handle:
        require('stood_still node=' in handle.read(), 'and says so')
    cluster.load_end(load, journal)
    cluster.settle()
    case.restart_all_and_verify([journal])
    status = cluster.status()
    require(status[other]['term'] > 1, 'a new term must have begun')


main(test)
