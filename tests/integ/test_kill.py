# SPDX-License-Identifier: Apache-2.0
"""SIGKILL of master, replica and witness under load, and of all at once: nothing acknowledged is
lost, before and after every node was started again."""
import time

from case import main


def victim_of(cluster, kind):
    master = cluster.wait_master()
    return {'master': master, 'replica': cluster.other(master), 'witness': 'w'}[kind]


def kill_one(case, kind, number):
    cluster = case.cluster
    case.step(f'kill the {kind} under load')
    cluster.settle()
    victim = victim_of(cluster, kind)
    journal = case.path(f'journal-{number}')
    load = cluster.load_begin(journal, f'{kind}{number}')
    if kind == 'master':
        victim = cluster.kill_master()
    elif kind == 'replica':
        cluster.kill_in_sync(victim)
    else:
        cluster.dev('kill', victim)
    if kind == 'witness':
        cluster.wait('service without the witness', lambda s: s['w']['mode'] == 'DOWN' and
                     cluster.master(s))
    else:
        cluster.wait('service without it', cluster.serves_without([victim]))
    cluster.load_end(load, journal)
    case.verify([journal])
    case.step(f'start the {kind} again')
    cluster.dev('start', victim)
    cluster.settle()
    case.verify([journal])
    return journal


def test(case):
    cluster = case.cluster
    cluster.up()
    journals = []
    kinds = ('master', 'replica', 'witness', 'master')
    for number, kind in enumerate(kind for kind in kinds if kind != 'witness' or
                                  'w' in cluster.nodes):
        journals.append(kill_one(case, kind, number))
    case.step('kill all under load')
    journal = case.path('journal-all')
    load = cluster.load_begin(journal, 'all')
    cluster.kill_all()
    time.sleep(0.2)
    cluster.load_stop(load)
    case.step('start all')
    cluster.start_all()
    cluster.settle()
    case.verify(journals + [journal])


main(test)
