# SPDX-License-Identifier: Apache-2.0
"""What goes wrong when: a list of faults that follows from a seed and nothing else."""
import collections
import random

# kind: kill, pause, wake_cut (a pause from which a node wakes cut off from all others, so that it
# cannot hear what has become of it), restart (by SIGTERM), cut, isolate, switchover, kill_all, rot (pages
# of a killed node are damaged), wipe (a killed node loses all that it stored), device (one of several
# fails or hangs). target: a node, or "master", "replica": who that is is told when the time has come.
# other: where a cut leads. machine: what is killed is the whole machine, so that no farewell is said.
Fault = collections.namedtuple('Fault', 'at_s seconds kind target other one_way machine')

BEGIN_S = 2.0
LONGEST_S = 3.0
KINDS = {'kill': 6, 'pause': 4, 'wake_cut': 3, 'restart': 2, 'cut': 5, 'isolate': 3, 'switchover': 3,
         'kill_all': 1, 'rot': 3, 'wipe': 1}
DEVICES = 4  # so often a fault of a device, where a node has several


def make(seed, seconds, nodes, data_nodes, has_devices):
    """Faults for @seconds; the last one is over when they are. They overlap now and then."""
    rng = random.Random(seed)
    machine_rng = random.Random(f'{seed} machine')  # so that schedules are what they were without it
    kinds = KINDS | ({'device': DEVICES} if has_devices else {})
    faults, at_s = [], BEGIN_S
    while at_s < seconds - LONGEST_S:
        kind = rng.choices(list(kinds), list(kinds.values()))[0]
        length = rng.choice((0.05, 0.3, 1.0, LONGEST_S)) * rng.uniform(0.3, 1.0)
        if kind == 'wake_cut':
            target = 'master'
        elif kind in ('kill', 'pause', 'restart', 'isolate'):
            target = rng.choice(['master', 'master', 'replica', *nodes])
        elif kind in ('switchover', 'rot', 'wipe', 'device'):
            target = rng.choice(data_nodes)
        else:
            target = rng.choice(['master', *nodes])
        faults.append(Fault(round(at_s, 3), round(length, 3), kind, target, rng.choice(nodes),
                            rng.random() < 0.4, machine_rng.random() < 0.5))
        # Mostly one after the other; sometimes at once; sometimes time to become whole again.
        pause = rng.choices((rng.uniform(0.0, 0.5), length + rng.uniform(0.2, 1.5),
                             length + rng.uniform(2.0, 4.0)), (3, 4, 3))[0]
        at_s += pause
    return faults
