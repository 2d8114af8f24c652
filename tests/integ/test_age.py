# SPDX-License-Identifier: Apache-2.0
"""A replica's read is no older than it says. While one client counts up at the master, another asks
a replica how old its state can be, then reads: everything that was acknowledged longer ago than
that is in it. Behind a cut the replica refuses reads with a bound, and after it they are answered
again."""
import bisect
import threading
import time

from case import WAIT_S, main, require

SECONDS = 6
BOUND_MS = 200
ENOUGH = 100  # reads, and writes
REFUSALS = ('STALE', 'MASTERDOWN')


class Counter(threading.Thread):
    """Writes 1, 2, 3, ... to one key, and notes when each was acknowledged."""

    def __init__(self, cluster):
        super().__init__(daemon=True)
        self.client = cluster.follower()
        self.times = []  # times[i]: when i + 1 was acknowledged, or later
        self.is_ending = False

    def run(self):
        while not self.is_ending:
            reply = self.client.call('SET', 'n', len(self.times) + 1)
            if reply == 'OK':
                self.times.append(time.monotonic())
        self.client.close()

    def acknowledged_by(self, when):
        return bisect.bisect_right(self.times, when)


def follow(client, counter, seconds):
    """Reads for so long; returns how many reads knew their age, and the largest age."""
    known, oldest = 0, 0
    until = time.monotonic() + seconds
    late = until + WAIT_S
    while time.monotonic() < until or (min(known, len(counter.times)) <= ENOUGH and
                                       time.monotonic() < late):
        began = time.monotonic()
        stale_ms = client.call('TERN.STALE')[0]
        found = client.call('GET', 'n')
        if stale_ms < 0 or getattr(found, 'text', '').startswith(REFUSALS):
            continue
        known += 1
        oldest = max(oldest, stale_ms)
        least = counter.acknowledged_by(began - stale_ms / 1000)
        require(int(found or 0) >= least,
                f'read {found}, {stale_ms} ms old at most; {least} was acknowledged before that')
    return known, oldest


def test(case):
    cluster = case.cluster
    cluster.up()
    cluster.settle()
    replica = cluster.other(cluster.wait_master())
    counter = Counter(cluster)
    counter.start()
    client = cluster.client(replica)
    require(client.call('READONLY') == 'OK', 'READONLY')
    try:
        case.step('read and compare')
        known, oldest = follow(client, counter, SECONDS)
        print(f'   {known} reads, {oldest} ms old at most, {len(counter.times)} writes')
        require(known > ENOUGH and len(counter.times) > ENOUGH, 'hardly anything was compared')
        case.step('behind a cut')
        require(client.call('READONLY', BOUND_MS) == 'OK', 'READONLY with a bound')
        cluster.isolate(replica)
        until = time.monotonic() + WAIT_S
        while not getattr(client.call('GET', 'n'), 'text', '').startswith(REFUSALS):
            require(time.monotonic() < until, 'a bound that is never exceeded behind a cut')
            time.sleep(0.01)
        case.step('and after it')
        cluster.isolate(replica, 'heal')
        cluster.wait_duplex()
        until = time.monotonic() + WAIT_S
        while getattr(client.call('GET', 'n'), 'text', ''):
            require(time.monotonic() < until, 'reads are never answered again')
            time.sleep(0.01)
        known, oldest = follow(client, counter, 2)
        print(f'   {known} reads, {oldest} ms old at most, {len(counter.times)} writes')
    finally:
        counter.is_ending = True
        counter.join(WAIT_S)
        client.close()
    cluster.settle()


main(test)
