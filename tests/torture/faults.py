# SPDX-License-Identifier: Apache-2.0
"""Carries out a schedule of faults on a local cluster, and undoes each when its time is over.

What is stored is damaged on one node at a time, never on the last one that has it: see damage.py."""
import heapq
import itertools
import json
import os
import signal
import subprocess
import time

from failure import require
from damage import Damage

VERB_S = 90  # no verb takes so long
WAKE_CUT_S = 0.5  # cut off after waking
MOMENT_S = 8  # so long a moment is looked for in which all copies are whole
TAKE_OVER_S = 3  # so long another copy has to serve before this one's is damaged


class Saboteur:
    """One thread. A node is `busy` while a fault of its own process lasts: no second one then."""

    def __init__(self, cluster, faults, seed, say):
        self.cluster, self.faults, self.say = cluster, faults, say
        self.damage = Damage(cluster, seed, say)
        self.busy = set()
        self.cuts = {}  # (from, to): by how many faults
        self.starting = {}  # node: the process of `tern dev start`
        self.rotten = set()  # nodes that have not started since their pages were damaged
        self.counts = {}
        self.queue, self.order = [], itertools.count()
        self.began = 0.0

    def at(self, at_s, action, *args):
        heapq.heappush(self.queue, (at_s, next(self.order), action, args))

    def run(self):
        self.began = time.monotonic()
        for fault in self.faults:
            self.at(fault.at_s, self.begin, fault)
        while self.queue:
            at_s, _, action, args = heapq.heappop(self.queue)
            wait_s = self.began + at_s - time.monotonic()
            if wait_s > 0:
                time.sleep(wait_s)
            self.reap(is_waiting=False)
            action(*args)
        self.reap(is_waiting=True)
        require(not self.busy and not any(self.cuts.values()), 'every fault was undone')

    # ---- who ----

    def states(self):
        """What runs: node -> (state, pid)."""
        done = self.cluster.dev('status', '-o', 'json', check=False)
        return {node['name']: (node['state'], node['pid'])
                for node in json.loads(done.stdout)['nodes']}

    def watch(self):
        """No node ends but by a fault."""
        for name, (state, _) in self.states().items():
            require(name in self.busy or state == 'running', f'{name} ended by itself: {state}')

    def roles(self):
        done = self.cluster.run('status', '--timeout', '100ms', '-o', 'json', check=False)
        return {node['name']: node.get('role') for node in json.loads(done.stdout)['nodes']}

    def resolve(self, target):
        """A node that is meant by @target and not busy; None: none is."""
        if target in ('master', 'replica'):
            roles = self.roles()
            found = [name for name in self.cluster.data_names()
                     if name not in self.busy and roles.get(name) == target]
            return found[0] if found else None
        return None if target in self.busy else target

    # ---- how ----

    def begin(self, fault):
        self.watch()
        if fault.kind == 'kill_all':
            self.kill_all(fault)
            return
        name = self.resolve(fault.target)
        now_s = time.monotonic() - self.began
        if fault.kind in ('rot', 'wipe') and not self.may_damage(name) and \
                now_s < fault.at_s + MOMENT_S:
            self.at(now_s + 0.2, self.begin, fault)
            return
        if name is None or (fault.kind == 'cut' and name == fault.other) or \
                (fault.kind in ('rot', 'wipe') and not self.may_damage(name)) or \
                (fault.kind == 'device' and not self.damage.bears_loss(name)):
            self.say(f'{fault.kind} {fault.target}: not now')
            return
        self.counts[fault.kind] = self.counts.get(fault.kind, 0) + 1
        end_s = now_s + fault.seconds
        if fault.kind == 'kill':
            self.busy.add(name)
            self.kill(name, fault)
            self.at(end_s, self.start, name)
        elif fault.kind == 'pause':
            self.busy.add(name)
            self.verb('stop', name)
            self.at(end_s, self.go_on, name)
        elif fault.kind == 'wake_cut':
            self.busy.add(name)
            self.verb('stop', name)
            self.at(end_s, self.wake_cut, name)
        elif fault.kind == 'restart':
            self.busy.add(name)
            self.say(f'terminate {name}')
            os.kill(self.states()[name][1], signal.SIGTERM)
            self.at(end_s, self.terminated, name, time.monotonic() + 30)
        elif fault.kind in ('rot', 'wipe'):
            self.busy.add(name)
            self.verb('kill', name)
            self.at(time.monotonic() - self.began, self.spoil, fault.kind, name,
                    time.monotonic() + TAKE_OVER_S)
        elif fault.kind == 'device':
            position = self.damage.fail_device(name)
            self.at(end_s, self.restore_device, name, position)
        elif fault.kind == 'switchover':
            self.switchover(name)
        else:
            pairs = self.links(name)
            if fault.kind == 'cut':
                pairs = [(name, fault.other)]
                pairs += [] if fault.one_way else [(fault.other, name)]
            self.cut(pairs)
            self.at(end_s, self.heal, pairs)

    def verb(self, *args):
        self.say(' '.join(args))
        self.cluster.dev(*args, timeout=VERB_S)

    def kill(self, name, fault):
        """The whole machine; or the process alone, for which a farewell is said."""
        if fault.machine:
            self.verb('kill', name)
        else:
            self.say(f'kill the process of {name}')
            self.cluster.kill_process(name)

    def kill_all(self, fault):
        victims = [name for name in self.cluster.nodes if name not in self.busy]
        self.counts['kill_all'] = self.counts.get('kill_all', 0) + 1
        for name in victims:
            self.busy.add(name)
            self.kill(name, fault)
        for number, name in enumerate(victims):
            self.at(time.monotonic() - self.began + fault.seconds * number / 2, self.start, name)

    def start(self, name):
        """In the background: it waits until the node answers."""
        self.say(f'start {name}')
        self.starting[name] = subprocess.Popen(
            [self.cluster.tern, 'dev', 'start', name, '--dir', self.cluster.dir],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def reap(self, is_waiting):
        for name, process in list(self.starting.items()):
            if not is_waiting and process.poll() is None:
                continue
            out, _ = process.communicate(timeout=VERB_S)
            del self.starting[name]
            if name in self.rotten and 'it must not vote or serve' in out:
                self.give_storage(name)
                continue
            require(process.returncode == 0, f'start {name}: exit {process.returncode}\n{out}')
            self.say(f'started {name}')
            self.rotten.discard(name)
            self.busy.discard(name)
        if is_waiting and self.starting:
            self.reap(is_waiting)

    def give_storage(self, name):
        """All its checkpoints were hit, and the log before them is gone: it refuses to start and says
        what to do. That is done."""
        self.counts['given_up'] = self.counts.get('given_up', 0) + 1
        self.say(f'{name} gives up')
        self.rotten.discard(name)
        self.damage.wipe(name)
        self.start(name)

    def links(self, name):
        """Every pair (from, to) of @name."""
        others = self.cluster.rest(name)
        return [(name, other) for other in others] + [(other, name) for other in others]

    def wake_cut(self, name):
        pairs = self.links(name)
        self.cut(pairs)
        self.go_on(name)
        self.at(time.monotonic() - self.began + WAKE_CUT_S, self.heal, pairs)

    def go_on(self, name):
        self.verb('cont', name)
        self.busy.discard(name)

    def terminated(self, name, until):
        """A node that was told to end has done so, in good order; then it is started again."""
        if self.states()[name][0] != 'dead' and time.monotonic() < until:
            self.at(time.monotonic() - self.began + 0.1, self.terminated, name, until)
            return
        require(time.monotonic() < until, f'{name} does not end on SIGTERM')
        self.start(name)

    def may_damage(self, name):
        """No node is away or cut off, all copies are in sync, and none of them is spoilt: what this
        one has is there once more, and will be as long as no other one's is damaged."""
        return not self.busy and not any(self.cuts.values()) and self.damage.may_hit(name)

    def spoil(self, kind, name, until):
        """Not before another one serves: it alone knows what is committed from then on."""
        if self.damage.is_served_without(name):
            if kind == 'rot':
                self.damage.rot(name)
                self.rotten.add(name)
            else:
                self.damage.wipe(name)
        elif time.monotonic() < until:
            self.at(time.monotonic() - self.began + 0.1, self.spoil, kind, name, until)
            return
        else:
            self.say(f'{kind} {name}: nobody has taken over')
            self.counts[kind] -= 1
        self.start(name)

    def restore_device(self, name, position):
        """It answers again, and is seen when the node starts the next time."""
        self.damage.heal_device(name, position)
        if name not in self.busy:
            self.busy.add(name)
            self.verb('kill', name)
            self.start(name)

    def switchover(self, name):
        done = self.cluster.run('cluster', 'switchover', name, '--timeout', '2s', check=False)
        self.say(f'switchover {name}: exit {done.returncode} {done.stderr.strip()}')
        # 2: the witness; 4: no master; 5: refused; 6: unknown; 7: nobody answers.
        require(done.returncode in (0, 2, 4, 5, 6, 7), done.stderr)

    def cut(self, pairs):
        for pair in pairs:
            self.cuts[pair] = self.cuts.get(pair, 0) + 1
            self.verb('cut', *pair, '--one-way')

    def heal(self, pairs):
        for pair in pairs:
            self.cuts[pair] -= 1
            if self.cuts[pair] == 0:
                self.verb('heal', *pair, '--one-way')
