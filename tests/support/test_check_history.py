# SPDX-License-Identifier: Apache-2.0
"""The checker of histories, by histories written by hand: what is linearizable passes, and each
kind of anomaly is found."""
import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import check_history  # noqa: E402


def history(*lines):
    """Operations from (op, arg, result, call, end[, outcome[, index[, key]]])."""
    ops = []
    for number, line in enumerate(lines, 1):
        op, arg, result, call, end, outcome, index, key = \
            tuple(line) + ('ok', None, 'k')[len(line) - 5:]
        ops.append(check_history.parse(json.dumps(
            {'client': number, 'op': op, 'key': key, 'arg': arg, 'result': result,
             'call_ns': call, 'return_ns': end, 'outcome': outcome, 'index': index}), number))
    return ops


def kinds(*lines):
    return sorted({anomaly.kind for anomaly in check_history.check(history(*lines))})


def is_linearizable(ops):
    """By trying every order, for registers: slow, and plainly right."""
    sure = [op for op in ops if op.outcome == 'ok']
    maybe = [op for op in ops if op.outcome == 'unknown' and op.op == 'set']
    for count in range(len(maybe) + 1):
        for chosen in itertools.combinations(maybe, count):
            if any(fits(order) for order in itertools.permutations(sure + list(chosen))):
                return True
    return False


def fits(order):
    value, latest_call = None, float('-inf')
    for op in order:
        end = op.end if op.outcome == 'ok' else float('inf')
        if end < latest_call:
            return False  # it ended before one that stands earlier began
        latest_call = max(latest_call, op.call)
        if op.op == 'set':
            value = op.arg
        elif op.result != value:
            return False
    return True


class Registers(unittest.TestCase):
    def test_good(self):
        self.assertEqual(kinds(), [])
        self.assertEqual(kinds(('get', None, None, 1, 2), ('set', 'a', 'OK', 3, 4),
                               ('get', None, 'a', 5, 6), ('set', 'b', 'OK', 7, 10),
                               ('get', None, 'a', 8, 9), ('get', None, 'b', 9, 11)), [])

    def test_unknown_may_or_may_not_have_happened(self):
        unknown = ('set', 'b', None, 3, 4, 'unknown')
        first = ('set', 'a', 'OK', 1, 2)
        self.assertEqual(kinds(first, unknown, ('get', None, 'a', 5, 6)), [])
        self.assertEqual(kinds(first, unknown, ('get', None, 'b', 5, 6)), [])
        # ... and also late.
        self.assertEqual(kinds(first, unknown, ('get', None, 'a', 5, 6),
                               ('get', None, 'b', 7, 8)), [])
        # But once, and for all.
        self.assertEqual(kinds(first, unknown, ('get', None, 'b', 5, 6),
                               ('get', None, 'a', 7, 8)), ['stale'])

    def test_stale(self):
        self.assertEqual(kinds(('set', 'a', 'OK', 1, 2), ('set', 'b', 'OK', 3, 4),
                               ('get', None, 'a', 5, 6)), ['stale'])

    def test_lost(self):
        self.assertEqual(kinds(('set', 'a', 'OK', 1, 2), ('get', None, None, 3, 4)), ['stale'])

    def test_reads_go_back(self):
        self.assertEqual(kinds(('set', 'a', 'OK', 1, 2), ('set', 'b', 'OK', 3, 20),
                               ('get', None, 'b', 4, 5), ('get', None, 'a', 6, 7)), ['stale'])

    def test_nowhere(self):
        self.assertEqual(kinds(('set', 'a', 'OK', 1, 2), ('get', None, 'x', 3, 4)), ['nowhere'])

    def test_refused(self):
        self.assertEqual(kinds(('set', 'a', 'ERR', 1, 2, 'fail'), ('get', None, 'a', 3, 4)),
                         ['refused'])
        self.assertEqual(kinds(('set', 'a', 'ERR', 1, 2, 'fail'), ('get', None, None, 3, 4)), [])

    def test_future(self):
        self.assertEqual(kinds(('get', None, 'a', 1, 2), ('set', 'a', 'OK', 3, 4)), ['future'])

    def test_against_all_orders(self):
        rng = random.Random(1)
        seen = {True: 0, False: 0}
        for _ in range(3000):
            lines, values = [], [None]
            for number in range(rng.randint(2, 5)):
                call = rng.randint(0, 12)
                end = call + rng.randint(0, 6)
                if rng.random() < 0.5:
                    values.append(f'v{number}')
                    lines.append(('set', values[-1], 'OK', call, end,
                                  'unknown' if rng.random() < 0.3 else 'ok'))
                else:
                    lines.append(('get', None, rng.choice(values), call, end))
            wanted = is_linearizable(history(*lines))
            seen[wanted] += 1
            self.assertEqual(not kinds(*lines), wanted, lines)
        self.assertGreater(min(seen.values()), 300)


class Counters(unittest.TestCase):
    def test_good(self):
        self.assertEqual(kinds(('incr', None, 1, 1, 5), ('incr', None, 2, 2, 6),
                               ('get', None, '2', 7, 8), ('add', 40, 42, 9, 10),
                               ('get', None, '42', 11, 12)), [])

    def test_unknown_fills_a_gap(self):
        self.assertEqual(kinds(('incr', None, 1, 1, 2), ('incr', None, None, 3, 4, 'unknown'),
                               ('incr', None, 3, 5, 6), ('get', None, '3', 7, 8)), [])
        self.assertEqual(kinds(('incr', None, 1, 1, 2), ('incr', None, None, 3, 4, 'unknown'),
                               ('incr', None, 2, 5, 6), ('get', None, '3', 7, 8)), [])
        self.assertEqual(kinds(('add', 5, 5, 1, 2), ('add', 7, None, 3, 4, 'unknown'),
                               ('add', 11, 23, 5, 6)), [])

    def test_acknowledged_without_an_answer(self):
        self.assertEqual(kinds(('incr', None, 1, 1, 2), ('incr', None, None, 3, 4),
                               ('incr', None, 3, 5, 6)), [])
        self.assertEqual(kinds(('incr', None, 1, 1, 2), ('incr', None, None, 3, 4),
                               ('get', None, '1', 5, 6)), ['lost'])

    def test_twice_the_same(self):
        self.assertIn('twice', kinds(('incr', None, 1, 1, 9), ('incr', None, 1, 2, 8)))

    def test_executed_twice(self):
        self.assertIn('twice', kinds(('incr', None, 1, 1, 2), ('incr', None, 3, 3, 4)))
        self.assertIn('twice', kinds(('add', 5, 5, 1, 2), ('add', 7, 19, 3, 4)))

    def test_executed_twice_hidden_by_a_lost_one(self):
        # As many as there are, but the unknown one began after the gap had been passed.
        self.assertIn('twice', kinds(('incr', None, 2, 1, 2),
                                     ('incr', None, None, 3, 4, 'unknown')))
        # Steps that differ: 5 twice is no 10 once.
        self.assertIn('twice', kinds(('add', 1, 1, 1, 2), ('add', 5, None, 3, 4, 'unknown'),
                                     ('add', 9, None, 3, 4, 'unknown'), ('add', 2, 8, 5, 6),
                                     ('add', 3, 16, 7, 8)))

    def test_lost(self):
        self.assertIn('lost', kinds(('incr', None, 1, 1, 2), ('incr', None, 2, 3, 4),
                                    ('get', None, '1', 5, 6)))
        self.assertIn('lost', kinds(('add', 5, 5, 1, 2), ('add', 7, 7, 3, 4)))

    def test_order(self):
        self.assertIn('stale', kinds(('incr', None, 2, 1, 2), ('incr', None, 1, 3, 4)))
        self.assertIn('stale', kinds(('incr', None, None, 1, 9, 'unknown'),
                                     ('get', None, '1', 2, 3), ('get', None, '0', 4, 5)))

    def test_nowhere(self):
        self.assertIn('nowhere', kinds(('incr', None, 1, 1, 2), ('get', None, '7', 3, 4)))
        self.assertIn('nowhere', kinds(('incr', None, 1, 1, 2), ('get', None, 'x', 3, 4)))

    def test_refused(self):
        self.assertEqual(kinds(('add', 5, 'BOUND', 1, 2, 'fail'), ('get', None, '0', 3, 4)), [])
        self.assertIn('nowhere', kinds(('add', 5, 'BOUND', 1, 2, 'fail'),
                                       ('get', None, '5', 3, 4)))


class Positions(unittest.TestCase):
    def test_good(self):
        self.assertEqual(kinds(('set', 'a', 'OK', 1, 2, 'ok', 5, 'x'),
                               ('get', None, 'a', 3, 4, 'ok', 5, 'x'),
                               ('incr', None, 1, 5, 6, 'ok', 6, 'y'),
                               ('get', None, '1', 7, 8, 'ok', 6, 'y')), [])

    def test_against_time(self):
        self.assertEqual(kinds(('set', 'a', 'OK', 1, 2, 'ok', 5, 'x'),
                               ('set', 'b', 'OK', 3, 4, 'ok', 5, 'y')), ['position'])
        self.assertEqual(kinds(('set', 'a', 'OK', 1, 2, 'ok', 5, 'x'),
                               ('get', None, None, 3, 4, 'ok', 4, 'y')), ['position'])

    def test_two_values(self):
        self.assertIn('position', kinds(('set', 'a', 'OK', 1, 20, 'ok', 5),
                                        ('get', None, 'a', 2, 9, 'ok', 4),
                                        ('get', None, None, 2, 9, 'ok', 4)))

    def test_came_back(self):
        self.assertIn('position', kinds(('set', 'a', 'OK', 1, 20, 'ok', 7),
                                        ('set', 'b', 'OK', 1, 20, 'ok', 7),
                                        ('get', None, 'a', 2, 19, 'ok', 7),
                                        ('get', None, 'b', 2, 19, 'ok', 8),
                                        ('get', None, 'a', 2, 19, 'ok', 9)))
        self.assertIn('position', kinds(('incr', None, 1, 1, 20, 'ok', 7),
                                        ('get', None, '1', 2, 19, 'ok', 7),
                                        ('get', None, '0', 2, 19, 'ok', 8)))


class OtherReads(unittest.TestCase):
    """Gets that were not linearizable may be old, and show nothing that nobody wrote."""

    @staticmethod
    def kinds(reads, *lines):
        ops = [op._replace(reads=reads) if op.op == 'get' else op for op in history(*lines)]
        return sorted({anomaly.kind for anomaly in check_history.check(ops)})

    def test_old_ones_are_good(self):
        old = (('set', 'a', 'OK', 1, 2), ('set', 'b', 'OK', 3, 4), ('get', None, 'b', 5, 6),
               ('get', None, 'a', 7, 8), ('get', None, None, 9, 10))
        counts = (('incr', None, 1, 1, 2), ('incr', None, 2, 3, 4), ('get', None, '1', 5, 6))
        for reads in ('session', 'stale', 'snapshot', 'dirty'):
            self.assertEqual(self.kinds(reads, *old), [])
            self.assertEqual(self.kinds(reads, *counts), [])
        for reads in (None, 'linearizable'):
            self.assertEqual(self.kinds(reads, *old), ['stale'])
            self.assertEqual(self.kinds(reads, *counts), ['lost', 'stale'])

    def test_nobody_wrote_it(self):
        self.assertEqual(self.kinds('dirty', ('get', None, 'x', 1, 2)), ['nowhere'])
        self.assertEqual(self.kinds('stale', ('get', None, 'a', 1, 2), ('set', 'a', 'OK', 3, 4)),
                         ['future'])
        self.assertEqual(self.kinds('session', ('set', 'a', 'ERR', 1, 2, 'fail'),
                                    ('get', None, 'a', 3, 4)), ['refused'])
        self.assertEqual(self.kinds('snapshot', ('incr', None, 1, 1, 2), ('get', None, '2', 3, 4)),
                         ['nowhere'])


class Lines(unittest.TestCase):
    GOOD = {'client': 0, 'op': 'set', 'key': 'k', 'arg': 'a', 'result': 'OK', 'call_ns': 1,
            'return_ns': 2, 'outcome': 'ok'}

    def refuse(self, *lines):
        with self.assertRaises(check_history.NotAHistory):
            check_history.check([check_history.parse(json.dumps(line), 'x') for line in lines])

    def test_what_is_no_history(self):
        self.refuse({**self.GOOD, 'op': 'del'})
        self.refuse({**self.GOOD, 'outcome': 'maybe'})
        self.refuse({**self.GOOD, 'return_ns': 0})
        self.refuse({**self.GOOD, 'call_ns': 'now'})
        self.refuse({**self.GOOD, 'op': 'add', 'arg': -1})
        self.refuse({**self.GOOD, 'reads': 'stale'})  # of a set
        self.refuse({**self.GOOD, 'op': 'get', 'reads': 'any'})
        self.refuse({key: value for key, value in self.GOOD.items() if key != 'client'})
        self.refuse([])
        self.refuse(self.GOOD, self.GOOD)  # a value that is not unique
        self.refuse(self.GOOD, {**self.GOOD, 'op': 'incr', 'arg': None, 'result': 1})

    def run_on(self, text):
        with tempfile.NamedTemporaryFile('w', suffix='.jsonl') as file:
            file.write(text)
            file.flush()
            return subprocess.run([sys.executable, check_history.__file__, file.name],
                                  capture_output=True, text=True, timeout=60)

    def test_exit_codes(self):
        good = json.dumps(self.GOOD) + '\n'
        self.assertEqual(self.run_on(good).returncode, 0)
        bad = json.dumps({**self.GOOD, 'op': 'get', 'arg': None, 'result': 'z'}) + '\n'
        done = self.run_on(good + bad)
        self.assertEqual(done.returncode, 1)
        self.assertIn('nowhere: ', done.stdout)
        self.assertEqual(self.run_on('{}\n').returncode, 2)
        self.assertEqual(self.run_on(good + '{"client"').returncode, 2)


if __name__ == '__main__':
    unittest.main()
