#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""usage: check_history.py FILE...

Looks for anomalies in histories of clients (docs/reference/histories.md), in the time that sorting
them takes. Exit code 0: none; 1: some, each on a line; 2: no history.

What is checked, key by key, is linearizability: exactly for registers (set, get) whose values are
unique, by zones of values (Gibbons and Korach, "Testing Shared Memories", 1997); exactly for
counters that only go up by one; for counters with other steps up to the question which of the
unknown steps fill a gap. Over all keys, positions in the log must agree with the order in time.
Nothing that is linearizable is reported.
"""
import bisect
import collections
import json
import sys

INFINITY = float('inf')
KEYS = ('client', 'op', 'key', 'arg', 'result', 'call_ns', 'return_ns', 'outcome')
SUMS_MAX = 1 << 20  # a gap wider than this is not taken apart into steps
USABLE_MAX = 64  # more unknown steps for one gap are not told from each other
SHOWN_MAX = 20

READS = (None, 'linearizable', 'session', 'stale', 'snapshot', 'dirty')

Op = collections.namedtuple('Op', 'op key arg result call end outcome index reads where')
Anomaly = collections.namedtuple('Anomaly', 'kind text')


class NotAHistory(Exception):
    pass


def parse(line, where):
    try:
        found = json.loads(line)
        op = Op(found['op'], found['key'], found['arg'], found['result'], found['call_ns'],
                found['return_ns'], found['outcome'], found.get('index'), found.get('reads'),
                where)
        missing = [key for key in KEYS if key not in found]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NotAHistory(f'{where}: {error!r}') from error
    if missing or op.op not in ('set', 'get', 'incr', 'add') or \
            op.outcome not in ('ok', 'fail', 'unknown') or not isinstance(op.key, str) or \
            not isinstance(op.call, int) or not isinstance(op.end, int) or \
            op.reads not in READS or (op.reads is not None and op.op != 'get'):
        raise NotAHistory(f'{where}: not a line of a history: {line.strip()[:200]}')
    if op.op == 'add' and (not isinstance(op.arg, int) or op.arg <= 0):
        raise NotAHistory(f'{where}: the argument of an add is a positive integer')
    if op.op == 'set' and not isinstance(op.arg, str):
        raise NotAHistory(f'{where}: the argument of a set is a string')
    if op.end < op.call:
        raise NotAHistory(f'{where}: it ends before it begins')
    return op


def read(path):
    with open(path, encoding='utf-8') as handle:
        return [parse(line, f'{path}:{number}') for number, line in enumerate(handle, 1)]


def is_linearizable(op):
    return op.reads in (None, 'linearizable')


def show(op):
    index = '' if op.index is None else f' index {op.index}'
    return (f'{op.op} {op.key} {op.arg} -> {op.result} {op.outcome} [{op.call}, {op.end}]{index} '
            f'({op.where})')


# ---- registers ----

class Cluster:
    """A value's write, and the reads that returned it. It cannot come before another cluster as a
    whole when one of its operations ended before the other one's call; `first_end` and `last_call`
    say that."""

    def __init__(self, write, call, end):
        self.write, self.call = write, call
        self.first_end, self.last_call = end, call
        self.first, self.last = write, write
        self.reads = 0

    def take(self, get):
        self.reads += 1
        if get.end < self.first_end:
            self.first_end, self.first = get.end, get
        if get.call > self.last_call:
            self.last_call, self.last = get.call, get

    @property
    def is_forward(self):
        return self.first_end < self.last_call


def clusters_of(key, ops):
    """Clusters by value, and what is wrong with single reads. None is the value before any set."""
    clusters = {None: Cluster(None, -INFINITY, -INFINITY)}
    refused, anomalies = {}, []
    for op in ops:
        if op.op != 'set':
            continue
        if op.arg in clusters or op.arg in refused:
            raise NotAHistory(f'{op.where}: value {op.arg} of {key} is set twice')
        if op.outcome == 'fail':
            refused[op.arg] = op
        else:
            # Whether and when an unknown write happened is told by reads alone.
            clusters[op.arg] = Cluster(op, op.call, op.end if op.outcome == 'ok' else INFINITY)
    for op in ops:
        if op.op != 'get' or op.outcome != 'ok':
            continue
        cluster = clusters.get(op.result)
        if cluster is not None and op.end >= cluster.call:
            if is_linearizable(op):
                cluster.take(op)
        elif cluster is not None:
            anomalies.append(Anomaly('future', f'{show(op)} read what {show(cluster.write)} set'))
        elif op.result in refused:
            anomalies.append(Anomaly('refused', f'{show(op)} read what was refused: '
                                     f'{show(refused[op.result])}'))
        else:
            anomalies.append(Anomaly('nowhere', f'{show(op)} read what nobody set'))
    return clusters, anomalies


def told(cluster):
    if cluster.write is None:
        return 'nothing set yet'
    return f'"{cluster.write.arg}"'


def stale(x, y):
    """Neither cluster can come before the other."""
    def how(one, other):
        return (f'{told(one)} was there before {told(other)}: '
                f'{show(one.first) if one.first else "at the start"}, then '
                f'{show(other.last) if other.last else "at the start"}')
    return Anomaly('stale', f'{how(x, y)}; and {how(y, x)}')


def check_register(key, ops):
    clusters, anomalies = clusters_of(key, ops)
    # A write that may not have happened, and that nobody saw, says nothing.
    seen = [cluster for cluster in clusters.values()
            if cluster.reads != 0 or (cluster.write is not None and cluster.write.outcome == 'ok')]
    forward = sorted((c for c in seen if c.is_forward), key=lambda c: c.first_end)
    reach = None  # of those before, the one that ends last
    for cluster in forward:
        if reach is not None and cluster.first_end < reach.last_call:
            anomalies.append(stale(reach, cluster))
        if reach is None or cluster.last_call > reach.last_call:
            reach = cluster
    starts = [cluster.first_end for cluster in forward]
    for cluster in seen:
        if cluster.is_forward:
            continue
        at = bisect.bisect_left(starts, cluster.last_call) - 1
        if at >= 0 and cluster.first_end < forward[at].last_call:
            anomalies.append(stale(forward[at], cluster))
    return anomalies


# ---- counters ----

def number_of(value):
    """What a get of a counter read; None: no number."""
    if value is None:
        return 0
    try:
        return int(value)
    except ValueError:
        return None


def step_of(op):
    return 1 if op.op == 'incr' else op.arg


class Steps:
    """The steps of a counter by time: what must have happened, and what may have."""

    def __init__(self, writes):
        done = sorted((op.end, step_of(op)) for op in writes if op.outcome == 'ok')
        begun = sorted((op.call, step_of(op)) for op in writes if op.outcome != 'fail')
        self.ends, self.done = self.sums(done)
        self.calls, self.begun = self.sums(begun)

    @staticmethod
    def sums(pairs):
        total, sums = 0, [0]
        for _, step in pairs:
            total += step
            sums.append(total)
        return [time for time, _ in pairs], sums

    def least(self, call):
        """What was acknowledged before @call."""
        return self.done[bisect.bisect_left(self.ends, call)]

    def most(self, end):
        """What had begun at @end."""
        return self.begun[bisect.bisect_right(self.calls, end)]


def check_most(steps, op, value):
    if value <= steps.most(op.end):
        return []
    return [Anomaly('nowhere', f'{show(op)}: only {steps.most(op.end)} had begun')]


def check_bounds(steps, told_ops):
    """No acknowledged step is missing from a later answer, none is in one that ended before."""
    anomalies = []
    for op, value in told_ops:
        own = 0 if op.op == 'get' else step_of(op)
        if value < steps.least(op.call) + own:
            anomalies.append(Anomaly('lost', f'{show(op)}: {steps.least(op.call)} had been '
                                     'acknowledged before'))
        anomalies += check_most(steps, op, value)
    return anomalies


def check_times(told_ops):
    """Answers grow in the order of time."""
    anomalies = []
    by_end = sorted(told_ops, key=lambda pair: pair[0].end)
    at, highest = 0, None
    for op, value in sorted(told_ops, key=lambda pair: pair[0].call):
        while at < len(by_end) and by_end[at][0].end < op.call:
            if highest is None or by_end[at][1] > highest[1]:
                highest = by_end[at]
            at += 1
        if highest is not None and value < highest[1]:
            anomalies.append(Anomaly('stale', f'{show(op)} came after {show(highest[0])}'))
    return anomalies


def gaps_of(told_writes):
    """Answers that overlap, and the gaps between answers (from, to)."""
    anomalies, gaps, top, before = [], [], 0, None
    for op, value in sorted(told_writes, key=lambda pair: pair[1]):
        bottom = value - step_of(op)
        if bottom < top:
            anomalies.append(Anomaly('twice', f'{show(op)} and '
                                     f'{show(before) if before else "the start"} overlap'))
        elif bottom > top:
            gaps.append((top, bottom))
        if value > top:
            top, before = value, op
    return anomalies, gaps, top


def floors_of(loose, told_ops):
    """For each of @loose (writes whose answer is not known) the highest answer that had ended
    before its call: it stands above that."""
    by_end = sorted(told_ops, key=lambda pair: pair[0].end)
    at, highest, floors = 0, 0, []
    for op in sorted(loose, key=lambda op: op.call):
        while at < len(by_end) and by_end[at][0].end < op.call:
            highest = max(highest, by_end[at][1])
            at += 1
        floors.append((highest, step_of(op)))
    return sorted(floors)


def check_single_gaps(key, gaps, floors):
    """Steps of one only: every place in a gap needs an unknown step of its own. Exact."""
    used = 0
    floor_values = [floor for floor, _ in floors]
    for bottom, top in gaps:
        # The places bottom + 1 .. top; the last one has the most steps to choose from, the first
        # the fewest, so each is looked at.
        for place in range(bottom + 1, top + 1):
            used += 1
            if bisect.bisect_left(floor_values, place) < used:
                return [Anomaly('twice', f'{key}: nothing explains why it went from {bottom} to '
                                f'{top}')]
    return []


def sums_of(steps, width):
    """Bit i is set when some of @steps make i."""
    reachable, mask = 1, (2 << width) - 1
    for step in steps:
        reachable |= reachable << step & mask
    return reachable


def check_gaps(key, gaps, floors):
    """Every gap is a sum of unknown steps that may stand there, all of them together are enough,
    and no step is needed for two gaps."""
    total = sum(step for _, step in floors)
    missing = sum(top - bottom for bottom, top in gaps)
    if missing > total:
        return [Anomaly('twice', f'{key}: the unknown steps make {total}, the gaps {missing}')]
    anomalies, needed = [], set()
    for bottom, top in gaps:
        width = top - bottom
        if width > SUMS_MAX:
            continue
        usable = [at for at, (floor, step) in enumerate(floors) if floor < top and step <= width]
        if not sums_of((floors[at][1] for at in usable), width) >> width & 1:
            anomalies.append(Anomaly('twice', f'{key}: nothing explains why it went from '
                                     f'{bottom} to {top}'))
            continue
        for at in usable if len(usable) <= USABLE_MAX else ():
            rest = (floors[other][1] for other in usable if other != at)
            if sums_of(rest, width) >> width & 1:
                continue
            if at in needed:
                anomalies.append(Anomaly('twice', f'{key}: an unknown step of {floors[at][1]} was '
                                         f'made again between {bottom} and {top}'))
            needed.add(at)
    return anomalies


def check_counter(key, ops):
    writes = [op for op in ops if op.op != 'get']
    steps = Steps(writes)
    told_writes, told_gets, anomalies = [], [], []
    for op in ops:
        if op.outcome != 'ok' or (op.op != 'get' and op.result is None):
            continue
        value = number_of(op.result)
        if value is None:
            anomalies.append(Anomaly('nowhere', f'{show(op)}: no number'))
        elif not is_linearizable(op):
            anomalies += check_most(steps, op, value)
        else:
            (told_gets if op.op == 'get' else told_writes).append((op, value))
    told_ops = told_writes + told_gets
    anomalies += check_bounds(steps, told_ops) + check_times(told_ops)
    overlaps, gaps, top = gaps_of(told_writes)
    # What reads saw above the last answer was made by steps without an answer, too.
    read_top = max((value for _, value in told_gets), default=0)
    if read_top > top:
        gaps.append((top, read_top))
    loose = [op for op in writes
             if op.outcome == 'unknown' or (op.outcome == 'ok' and op.result is None)]
    floors = floors_of(loose, told_ops)
    check = check_single_gaps if all(step_of(op) == 1 for op in writes) else check_gaps
    return anomalies + overlaps + check(key, gaps, floors)


# ---- positions ----

def check_index_times(ops):
    """Over all keys: what begins after another has ended stands at a later position; a read may
    stand at the same one. The index of a write that was answered late may be too high, never too
    low."""
    placed = [op for op in ops
              if op.index is not None and op.outcome == 'ok' and is_linearizable(op)]
    by_end = sorted(placed, key=lambda op: op.end)
    at, highest, anomalies = 0, None, []
    for op in sorted(placed, key=lambda op: op.call):
        while at < len(by_end) and by_end[at].end < op.call:
            if highest is None or by_end[at].index > highest.index:
                highest = by_end[at]
            at += 1
        if highest is None:
            continue
        if op.index < highest.index or (op.index == highest.index and op.op != 'get'):
            anomalies.append(Anomaly('position', f'{show(op)} came after {show(highest)}'))
    return anomalies


def check_index_values(key, ops, is_counter):
    """Reads of a key, replayed by position: one value at one position, and none comes back."""
    gets = sorted((op for op in ops if op.op == 'get' and op.outcome == 'ok' and
                   op.index is not None and is_linearizable(op)), key=lambda op: op.index)
    gone, anomalies, before = set(), [], None
    for op in gets:
        value = number_of(op.result) if is_counter else op.result
        if before is not None and value != before[1]:
            if op.index == before[0].index:
                anomalies.append(Anomaly('position', f'two values at one position: '
                                         f'{show(before[0])} and {show(op)}'))
            gone.add(before[1])
            if value in gone or (is_counter and None not in (value, before[1]) and
                                 value < before[1]):
                anomalies.append(Anomaly('position', f'an older value came back: {show(op)} '
                                         f'after {show(before[0])}'))
        before = (op, value)
    return anomalies


def check(ops):
    """Returns the anomalies of a history."""
    keys = collections.defaultdict(list)
    for op in ops:
        keys[op.key].append(op)
    anomalies = check_index_times(ops)
    for key, found in sorted(keys.items()):
        kinds = {op.op for op in found}
        is_counter = bool(kinds & {'incr', 'add'})
        if is_counter and 'set' in kinds:
            raise NotAHistory(f'{key} is both set and counted')
        anomalies += (check_counter if is_counter else check_register)(key, found)
        anomalies += check_index_values(key, found, is_counter)
    return anomalies


def main():
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        ops = [op for path in sys.argv[1:] for op in read(path)]
        anomalies = check(ops)
    except (NotAHistory, OSError) as error:
        print(f'check_history: {error}', file=sys.stderr)
        return 2
    for anomaly in anomalies[:SHOWN_MAX]:
        print(f'{anomaly.kind}: {anomaly.text}')
    outcomes = collections.Counter(op.outcome for op in ops)
    print(f'{len(ops)} operations on {len({op.key for op in ops})} keys, {outcomes["ok"]} ok, '
          f'{outcomes["fail"]} refused, {outcomes["unknown"]} unknown: {len(anomalies)} anomalies')
    return 1 if anomalies else 0


if __name__ == '__main__':
    sys.exit(main())
