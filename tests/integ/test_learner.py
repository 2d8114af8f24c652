# SPDX-License-Identifier: Apache-2.0
"""A third data node comes in as a learner under load, by a checkpoint, because the log was written
round before; follows, answers reads with their age, dies and returns, outlives the master, is left
behind by the log, goes and comes again; what would be unsafe is refused with a sentence. The pair never
loses its second copy to it, and nothing acknowledged is lost."""
import time

from case import Client, main, require


LOG_BYTES = 32 << 20


def write_round(cluster, prefix):
    """Overwrites keys until the log was written round more than once."""
    cluster.overwrite(3 * LOG_BYTES, prefix)
    return cluster.status()[cluster.wait_master()]['log_base_index']


def is_learner(status):
    return status['c'].get('role') == 'learner' and status['c']['mode'] == 'LEARNER'


def wait_equal(cluster):
    """a, b and the learner c have applied the same."""
    def look(status):
        nodes = [status[name] for name in 'abc']
        if any('state_hash' not in node for node in nodes):
            return None
        places = {node[key] for node in nodes for key in ('applied_index', 'last_index')}
        return nodes if len(places) == 1 else None
    nodes = cluster.wait('three copies at the same position', look)
    require(len({node['state_hash']['value'] for node in nodes}) == 1, 'state hashes differ')
    require(len({node['chain'] for node in nodes}) == 1, 'chains differ')


def read_at_learner(cluster):
    require(cluster.ask('SET', 'who', 'reads') == 'OK', 'SET')
    client = Client(cluster.resp('c'))
    require(client.call('READONLY') == 'OK', 'READONLY')

    def look(_):
        return client.call('GET', 'who') == 'reads'
    cluster.wait('the learner to show what was written', look)
    client.close()
    cluster.wait('an age of what the learner shows',
                 lambda status: status['c'].get('stale_ms') is not None)


def of_the_pair(cluster, key):
    return [cluster.status()[name][key] for name in 'ab']


def learner_away(cluster):
    """It dies and comes back: how the pair stood before, and how afterwards."""
    def stands():
        return [cluster.standing(name) for name in 'ab'], of_the_pair(cluster, 'solo_entries')
    cluster.wait_duplex()
    stood = stands()
    cluster.dev('kill', 'c')
    time.sleep(0.5)
    stands_without = stands()
    cluster.dev('start', 'c')
    cluster.wait('a learner', is_learner)
    return stood, stands_without if stands_without != stood else stands()


def test(case):
    cluster = case.cluster
    cluster.log_size = f'{LOG_BYTES >> 20}MiB'
    cluster.up()
    case.step('a spare node is no part of the cluster')
    cluster.settle()
    status = cluster.status()
    require(status['c']['role'] == 'spare' and status['c']['mode'] == 'SPARE',
            cluster.brief(status))
    require(cluster.run('status').returncode == 0, 'a spare node is no fault')
    require(write_round(cluster, 'first') > 0, 'the log begins with block 1 no more')
    journal = case.path('journal')
    load = cluster.load_start(journal, 'learner')
    time.sleep(0.5)
    case.step('what is refused')
    cluster.refused('--learner is missing', 'add', 'c', code=2)
    cluster.refused('no data node', 'add', 'nobody', '--learner', code=2)
    cluster.refused('no data node', 'add', 'w', '--learner', code=2)
    cluster.refused('is a voter', 'remove', 'a')
    cluster.refused('is so already', 'remove', 'c')
    case.step('it comes in under load')
    solo, held = of_the_pair(cluster, 'solo_entries'), of_the_pair(cluster, 'held_turns')
    cluster.until(is_learner, 'a learner', 'add', 'c', '--learner')
    master = cluster.wait_duplex()
    require(cluster.status()['c']['log_base_index'] > 0, 'by a checkpoint')
    found = cluster.status()[master]['membership']
    require((found['committed'], found['voters'], found['learners']) == (True, ['a', 'b'], ['c']),
            f'membership {found}')
    # On a busy host a voter may have been late, and they gave way to that.
    if solo == of_the_pair(cluster, 'solo_entries'):
        require(held == of_the_pair(cluster, 'held_turns'), 'clients give way to voters only')
    cluster.refused('is so already', 'add', 'c', '--learner')
    read_at_learner(cluster)
    case.step('it dies and comes back, and the pair does not notice')
    cluster.undisturbed('the learner away', lambda: learner_away(cluster))
    case.step('the master dies')
    master = cluster.kill_in_sync()
    other = cluster.wait('service by the other', cluster.serves_without([master]))
    require(other != 'c', 'a learner is never elected')
    cluster.wait('a learner of the new master', lambda s: is_learner(s) and
                 s['c']['master'] == other)
    read_at_learner(cluster)
    cluster.dev('start', master)
    cluster.wait_duplex()
    case.step('all die')
    cluster.kill_all()
    cluster.start_all()
    cluster.wait_duplex()
    cluster.wait('a learner', is_learner)
    case.step('the log leaves it behind')
    cluster.dev('kill', 'c')
    last = cluster.status()[cluster.wait_duplex()]['last_index']
    require(write_round(cluster, 'second') > last, 'the log begins behind what it has')
    cluster.wait_duplex()
    cluster.dev('start', 'c')
    cluster.wait('a learner', is_learner)
    require(cluster.status()['c']['log_base_index'] > last, 'by a checkpoint')
    case.step('it goes, and comes again')
    cluster.until(lambda s: s['c'].get('role') == 'spare', 'a spare node', 'remove', 'c')
    last = cluster.status()['c']['last_index']
    time.sleep(0.5)
    require(cluster.status()['c']['last_index'] == last, 'it is sent nothing any more')
    cluster.until(is_learner, 'a learner', 'add', 'c', '--learner')
    cluster.load_end(load, journal)
    cluster.settle()
    wait_equal(cluster)
    case.verify([journal])


main(test)
