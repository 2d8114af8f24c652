# SPDX-License-Identifier: Apache-2.0
"""usage: test_load_client.py LOAD_CLIENT

The load client and benchmarks that end with a verdict: what was lost is counted, whatever else goes
wrong, and what measured nothing is not good."""
import contextlib
import importlib.machinery
import importlib.util
import io
import json
import os
import socketserver
import subprocess
import sys
import tempfile
import threading
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, HERE)
from failure import Failure  # noqa: E402

LOAD_CLIENT = sys.argv.pop()


class Forgetful(socketserver.StreamRequestHandler):
    """Takes every write, and has none of them."""

    def handle(self):
        for line in self.rfile:
            if line.strip() in (b'SET', b'GET'):
                is_set = line.strip() == b'SET'
                for _ in range(4 if is_set else 2):
                    self.rfile.readline()
                self.wfile.write(b'+OK\r\n' if is_set else b'$-1\r\n')


def bench(name):
    loader = importlib.machinery.SourceFileLoader(name, os.path.join(HERE, '..', 'bench', name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    loader.exec_module(module)
    return module


class LoadClient(unittest.TestCase):
    def setUp(self):
        self.server = socketserver.ThreadingTCPServer(('127.0.0.1', 0), Forgetful)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # whom a client left
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def tearDown(self):
        self.server.shutdown()
        self.server.server_close()

    def load(self, verb, journal, *options):
        return subprocess.run(
            [LOAD_CLIENT, verb, '--addr', f'127.0.0.1:{self.server.server_address[1]}',
             '--journal', journal, *options], capture_output=True, text=True, timeout=60)

    def test_lost(self):
        with tempfile.TemporaryDirectory() as directory:
            journal = os.path.join(directory, 'journal')
            done = self.load('write', journal, '--seconds', '0.2', '--connections', '2')
            self.assertEqual(done.returncode, 0, done.stderr)
            totals = json.loads(done.stdout)
            self.assertGreater(totals['acknowledged'], 0)
            done = self.load('verify', journal)
            found = json.loads(done.stdout)
            self.assertEqual(done.returncode, 1)
            self.assertEqual(found['lost'], totals['acknowledged'])
        tally = bench('failover').Cluster.require_tally
        tally(totals, found)
        for key in ('acknowledged', 'unknown'):
            with self.assertRaises(Failure):
                tally({**totals, key: totals[key] + 1}, found)
        with self.assertRaises(Failure):
            tally(totals, {**found, 'lost': found['lost'] - 1})

    def test_full(self):
        done = self.load('write', '/dev/full', '--seconds', '5')
        self.assertEqual(done.returncode, 4, done.stdout)
        self.assertIn('journal', done.stderr)


class Verdicts(unittest.TestCase):
    def test_failed_run(self):
        run = {'gap_ms': 70, 'rate': 9000, 'sent': 9, 'acknowledged': 8, 'unknown': 1, 'found': 8,
               'lost': 0}
        result = bench('failover').summary([run], [{'run': 2, 'why': 'early'},
                                            {'run': 3, 'why': 'late', 'lost': 5}])
        self.assertEqual((result['lost'], result['failed_runs'], result['runs']), (5, 2, 1))

    def test_void_loads(self):
        replicate = bench('replicate')
        load = {'point': 'p', 'block_size': {key: 1 for key in ('p50', 'p90', 'p99', 'max')},
                'cycles_by_stage': {}, 'outcomes': {'done': 1}}
        cluster = {'mode': 'DUPLEX', 'copies': 2, 'disk_mode': 'none', 'master': 'a'}
        sys.argv = ['replicate', '--logs', 'ram', '--frames', '1500']
        for goods, code in (((False, False), 1), ((False, True), 0)):
            replicate.run_once = lambda *_, goods=goods: {
                'loads': [{**load, 'good': good} for good in goods], 'void': ['p: epoch changed'],
                'measures': [], 'config': {'runs': 1}, 'cluster': cluster}
            with contextlib.redirect_stdout(io.StringIO()), \
                    contextlib.redirect_stderr(io.StringIO()):
                self.assertEqual(replicate.main(), code)


if __name__ == '__main__':
    unittest.main()
