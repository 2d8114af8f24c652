# SPDX-License-Identifier: Apache-2.0
"""A backup of a cluster under load, over 4+2 directories: two are destroyed, `verify` names them, and
new clusters are restored from the other four, to the end and to an earlier position. What was
acknowledged before the backup is there; the state is the one that the old cluster had; the new one
serves. Then damage that is too much, a node that is stopped, and what is refused."""
import json
import os
import shutil
import subprocess
import time

from case import Cluster, main, require

COUNTER = 'backup:n'


def tern(case, *args, code=0):
    done = subprocess.run([case.cluster.tern, *args], capture_output=True, text=True, timeout=300)
    require(done.returncode == code, f'tern {" ".join(args)}: exit {done.returncode}, not {code}\n'
            f'{done.stdout}{done.stderr}')
    return done


def ask(case, *args, code=0):
    return json.loads(tern(case, *args, '-o', 'json', code=code).stdout)


def node_file(cluster, name):
    return os.path.join(cluster.dir, name, 'node.conf')


def id_of(case, cluster):
    done = subprocess.run([case.cluster.tern, 'status', '--dir', cluster.dir, '-o', 'json'],
                          capture_output=True, text=True, timeout=60)
    return json.loads(done.stdout)['cluster_id']


def make_dirs(case, group, count):
    dirs = [case.path(f'{group}{number}') for number in range(count)]
    for path in dirs:
        os.makedirs(path)
    return dirs


def create(case, name, dirs, ec, code=0):
    return ask(case, 'backup', 'create', '--config', node_file(case.cluster, name),
               '--to', ','.join(dirs), '--ec', ec, code=code)


def destroy(dirs):
    """One directory is gone, in the other the file is damaged in the middle and at its end."""
    shutil.rmtree(dirs[1])
    name, = os.listdir(dirs[4])
    path = os.path.join(dirs[4], name)
    size = os.path.getsize(path)
    with open(path, 'r+b') as handle:
        handle.seek(size // 2)
        handle.write(b'\xa5' * 6000)
        handle.truncate(size - 5000)


def verify_names(case, dirs):
    report = ask(case, 'backup', 'verify', '--from', ','.join(dirs), code=3)
    states = {part['directory']: part['state'] for part in report['parts']}
    require(report['verdict'] == 'restorable', report)
    require(states == {path: 'missing' if path == dirs[1] else
                       'damaged' if path == dirs[4] else 'ok' for path in dirs}, states)
    require(report['missing_columns'] == [1], report)
    text = tern(case, 'backup', 'verify', '--from', ','.join(dirs), code=3).stdout
    require(dirs[4] in text and 'damaged' in text and 'column 1 is in none' in text, text)


def empty_cluster(case, name):
    """Node files of a cluster that has no storage any more."""
    cluster = Cluster(case.build, case.path(name), log_size=case.cluster.log_size)
    cluster.up()
    cluster_id = id_of(case, cluster)
    cluster.down()
    for node in ('a', 'b', 'w'):
        shutil.rmtree(os.path.join(cluster.dir, node, 'storage'))
    return cluster, cluster_id


def restore(case, cluster, cluster_id, dirs, *more, nodes=('a', 'b')):
    """Restores these data nodes; the others join empty, as after a loss of their storage."""
    reports = [ask(case, 'backup', 'restore', '--from', ','.join(dirs), '--config',
                   node_file(cluster, node), '--cluster-id', cluster_id, *more) for node in nodes]
    for node in set(('a', 'b')) - set(nodes):
        tern(case, 'node', 'rejoin', '--config', node_file(cluster, node), '--cluster-id',
             cluster_id)
    tern(case, 'node', 'init', '--config', node_file(cluster, 'w'), '--cluster-id', cluster_id)
    require(all((report['position'], report['chain']) ==
                (reports[0]['position'], reports[0]['chain']) for report in reports), reports)
    return reports[0]


def serves(cluster):
    cluster.up()
    cluster.settle()
    done = cluster.run('log', 'verify')
    require('equal' in done.stdout, done.stdout)


def restore_to_the_end(case, report, dirs, journal, expected):
    """On the side of the old cluster, which has gone on."""
    case.step('restore to the end')
    cluster, cluster_id = empty_cluster(case, 'end')
    restored = restore(case, cluster, cluster_id, [dirs[5], dirs[0], dirs[4], dirs[2], dirs[3]])
    require(restored['position'] == report['last_index'] and
            restored['chain'] == report['chain'], restored)
    serves(cluster)
    client = cluster.follower()
    for key, value in expected.items():
        require(client.call('GET', key) == value, f'{key}: {client.call("GET", key)} {value}')
    found = cluster.verify(journal)
    require(found['acknowledged'] > 100 and found['lost'] == 0, f'{found}')
    require(client.call('SET', 'new', 'one') == 'OK' and client.call('GET', 'new') == 'one', 'SET')
    case.step('and the restored cluster loses its master')
    master = cluster.kill_master()
    cluster.wait('the other to serve', cluster.serves_without([master]))
    require(cluster.ask('GET', 'new') == 'one', 'GET after failover')
    cluster.dev('start', master)
    cluster.settle()
    cluster.remove()


def restore_earlier(case, dirs, position, state):
    """To a position of which the old cluster's state hash is known. One node only: the other takes
    everything from it."""
    case.step(f'restore to {position}')
    cluster, cluster_id = empty_cluster(case, 'early')
    restored = restore(case, cluster, cluster_id, dirs, '--to', str(position), nodes=('a',))
    require(restored['position'] == position, restored)
    cluster.up()
    cluster.settle()
    client = cluster.follower()
    require(client.call('GET', COUNTER) == state['counter'], client.call('GET', COUNTER))
    require(client.call('GET', 'later') is None, 'what came later is not there')
    # Barriers of the new cluster change nothing of the state.
    _, value = cluster.wait_equal()
    require(value == state['hash'], f'state hash {value}, not {state["hash"]}')
    serves(cluster)
    cluster.remove()


def quiet_state(case):
    """A position at which nothing goes on, with the state that all nodes have there."""
    index, value = case.cluster.settle()
    return index, {'hash': value, 'counter': case.cluster.ask('GET', COUNTER)}


def refused(case, dirs, report, early):
    case.step('what is refused')
    cluster, cluster_id = empty_cluster(case, 'no')
    common = ['--from', ','.join(dirs), '--config', node_file(cluster, 'a')]
    done = tern(case, 'backup', 'restore', *common, '--cluster-id', cluster_id, '--to',
                str(report['last_index'] + 1), code=5)
    require(f'to {report["last_index"]}' in done.stderr, done.stderr)
    tern(case, 'backup', 'restore', *common, '--cluster-id', id_of(case, case.cluster), code=8)
    # Storage that is there is left alone; so is that of the running cluster.
    tern(case, 'backup', 'restore', *common, '--cluster-id', cluster_id, '--to', str(early))
    tern(case, 'backup', 'restore', *common, '--cluster-id', cluster_id, code=8)
    tern(case, 'backup', 'create', '--config', node_file(case.cluster, 'a'), '--to', dirs[0],
         '--ec', '1+1', code=2)
    tern(case, 'backup', 'verify', code=2)
    cluster.remove()


def too_much(case, dirs):
    case.step('one directory too many')
    shutil.rmtree(dirs[3])
    shutil.rmtree(dirs[2])
    report = ask(case, 'backup', 'verify', '--from', ','.join(dirs), code=4)
    require(report['verdict'] == 'lost' and 'columns are lost' in report['error'], report)


def stopped_node(case):
    """All that it holds, by its devices alone."""
    case.step('a node that is stopped')
    cluster = case.cluster
    index, state = quiet_state(case)
    replica = cluster.other(cluster.wait_master())
    cluster.dev('kill', replica)
    dirs = make_dirs(case, 's', 3)
    report = create(case, replica, dirs, '2+1')
    require(not report['live'] and report['last_index'] >= index, report)
    listed = ask(case, 'backup', 'list', '--from', dirs[2])['backups']
    require([one['name'] for one in listed] == [report['name']], listed)
    cluster.dev('start', replica)
    cluster.settle()


def load_to_checkpoints(case):
    """Until every data node has one; then a position at which nothing goes on, with its state."""
    case.step('full load until there are checkpoints')
    cluster = case.cluster
    load = cluster.load_start(case.path('first'), 'first')
    cluster.wait('checkpoints', lambda status: all(status[name].get('checkpoint_index', 0) > 0
                                                   for name in cluster.data_names()))
    cluster.load_stop(load)
    return quiet_state(case)


def backup_under_full_load(case):
    """Of a replica whose log is reclaimed meanwhile; the storage that is made of it is read again by
    the verb, all of it."""
    case.step('a replica under full load')
    cluster = case.cluster
    load = cluster.load_start(case.path('full'), 'full')
    time.sleep(2)
    dirs = make_dirs(case, 'm', 2)
    report = create(case, cluster.other(cluster.wait_master()), dirs, '1+1')
    cluster.load_stop(load)
    require(report['live'] and report['first_index'] > 0, report)
    print(f'   {report["tries"]} tries, {report["log_bytes"] >> 20} MiB of log', flush=True)
    verdict = ask(case, 'backup', 'verify', '--from', dirs[1], code=3)
    require(verdict['verdict'] == 'restorable' and verdict['missing_columns'] == [0], verdict)
    return dirs


def test(case):
    cluster = case.cluster
    cluster.up()
    cluster.settle()
    client = cluster.follower()
    for number in range(100):
        require(client.call('INCR', COUNTER) > number, 'INCR')
    early, state = load_to_checkpoints(case)
    require(cluster.follower().call('SET', 'later', 'x') == 'OK', 'SET')

    case.step('load, and a backup of the master meanwhile')
    journal = case.path('journal')
    # So slow that the next checkpoint is not made before the backup is.
    load = cluster.load_start(journal, 'load', rate=1000)
    expected = {}
    for number in range(50):
        require(cluster.follower().call('SET', f'mark{number}', f'value{number}') == 'OK', 'SET')
        expected[f'mark{number}'] = f'value{number}'
    dirs = make_dirs(case, 'd', 6)
    # What is acknowledged from here on may or may not be in it.
    before = case.path('before')
    shutil.copy(journal, before)
    time.sleep(1)
    report = create(case, cluster.wait_master(), dirs, '4+2')
    time.sleep(0.5)
    totals = cluster.load_stop(load)
    require(totals['acknowledged'] > 100, totals)
    require(report['live'] and report['ec'] == '4+2' and report['blocks'] > 0, report)
    require(0 < report['first_index'] <= early < report['last_index'], f'{report} {early}')
    case.verify([journal])

    case.step('two of six directories are destroyed')
    verdict = ask(case, 'backup', 'verify', '--from', ','.join(dirs))
    require(verdict['verdict'] == 'whole' and verdict['blocks'] == report['blocks'], verdict)
    destroy(dirs)
    verify_names(case, dirs)
    backup_under_full_load(case)
    stopped_node(case)
    cluster.down()  # two clusters at once would only be slow

    restore_to_the_end(case, report, dirs, whole_lines(before), expected)
    restore_earlier(case, [dirs[0], dirs[2], dirs[3], dirs[5]], early, state)
    cluster.up()
    cluster.settle()
    refused(case, dirs, report, early)
    too_much(case, dirs)


def whole_lines(path):
    """The journal as it was copied, without a line that was being written."""
    with open(path, 'rb') as handle:
        text = handle.read()
    with open(path, 'wb') as handle:
        handle.write(text[:text.rfind(b'\n') + 1])
    return path


main(test)
