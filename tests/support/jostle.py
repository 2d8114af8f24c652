#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a busy host does to clusters, only more often: a node stands still for a moment, and may have
lost its place when it goes on. Beside the integration tests it finds those that take an idle host
for granted. Not beside tests that stop nodes themselves (stale_read, lease, pause): one that both have
stopped goes on too early, and answers as it may.

usage: jostle.py BUILD [SECONDS_BETWEEN [SEED]]; until SIGINT or SIGTERM"""
import os
import random
import signal
import sys
import time

PAUSES_S = (0.02, 0.08, 0.15, 0.25, 0.4)  # around the time after which a master is missed
PROGRAMS = ('control/daemon/ternd', 'control/witness/tern-witness')


def stat_of(pid):
    """State and parent; None: it is gone."""
    try:
        with open(f'/proc/{pid}/stat', encoding='utf-8', errors='replace') as handle:
            state, parent = handle.read().rsplit(')', 1)[1].split()[:2]
    except (FileNotFoundError, ProcessLookupError):
        return None
    return state, int(parent)


def nodes(build):
    """The pids of the nodes that run from @build, without the processes that speak for the dead."""
    programs = {os.path.realpath(os.path.join(build, program)) for program in PROGRAMS}
    found = {}
    for entry in os.listdir('/proc'):
        try:
            if entry.isdigit() and os.readlink(f'/proc/{entry}/exe') in programs:
                found[int(entry)] = stat_of(entry)
        except OSError:
            continue
    return [pid for pid, stat in found.items() if stat is not None and stat[1] not in found]


def stand_still(pid, seconds):
    """Whom a test has stopped is left alone."""
    stat = stat_of(pid)
    if stat is None or stat[0] == 'T':
        return
    os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(seconds)
    finally:
        os.kill(pid, signal.SIGCONT)
    print(f'{time.monotonic():.3f} {pid} stood still for {seconds} s', flush=True)


def main():
    build = sys.argv[1]
    between_s = float(sys.argv[2]) if len(sys.argv) > 2 else 0.5
    dice = random.Random(int(sys.argv[3]) if len(sys.argv) > 3 else None)
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))
    while True:
        time.sleep(dice.uniform(0.2, 1.8) * between_s)
        pids = nodes(build)
        if pids:
            try:
                stand_still(dice.choice(pids), dice.choice(PAUSES_S))
            except ProcessLookupError:
                continue


try:
    main()
except KeyboardInterrupt:
    pass
