# SPDX-License-Identifier: Apache-2.0
"""Two data nodes and a witness become three data nodes under load, and two again: a node comes in as a
learner, becomes a voter, the master is killed, all are killed; a voter becomes a learner and goes, and the
witness decides as before. A voter that loses its storage asks the voters of now, though its node file is
of before. What would be unsafe is refused. Nothing acknowledged is lost."""
import time

from case import main, require


def voters(status, names):
    """Every data node that answers goes by these voters, committed."""
    return all(status[name].get('membership', {}).get('voters') == names and
               status[name]['membership']['committed'] for name in names)


def grow(case):
    cluster = case.cluster
    case.step('a learner')
    cluster.refused('is no learner', 'promote', 'c')
    cluster.refused('is so already', 'promote', 'a')
    cluster.refused('nothing else', 'demote', cluster.other(cluster.wait_duplex()))
    cluster.until(lambda s: s['c']['mode'] == 'LEARNER', 'a learner', 'add', 'c', '--learner')
    case.step('while a copy is away voters stay')
    master = cluster.wait_duplex()
    other = cluster.other(master)
    cluster.dev('kill', other)
    cluster.wait('SOLO', lambda s: s[master]['mode'] == 'SOLO' and s[master]['serving'])
    cluster.refused('a copy is away', 'promote', 'c')
    cluster.dev('start', other)
    cluster.wait_duplex()
    case.step('it becomes a voter')
    cluster.until(lambda s: voters(s, ['a', 'b', 'c']), 'three voters', 'promote', 'c')
    cluster.spares = []
    cluster.wait_duplex()


def lose(case):
    """In all node files c is a spare node."""
    cluster = case.cluster
    case.step('a voter loses its storage, and asks the third one too')
    if cluster.wait_duplex() == 'c':
        cluster.switchover('a')
    victim = 'b' if cluster.wait_duplex() == 'a' else 'a'
    cluster.lose_storage(victim)
    done = cluster.rejoin(victim)
    require(done.returncode == 0, done.stderr)
    cluster.dev('kill', 'c')
    cluster.dev('start', victim)
    cluster.wait(f'{victim} to wait for c', lambda s: s[victim].get('rejoining') and
                 s[victim]['rejoin_waits_for'] == ['c'])
    cluster.dev('start', 'c')
    cluster.wait('three voters', lambda s: voters(s, ['a', 'b', 'c']))
    cluster.wait_duplex()
    cluster.wait(f'{victim} to hold all of it again', lambda s: s[victim]['mode'] == 'REPLICA' and
                 not s[victim]['forgetful'])


def shrink(case):
    cluster = case.cluster
    case.step('a voter becomes a learner')
    if cluster.wait_duplex() == 'c':
        cluster.switchover('a')
    master = cluster.wait_duplex()
    cluster.refused('is the master', 'demote', master)
    cluster.refused('is a voter', 'remove', 'c')
    cluster.dev('kill', 'w')
    cluster.wait('the witness to be gone', lambda s: s['w']['mode'] == 'DOWN')
    time.sleep(0.3)
    cluster.refused('does not answer', 'demote', 'c')
    cluster.dev('start', 'w')
    cluster.until(lambda s: voters(s, ['a', 'b']), 'two voters', 'demote', 'c')
    cluster.spares = ['c']
    cluster.wait_duplex()


def test(case):
    cluster = case.cluster
    cluster.up()
    cluster.settle()
    journal = case.path('journal')
    load = cluster.load_start(journal, 'member')
    grow(case)
    case.step('the master of three dies, twice')
    for _ in range(2):
        master = cluster.wait_duplex()
        cluster.dev('kill', master)
        cluster.wait('service without it', cluster.serves_without([master]))
        cluster.dev('start', master)
        cluster.wait_duplex()
    case.step('three need no witness')
    cluster.dev('kill', 'w')
    master = cluster.wait_duplex()
    cluster.dev('kill', master)
    cluster.wait('service by two of three', cluster.serves_without([master]))
    cluster.dev('start', master)
    cluster.dev('start', 'w')
    cluster.wait_duplex()
    case.step('all die')
    cluster.kill_all()
    cluster.start_all()
    cluster.wait('three voters', lambda s: voters(s, ['a', 'b', 'c']))
    cluster.wait_duplex()
    lose(case)
    shrink(case)
    case.step('the witness decides again')
    master = cluster.kill_master()
    cluster.wait('SOLO by the witness', cluster.serves_without([master]))
    cluster.dev('start', master)
    cluster.wait_duplex()
    cluster.until(lambda s: s['c']['mode'] == 'SPARE', 'c to be no part of it', 'remove', 'c')
    cluster.load_end(load, journal)
    cluster.settle()
    case.verify([journal])


main(test)
