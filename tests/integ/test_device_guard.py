# SPDX-License-Identifier: Apache-2.0
"""Devices that carry something, or that somebody uses, are left alone by every verb that makes
storage, unless they are named: loop devices with file systems, partition tables and swap, and one
that is mounted. One that is too short for what a pool has on its devices takes nobody's place. A pool
of files and a block device starts, and makes checkpoints."""
import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time

from case import main, require

MIB = 1 << 20
SOCKET = f'/tmp/tern-it-{os.getpid()}.sock'
PORT = 10000 + os.getpid() % 5000 * 4


def run(*words, check=True, stdin=None):
    done = subprocess.run(words, input=stdin, capture_output=True, text=True, timeout=60,
                          env=dict(os.environ, PATH=os.environ['PATH'] + ':/usr/sbin:/sbin'))
    require(not check or done.returncode == 0, f'{words}: {done.stderr}')
    return done


@contextlib.contextmanager
def loops(case, count):
    made = []
    try:
        for i in range(count):
            image = case.path(f'image{i}')
            with open(image, 'wb') as handle:
                handle.truncate(64 * MIB)
            done = run('losetup', '--find', '--show', '--direct-io=on', image, check=False)
            if done.returncode != 0:
                print('skipped: this machine gives out no loop devices')
                sys.exit(77)
            made.append(done.stdout.strip())
        yield made
    finally:
        for device in made:
            run('losetup', '--detach', device, check=False)


def content(path):
    with open(path, 'rb') as handle:
        return hashlib.sha256(handle.read()).hexdigest()


def tern(case, *words, code):
    done = run(case.cluster.tern, *words, '-o', 'json', check=False)
    require(done.returncode == code,
            f'{" ".join(words)}: exit {done.returncode}, not {code}\n{done.stdout}{done.stderr}')
    return json.loads(done.stdout), done.stderr


def node_file(case, devices):
    path = case.path('node.conf')
    listed = ', '.join(f'{{ path = "{device}"; size = "64MiB"; }}' for device in devices)
    with open(path, 'w', encoding='utf-8') as handle:
        handle.write(f'node = {{ name = "a"; id = 1; dev = true; }}; storage = "{case.path("st")}"; admin = "{SOCKET}";\n'
                     f'parity = 1; devices = ( {listed} );\n'
                     'state = { capacity = "4MiB"; }; log = { ring = "16MiB"; };\n'
                     'nodes = ( { name = "a"; id = 1; data = "127.0.0.1:9"; '
                     f'mgmt = "127.0.0.1:{PORT}"; resp = "127.0.0.1:{PORT + 1}"; '
                     f'client = "127.0.0.1:{PORT + 2}"; }} );\n')
    return path


def usable(case, device):
    code = 5 if device.startswith('/dev/') and is_mounted(device) else 0
    (one,) = tern(case, 'device', 'scan', device, code=code)[0]['devices']
    return one


def is_mounted(device):
    with open('/proc/self/mountinfo', encoding='utf-8') as handle:
        return f' {device} ' in handle.read()


def refusals(case, devices, config):
    case.step('what carries something is named and left alone')
    first, second, third = devices
    require(usable(case, first)['usable'] == 'yes', 'blank')
    run('mkfs.ext4', '-q', '-L', 'home', second)
    run('sfdisk', '-q', '--no-reread', '--no-tell-kernel', third, stdin='label: gpt\n,8M\n')
    before = [content(device) for device in devices]
    found = usable(case, second)
    require(found['usable'] == 'wipe' and 'ext4' in found['carries'] and
            found['wipe_by'] == second and found['facts']['kind'] == 'loop', found)
    require('gpt' in usable(case, third)['carries'], 'the table is seen')
    said = tern(case, 'node', 'init', '--config', config, code=5)[1]
    require(second in said and 'ext4' in said and 'home' in said and f'--wipe {second}' in said,
            said)
    require(tern(case, 'node', 'init', '--config', config, '--wipe', first + 'x', code=2), '')
    # All that would have to go has to be named, or nothing goes.
    said = tern(case, 'node', 'init', '--config', config, '--wipe', second, code=5)[1]
    require(third in said and 'gpt' in said and 'nothing was wiped' in said, said)
    require([content(device) for device in devices][1:] == before[1:], 'nothing was written')


def wipes(case, devices, config):
    case.step('what is named goes')
    tern(case, 'node', 'init', '--config', config, '--cluster-id', 'abc', '--wipe',
         ','.join(devices[1:]), code=0)
    for number, device in enumerate(devices):
        found = usable(case, device)
        require(found['tern'] == {'cluster_id': '0000000000000abc', 'node_id': 1, 'device': number,
                                  'k': 2, 'm': 1}, found)
        require('ext4' not in found['carries'] and 'gpt' not in found['carries'], found)
    case.step('a node does not wipe what it has written itself')
    before = [content(device) for device in devices]
    tern(case, 'node', 'init', '--config', config, code=8)
    said = tern(case, 'node', 'init', '--config', config, '--wipe', ','.join(devices), code=5)[1]
    require('this very node' in said, said)
    require(tern(case, 'node', 'rejoin', '--config', config, '--cluster-id', 'abc', '--wipe',
                 devices[0], code=5), 'the only copy')
    require([content(device) for device in devices] == before, 'nothing was written')


def mounted(case, device):
    case.step('mounted: not to be had under any name')
    run('mkfs.ext4', '-q', '-F', device)
    place = case.path('mnt')
    os.makedirs(place)
    if run('mount', device, place, check=False).returncode != 0:
        print('   this machine mounts no loop devices: left out')
        return
    try:
        found = usable(case, device)
        require(found['usable'] == 'no' and f'mounted at {place}' in found['why'], found)
        config = node_file(case, [device, case.path('f1'), case.path('f2')])
        for words in ([], ['--wipe', device]):
            said = tern(case, 'node', 'init', '--config', config, *words, code=5)[1]
            require('mounted' in said, said)
        require(not os.path.exists(case.path('f1')), 'no half-made storage')
    finally:
        run('umount', place)


@contextlib.contextmanager
def node_of(case, config):
    """A node of its own, which runs; yields what `tern` needs to find it."""
    with open(case.path('a.log'), 'a', encoding='utf-8') as log:
        process = subprocess.Popen([os.path.join(case.build, 'control/daemon/ternd'), '--config',
                                    config], stdout=log, stderr=log)
    try:
        until = time.monotonic() + 60
        while pool(case, config) is None:
            with open(case.path('a.log'), encoding='utf-8') as log:
                require(process.poll() is None and time.monotonic() < until, log.read())
            time.sleep(0.05)
        yield
    finally:
        process.kill()
        process.wait()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(SOCKET)


def pool(case, config):
    done = run(case.cluster.tern, 'status', '--node-file', config, '-o', 'json', check=False)
    (node,) = json.loads(done.stdout).get('nodes') or [{}]
    return node.get('pool')


def too_short(case, device):
    case.step('as long as the logs of the others, and without room for their checkpoints')
    config = node_file(case, [case.path(f'f{number}') for number in range(3)])
    tern(case, 'node', 'init', '--config', config, '--cluster-id', 'abc', code=0)
    with open(device, 'r+b') as handle:
        handle.write(bytes(64 * MIB))
    before = content(device)
    with node_of(case, config):
        tern(case, 'device', 'fail', 'a', '1', '--node-file', config, code=0)
        until = time.monotonic() + 60
        while pool(case, config)['devices'][1]['state'] != 'failed':
            require(time.monotonic() < until, 'device 1 is recorded as failed')
        said = tern(case, 'device', 'replace', '1', device, '--config', config, code=8)[1]
        require(f'{device}: is smaller than asked for' in said and 'choose a larger one' in said,
                said)
        require(pool(case, config)['devices'][1]['state'] == 'failed', 'it is not in its place')
    os.rename(case.path('f1'), case.path('f1.away'))
    os.symlink(device, case.path('f1'))
    said = tern(case, 'device', 'replace', '1', '--config', config, code=8)[1]
    require('choose a larger one' in said, said)
    require(content(device) == before, 'nothing was written')


def mixed(case, device):
    case.step('a pool of files and a block device')
    with open(device, 'r+b') as handle:
        handle.write(bytes(MIB))
    config = node_file(case, [case.path('m0'), device, case.path('m2')])
    tern(case, 'node', 'init', '--config', config, '--cluster-id', 'abc', code=0)
    require(os.path.getsize(case.path('m0')) == 64 * MIB, 'no room behind the log, as on the device')
    with node_of(case, config):
        found = pool(case, config)
        require([one['state'] for one in found['devices']] == ['ok'] * 3, f'{found}')
        areas = []
        for path in (case.path('m0'), device, case.path('m2')):
            with open(path, 'rb') as handle:
                page = handle.read(4096)
            areas.append([int.from_bytes(page[at:at + 8], 'little') for at in (64, 72, 80, 88)])
        require(areas[0] == areas[1] == areas[2] and areas[0][3] > 0 and
                areas[0][2] + areas[0][3] == 64 * MIB // 4096, f'{areas}')
        tern(case, 'device', 'fail', 'a', '0', '--node-file', config, code=0)
        until = time.monotonic() + 60
        while pool(case, config)['devices'][0]['state'] != 'failed':
            require(time.monotonic() < until, 'device 0 is recorded as failed')
        tern(case, 'device', 'replace', '0', case.path('m3'), '--config', config, code=0)
        while pool(case, config)['devices'][0]['state'] != 'ok':
            require(time.monotonic() < until, 'another file is in its place')


def test(case):
    if os.geteuid() != 0 or shutil.which('losetup') is None:
        print('skipped: loop devices need root and losetup')
        sys.exit(77)
    with loops(case, 4) as devices:
        config = node_file(case, devices[:3])
        refusals(case, devices[:3], config)
        wipes(case, devices[:3], config)
        case.step('a file behind a loop device is in use')
        (found,) = tern(case, 'device', 'scan', case.path('image0'), code=5)[0]['devices']
        require('is shown by' in found['why'], found)
        mounted(case, devices[3])
        too_short(case, devices[3])
        mixed(case, devices[3])


main(test)
