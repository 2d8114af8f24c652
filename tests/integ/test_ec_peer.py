# SPDX-License-Identifier: Apache-2.0
"""What parity cannot mend, on nodes of 4+2 files. Pages of five devices of a node rot: a scrub gets
them back from the other node, and what of a checkpoint is lost gives way to a new one. With the
other node away nobody has them: it is said, a checkpoint takes their place, and the node goes on. A
scrub that is paused goes on after a start. A spare of the node file is taken, a backup of the
stopped node reads it, and a used device is taken only by its name."""
import json
import os
import subprocess
import time

from case import main, require
from test_ec import (begin, end, job, lost, node_file, pool_of_file, scrub, tern_json,
                     wait_lost, whole)

PAGE = 4096
LOG_FIRST = 16  # pages of superblocks
ROTTEN = (1, 2, 3, 4, 5)  # groups of one page lie on three neighbours, wherever they begin
HARM = 140  # in a page: what lies behind its used bytes can be put right by itself


def number(area, at):
    return int.from_bytes(area[at:at + 8], 'little')


def harm(file, at, area):
    file.seek(at + HARM)
    file.write(bytes([area[at + HARM] ^ 0x10]))


def rot_log(node, count):
    """The newest @count rows of the log come to harm on five devices. Returns how many pages did."""
    harmed = 0
    for device in ROTTEN:
        with open(node['pool']['devices'][device]['path'], 'r+b') as file:
            area = file.read()
            end_of_log = number(area, 64) + number(area, 72)
            cells = []
            for page in range(LOG_FIRST, end_of_log):
                at = page * PAGE
                cell = number(area, at + 40)
                if area[at + 4:at + 7] == bytes((1, 4, 2)) and number(area, at + 8) == \
                        number(area, 24) and cell % 6 == device:
                    cells.append((cell, at))
            require(len(cells) > count, f'{len(cells)} pages in the log of device {device}')
            for _, at in sorted(cells)[-count:]:
                harm(file, at, area)
                harmed += 1
            os.fsync(file.fileno())
    return harmed


def rot_checkpoints(node):
    """Every page that holds anything behind the log, on five devices."""
    for device in ROTTEN:
        with open(node['pool']['devices'][device]['path'], 'r+b') as file:
            area = file.read()
            for at in range(number(area, 80) * PAGE, len(area), PAGE):
                if any(area[at:at + PAGE]):
                    harm(file, at, area)
            os.fsync(file.fileno())


def wait_checkpoint(cluster, name, behind=0):
    return cluster.wait(f'a checkpoint of {name}',
                        lambda status: status[name].get('checkpoint_index', 0) > behind)


def load_to_checkpoint(case, journals, name, behind=0):
    journal, load = begin(case, len(journals) + 1)
    wait_checkpoint(case.cluster, name, behind)
    end(case, journals, journal, load)


def start_again(cluster, name):
    """Nothing of the log is in memory then, but what is written from now on."""
    cluster.dev('kill', name)
    cluster.dev('start', name)


def paths_of(cluster, name):
    return [device['path'] for device in cluster.status()[name]['pool']['devices']]


def take_away(path):
    os.rename(path, path + '.away')


def bring_back(path):
    os.rename(path + '.away', path)


def serves_alone(cluster, name):
    cluster.wait(f'{name} to serve', cluster.serves_without([cluster.other(name)]))


def load_some(case, journals, seconds):
    journal, load = begin(case, len(journals) + 1)
    time.sleep(seconds)
    end(case, journals, journal, load)


def from_the_peer(case, name):
    cluster = case.cluster
    case.step(f'five devices of {name} rot')
    start_again(cluster, name)
    cluster.settle()
    node = cluster.status()[name]
    harmed = rot_log(node, 40)
    node = scrub(case, name)
    found = job(node, 'scrub')
    require(found['found'] >= harmed // 2 and found['repaired_from_peer'] > 0 and
            found['unrepairable'] == 0, f'{harmed} harmed: {found}')
    pool = node['pool']
    require(pool['repaired_from_peer'] > 0 and pool['blocks_from_peers'] > 0 and
            pool['lost_everywhere'] == 0 and pool['losses_left'] == 2, f'{pool}')
    for device in ROTTEN:
        require(pool['devices'][device]['pages_from_peer'] > 0, f'{pool["devices"][device]}')
    require(job(scrub(case, name), 'scrub')['found'] == 0, 'nothing is left to find')
    shown = cluster.run('device', 'scrub', 'status', name)
    require('FROM PEER' in shown.stdout, shown.stdout)


def checkpoint_replaced(case, journals, name):
    cluster = case.cluster
    case.step(f'a checkpoint of {name} is lost')
    load_to_checkpoint(case, journals, name)
    before = cluster.status()[name]['checkpoint_index']
    rot_checkpoints(cluster.status()[name])
    found = job(scrub(case, name), 'scrub')
    require(found['replaced'] > 0 and found['unrepairable'] == 0, f'{found}')
    load_to_checkpoint(case, journals, name, before)
    require(job(scrub(case, name), 'scrub')['replaced'] == 0, 'a new one took its place')
    start_again(cluster, name)
    cluster.settle()
    require(cluster.status()[name]['checkpoint_index'] > before, 'and a start finds it')


def nobody_has_it(case, journals, name):
    """A node alone finds that it has lost what nobody can give."""
    cluster = case.cluster
    other = cluster.other(name)
    case.step(f'{name} alone, and five of its devices rot')
    cluster.dev('kill', other)
    serves_alone(cluster, name)
    load_some(case, journals, 0.5)
    start_again(cluster, name)
    serves_alone(cluster, name)
    rot_log(cluster.status()[name], 30)
    node = scrub(case, name)
    found = job(node, 'scrub')
    require(found['unrepairable'] > 0 and node['pool']['lost_everywhere'] > 0, f'{found}')
    done = cluster.run('status', check=False)
    require('pages that it cannot repair' in done.stdout, done.stdout)
    log = os.path.join(cluster.dir, name, 'log')
    cluster.wait('the alarm', lambda _status: 'alarm=scrub_unrepairable' in
                 open(log, encoding='utf-8', errors='replace').read())
    case.step('a checkpoint takes its place')
    load_some(case, journals, 0.5)
    cluster.dev('start', other)
    cluster.settle()
    require(job(scrub(case, name), 'scrub')['unrepairable'] == 0, 'nobody needs it any more')
    case.verify(journals)
    cluster.wait_equal()


def scrub_goes_on(case, name):
    cluster = case.cluster
    case.step(f'a scrub of {name} goes on after a start')
    tern_json(cluster, 'device', 'scrub', 'rate', '2MiB', name)
    tern_json(cluster, 'device', 'scrub', 'start', name)
    cluster.wait('it to get on', lambda status: job(status[name], 'scrub')['done_units'] > 500)
    tern_json(cluster, 'device', 'scrub', 'pause', name)
    note = os.path.join(cluster.dir, name, 'storage', 'scrub')
    cluster.wait('the note', lambda _status: os.path.exists(note) and
                 'state=2' in open(note, encoding='utf-8').read())
    done = job(cluster.status()[name], 'scrub')['done_units']
    start_again(cluster, name)
    cluster.settle()
    now = job(cluster.status()[name], 'scrub')
    require(now['state'] == 'paused', f'{now}')
    tern_json(cluster, 'device', 'scrub', 'rate', '4KiB', name)
    tern_json(cluster, 'device', 'scrub', 'resume', name)
    now = cluster.wait('it to go on', lambda status:
                       job(status[name], 'scrub')['done_units'] > 0 and status[name])
    # A checkpoint may have taken a part of the log with it meanwhile.
    require(job(now, 'scrub')['done_units'] >= done // 2, f'{done} before: {now["jobs"]}')
    tern_json(cluster, 'device', 'scrub', 'rate', '64MiB', name)
    cluster.wait('it to end', lambda status: job(status[name], 'scrub')['state'] == 'done')
    cluster.wait('the note', lambda _status: 'state=0' in open(note, encoding='utf-8').read())


def tern(case, *words, code=0):
    done = subprocess.run([case.cluster.tern, *words, '-o', 'json'], capture_output=True, text=True,
                          timeout=120)
    require(done.returncode == code, f'{words}: {done}')
    return json.loads(done.stdout) if code == 0 and done.stdout else None


def spare_of_the_file(case, journals, name):
    """A device fails while the node has a spare; the stopped node is backed up from it."""
    cluster = case.cluster
    case.step(f'{name} takes the spare of its node file')
    spare = case.path('spare')
    daemon = os.path.join(os.path.dirname(os.path.realpath(cluster.tern)), '..', 'daemon', 'ternd')
    tern(case, 'device', 'add', spare, '--config', node_file(cluster, name))
    cluster.dev('kill', name)
    # `dev start` writes the node file anew.
    log = open(os.path.join(cluster.dir, name, 'log'), 'a', encoding='utf-8')
    process = subprocess.Popen([daemon, '--config', node_file(cluster, name)], stdout=log,
                               stderr=log, start_new_session=True)
    try:
        cluster.settle()
        ready = cluster.status()[name]['pool']['spares']
        require([(one['path'], one['state']) for one in ready] == [(spare, 'ready')], f'{ready}')
        devices = pool_of_file(node_file(cluster, name))
        tern_json(cluster, 'device', 'fail', name, '3')
        node = cluster.wait(f'{name} to be whole', whole(name))
        require(node['pool']['devices'][3]['path'] == spare, f'{node["pool"]}')
        used_device(case, name, devices)
        load_some(case, journals, 0.3)
    finally:
        process.kill()
        process.wait()
        log.close()
    dirs = [case.path(f'backup{number}') for number in range(2)]
    for path in dirs:
        os.makedirs(path)
    # The device that was replaced is no part of it, and one more may be missing.
    for device in (0, 3):
        take_away(devices[device])
    made = tern(case, 'backup', 'create', '--config', node_file(cluster, name), '--to',
                ','.join(dirs), '--ec', '1+1')
    require(not made['live'] and made['last_index'] > 0, f'{made}')
    for device in (0, 3):
        bring_back(devices[device])
    with open(os.path.join(cluster.dir, name, 'storage', 'spares'), encoding='utf-8') as handle:
        require(spare in handle.read(), 'noted')
    cluster.dev('start', name)
    cluster.settle()
    require(cluster.status()[name]['pool']['devices'][3]['path'] == spare, 'it stands there still')


def used_device(case, name, devices):
    """While the node runs, what carries something is taken only by its name."""
    cluster = case.cluster
    tern_json(cluster, 'device', 'fail', name, '5')
    wait_lost(cluster, name, [5])
    path = case.path('used')
    with open(path, 'wb') as handle:
        handle.truncate(os.path.getsize(devices[0]))
    environment = dict(os.environ, PATH=os.environ['PATH'] + ':/usr/sbin:/sbin')
    subprocess.run(['mkfs.ext4', '-q', '-L', 'precious', path], check=True, timeout=60,
                   env=environment)
    words = ('device', 'replace', '5', path, '--config', node_file(cluster, name))
    tern(case, *words, code=8)
    tern(case, *words, '--wipe', devices[0], code=2)
    with open(path, 'rb') as handle:
        require(b'precious' in handle.read(4096), 'not named, so left alone')
    require(lost(cluster.status()[name]) == [5], 'nothing has changed')
    tern(case, *words, '--wipe', path)
    cluster.wait(f'{name} to be whole', whole(name))


def lost_for_good(case, journals, name):
    """More devices than it bears are lost for good: it says so, gets new storage under its old id, and
    everything from the other node."""
    cluster = case.cluster
    case.step(f'three devices of {name} are gone')
    devices = paths_of(cluster, name)
    cluster.dev('kill', name)
    for device in (1, 2, 4):
        os.unlink(devices[device])
    done = cluster.dev('start', name, check=False)
    require(done.returncode == 8 and 'tern node rejoin' in done.stderr, f'{done}')
    load_some(case, journals, 0.3)
    cluster.lose_storage(name)
    done = cluster.rejoin(name)
    require(done.returncode == 0, f'rejoin: {done}')
    cluster.dev('start', name)
    cluster.settle()
    case.verify(journals)
    cluster.wait_equal()


def refused(case, name, why):
    done = case.cluster.dev('start', name, check=False)
    require(done.returncode == 8 and why in done.stdout + done.stderr, f'{why}: {done}')


def wait_whole(case, name):
    case.cluster.wait(f'{name} to be whole', lambda status: 'pool' in status[name] and
                      status[name]['pool']['losses_left'] == 1)
    case.cluster.settle()


def lost_while_stopped(case, journals, name, devices):
    """The half that is left starts by itself; the other one, alone, does not."""
    cluster = case.cluster
    note = os.path.join(cluster.dir, name, 'storage', 'pool')
    case.step(f'{name} stops, a device is lost meanwhile, and it starts by itself')
    cluster.dev('kill', name)
    take_away(devices[0])
    cluster.dev('start', name)
    cluster.settle()
    require(lost(cluster.status()[name]) == [0], f'{cluster.status()[name]["pool"]}')
    load_some(case, journals, 0.3)
    case.step('the half that was left behind does not start alone')
    cluster.dev('kill', name)
    take_away(devices[1])
    bring_back(devices[0])
    refused(case, name, 'the others went on without this device')
    take_away(note)
    refused(case, name, 'there is no pool note')
    bring_back(note)
    case.step('together they do')
    bring_back(devices[1])
    cluster.dev('start', name)
    wait_whole(case, name)
    case.verify(journals)
    return note


def note_is_of_no_use(case, journals, name, devices, note):
    """An old copy of the note, a torn one and none: so few devices do not start with it."""
    cluster = case.cluster
    case.step('the note is an old copy, torn, and gone')
    with open(note, 'rb') as handle:
        old = handle.read()
    start_again(cluster, name)
    cluster.settle()
    load_some(case, journals, 0.3)
    cluster.dev('kill', name)
    take_away(devices[1])
    take_away(note)
    for content, why in ((old, 'is older than what is on them'), (old[:40], 'cannot be read'),
                         (None, 'there is no pool note')):
        if content is not None:
            with open(note, 'wb') as handle:
                handle.write(content)
        elif os.path.exists(note):
            os.unlink(note)
        refused(case, name, why)
    bring_back(note)
    cluster.dev('start', name)
    cluster.settle()
    require(lost(cluster.status()[name]) == [1], 'with the right one it does')
    cluster.dev('kill', name)
    bring_back(devices[1])
    cluster.dev('start', name)
    wait_whole(case, name)
    case.verify(journals)


def note_cannot_be_written(case, journals, name, note):
    """A device fails, and nobody may count on the other one alone before the note says so."""
    cluster = case.cluster
    case.step('a device fails, and the note cannot be written')
    os.mkdir(note + '.tmp')
    case.cluster.dev('fault', name, '1=eio')
    journal, load = begin(case, len(journals) + 1)
    node = cluster.wait(f'{name} to stop', lambda status: status[name].get('storage_failed') and
                        status[name])
    require(node['pool']['note_failed'] and node['pool']['stopped'], f'{node["pool"]}')
    log = os.path.join(cluster.dir, name, 'log')
    with open(log, encoding='utf-8', errors='replace') as handle:
        require('pool_note_failed' in handle.read(), 'it says why')
    end(case, journals, journal, load)
    os.rmdir(note + '.tmp')
    cluster.dev('fault', name, '1=none')
    start_again(cluster, name)
    wait_whole(case, name)
    case.verify(journals)


def rests_on_a_spare(case, journals, name, devices):
    """All devices of the node file are gone, or blank ones are in their places: what the pool rests on
    now came in while the node ran, and that is enough. Returns its path."""
    cluster = case.cluster
    case.step(f'{name} rests on a spare, and its node file names nothing that is there')
    spare = os.path.join(cluster.dir, name, 'new-1')
    tern_json(cluster, 'device', 'fail', name, '1')
    tern(case, 'device', 'replace', '1', spare, '--config', node_file(cluster, name))
    wait_whole(case, name)
    tern_json(cluster, 'device', 'fail', name, '0')
    load_some(case, journals, 0.3)
    cluster.dev('kill', name)
    for path in devices:
        take_away(path)
    cluster.dev('start', name)
    cluster.settle()
    found = cluster.status()[name]
    require(lost(found) == [0] and found['pool']['devices'][1]['path'] == spare, f'{found["pool"]}')
    case.verify(journals)
    cluster.dev('kill', name)
    take_away(spare)
    refused(case, name, 'tern node rejoin')
    case.step('blank ones are in their places')
    for path in devices:
        with open(path, 'wb') as handle:
            handle.truncate(os.path.getsize(path + '.away'))
    refused(case, name, 'the superblock is blank')
    bring_back(spare)
    cluster.dev('start', name)
    wait_whole(case, name)
    load_some(case, journals, 0.3)
    os.unlink(devices[0] + '.away')
    os.unlink(devices[1] + '.away')
    return spare


def spare_of_an_earlier_pool(case, journals, name, devices, spare):
    """What a node rested on when its other device was lost is away while it gets new storage, and comes
    back: nothing is taken from it. Nor is a spare of use that is too small."""
    cluster = case.cluster
    case.step(f'{name} rests on a spare, is made anew without it, and finds it again')
    listed = os.path.join(cluster.dir, name, 'storage', 'spares')
    tern_json(cluster, 'device', 'fail', name, '0')
    load_some(case, journals, 0.3)
    cluster.dev('kill', name)
    for path in devices:
        take_away(path)
    done = cluster.rejoin(name)
    require(done.returncode == 5 and spare in done.stderr, f'it holds all there is: {done}')
    take_away(spare)
    done = cluster.rejoin(name)
    require(done.returncode == 0 and not os.path.exists(listed), f'{done}')
    cluster.dev('start', name)
    cluster.settle()
    load_some(case, journals, 0.3)
    cluster.dev('kill', name)
    bring_back(spare)
    small = os.path.join(cluster.dir, name, 'small')
    with open(small, 'wb') as handle:
        handle.truncate(1 << 20)
    with open(listed, 'w', encoding='utf-8') as handle:
        handle.write(f'{spare}\n{small}\n') # as a node file may
    cluster.dev('start', name)
    cluster.settle()
    found = cluster.status()[name]['pool']
    require([one['path'] for one in found['devices']] == devices and
            [one['state'] for one in found['spares']] == ['not usable'] * 2, f'{found}')
    case.verify(journals)


def mirror(case):
    """One half of a mirror serves: that which the other one cannot have gone on without."""
    cluster = case.cluster
    cluster.ec = '1+1'
    cluster.log_size = '64MiB'
    cluster.up()
    cluster.settle()
    journals = []
    load_some(case, journals, 0.5)
    name = cluster.other(cluster.wait_master())
    devices = paths_of(cluster, name)
    note = lost_while_stopped(case, journals, name, devices)
    case.step('one fails while the node runs')
    tern_json(cluster, 'device', 'fail', name, '1')
    load_some(case, journals, 0.3)
    cluster.dev('kill', name)
    take_away(devices[1])
    cluster.dev('start', name)
    cluster.settle()
    case.verify(journals)
    cluster.dev('kill', name)
    take_away(devices[0])
    bring_back(devices[1])
    refused(case, name, 'the others went on without this device')
    bring_back(devices[0])
    cluster.dev('start', name)
    wait_whole(case, name)
    note_is_of_no_use(case, journals, name, devices, note)
    note_cannot_be_written(case, journals, name, note)
    spare = rests_on_a_spare(case, journals, name, devices)
    spare_of_an_earlier_pool(case, journals, name, devices, spare)
    case.restart_all_and_verify(journals)
    cluster.wait_equal()


def test(case, part=''):
    if part == 'mirror':
        mirror(case)
        return
    cluster = case.cluster
    cluster.ec = '4+2'
    cluster.log_size = '32MiB'
    cluster.up()
    cluster.settle()
    journals = []
    load_some(case, journals, 1)
    replica = cluster.other(cluster.wait_master())
    from_the_peer(case, replica)
    checkpoint_replaced(case, journals, replica)
    scrub_goes_on(case, replica)
    spare_of_the_file(case, journals, replica)
    nobody_has_it(case, journals, cluster.wait_master())
    lost_for_good(case, journals, cluster.other(cluster.wait_master()))
    case.restart_all_and_verify(journals)
    cluster.wait_equal()


main(test)
