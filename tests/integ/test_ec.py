# SPDX-License-Identifier: Apache-2.0
"""Nodes of 4+2 files under load: devices of master and replica fail, by errors and by hanging, up to
what they bear; the master is killed, and the replica, which has lost a device itself, serves. One
device more, and a node stops acknowledging: the other one takes over. Nothing acknowledged is lost,
and states are equal. Then devices are replaced, or come back, are made whole under load, and others
fail in their place.

Devices fail at the storage seam of the running daemons (`tern dev fault`)."""
import json
import os
import subprocess
import time

from case import Failure, main, require

LOST = 2  # m


def pool(cluster, name):
    return cluster.status()[name]['pool']


def lost(node):
    return [device['position'] for device in node['pool']['devices'] if device['state'] != 'ok']


def wait_lost(cluster, name, devices):
    """The node knows that it has lost these devices, and what it still bears."""
    def look(status):
        node = status[name]
        return node if 'pool' in node and lost(node) == devices else None
    node = cluster.wait(f'{name} to miss its devices {devices}', look)
    require(node['pool']['degraded'], f'{name}: {node["pool"]}')
    require(node['pool']['losses_left'] == LOST - len(devices), f'{name}: {node["pool"]}')
    return node


def whole(name):
    def look(status):
        node = status[name]
        return node if 'pool' in node and not node['pool']['degraded'] and \
            node['pool']['losses_left'] == LOST else None
    return look


def fail(case, name, device, kind='eio'):
    case.step(f'device {device} of {name}: {kind}')
    case.cluster.dev('fault', name, f'{device}={kind}')


def begin(case, number):
    journal = case.path(f'journal-{number}')
    return journal, case.cluster.load_start(journal, f'load{number}')


def end(case, journals, journal, load):
    case.cluster.load_end(load, journal)
    journals.append(journal)
    case.verify(journals)


def heal(case, name):
    """All devices that the node lost come back as they were, with the node's next start."""
    cluster = case.cluster
    case.step(f'{name}: all its devices come back')
    gone = lost(cluster.status()[name])
    cluster.dev('kill', name)
    for device in gone:
        cluster.dev('fault', name, f'{device}=none')
    cluster.dev('start', name)
    cluster.wait(f'{name} to be whole', whole(name))


def lose_what_they_bear(case):
    """Devices of both nodes fail, of the master as many as it bears; it stays what it is. Returns it,
    and the replica. Where a busy host costs it its place meanwhile, all come back before the next try."""
    cluster = case.cluster
    found = []

    def attempt():
        for name in cluster.data_names():
            if lost(cluster.status()[name]):
                heal(case, name)
        master = cluster.wait_duplex()
        replica = cluster.other(master)
        before = cluster.standing(master)
        fail(case, replica, 3)
        wait_lost(cluster, replica, [3])
        fail(case, master, 0)
        wait_lost(cluster, master, [0])
        fail(case, master, 4)
        wait_lost(cluster, master, [0, 4])
        time.sleep(0.5)
        found[:] = [master, replica]
        return before, cluster.standing(master)

    cluster.undisturbed('devices that fail', attempt)
    return found


def kill_the_degraded_master(case, journals):
    cluster = case.cluster
    journal, load = begin(case, 1)
    time.sleep(0.5)
    master, replica = lose_what_they_bear(case)
    case.step('kill the master, which bears no more')
    cluster.kill_in_sync(master)
    cluster.wait('the replica to serve', cluster.serves_without([master]))
    time.sleep(0.5)
    end(case, journals, journal, load)
    require(lost(cluster.status()[replica]) == [3], 'it serves with one device lost')
    return master, replica


def hang_and_return(case, journals, dead, serving):
    """A device that does not answer fails after disk.hang; meanwhile writes wait."""
    cluster = case.cluster
    journal, load = begin(case, 2)
    time.sleep(0.3)
    fail(case, serving, 1, 'hang')
    wait_lost(cluster, serving, [1, 3])
    time.sleep(0.5)
    end(case, journals, journal, load)
    case.step(f'{dead} returns with the devices it has left')
    cluster.dev('start', dead)
    cluster.settle()
    wait_lost(cluster, dead, [0, 4])
    case.verify(journals)


def stop_in_sync(case):
    """The master loses a device more than it bears, and the other one serves; its name. On a busy host
    it may have been the only copy: then nobody else may, and it is done again."""
    cluster = case.cluster
    for _ in range(20):
        master = cluster.wait_duplex()
        fail(case, master, 5)
        if cluster.heir_of(master) is not None:
            return master
        cluster.dev('fault', master, '5=none')
        cluster.dev('kill', master)
        cluster.dev('start', master)
    raise Failure('the master was alone whenever it lost a device')


def one_too_many(case, journals):
    cluster = case.cluster
    journal, load = begin(case, 3)
    time.sleep(0.5)
    master = stop_in_sync(case)
    cluster.wait('its storage to have failed', lambda s: s[master]['storage_failed'] and
                 s[master]['pool']['stopped'])
    require(cluster.ask('SET', 'after', 'it') == 'OK', 'SET')
    time.sleep(0.5)
    end(case, journals, journal, load)
    done = cluster.run('status', check=False)
    require('DEGRADED' in done.stdout and 'more devices than it bears' in done.stdout,
            f'status says so: {done.stdout}')
    require(done.returncode == 3, f'status: exit {done.returncode}')
    case.step('the device was not broken; the node starts again')
    cluster.dev('fault', master, '5=none')
    cluster.dev('kill', master)
    cluster.dev('start', master)
    cluster.settle()
    case.verify(journals)


def replace_verb(cluster, name, device):
    """`tern device replace`, which is for the machine that the node is stopped on."""
    return subprocess.run([cluster.tern, 'device', 'replace', str(device), '--config',
                           os.path.join(cluster.dir, name, 'node.conf')],
                          capture_output=True, text=True, timeout=60)


def replace(case, name):
    """Of the devices that the node has lost, the first is replaced by a blank one and the others come
    back as they were."""
    cluster = case.cluster
    devices = pool(cluster, name)['devices']
    gone = lost(cluster.status()[name])
    case.step(f'{name}: device {gone[0]} is replaced, {gone[1:]} come back')
    done = replace_verb(cluster, name, gone[0])
    require(done.returncode == 5 and 'another process uses it' in done.stderr,
            f'while it runs: {done}')
    cluster.dev('kill', name)
    for device in gone:
        cluster.dev('fault', name, f'{device}=none')
    os.unlink(devices[gone[0]]['path'])
    done = replace_verb(cluster, name, gone[0])
    require(done.returncode == 0, f'replace: {done}')
    cluster.dev('start', name)
    node = cluster.wait(f'{name} to be whole', whole(name))
    require(node['pool']['rebuilt'] == len(gone), f'{name}: {node["pool"]}')


def make_whole(case, journals):
    cluster = case.cluster
    journal, load = begin(case, 4)
    time.sleep(0.3)
    before = {name: lost(cluster.status()[name]) for name in cluster.data_names()}
    for name in cluster.data_names():
        replace(case, name)
        cluster.wait_duplex()
    end(case, journals, journal, load)
    case.step('other devices fail')
    journal, load = begin(case, 5)
    for name in cluster.data_names():
        others = [device for device in range(6) if device not in before[name]][:LOST]
        for device in others:
            fail(case, name, device)
        wait_lost(cluster, name, others)
    end(case, journals, journal, load)
    done = cluster.run('device', 'list', check=False)
    require(done.returncode == 3 and 'DEGRADED: 2 of 2 losses used' in done.stdout,
            f'device list: {done.returncode} {done.stdout}')
    name = cluster.data_names()[0]
    good = [device for device in range(6) if device not in lost(cluster.status()[name])][0]
    done = cluster.run('device', 'can-remove', name, str(good), check=False)
    require(done.returncode == 5, f'can-remove {good}: {done}')


# ---- while the nodes run ----

def node_file(cluster, name):
    return os.path.join(cluster.dir, name, 'node.conf')


def tern_json(cluster, *words, code=(0,)):
    done = subprocess.run([cluster.tern, *words, '--dir', cluster.dir, '-o', 'json'],
                          capture_output=True, text=True, timeout=60)
    require(done.returncode in code, f'{words}: {done}')
    return json.loads(done.stdout)


def hot_replace(case, name, device, code=0):
    """A new file takes the place of a device that failed, for good."""
    cluster = case.cluster
    path = os.path.join(cluster.dir, name, f'new-{device}')
    case.step(f'{name}: {path} in the place of device {device}')
    done = subprocess.run([cluster.tern, 'device', 'replace', str(device), path, '--config',
                           node_file(cluster, name)], capture_output=True, text=True, timeout=120)
    require(done.returncode == code, f'replace: {done}')
    return path


def wait_device_ok(cluster, name, device):
    def look(status):
        node = status[name]
        return node if 'pool' in node and device not in lost(node) else None
    return cluster.wait(f'device {device} of {name} to be whole', look)


def job(node, kind):
    return [one for one in node['jobs'] if one['kind'] == kind][-1]


def replace_hot(case, journals):
    """Two devices of the master fail and are replaced under load; one is in its place when the
    master is killed, and the next start knows it."""
    cluster = case.cluster
    master = cluster.wait_master()
    replica = cluster.other(master)
    journal, load = begin(case, 1)
    time.sleep(0.3)
    hot_replace(case, master, 0, code=5)
    require(not os.path.exists(os.path.join(cluster.dir, master, 'new-0')), 'nothing is left')
    fail(case, replica, 3)
    fail(case, master, 0)
    fail(case, master, 4, 'hang')
    wait_lost(cluster, master, [0, 4])
    path = hot_replace(case, master, 0)
    node = wait_device_ok(cluster, master, 0)
    require(node['pool']['devices'][0]['path'] == path, f'{master}: {node["pool"]}')
    done = job(node, 'rebuild')
    require((done['state'], done['device']) == ('done', 0) and
            done['done_units'] == done['total_units'] > 0, f'{done}')
    shown = tern_json(cluster, 'device', 'rebuild', 'status', master, code=(3,))
    require(shown['nodes'][0]['job']['id'] == done['id'], f'{shown}')
    case.step('kill the master, which rests on the new device')
    cluster.kill_in_sync(master)
    cluster.wait('the replica to serve', cluster.serves_without([master]))
    time.sleep(0.5)
    end(case, journals, journal, load)
    cluster.dev('fault', master, '0=none')
    cluster.dev('start', master)
    cluster.settle()
    node = wait_lost(cluster, master, [4])
    require(node['pool']['devices'][0]['path'] == path, f'{master} after a start: {node["pool"]}')
    journal, load = begin(case, 2)
    hot_replace(case, master, 4)
    cluster.wait(f'{master} to be whole', whole(master))
    end(case, journals, journal, load)
    return replica


def take_a_spare(case, journals, name):
    """A node that has lost a device is started with a spare; when another device fails, there is none
    left."""
    cluster = case.cluster
    case.step(f'{name} gets a spare')
    cluster.dev('kill', name)
    devices = pool_of_file(node_file(cluster, name))
    path = os.path.join(cluster.dir, name, 'spare')
    size = os.stat(devices[0]).st_size
    with open(path, 'wb') as spare:
        spare.truncate(size)
    # `dev start` writes node files anew; what a start finds there it treats like `spares` of one.
    with open(os.path.join(cluster.dir, name, 'storage', 'spares'), 'w', encoding='utf-8') as file:
        file.write(path + '\n')
    journal, load = begin(case, 3)
    cluster.dev('start', name)
    node = cluster.wait(f'{name} to be whole', whole(name))
    require(node['pool']['spares_taken'] == 1 and node['pool']['devices'][3]['path'] == path,
            f'{name}: {node["pool"]}')
    require(node['pool']['spares'][0]['state'] == 'in use', f'{name}: {node["pool"]}')
    fail(case, name, 1)
    wait_lost(cluster, name, [1])
    end(case, journals, journal, load)


def pool_of_file(path):
    with open(path, encoding='utf-8') as file:
        text = file.read()
    part = text[text.index('devices = ('):]
    return [line.split('"')[1] for line in part[:part.index(');')].splitlines() if 'path' in line]


def rot(node, device, step):
    """Flips a bit in every so many of the newest pages of the log of a device, behind the node's back.
    What is older may be covered by a checkpoint, and nobody looks at it any more."""
    with open(node['pool']['devices'][device]['path'], 'r+b') as file:
        area = file.read()
        cluster_id = area[16 * 4096 + 8:16 * 4096 + 16]
        cells = []
        for at in range(16 * 4096, len(area), 4096):
            cell = int.from_bytes(area[at + 40:at + 48], 'little')
            if area[at + 4:at + 7] == bytes((1, 4, 2)) and area[at + 8:at + 16] == cluster_id \
                    and cell % 6 == device:
                cells.append((cell, at))
        require(len(cells) >= 40, f'{len(cells)} pages in the log')
        for _, at in sorted(cells)[-40::step]:
            file.seek(at + 2000)
            file.write(bytes([area[at + 2000] ^ 0x10]))
        file.flush()
        os.fsync(file.fileno())


def scrub(case, name):
    cluster = case.cluster
    begun = tern_json(cluster, 'device', 'scrub', 'start', name)['nodes'][0]['job']

    def look(status):
        node = status[name]
        one = job(node, 'scrub') if 'pool' in node else None
        return node if one and one['id'] == begun and one['state'] == 'done' else None
    return cluster.wait(f'scrub {begun} of {name}', look)


def scrub_finds(case, journals, name):
    """Pages of two devices rot; what a scrub finds it repairs, and the next one finds nothing."""
    cluster = case.cluster
    journal, load = begin(case, 4)
    case.step(f'pages of {name} rot')
    node = cluster.status()[name]
    rot(node, 2, 4)
    rot(node, 5, 5)
    node = scrub(case, name)
    found = job(node, 'scrub')
    require(found['found'] >= 16 and found['repaired'] == found['found'] and
            found['unrepairable'] == 0, f'{found}')
    devices = node['pool']['devices']
    require(devices[2]['pages_repaired'] > 0 and devices[5]['pages_repaired'] > 0 and
            devices[2]['pages_verified'] > 40, f'{devices}')
    require(job(scrub(case, name), 'scrub')['found'] == 0, 'nothing is left to find')
    tern_json(cluster, 'device', 'scrub', 'rate', '4KiB', name)
    tern_json(cluster, 'device', 'scrub', 'start', name)
    tern_json(cluster, 'device', 'scrub', 'start', name, code=(5,))
    tern_json(cluster, 'device', 'scrub', 'pause', name)
    shown = tern_json(cluster, 'device', 'scrub', 'status', name)['nodes'][0]['job']
    require(shown['state'] == 'paused' and shown['rate_max_bytes_s'] == 4096, f'{shown}')
    tern_json(cluster, 'device', 'scrub', 'resume', name)
    tern_json(cluster, 'device', 'scrub', 'cancel', name)

    def cancelled(status):
        return job(status[name], 'scrub')['state'] == 'cancelled'
    cluster.wait('the scrub to end', cancelled)
    end(case, journals, journal, load)


def while_running(case, journals):
    cluster = case.cluster
    replica = replace_hot(case, journals)
    take_a_spare(case, journals, replica)
    cluster.settle()
    scrub_finds(case, journals, cluster.other(replica))


def test(case, part=''):
    cluster = case.cluster
    cluster.ec = '4+2'
    cluster.log_size = '128MiB'
    cluster.up()
    cluster.settle()
    for name in cluster.data_names():
        found = pool(cluster, name)
        require((found['k'], found['m'], found['losses_left']) == (4, 2, 2), f'{name}: {found}')
        require(not found['degraded'] and len(found['devices']) == 6, f'{name}: {found}')
    journals = []
    if part == 'hot':
        while_running(case, journals)
        case.restart_all_and_verify(journals)
        cluster.wait_equal()
        return
    dead, serving = kill_the_degraded_master(case, journals)
    hang_and_return(case, journals, dead, serving)
    one_too_many(case, journals)
    case.restart_all_and_verify(journals)
    if part == 'replace':
        make_whole(case, journals)
        case.restart_all_and_verify(journals)
    cluster.wait_equal()
    require(cluster.ask('GET', 'after') == 'it', 'GET')


if __name__ == '__main__':
    main(test)
