# SPDX-License-Identifier: Apache-2.0
"""One data node is dead; the others go on without it and are killed; the witness is lost for good. A person forces the
one that lacks what the others committed meanwhile: refused while anybody serves and without his word, told
what is lost. It serves in the next generation, and gives no session the id of one that was lost. Those that were left out come back with their old storage: they
serve no more, say so, and name what they alone held; with new storage they follow, and hold the same."""
import json
import os
import shutil

from case import main, require


def force(cluster, name, *args):
    return cluster.run('cluster', 'force-promote', name, *args, check=False)


def refused(done, code, words):
    require(done.returncode == code and words in done.stdout + done.stderr,
            f'exit {done.returncode}, {done.stdout!r} {done.stderr!r}; wanted {words!r}')


def write(cluster, prefix, count):
    follower = cluster.follower()
    for i in range(count):
        follower.call('SET', f'{prefix}{i}', f'{prefix}-{i}')
    follower.close()


def open_sessions(cluster, count):
    follower = cluster.follower()
    ids = [follower.call('TERN.SESSION', 'OPEN') for _ in range(count)]
    follower.close()
    require(all(isinstance(number, int) for number in ids), f'TERN.SESSION OPEN: {ids}')
    return ids


def sessions_are_lost(cluster, lost):
    """What a client of the old master sends in its session is told from what others do in theirs."""
    follower = cluster.follower()
    mine = follower.call('TERN.SESSION', 'OPEN')
    require(mine >= 2 << 40 and mine not in lost, f'session {mine}, lost are {lost}')
    require([follower.call('TERN.ONCE', mine, seq, 'INCR', 'once') for seq in (1, 2)] == [1, 2],
            'TERN.ONCE')
    for number in lost:
        reply = follower.call('TERN.ONCE', number, 2, 'SET', 'never', 'set')
        require(getattr(reply, 'text', '').startswith('NOSESSION'), f'session {number}: {reply}')
    require(follower.call('GET', 'never') is None, 'executed in a session that is lost')
    follower.close()


def count(cluster, name, prefix, up_to):
    client = cluster.client(name)
    found = sum(client.call('GET', f'{prefix}{i}') == f'{prefix}-{i}' for i in range(up_to))
    client.close()
    return found


def leave(case, stale):
    """@stale misses some writes, and then all others are gone."""
    cluster = case.cluster
    case.step(f'{stale} is down, and the others go on')
    cluster.kill_in_sync(stale)
    cluster.wait('service without it', cluster.serves_without([stale]))
    write(cluster, 'lost', 30)
    sessions = open_sessions(cluster, 3)
    others = cluster.others(stale)
    case.step('all others die, the witness for good')
    for name in others:
        cluster.dev('kill', name)
    if 'w' in cluster.nodes:
        cluster.lose_storage('w')
    cluster.dev('start', stale)
    cluster.wait('it to be up', lambda s: s[stale]['mode'] != 'DOWN')
    return others, sessions


def promote(case, stale):
    cluster = case.cluster
    case.step('forced, with all the words that it takes')
    word = f'{cluster.description()["cluster_id"]}/{stale}'
    cluster.wait('that nobody is there', lambda _: 'nothing was done' in
                 force(cluster, stale).stderr)
    done = force(cluster, stale)
    refused(done, 5, '--i-know-what-may-be-lost ' + word)
    require('holds blocks up to' in done.stdout and 'not heard since' in done.stdout, done.stdout)
    refused(force(cluster, stale, '--i-know-what-may-be-lost', word + 'x'), 2, 'another cluster')
    done = force(cluster, stale, '--i-know-what-may-be-lost', word, '-o', 'json')
    require(done.returncode == 0, done.stdout + done.stderr)
    generation = json.loads(done.stdout)['cluster_gen']
    require(generation.startswith('2-') and generation != '2-00000000', generation)
    require(count(cluster, stale, 'kept', 30) == 30, 'what it held is not there')
    require(count(cluster, stale, 'lost', 30) == 0, 'what it had not is there')
    write(cluster, 'after', 30)
    refused(force(cluster, stale, '--i-know-what-may-be-lost', word), 5, 'serves')
    return generation


def superseded(case, stale, name):
    cluster = case.cluster
    case.step(f'{name} comes back with what it had')
    cluster.dev('start', name)
    cluster.wait('it to be told', lambda s: s[name]['mode'] == 'SUPERSEDED')
    directory = os.path.join(cluster.dir, name, 'storage', 'divergent')

    def named(_):
        text = ''
        for entry in os.listdir(directory) if os.path.isdir(directory) else []:
            with open(os.path.join(directory, entry), encoding='utf-8') as handle:
                text += handle.read()
        return all(f'"lost{i}"' in text for i in range(30))
    cluster.wait('what it alone held to be named', named)
    cluster.dev('kill', name)
    cluster.dev('start', name)
    cluster.wait('that it remembers', lambda s: s[name]['mode'] == 'SUPERSEDED')
    status = cluster.status()
    require(status[stale]['serving'] and not status[name]['serving'], cluster.brief(status))
    if name in cluster.data_names():
        client = cluster.client(name)
        client.call('TERN.READ', 'DIRTY')
        found = client.call('GET', 'lost0')
        require(getattr(found, 'text', '').startswith('MASTERDOWN ') and
                'tern node rejoin' in found.text, f'a read of what was given up: {found}')
        client.close()
    warnings = json.loads(cluster.run('status', '-o', 'json', check=False).stdout)['warnings']
    require(any('node rejoin' in text and name in text for text in warnings), str(warnings))


def rejoin(case, name, generation):
    cluster = case.cluster
    case.step(f'{name} rejoins')
    if name in cluster.data_names():
        cluster.dev('kill', name)
        done = cluster.rejoin(name, generation)
        refused(done, 5, 'went on without it')
        shutil.move(os.path.join(cluster.dir, name, 'storage'), case.path('old-' + name))
    done = cluster.rejoin(name, generation)
    require(done.returncode == 0, done.stdout + done.stderr)
    cluster.dev('start', name)
    if name in cluster.data_names():
        cluster.wait('a place for it', lambda s: s[name]['mode'] in ('SPARE', 'CATCHUP') and
                     not s[name]['rejoining'])
        again(cluster, 'add', name, '--learner')
        cluster.wait('a learner', lambda s: s[name]['mode'] == 'LEARNER')


def again(cluster, *args):
    """What is refused for a moment's sake is asked for again."""
    def look(_):
        done = cluster.run('cluster', *args, check=False)
        require(done.returncode in (0, 5, 6), f'{args}: {done.stderr}')
        return done.returncode == 0
    cluster.wait(f'cluster {" ".join(args)}', look)


def test(case):
    cluster = case.cluster
    cluster.up()
    cluster.settle()
    write(cluster, 'kept', 30)
    cluster.settle()
    master = cluster.wait_duplex()
    stale = cluster.other(master)
    refused(force(cluster, stale), 5, f'{master} serves')
    others, lost = leave(case, stale)
    generation = promote(case, stale)
    sessions_are_lost(cluster, lost)
    for name in others:
        superseded(case, stale, name)
    for name in others:
        rejoin(case, name, generation)
    if 'w' in cluster.nodes:
        rejoin(case, 'w', generation)
        case.step('a pair again')
        again(cluster, 'replace-witness')
        again(cluster, 'promote', others[0])
        cluster.settle()
        case.step('and a pair with all that is due to it')
        cluster.kill_in_sync(stale)
        cluster.wait('service by the other', cluster.serves_without([stale]))
        cluster.dev('start', stale)
        cluster.settle()
    else:
        case.step('the same on all')
        cluster.wait('all at one position', lambda s: len({
            (s[name]['applied_index'], s[name]['state_hash']['value'])
            for name in [stale, *others]}) == 1)
    for name in [stale, *others]:
        cluster.run('log', 'verify')
    require(count(cluster, cluster.wait_master(), 'after', 30) == 30, 'acknowledged and gone')


main(test)
