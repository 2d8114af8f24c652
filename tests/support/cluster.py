# SPDX-License-Identifier: Apache-2.0
"""A local cluster for tests, the demonstration and benchmarks: drives the `tern` command line as a
person would."""
import json
import os
import select
import shutil
import signal
import subprocess
import time

from failure import WAIT_S, Failure, require
from resp import Client, Follower


class Cluster:
    def __init__(self, build, directory, log_size='256MiB', tern=None, profile=None,
                 topology='2+w', log=None):
        self.build = os.path.abspath(build)
        self.dir = os.path.abspath(directory)
        self.tern = tern or os.path.join(self.build, 'control/cli/tern')
        self.load = os.path.join(self.build, 'tests/support/load_client')
        self.log_size = log_size
        self.log = log  # None: whatever `tern dev up` takes
        self.profile = profile
        # What `tern dev up` is told besides; tests run on another network by this.
        self.net = os.environ.get('TERN_TEST_NET', 'memif')
        self.mtu = os.environ.get('TERN_TEST_MTU', '1500')
        self.links = os.environ.get('TERN_TEST_LINKS', '1')
        self.ip = os.environ.get('TERN_TEST_IP', '4')
        self.topology = topology
        self.ec = None  # devices of a data node, 'K+M'
        self.spares = ['c'] if topology == '2+w+1' else []  # data nodes that are no voters
        self.nodes = {}
        self.loads = []

    def run(self, *args, check=True, timeout=120):
        command = [self.tern, *args, '--dir', self.dir]
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
        if check and done.returncode != 0:
            raise Failure(f'{" ".join(command)}: exit {done.returncode}\n{done.stdout}{done.stderr}')
        return done

    def up(self):
        profile = ['--profile', self.profile] if self.profile else []
        profile += ['--log', self.log] if self.log else []
        profile += ['--ec', self.ec] if self.ec else []
        out = self.run('dev', 'up', '--log-size', self.log_size, '--topology', self.topology,
                       '--net', self.net, '--mtu', self.mtu, '--links', self.links,
                       '--ip', self.ip, '-o', 'json', *profile)
        self.nodes = {node['name']: node for node in json.loads(out.stdout)['nodes']}
        return self

    def down(self):
        self.run('dev', 'down', check=False)

    def end_loads(self):
        """Ends what load_start has started and a test that failed has not."""
        for load in self.loads:
            if load.poll() is None:
                load.kill()
        self.loads = []

    def remove(self):
        self.end_loads()
        self.down()
        shutil.rmtree(self.dir, ignore_errors=True)

    def dev(self, *args, **kwargs):
        return self.run('dev', *args, **kwargs)

    def status(self):
        done = self.run('status', '-o', 'json', check=False)
        try:
            return {node['name']: node for node in json.loads(done.stdout)['nodes']}
        except (ValueError, KeyError) as error:
            raise Failure(f'tern status: {done.stdout}{done.stderr}') from error

    def wait(self, what, predicate, seconds=WAIT_S):
        until = time.monotonic() + seconds
        while True:
            status = self.status()
            value = predicate(status)
            if value:
                return value
            if time.monotonic() > until:
                raise Failure(f'waited {seconds} s for: {what}\n{self.brief(status)}')
            time.sleep(0.05)

    @staticmethod
    def brief(status):
        keys = ('role', 'mode', 'term', 'epoch', 'last_index', 'durable_index', 'commit_index',
                'applied_index')
        return '\n'.join(f'{name}: ' + ' '.join(f'{key}={node.get(key)}' for key in keys)
                         for name, node in status.items())

    def master(self, status=None):
        for name, node in (status or self.status()).items():
            if node.get('role') == 'master' and node.get('serving'):
                return name
        return None

    def wait_master(self):
        return self.wait('a serving master', self.master)

    def data_names(self):
        """The voters."""
        return [name for name, node in self.nodes.items()
                if node['kind'] == 'data' and name not in self.spares]

    def others(self, name):
        """The data nodes beside @name."""
        return [other for other in self.data_names() if other != name]

    def other(self, name):
        """A data node beside @name; of a pair, the one."""
        return self.others(name)[0]

    def rest(self, name):
        """All nodes beside @name, the witness among them."""
        return [other for other in self.nodes if other != name]

    def description(self):
        """What `tern dev` keeps of the cluster."""
        with open(os.path.join(self.dir, 'cluster.json'), encoding='utf-8') as handle:
            return json.load(handle)

    def was_alone(self, name):
        """Data node @name was the only copy, by what it said last or by the witness, which it may not
        have heard any more: no other may be elected."""
        if self.lone_mode == self.whole_mode:
            return False
        with open(os.path.join(self.dir, name, 'log'), encoding='utf-8', errors='replace') as handle:
            roles = [line for line in handle if ' role=' in line]
        if roles and f'mode={self.lone_mode} ' in roles[-1]:
            return True
        (number,) = [node['id'] for node in self.description()['nodes'] if node['name'] == name]
        return self.status()['w'].get('rset') == 1 << number

    def pids(self):
        """Of the processes that `tern dev` has started, by node."""
        done = self.dev('status', '-o', 'json', check=False)
        return {node['name']: node['pid'] for node in json.loads(done.stdout)['nodes']}

    @staticmethod
    def is_alive(pid):
        """It runs, or could; a zombie does not."""
        try:
            with open(f'/proc/{pid}/stat', encoding='utf-8', errors='replace') as handle:
                return handle.read().rsplit(')', 1)[1].split()[0] not in 'ZX'
        except (FileNotFoundError, ProcessLookupError):
            return False

    def last_word(self, name):
        """The pid of the process that says farewell for data node @name; None: there is none."""
        path = f'/proc/{self.pids()[name]}/task'
        for task in os.listdir(path):
            with open(f'{path}/{task}/children', encoding='ascii') as handle:
                for child in handle.read().split():
                    if self.is_alive(child):
                        return int(child)
        return None

    def kill_process(self, name):
        """SIGKILL of ternd alone, as the kernel does to whom it kills: its last word is said. Returns
        when it has ended. `tern dev kill` is a machine that fails: nothing is said."""
        pid = self.pids()[name]
        fd = os.pidfd_open(pid)
        try:
            os.kill(pid, signal.SIGKILL)
            require(select.select([fd], [], [], WAIT_S)[0], f'{name}: SIGKILL does not end it')
        finally:
            os.close(fd)

    def kill_in_sync(self, name=None, kill=None):
        """SIGKILL of data node @name, or of the master, while all copies are in sync; its name. On a
        starved host it may have gone SOLO just before: that is a second fault, after which nobody else
        may be elected. Then it is started again, and another moment is taken."""
        for _ in range(20):
            victim = name or self.wait_duplex()
            self.wait_duplex()
            if kill is not None:
                kill(victim)
            else:
                self.dev('kill', victim)
            time.sleep(0.1)  # what it had on the way to the witness arrives
            if not self.was_alone(victim):
                return victim
            print(f'   {victim} was SOLO when it was killed: once more', flush=True)
            self.dev('start', victim)
        raise Failure(f'{name or "the master"} was alone whenever it was killed')

    def kill_master(self):
        return self.kill_in_sync()

    def undisturbed(self, what, attempt):
        """@attempt shows that something has no effect: it returns a standing (mode, term...) before
        and after. On a busy host that may change for other reasons; once it has not."""
        for _ in range(8):
            before, after = attempt()
            if before == after:
                return
            print(f'   {what}: {before} became {after}: once more', flush=True)
            self.wait_duplex()
        raise Failure(f'{what}: no effect expected, and every time {before} became {after}')

    def with_master(self, attempt):
        """What @attempt(master) returns. It asserts what holds for as long as that node stays master;
        if that ends on a busy host it begins again, so it has to bear that."""
        for _ in range(8):
            master = self.wait_duplex()
            before = self.standing(master)
            try:
                return attempt(master)
            except (Failure, OSError) as error:
                time.sleep(0.5)  # what it answered may be newer than what it shows
                if self.standing(master) == before:
                    raise
                print(f'   {master} stayed not what it was: once more. {error}', flush=True)
        raise Failure('the mastership moved every time')

    def standing(self, name):
        """What a fault that @name bears does not change."""
        node = self.status()[name]
        return [node.get(key) for key in ('role', 'mode', 'term', 'epoch')]

    def isolate(self, name, verb='cut'):
        """Cuts (or heals) every link of @name; that to a witness first. It alone has no effect, while
        a master that has lost the other copy only would register with the witness before the cut."""
        for other in sorted(self.rest(name), key=lambda other: self.nodes[other]['kind'] == 'data'):
            self.dev(verb, name, other)

    def heir_of(self, master):
        """The node that serves in the place of @master, which is stopped, or isolated. None: it was SOLO
        just before, so nobody may; another moment has to be taken."""
        serves = self.serves_without([master])
        heir = self.wait('another node to serve', lambda s: serves(s) or self.was_alone(master))
        if heir is True:
            print(f'   {master} was SOLO just before: once more', flush=True)
            return None
        return heir

    def cut_off_in_sync(self):
        """Isolates the master while all copies are in sync; it, and the node that serves then."""
        for _ in range(20):
            master = self.wait_duplex()
            self.isolate(master)
            heir = self.heir_of(master)
            if heir is not None:
                return master, heir
            self.isolate(master, 'heal')
        raise Failure('the master was alone whenever it was cut off')

    def until(self, goal, what, *args):
        """Runs a verb of `tern cluster` until status shows @goal. On a busy host it may be refused for a
        moment's sake, find no master, or end before its end is known."""
        def look(status):
            if goal(status):
                return True
            done = self.run('cluster', *args, check=False)
            require(done.returncode in (0, 4, 5, 6), f'{args}: {done.returncode} {done.stderr}')
            if done.returncode != 0:
                print('   ' + done.stderr.strip(), flush=True)
            return False
        self.wait(what, look)

    def switchover(self, target):
        self.until(lambda status: self.master(status) == target, f'{target} to be master',
                   'switchover', target)

    @property
    def whole_mode(self):
        """The mode of a master whose copies are all there."""
        return {2: 'DUPLEX', 3: 'MAJORITY', 1: 'SOLO'}[len(self.data_names())]

    @property
    def lone_mode(self):
        """The mode of a master that lost one data node."""
        return {2: 'SOLO', 3: 'MAJORITY', 1: 'SOLO'}[len(self.data_names())]

    def serves_without(self, victims):
        """A predicate: some data node outside @victims is the serving master; its name."""
        def look(status):
            for name in self.data_names():
                node = status[name]
                if name not in victims and node.get('role') == 'master' and \
                        node.get('serving') and node['mode'] == self.lone_mode:
                    return name
            return None
        return look

    def wait_mode(self, mode):
        """The master serves in @mode; returns its name."""
        def look(status):
            name = self.master(status)
            return name if name and status[name]['mode'] == mode else None
        return self.wait(f'a serving master in {mode}', look)

    def wait_duplex(self):
        """The master serves and every other data node is in sync, so that it may be elected: it holds
        the barrier of the master's epoch. Returns the master's name."""
        def look(status):
            name = self.master(status)
            if not name or status[name]['mode'] != self.whole_mode:
                return None
            if any(status[other]['mode'] != 'REPLICA' or
                   status[other]['epoch'] != status[name]['epoch'] for other in self.others(name)):
                return None
            return name
        return self.wait('a serving master with all copies', look)

    def wait_equal(self):
        """All data nodes have applied the same position; returns (index, hash)."""
        def look(status):
            nodes = [status[name] for name in self.data_names()]
            if any('state_hash' not in node for node in nodes):
                return None
            places = {node[key] for node in nodes for key in ('applied_index', 'last_index')}
            return nodes if len(places) == 1 else None
        nodes = self.wait('all copies at the same position', look)
        first = nodes[0]
        for node in nodes[1:]:
            require(first['state_hash'] == node['state_hash'],
                    f'state hashes differ: {first["state_hash"]} {node["state_hash"]}')
            require(first['chain'] == node['chain'], 'chains differ')
        return first['state_hash']['index'], first['state_hash']['value']

    def inside(self, name):
        """What a command begins with that is to run where node @name runs."""
        if self.net == 'memif':
            return []
        run_dir = self.description()['run_dir']
        return ['ip', 'netns', 'exec', f'{os.path.basename(run_dir)}-{name}']

    def lose_storage(self, name):
        """Node @name is killed, and all that it stored is gone."""
        self.dev('kill', name)
        storage = os.path.join(self.dir, name, 'storage')
        for entry in os.listdir(storage):
            path = os.path.join(storage, entry)
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            else:
                os.unlink(path)

    def rejoin(self, name, generation=None):
        """`tern node rejoin` of node @name, as it ended."""
        cluster_id = self.description()['cluster_id']
        return subprocess.run([*self.inside(name), self.tern, 'node', 'rejoin', '--config',
                               os.path.join(self.dir, name, 'node.conf'), '--cluster-id',
                               cluster_id,
                               *(['--cluster-gen', generation] if generation else [])],
                              capture_output=True, text=True, timeout=120)

    def refused(self, words, *args, code=5):
        """`tern cluster ARGS` is refused, with these words."""
        done = self.run('cluster', *args, check=False)
        require(done.returncode == code and words in done.stderr,
                f'{args}: exit {done.returncode}, {done.stderr!r}; wanted {code}, {words!r}')

    def persist(self, *args, until=(0, 6)):
        """`tern cluster ARGS`: what is refused for a moment's sake is asked for again. What has several
        steps and goes on where it was also when its outcome is not known: until=(0,)."""
        def look(_):
            done = self.run('cluster', *args, check=False)
            require(done.returncode in (0, 5, 6), f'{args}: {done.stderr}')
            if done.returncode != 0:
                print('   ' + done.stderr.strip(), flush=True)
            return done.returncode in until
        self.wait(f'cluster {" ".join(args)}', look)

    def kill_all(self):
        for name in self.nodes:
            self.dev('kill', name)

    def start_all(self):
        for name in self.nodes:
            self.dev('start', name)

    def driver(self):
        """What the data ports of this network have to be."""
        return {'memif': 'net_memif', 'veth': 'net_af_packet', 'veth-xdp': 'net_af_xdp'}[self.net]

    def resp(self, name):
        return self.nodes[name]['resp']

    def client(self, name=None, timeout=WAIT_S):
        return Client(self.resp(name or self.wait_master()), timeout)

    def follower(self, greeting=None):
        return Follower(self, greeting)

    def ask(self, *args):
        """What the master answers to one request that may be executed twice."""
        follower = self.follower()
        reply = follower.call(*args)
        follower.close()
        return reply

    def overwrite(self, total, prefix):
        """Overwrites 80 keys with values of 50 kB until @total bytes are written."""
        client = self.follower()
        for done in range(0, total, 50000):
            value = f'{prefix}:{done}:' + 'z' * 50000
            until = time.monotonic() + WAIT_S
            while True:
                reply = client.call('SET', f'{prefix}:{done // 50000 % 80}', value)
                full = getattr(reply, 'text', '').startswith('LOGFULL')
                if not full or time.monotonic() > until:
                    break
                time.sleep(0.05)  # a checkpoint makes room
            require(reply == 'OK', f'SET: {reply}')
        client.close()

    def addresses(self):
        out = []
        for name in self.data_names():
            out += ['--addr', self.resp(name)]
        return out

    def load_start(self, journal, prefix, connections=32, seconds=600, rate=0):
        load = subprocess.Popen(
            [self.load, 'write', *self.addresses(), '--journal', journal, '--prefix', prefix,
             '--connections', str(connections), '--seconds', str(seconds), '--rate', str(rate)],
            stdout=subprocess.PIPE, text=True)
        self.loads.append(load)
        return load

    @staticmethod
    def load_stop(process):
        process.terminate()
        out, _ = process.communicate(timeout=WAIT_S)
        require(process.returncode == 0, f'load: exit {process.returncode}')
        return json.loads(out)

    def load_goes_on(self, journal, count=150):
        """Waits until so many further writes of the load are acknowledged, however slow the host."""
        def acknowledged():
            try:
                with open(journal, encoding='ascii') as handle:
                    return sum(line[0] == 'A' for line in handle)
            except FileNotFoundError:
                return 0
        first, until = acknowledged(), time.monotonic() + WAIT_S
        while acknowledged() < first + count:
            require(time.monotonic() < until, f'waited {WAIT_S} s for {count} writes')
            time.sleep(0.05)

    def load_begin(self, journal, prefix, **options):
        """A load that is under way."""
        load = self.load_start(journal, prefix, **options)
        self.load_goes_on(journal)
        return load

    def load_end(self, load, journal):
        """It is still served, and ends."""
        self.load_goes_on(journal)
        totals = self.load_stop(load)
        require(totals['acknowledged'] > 100, f'load: {totals}')

    def verify(self, journal):
        done = subprocess.run([self.load, 'verify', *self.addresses(), '--journal', journal],
                              capture_output=True, text=True, timeout=300)
        if not done.stdout:
            raise Failure(f'verify: {done.stderr}')
        found = json.loads(done.stdout)
        if done.stderr:
            print(done.stderr)
        return found

    @staticmethod
    def require_tally(totals, found):
        """What a load counted is what its journal has, and each acknowledged write was asked for."""
        for key in ('acknowledged', 'unknown'):
            require(totals[key] == found[key],
                    f'{key}: {totals[key]} by the load, {found[key]} in the journal')
        require(found['found'] + found['lost'] == found['acknowledged'], f'not all read: {found}')

    def settle(self):
        """Waits until all copies are in sync again."""
        self.wait_duplex()
        return self.wait_equal()


def journal_gap(journal, first_ns, last_ns):
    """How long no write was acknowledged around a kill that fell between @first_ns and @last_ns:
    the longest time between two neighbouring acknowledgements that reaches into that span, in ns.
    None: the load did not span it."""
    times = []
    with open(journal, encoding='ascii') as handle:
        times = sorted(int(line.split()[2]) for line in handle if line[0] == 'A')
    gaps = [after - before for before, after in zip(times, times[1:])
            if before <= last_ns and after >= first_ns]
    if not gaps or times[-1] <= last_ns:
        return None
    return max(gaps)
