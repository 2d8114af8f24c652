# SPDX-License-Identifier: Apache-2.0
"""Storage, addresses and sockets that are somebody else's: exit code 8, a sentence, the next step;
and whoever has them goes on undisturbed. Whoever ends a node that starts is told of no such thing."""
import os
import re
import resource
import shutil
import signal
import socket
import subprocess

from case import Cluster, main, require


def conf_of(cluster, node):
    return os.path.join(cluster.dir, node, 'node.conf')


def changed(case, cluster, node, *pairs):
    """A copy of a node file with other values."""
    with open(conf_of(cluster, node), encoding='utf-8') as handle:
        text = handle.read()
    for pattern, replacement in pairs:
        text, count = re.subn(pattern, replacement, text)
        require(count > 0, f'{pattern} in {text}')
    path = case.path(f'{node}-changed.conf')
    with open(path, 'w', encoding='utf-8') as handle:
        handle.write(text)
    return path


def refused(case, program, conf, *hints, descriptors=None):
    """@descriptors: so many it may have open, at most."""
    def limit():
        if descriptors is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
    done = subprocess.run([os.path.join(case.build, program), '--config', conf],
                          capture_output=True, text=True, timeout=60, preexec_fn=limit)
    told = [line for line in done.stderr.splitlines()
            if line.startswith(os.path.basename(program) + ': ')]
    require(len(told) == 1, f'one sentence: {done.stderr}')
    print('   ' + told[0])
    require(done.returncode == 8, f'{program}: exit {done.returncode}\n{done.stderr}')
    for hint in hints:
        require(hint in told[0], f'"{hint}" in: {told[0]}')


TERND, WITNESS = 'control/daemon/ternd', 'control/witness/tern-witness'


def second(case, cluster):
    case.step('a second process on the same storage')
    refused(case, TERND, conf_of(cluster, 'a'), 'another process uses it', 'stop that process')
    refused(case, WITNESS, conf_of(cluster, 'w'), 'another process uses it', 'stop that one')


def few_descriptors(case, cluster):
    case.step('fewer descriptors than clients may take')
    refused(case, TERND, conf_of(cluster, 'a'), 'gateway.connections_max = 1024',
            'may have 1100', 'ulimit -Hn', descriptors=1100)
    refused(case, WITNESS, conf_of(cluster, 'w'), 'may have 100', 'ulimit -Hn', descriptors=100)


def blank_twin(case, cluster, *pairs):
    """A node file of `a` with blank storage of its own, made by `tern node init`."""
    storage = case.path('twin')
    shutil.rmtree(storage, ignore_errors=True)
    conf = changed(case, cluster, 'a', (r'storage = "[^"]*"', f'storage = "{storage}"'),
                   (r'path = "[^"]*device0"', f'path = "{storage}/device0"'), *pairs)
    done = subprocess.run([cluster.tern, 'node', 'init', '--config', conf], capture_output=True,
                          text=True, timeout=60)
    require(done.returncode == 0, done.stderr)
    return conf


def sockets(case, cluster):
    case.step('a second process on the same addresses')
    conf = blank_twin(case, cluster)
    refused(case, TERND, conf, 'in use by another process', 'change `mgmt`')
    node = cluster.nodes['a']
    # Alone in a cluster of one: no port, no peers, only the address that is taken.
    alone = case.path('alone.conf')
    for key, hint, free in (('resp', 'change `resp`', 'client'),
                            ('client', 'change `client`', 'resp')):
        shutil.rmtree(case.path('alone'), ignore_errors=True)
        with open(alone, 'w', encoding='utf-8') as handle:
            handle.write(
                f'node = {{ name = "a"; id = 1; dev = true; }}; storage = "alone"; run = "r";\n'
                f'admin = "alone.sock"; devices = ( {{ path = "alone/device0"; size = "32MiB"; }} '
                f');\nnodes = ( {{ name = "a"; id = 1; data = "127.0.0.1:9"; '
                f'mgmt = "127.0.0.1:{free_port()}"; {key} = "{node[key]}"; '
                f'{free} = "127.0.0.1:{free_port()}"; }} );\n')
        done = subprocess.run([cluster.tern, 'node', 'init', '--config', alone],
                              capture_output=True, text=True, timeout=60)
        require(done.returncode == 0, done.stderr)
        refused(case, TERND, alone, 'in use', hint)


def early_signal(case, cluster):
    """Whoever stops a node that is still reading its log has not configured it badly."""
    case.step('a signal while it starts')
    conf = case.path('early.conf')
    ports = [free_port() for _ in range(3)]
    with open(conf, 'w', encoding='utf-8') as handle:
        handle.write(
            f'node = {{ name = "a"; id = 1; dev = true; }}; storage = "early"; run = "r";\n'
            f'admin = "early.sock"; devices = ( {{ path = "early/device0"; size = "32MiB"; }} );\n'
            f'nodes = ( {{ name = "a"; id = 1; data = "127.0.0.1:9"; '
            f'mgmt = "127.0.0.1:{ports[0]}"; resp = "127.0.0.1:{ports[1]}"; '
            f'client = "127.0.0.1:{ports[2]}"; }} );\n')
    done = subprocess.run([cluster.tern, 'node', 'init', '--config', conf], capture_output=True,
                          text=True, timeout=60)
    require(done.returncode == 0, done.stderr)

    def pending():
        """It is there before the program begins."""
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        os.kill(os.getpid(), signal.SIGTERM)
    done = subprocess.run([os.path.join(case.build, TERND), '--config', conf],
                          capture_output=True, text=True, timeout=60, preexec_fn=pending)
    require(done.returncode == 0 and 'stopped node=a' in done.stderr,
            f'exit {done.returncode}\n{done.stderr}')


def free_port():
    """One that is free for UDP and for TCP."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, \
                socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp:
            udp.bind(('127.0.0.1', 0))
            try:
                tcp.bind(udp.getsockname())
            except OSError:
                continue
            return udp.getsockname()[1]


def copy_device(source, target):
    """The first part of a device: all that says whose it is."""
    with open(source, 'rb') as handle, open(target, 'r+b') as out:
        out.write(handle.read(1 << 20))


def foreign(case, cluster):
    other = Cluster(case.build, case.path('other'), log_size='64MiB')
    try:
        other.up()
        other.settle()
    finally:
        other.down()
    device = os.path.join('storage', 'device0')
    case.step('storage of another cluster')
    cluster.dev('kill', 'b')
    mine = os.path.join(cluster.dir, 'b', device)
    os.rename(mine, mine + '.kept')
    shutil.copy(os.path.join(other.dir, 'b', device), mine)
    refused(case, TERND, conf_of(cluster, 'b'), 'another cluster', 'check node.id')
    done = cluster.dev('start', 'b', check=False)
    require(done.returncode == 8 and 'another cluster' in done.stderr,
            f'dev start: exit {done.returncode} {done.stderr}')
    case.step('... when the node file does not say which: told by status')
    conf = changed(case, cluster, 'b', (r'\tcluster_id = "[^"]*";\n', ''))
    process = subprocess.Popen([os.path.join(case.build, TERND), '--config', conf],
                               stderr=subprocess.DEVNULL)
    try:
        def told(_):
            text = cluster.run('status', check=False).stdout
            return text if 'do not hear each other' in text and 'foreign_cluster' in text else None
        print('   ' + cluster.wait('the warning', told).replace('\n', '\n   '))
    finally:
        process.kill()
        process.wait()
    case.step('storage of another node')
    shutil.copy(os.path.join(other.dir, 'a', device), mine)
    refused(case, TERND, conf_of(cluster, 'b'), 'another cluster, node', 'check node.id')
    os.rename(mine + '.kept', mine)
    case.step('the register of another cluster, and of another witness')
    cluster.dev('kill', 'w')
    register = os.path.join(cluster.dir, 'w', 'storage', 'register')
    os.rename(register, register + '.kept')
    shutil.copy(os.path.join(other.dir, 'w', 'storage', 'register'), register)
    refused(case, WITNESS, conf_of(cluster, 'w'), 'another cluster', 'check node.cluster_id')
    os.rename(register + '.kept', register)
    for name in ('b', 'w'):
        cluster.dev('start', name)


def wrong_file(case, cluster):
    case.step('the node file of another kind of node')
    refused(case, TERND, conf_of(cluster, 'w'), 'tern-witness')
    refused(case, WITNESS, conf_of(cluster, 'a'), 'start ternd')


def test(case):
    cluster = case.cluster
    cluster.log_size = '64MiB'
    cluster.up()
    cluster.settle()
    client = cluster.follower()
    require(client.call('SET', 'k', 'v') == 'OK', 'SET')
    before = {name: node['boot_no'] for name, node in cluster.status().items()}
    wrong_file(case, cluster)
    second(case, cluster)
    few_descriptors(case, cluster)
    sockets(case, cluster)
    early_signal(case, cluster)
    require(cluster.client('a').call('PING') == 'PONG', 'whoever has them goes on')
    require(client.call('SET', 'k', 'w') == 'OK', 'and so do the others')
    require(before == {name: node['boot_no'] for name, node in cluster.status().items()},
            'nobody was started or ended by this')
    foreign(case, cluster)
    cluster.settle()
    require(client.call('GET', 'k') == 'w', 'all is well again')


main(test)
