#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""usage: torture.py [--build DIR] [--minutes N] [--seed S] [--topology 2+w|3] [--net memif|veth]
                  [--disk plain|unflushed|lying] [--ec K+M] [--keep DIR]

Real processes under load through RESP and libtern, while nodes are killed, paused, restarted, cut
off and handed over, and lose pages, devices or all that they stored; then everything is healed, and
what the clients were told is compared with what is there. Exit code 0: all is well; 1: it is not, and DIR (default BUILD/torture-SEED) holds what
every node said, the faults, the histories and what they disagree about.

With --disk unflushed a node that is killed also loses what it had written and not flushed; with lying
flushes are acknowledged and not done, and the run has to fail.

The seed fixes the faults and their times; it is printed first and last. A run consists of episodes of
at most EPISODE_S seconds, each on a cluster of its own: an episode can be repeated. In each the log
goes round its area several times."""
import argparse
import glob
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
SUPPORT = os.path.join(HERE, '..', 'support')
sys.path.insert(0, SUPPORT)
import schedule  # noqa: E402
from cluster import Cluster  # noqa: E402
from failure import Failure, require  # noqa: E402
from faults import Saboteur  # noqa: E402
from transfers import Bank  # noqa: E402

EPISODE_S = 150
REST_S = 3  # the load goes on for so long after the last fault
# Writes a second of all clients together, at most.
RATES = {'bench': 300, 'native': 300, 'once': 200, 'keys': 300, 'bank': 600}
LOG_SIZE = '128MiB'
PROFILE = os.path.join(HERE, '..', '..', 'hw', 'profiles', 'dev-memif.conf')


def is_alive(pid):
    """An ended process that nobody has asked for yet is not alive."""
    try:
        with open(f'/proc/{pid}/stat', encoding='ascii', errors='replace') as handle:
            return handle.read().rsplit(')', 1)[1].split()[0] not in ('Z', 'X')
    except OSError:
        return False


class Episode:
    def __init__(self, options, seed, seconds, directory):
        self.seed, self.seconds, self.dir = seed, seconds, directory
        self.build = options.build
        self.events = open(self.path('events'), 'w', encoding='utf-8', buffering=1)
        self.cluster = Cluster(options.build, self.path('c'), topology=options.topology,
                               log_size=LOG_SIZE, profile=self.make_profile(options.disk))
        self.cluster.net, self.cluster.ec = options.net, options.ec
        self.clients = {}
        self.began = time.monotonic()
        self.step_name = 'start'

    def path(self, name):
        return os.path.join(self.dir, name)

    def make_profile(self, disk):
        """The shipped one, with this kind of disk."""
        with open(PROFILE, encoding='utf-8') as handle:
            text = handle.read()
        if disk != 'plain':
            require('lossy' not in text and text.count('\tqueue_depth') == 1, 'the profile of old')
            text = text.replace('\tqueue_depth', f'\tlossy = "{disk}";\n\tqueue_depth')
        with open(self.path('profile.conf'), 'w', encoding='utf-8') as handle:
            handle.write(text)
        return self.path('profile.conf')

    def say(self, text):
        print(f'{time.monotonic() - self.began:8.3f} {text}', file=self.events)

    def step(self, name):
        self.step_name = name
        self.say(f'-- {name}')

    # ---- load ----

    def start_client(self, name, *command):
        self.clients[name] = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def start_load(self):
        cluster, support = self.cluster, os.path.join(self.build, 'tests/support')
        seconds = self.seconds + REST_S
        native = ','.join(cluster.nodes[name]['client'] for name in cluster.data_names())
        self.start_client('bench', cluster.tern, 'bench', 'run', '--dir', cluster.dir,
                          '--duration', f'{int(seconds * 1000)}ms', '--rate', str(RATES['bench']),
                          '--connections', '16', '--mix', 'set=3,get=4,incr=2', '--keys', '20',
                          '--history', self.path('bench.jsonl'), '-o', 'json')
        self.start_client('native', os.path.join(support, 'history_client'), '--addresses', native,
                          '--history', self.path('native.jsonl'), '--prefix', 'native:',
                          '--rate', str(RATES['native']), '--keys', '24', '--seconds',
                          str(seconds), '--seed', str(self.seed))
        self.start_client('once', os.path.join(support, 'once_client'), '--addresses', native,
                          '--key', 'once-counter', '--rate', str(RATES['once']), '--seconds',
                          str(seconds), '--deadline-ms', '120000')
        self.clients['keys'] = cluster.load_start(self.path('journal'), 'key', connections=12,
                                                  seconds=seconds, rate=RATES['keys'])

    def end_load(self):
        found = {}
        for name, process in self.clients.items():
            out, _ = process.communicate(timeout=180)
            require(process.returncode == 0, f'{name}: exit {process.returncode}\n{out}')
            found[name] = json.loads(out)
        return found

    # ---- the end ----

    def read_all(self, histories):
        """Every key once more, as the last lines of the histories: nothing acknowledged may be
        missing from them."""
        keys = {json.loads(line)['key'] for path in histories
                for line in open(path, encoding='utf-8')}
        client = self.cluster.follower()
        with open(self.path('final.jsonl'), 'w', encoding='utf-8') as out:
            for key in sorted(keys):
                call_ns = time.monotonic_ns()
                value = client.call('GET', key)
                require(value is None or isinstance(value, str), f'GET {key}: {value}')
                out.write(json.dumps({
                    'client': 'final', 'op': 'get', 'key': key, 'arg': None,
                    'result': value if value is None else value[:16], 'call_ns': call_ns,
                    'return_ns': time.monotonic_ns(), 'outcome': 'ok'}) + '\n')
        client.close()

    def check_histories(self):
        for name in ('bench', 'native'):
            path = self.path(f'{name}.jsonl')
            self.read_all([path])
            with open(path, 'a', encoding='utf-8') as out, \
                    open(self.path('final.jsonl'), encoding='utf-8') as last:
                out.write(last.read())
            done = subprocess.run([sys.executable, os.path.join(SUPPORT, 'check_history.py'), path],
                                  capture_output=True, text=True, timeout=600)
            print(f'   {name}: {done.stdout.strip()}')
            require(done.returncode == 0, f'{name}.jsonl: {done.stdout}{done.stderr}')

    def check_clients(self, found):
        once = found['once']
        print(f'   once: {once}')
        require(once['unknown'] == 0 and once['refused'] == 0 and
                once['done'] == once['submitted'] == once['value'], f'not exactly once: {once}')
        for name in ('bench', 'native'):
            counts = found[name].get('counts', found[name])
            require(counts.get('ok', counts.get('done')) > 100, f'hardly any load: {counts}')
        keys = self.cluster.verify(self.path('journal'))
        print(f'   keys: {keys}')
        require(keys['lost'] == 0 and keys['acknowledged'] > 100, f'lost: {keys}')
        self.cluster.require_tally(found['keys'], keys)

    def check_nodes(self, was_damaged):
        cluster = self.cluster
        # Who lost a page that it had acknowledged is noticed.
        alarms = ['cut_below_commit', 'witness_amnesia', 'storage_failed']
        alarms += [] if was_damaged else ['ack_forgotten']
        index, value = cluster.wait_equal()
        for how in ([], ['--deep']):
            done = cluster.run('log', 'verify', *how, check=False)
            require(done.returncode == 0, f'log verify {how}: {done.stdout}{done.stderr}')
        nodes = cluster.status()
        for name, node in nodes.items():
            require(not node.get('storage_failed') and not node.get('damaged'), f'{name}: {node}')
            for alarm in alarms:
                require(not node.get('alarms', {}).get(alarm), f'{name}: alarm {alarm}')
        used = max(nodes[name]['log_used_bytes'] / nodes[name]['log_area_bytes']
                   for name in cluster.data_names())
        print(f'   state {value} at {index} on every node, recomputed; log {used:.0%} used')

    def check_processes(self, pids):
        until = time.monotonic() + 10
        while any(is_alive(pid) for pid in pids) and time.monotonic() < until:
            time.sleep(0.05)
        left = [pid for pid in pids if is_alive(pid)]
        for path in glob.glob('/proc/[0-9]*/cmdline'):
            try:
                with open(path, 'rb') as handle:
                    if self.cluster.dir.encode() in handle.read():
                        left.append(path)
            except OSError:
                continue  # it has ended meanwhile
        require(not left, f'processes were left behind: {left}')
        cores = glob.glob(self.path('core*'))
        require(not cores, f'core dumped: {cores}')

    def run(self):
        cluster = self.cluster
        cluster.up()
        cluster.settle()
        faults = schedule.make(self.seed, self.seconds, list(cluster.nodes), cluster.data_names(),
                               self.cluster.ec is not None)
        bank = Bank(cluster, self.seed, pace_s=6 * 2 / RATES['bank'])
        self.step('load and faults')
        saboteur = Saboteur(cluster, faults, self.seed, self.say)
        self.start_load()
        bank.begin()
        saboteur.run()
        saboteur.watch()
        print(f'   faults: {saboteur.counts}', flush=True)
        self.step('heal')
        cluster.wait_duplex()
        saboteur.damage.wait_whole()
        time.sleep(REST_S)
        bank.end()
        found = self.end_load()
        self.step('compare')
        cluster.settle()
        self.check_clients(found)
        self.check_histories()
        bank.check()
        self.check_nodes(saboteur.counts.get('rot', 0) + saboteur.counts.get('wipe', 0) > 0)
        self.step('end')
        pids = [pid for _, pid in saboteur.states().values()]
        cluster.down()
        self.check_processes(pids)

    def end(self):
        for process in self.clients.values():
            if process.poll() is None:
                process.kill()
                process.communicate()
        for name in self.cluster.nodes:
            self.cluster.dev('cont', name, check=False)
        self.cluster.down()
        self.events.close()


def keep(episode, to):
    """Everything but the devices."""
    shutil.copytree(episode.dir, to, dirs_exist_ok=True,
                    ignore=lambda _, names: [name for name in names if name.startswith('device')])
    print(f'kept in {to}')


def run_episode(options, number, seed, seconds):
    directory = tempfile.mkdtemp(prefix='torture-run-', dir=options.build)
    os.chdir(directory)  # where a core would be
    print(f'episode {number}: seed {seed}, {seconds:.0f} s of faults', flush=True)
    episode = Episode(options, seed, seconds, directory)
    is_good = False
    try:
        episode.run()
        is_good = True
    except Exception as error:  # whatever it was: it is shown, and the cluster is ended
        print(f'FAILED in episode {number} (seed {seed}), step "{episode.step_name}": {error}')
        episode.say(f'FAILED: {error}')
        if not isinstance(error, Failure):
            traceback.print_exc(file=sys.stdout)
        try:
            print(Cluster.brief(episode.cluster.status()))
        except Failure as failure:
            print(failure)
    finally:
        episode.end()
        if not is_good:
            keep(episode, f'{options.keep}-{number}')
        os.chdir(options.build)
        shutil.rmtree(directory, ignore_errors=True)
    return is_good


def on_signal(_number, _frame):
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # a second one would cut short what cleans up
    sys.exit(1)  # through every `finally`


def main():
    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--build', default=os.path.join(HERE, '..', '..', 'build'))
    parser.add_argument('--minutes', type=float, default=1)
    parser.add_argument('--seed', type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument('--topology', choices=('2+w', '3', '3+w'), default='2+w')
    parser.add_argument('--net', choices=('memif', 'veth'), default='memif')
    parser.add_argument('--disk', choices=('plain', 'unflushed', 'lying'), default='plain')
    parser.add_argument('--ec', metavar='K+M')
    parser.add_argument('--keep')
    options = parser.parse_args()
    options.build = os.path.abspath(options.build)
    options.keep = os.path.abspath(options.keep or
                                   os.path.join(options.build, f'torture-{options.seed}'))
    if options.net != 'memif' and os.geteuid() != 0:
        print('skipped: network namespaces need root')
        return 77
    print(f'seed {options.seed}')
    resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)
    left_s, number, is_good = options.minutes * 60, 0, True
    while left_s > 0 and is_good:
        # Seeds of episodes are printed and are seeds of one-episode runs, too.
        seconds = min(left_s, EPISODE_S)
        is_good = run_episode(options, number, options.seed + number, seconds)
        left_s -= seconds
        number += 1
    print(f'seed {options.seed}: {"passed" if is_good else "FAILED"}, {number} episodes')
    return 0 if is_good else 1


if __name__ == '__main__':
    sys.exit(main())
