# SPDX-License-Identifier: Apache-2.0
"""What every integration test begins with: a cluster of its own below the build directory (a real
file system: O_DIRECT is needed), removed at the end. Exit 0 passed, 1 failed, 77 skipped."""
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'support'))
from cluster import Cluster  # noqa: E402
from failure import WAIT_S, Failure, require  # noqa: E402,F401
from resp import Client  # noqa: E402,F401

PROFILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'hw', 'profiles',
                       'dev-memif.conf')


class Case:
    def __init__(self, build, topology):
        self.build = build
        self.topology = topology
        self.dir = tempfile.mkdtemp(prefix='integ-', dir=build)
        self.cluster = Cluster(build, os.path.join(self.dir, 'c'), topology=topology)
        self.step_name = 'start'
        self.began = time.monotonic()

    def step(self, name):
        self.step_name = name
        print(f'-- {time.monotonic() - self.began:5.1f} {name}', flush=True)

    def another(self, ternd=None, profile=None):
        """Ends the cluster of before and makes a new one, with this ternd or this profile."""
        self.cluster.remove()
        log_size = self.cluster.log_size
        tern = None
        if ternd is not None:
            # `tern` starts the daemons that lie beside it.
            bin_dir = os.path.join(self.dir, 'bin')
            os.makedirs(bin_dir, exist_ok=True)
            for source, name in (('control/cli/tern', 'tern'), (ternd, 'ternd'),
                                 ('control/witness/tern-witness', 'tern-witness')):
                shutil.copy(os.path.join(self.build, source), os.path.join(bin_dir, name))
            tern = os.path.join(bin_dir, 'tern')
        self.cluster = Cluster(self.build, os.path.join(self.dir, 'c'), log_size=log_size,
                               tern=tern, profile=profile, topology=self.topology)
        return self.cluster.up()

    def profile(self, name, *changes):
        """Writes the development profile with some of its text changed, and returns its path. Each of
        @changes: a text that occurs in it once, and what takes its place."""
        with open(PROFILE, encoding='utf-8') as handle:
            text = handle.read()
        for before, after in changes:
            require(text.count(before) == 1, f'{before}, once, in {PROFILE}')
            text = text.replace(before, after)
        path = self.path(f'{name}.conf')
        with open(path, 'w', encoding='utf-8') as handle:
            handle.write(text)
        return path

    def restart_all(self):
        """Kills every node at once, starts all of them, and waits until all copies are in sync."""
        self.step('kill all, start all')
        for name in self.cluster.nodes:
            self.cluster.dev('kill', name)
        for name in self.cluster.nodes:
            self.cluster.dev('start', name)
        self.cluster.settle()

    def verify(self, journals):
        """Everything that is acknowledged in @journals is read back."""
        for journal in journals:
            found = self.cluster.verify(journal)
            require(found['acknowledged'] > 0, f'{journal}: nothing was acknowledged')
            require(found['lost'] == 0, f'{journal}: {found}')

    def restart_all_and_verify(self, journals):
        """What was acknowledged is there, and again after all nodes were started again."""
        self.verify(journals)
        self.restart_all()
        self.verify(journals)

    def path(self, name):
        return os.path.join(self.dir, name)


def main(test):
    """usage of every test: test_X.py BUILD_DIR [--topology T] [ARGS]"""
    if os.environ.get('TERN_TEST_NET', 'memif') != 'memif' and os.geteuid() != 0:
        print('skipped: network namespaces need root')
        sys.exit(77)
    arguments = sys.argv[1:]
    topology = '2+w'
    if '--topology' in arguments:
        at = arguments.index('--topology')
        topology = arguments[at + 1]
        del arguments[at:at + 2]
    # A test that is ended from outside (a time limit) still ends its cluster.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(1))
    case = Case(os.path.abspath(arguments[0]), topology)
    status = 1
    try:
        test(case, *arguments[1:])
        status = 0
    except Exception as error:  # whatever it was, it is shown and the cluster is ended
        print(f'FAILED in step "{case.step_name}": {error}')
        if not isinstance(error, Failure):
            traceback.print_exc()
        for name in case.cluster.nodes or ('a', 'b', 'w'):
            log = os.path.join(case.cluster.dir, name, 'log')
            if os.path.exists(log):
                with open(log, encoding='utf-8', errors='replace') as handle:
                    print(f'--- {name}\n' + ''.join(handle.readlines()[-15:]))
    finally:
        case.cluster.end_loads()
        for name in case.cluster.nodes or ('a', 'b', 'w'):
            case.cluster.dev('cont', name, check=False)
        case.cluster.down()
        shutil.rmtree(case.dir, ignore_errors=True)
    sys.exit(status)
