# SPDX-License-Identifier: Apache-2.0
"""Disks that are full or fail, on small file systems that this test makes: at `tern node init` and
`tern dev up` (a sentence, nothing half-made is left, and with room it works), full under running
nodes (they go on), and failing under a running node (it steps aside, and status says so)."""
import contextlib
import os
import re
import shutil
import subprocess
import sys
import time

from case import Cluster, main, require

MIB = 1 << 20
CHECKPOINTS_MIB = 513  # what is reserved behind a log, with the default state.capacity


def tool(*args):
    return subprocess.run(args, capture_output=True, text=True, timeout=120)


@contextlib.contextmanager
def file_system(case, name, mib):
    """An ext4 of @mib on a loop device; yields where it is mounted."""
    image, path = case.path(f'{name}.img'), case.path(name)
    with open(image, 'wb') as handle:
        handle.truncate(mib * MIB)
    os.makedirs(path)
    done = tool('mkfs.ext4', '-q', '-m', '0', '-O', '^has_journal', image)
    if done.returncode == 0:
        done = tool('mount', '-o', 'loop', image, path)
    if done.returncode != 0:
        print(f'skipped: no file system of our own: {done.stderr.strip()}')
        sys.exit(77)
    try:
        yield path
    finally:
        for _ in range(100):
            if tool('umount', path).returncode == 0:
                break
            time.sleep(0.1)


def fill(path):
    """Takes all that is left; returns the file that holds it."""
    name = os.path.join(path, 'filler')
    with open(name, 'ab', buffering=0) as handle:
        for size in (MIB, 4096, 1):
            with contextlib.suppress(OSError):
                while True:
                    handle.write(b'f' * size)
    return name


def full_at_init(case):
    case.step('full at node init')
    conf = case.path('small.conf')
    with file_system(case, 'small', CHECKPOINTS_MIB + 55) as path:
        def write(size):
            with open(conf, 'w', encoding='utf-8') as handle:
                handle.write(
                    'node = { name = "a"; id = 1; dev = true; }; storage = "small/st";\n'
                    f'devices = ( {{ path = "small/st/device0"; size = "{size}"; }} );\n'
                    'nodes = ( { name = "a"; id = 1; data = "127.0.0.1:9"; '
                    'mgmt = "127.0.0.1:7001"; resp = "127.0.0.1:6001"; '
                    'client = "127.0.0.1:6101"; } );\n')
        write('64MiB')
        done = tool(case.cluster.tern, 'node', 'init', '--config', conf)
        print('   ' + done.stderr.strip())
        require(done.returncode == 8 and 'No space left on device' in done.stderr and
                'devices[].size' in done.stderr, f'exit {done.returncode} {done.stderr}')
        require(os.listdir(os.path.join(path, 'st')) == [], 'nothing half-made is left')
        write('32MiB')
        done = tool(case.cluster.tern, 'node', 'init', '--config', conf)
        require(done.returncode == 0, f'with room: exit {done.returncode} {done.stderr}')


def full_at_up(case):
    case.step('full at dev up')
    with file_system(case, 'tight', CHECKPOINTS_MIB + 90) as path:
        cluster = Cluster(case.build, os.path.join(path, 'c'), log_size='32MiB')
        done = cluster.run('dev', 'up', '--log-size', '32MiB', check=False)
        print('   ' + done.stderr.strip())
        require(done.returncode == 8 and 'No space left on device' in done.stderr and
                'node b' in done.stderr, f'exit {done.returncode} {done.stderr}')
        states = cluster.dev('status', check=False).stdout
        require('running' not in states, f'nothing runs: {states}')
        done = tool('df', '--output=avail', '-m', path)
        require(int(done.stdout.split()[1]) > 12, f'what could not be made is gone: {done.stdout}')
        cluster.down()
        shutil.rmtree(os.path.join(path, 'c'))


def full_while_running(case):
    case.step('full while it runs')
    with file_system(case, 'filled', 2 * CHECKPOINTS_MIB + 110) as path:
        cluster = Cluster(case.build, os.path.join(path, 'c'), log_size='32MiB')
        try:
            cluster.up()
            cluster.settle()
            filler = fill(path)
            client = cluster.follower()
            for number in range(500):
                require(client.call('SET', f'k{number}', number) == 'OK', 'its log has its room')
            master = cluster.kill_master()
            cluster.wait('the other one', cluster.serves_without([master]))
            require(cluster.ask('SET', 'after', '1') == 'OK', 'the witness has its room')
            done = cluster.dev('start', master, check=False)
            if done.returncode != 0:
                print('   ' + done.stderr.strip())
                require('free space' in done.stderr or 'No space left' in done.stderr,
                        done.stderr)
                os.unlink(filler)
                cluster.dev('start', master)
            cluster.settle()
            require(cluster.ask('GET', 'k499') == '499', 'nothing is lost')
        finally:
            cluster.down()


@contextlib.contextmanager
def failing_device(case, device):
    """Moves @device to a loop device whose file lies on a RAM file system of its size; yields a
    function after which most of it can be read and not written."""
    ram = case.path('ram')
    os.makedirs(ram)
    size = os.path.getsize(device) + 2 * MIB
    require(tool('mount', '-t', 'tmpfs', '-o', f'size={size}', 'tmpfs', ram).returncode == 0,
            'a RAM file system')
    image, loop = os.path.join(ram, 'image'), None
    try:
        shutil.move(device, image)
        done = tool('losetup', '--find', '--show', image)
        require(done.returncode == 0, done.stderr)
        loop = done.stdout.strip()
        os.symlink(loop, device)

        def fail():
            first = 4 * MIB
            done = tool('fallocate', '--punch-hole', '-o', str(first), '-l',
                        str(os.path.getsize(image) - first), image)
            require(done.returncode == 0, done.stderr)
            fill(ram)
        yield fail
    finally:
        case.cluster.down()
        if loop is not None:
            tool('losetup', '--detach', loop)
        tool('umount', '-l', ram)


def failing(case, role):
    """The device of the master, or of the replica, fails under load."""
    case.step(f'the device of the {role} fails')
    cluster = case.cluster
    cluster.log_size = '32MiB'
    case.another()
    cluster = case.cluster
    cluster.log_size = '32MiB'
    cluster.remove()
    cluster.up()
    cluster.down()
    with failing_device(case, os.path.join(cluster.dir, 'b', 'storage', 'device0')) as fail:
        cluster.up()
        cluster.settle()
        cluster.switchover('b' if role == 'master' else 'a')
        cluster.settle()
        journal = case.path(f'journal-{role}')
        load = cluster.load_begin(journal, role, connections=8)
        fail()
        cluster.wait('the other node to serve', cluster.serves_without(['b']))
        # What the disk no longer takes is told, and who is left goes on.
        text = cluster.wait('status to say it', lambda s: s['b'].get('storage_failed') and
                            cluster.run('status', check=False).stdout)
        print('   ' + text.replace('\n', '\n   '))
        require(re.search(r'^b: its storage failed; it promises nothing until it is replaced$',
                          text, re.M), text)
        require(cluster.run('status', check=False).returncode == 3, 'degraded')
        cluster.load_end(load, journal)
        found = cluster.verify(journal)
        require(found['lost'] == 0, f'{found}')
    shutil.rmtree(case.path('ram'), ignore_errors=True)


def test(case):
    if os.geteuid() != 0 or any(shutil.which(name) is None for name in
                                ('losetup', 'mkfs.ext4', 'mount', 'fallocate')):
        print('skipped: file systems of our own need root, mount and mkfs.ext4')
        sys.exit(77)
    full_at_init(case)
    full_at_up(case)
    full_while_running(case)
    failing(case, 'replica')
    failing(case, 'master')


main(test)
