# SPDX-License-Identifier: Apache-2.0
"""Devices that carry something, or that somebody uses, are left alone by every verb that makes
storage, unless they are named: loop devices with file systems, partition tables and swap, and one
that is mounted."""
import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys

from case import main, require

MIB = 1 << 20


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
        handle.write(f'node = {{ name = "a"; id = 1; dev = true; }}; storage = "{case.path("st")}";\n'
                     f'parity = 1; devices = ( {listed} );\n'
                     'state = { capacity = "4MiB"; }; log = { ring = "16MiB"; };\n'
                     'nodes = ( { name = "a"; id = 1; data = "127.0.0.1:9"; '
                     'mgmt = "127.0.0.1:7001"; resp = "127.0.0.1:6001"; '
                     'client = "127.0.0.1:6101"; } );\n')
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


main(test)
