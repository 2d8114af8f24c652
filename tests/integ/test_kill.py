# SPDX-License-Identifier: Apache-2.0
"""SIGKILL of master, replica and witness under load, and of all three: nothing acknowledged is
lost, before and after every node was started again."""
import time

from case import main, require


def verify(case, journals):
    for journal in journals:
        found = case.cluster.verify(journal)
        require(found['acknowledged'] > 0, f'{journal}: nothing was acknowledged')
        require(found['lost'] == 0, f'{journal}: {found}')


def victim_of(cluster, kind):
    master = cluster.wait_master()
    return {'master': master, 'replica': cluster.other(master), 'witness': 'w'}[kind]


def kill_one(case, kind, number):
    cluster = case.cluster
    case.step(f'kill the {kind} under load')
    cluster.settle()
    victim = victim_of(cluster, kind)
    journal = case.path(f'journal-{number}')
    load = cluster.load_start(journal, f'{kind}{number}')
    time.sleep(0.7)
    cluster.dev('kill', victim)
    if kind == 'witness':
        status = cluster.wait('the witness to be gone', lambda s: s if s['w']['mode'] == 'DOWN'
                              else None)
        require(cluster.master(status) is not None, 'the data nodes must go on')
    else:
        cluster.wait('SOLO on the survivor',
                     lambda s: s[cluster.other(victim)].get('mode') == 'SOLO' and
                     s[cluster.other(victim)].get('serving'))
    time.sleep(0.7)
    totals = cluster.load_stop(load)
    require(totals['acknowledged'] > 100, f'load: {totals}')
    verify(case, [journal])
    case.step(f'start the {kind} again')
    cluster.dev('start', victim)
    cluster.settle()
    verify(case, [journal])
    return journal


def test(case):
    cluster = case.cluster
    cluster.up()
    journals = []
    for number, kind in enumerate(('master', 'replica', 'witness', 'master')):
        journals.append(kill_one(case, kind, number))
    case.step('kill all three under load')
    journal = case.path('journal-all')
    load = cluster.load_start(journal, 'all')
    time.sleep(0.7)
    for name in ('a', 'b', 'w'):
        cluster.dev('kill', name)
    time.sleep(0.2)
    cluster.load_stop(load)
    case.step('start all three')
    for name in ('a', 'b', 'w'):
        cluster.dev('start', name)
    cluster.settle()
    verify(case, journals + [journal])


main(test)
