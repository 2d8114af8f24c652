# SPDX-License-Identifier: Apache-2.0
"""Installed by hand: node files, `tern node init`, the daemons; the data nodes on block devices
(loop devices that this test makes), polling `busy`. Storage is created once and never twice. A
device that does not answer is not had by the next process before it has answered the last one: the
loop device of `b` lies in a file system that is frozen for that."""
import contextlib
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import time

from case import Failure, main, require
from resp import Client

MIB = 1 << 20


def loop_make(path):
    with open(path, 'wb') as handle:
        handle.truncate(128 * MIB)
    done = subprocess.run(['losetup', '--find', '--show', '--direct-io=on', path],
                          capture_output=True, text=True, timeout=30)
    return done.stdout.strip() if done.returncode == 0 else None


@contextlib.contextmanager
def file_system(case):
    """An ext4 on a loop device; yields where it is mounted."""
    image, path = case.path('fs.img'), case.path('fs')
    with open(image, 'wb') as handle:
        handle.truncate(256 * MIB)
    os.makedirs(path)
    environment = dict(os.environ, PATH=os.environ['PATH'] + ':/usr/sbin:/sbin')
    for command in (['mkfs.ext4', '-q', image], ['mount', '-o', 'loop', image, path]):
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
        if done.returncode != 0:
            print(f'skipped: no file system of our own: {done.stderr.strip()}')
            sys.exit(77)
    try:
        yield path
    finally:
        for _ in range(100):
            if subprocess.run(['umount', path], capture_output=True, timeout=60).returncode == 0:
                break
            time.sleep(0.1)


def freeze(path, how):
    done = subprocess.run(['fsfreeze', how, path], capture_output=True, text=True, timeout=60)
    require(done.returncode == 0, f'fsfreeze: {done.stderr}')


def in_flight(case, paths, name):
    done = tern(case, 'status', '--node-file', paths[name], '-o', 'json')
    nodes = json.loads(done.stdout)['nodes']
    return next((node['disk']['in_flight'] for node in nodes
                 if node['name'] == name and 'disk' in node), 0)


def write_after_death(case, paths, processes, addresses, frozen):
    case.step('kill -9 with a write that the device has not answered: nobody gets the device')
    freeze(frozen, '--freeze')
    try:
        until = time.monotonic() + 60
        while in_flight(case, paths, 'b') == 0:
            require(call_anyone(addresses, 'SET', 'late', 'x') == 'OK', 'SET')
            require(time.monotonic() < until, 'b has nothing in flight')
        processes['b'].kill()
        processes['b'].wait()
        processes['b'] = start(case, paths, 'b')
        try:
            code = processes['b'].wait(timeout=60)
        except subprocess.TimeoutExpired:
            code = None
        with open(case.path('b.log'), encoding='utf-8') as handle:
            said = handle.readlines()[-1]
        require(code == 8 and 'left requests that the device has not answered' in said,
                f'exit {code}: {said}')
    finally:
        freeze(frozen, '--unfreeze')
    processes['b'] = start(case, paths, 'b')
    for i in range(20):
        require(call_anyone(addresses, 'SET', f'later{i}', i) == 'OK', 'SET')
    require(processes['b'].poll() is None, 'b runs')


def node_files(case, devices):
    """Takes the node files that `tern dev up` writes as a pattern and moves them elsewhere."""
    cluster = case.cluster
    cluster.log_size = '32MiB'
    cluster.up()
    cluster.down()
    run_dir = case.path('run')
    os.makedirs(run_dir, exist_ok=True)
    short = os.path.join('/tmp', f'tern-it-{os.getpid()}')
    os.symlink(run_dir, short)
    paths = {}
    for name in ('a', 'b', 'w'):
        with open(os.path.join(cluster.dir, name, 'node.conf'), encoding='utf-8') as handle:
            text = handle.read()
        text = re.sub(r'/tmp/tern-[A-Za-z0-9]+', short, text)
        text = text.replace(os.path.join(cluster.dir, name, 'storage'), case.path(f'st-{name}'))
        if name in devices:
            text = re.sub(r'path = "[^"]*device0"', f'path = "{devices[name]}"', text)
            text = text.replace('size = "32MiB"', 'size = "128MiB"')
            text += 'poll = { mode = "busy"; };\ndisk = { iopoll = "auto"; passthrough = "auto"; };\n'
        paths[name] = case.path(f'{name}.conf')
        with open(paths[name], 'w', encoding='utf-8') as handle:
            handle.write(text)
    return paths, short


def tern(case, *args):
    return subprocess.run([case.cluster.tern, *args], capture_output=True, text=True, timeout=120)


def start(case, paths, name):
    program = 'control/witness/tern-witness' if name == 'w' else 'control/daemon/ternd'
    log = open(case.path(f'{name}.log'), 'a', encoding='utf-8')
    return subprocess.Popen([os.path.join(case.build, program), '--config', paths[name]],
                            stderr=log, stdout=log)


def call_anyone(addresses, *args):
    """The reply of whichever node serves."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        for address in addresses:
            try:
                client = Client(address)
                reply = client.call(*args)
                client.close()
            except OSError:
                continue
            if not hasattr(reply, 'text'):
                return reply
        time.sleep(0.02)
    raise Failure(f'nobody answered {args}')


def run(case, devices, processes, frozen):
    paths, short = node_files(case, devices)
    try:
        case.step('node init, once')
        done = tern(case, 'node', 'init', '--config', paths['a'], '-o', 'json')
        require(done.returncode == 0, done.stdout + done.stderr)
        cluster_id = re.search(r'"cluster_id": *"([0-9a-f]+)"', done.stdout).group(1)
        for name in ('b', 'w'):
            done = tern(case, 'node', 'init', '--config', paths[name], '--cluster-id', cluster_id)
            require(done.returncode == 0, done.stdout + done.stderr)
        for name in ('a', 'w'):
            done = tern(case, 'node', 'init', '--config', paths[name], '--cluster-id', cluster_id)
            require(done.returncode == 8, f'twice: exit {done.returncode}')

        case.step('NVMe commands are required of a device that takes none')
        with open(paths['a'], encoding='utf-8') as handle:
            text = handle.read()
        with open(case.path('commands.conf'), 'w', encoding='utf-8') as handle:
            handle.write(text.replace('passthrough = "auto"', 'passthrough = "on"'))
        done = subprocess.run([os.path.join(case.build, 'control/daemon/ternd'), '--config',
                               case.path('commands.conf')], capture_output=True, text=True,
                              timeout=60)
        require(done.returncode == 8 and f'{devices["a"]} is no NVMe namespace' in done.stderr,
                f'exit {done.returncode}: {done.stdout}{done.stderr}')

        case.step('serve from block devices')
        for name in ('a', 'b', 'w'):
            processes[name] = start(case, paths, name)
        with open(paths['a'], encoding='utf-8') as handle:
            addresses = re.findall(r'resp = "([^"]+)"', handle.read())
        for i in range(200):
            require(call_anyone(addresses, 'SET', f'key{i}', i) == 'OK', 'SET')
        done = tern(case, 'status', '--node-file', paths['a'], '-o', 'json')
        require(done.stdout.count('io_uring O_DIRECT') == 2, done.stdout)

        # Loop devices are not polled: that was tried, and service goes on without.
        for node in json.loads(done.stdout)['nodes']:
            if node['kind'] == 'data':
                disk = node['disk']
                require(disk['polled'] or 'device 0' in disk['polled_why_not'], disk)
                require(not disk['passthrough'] and
                        'is no NVMe namespace' in disk['passthrough_why_not'], disk)

        case.step('kill -9 of all, start again')
        for process in processes.values():
            process.kill()
            process.wait()
        for name in ('a', 'b', 'w'):
            processes[name] = start(case, paths, name)
        for i in range(200):
            require(call_anyone(addresses, 'GET', f'key{i}') == str(i), f'key{i}')
        write_after_death(case, paths, processes, addresses, frozen)
    finally:
        os.unlink(short)


def on_devices(case, frozen):
    devices = {'a': loop_make(case.path('a.img')), 'b': loop_make(os.path.join(frozen, 'b.img'))}
    processes = {}
    try:
        if None in devices.values():
            print('skipped: this machine gives out no loop devices')
            sys.exit(77)
        run(case, devices, processes, frozen)
    except BaseException:
        for log in sorted(glob.glob(case.path('*.log'))):
            with open(log, encoding='utf-8') as handle:
                print(f'--- {log}\n' + ''.join(handle.readlines()[-10:]))
        raise
    finally:
        for process in processes.values():
            process.kill()
            process.wait()
        for device in filter(None, devices.values()):
            subprocess.run(['losetup', '--detach', device], check=False, timeout=30)


def test(case):
    if os.geteuid() != 0 or shutil.which('losetup') is None:
        print('skipped: loop devices need root and losetup')
        sys.exit(77)
    with file_system(case) as frozen:
        on_devices(case, frozen)


main(test)
