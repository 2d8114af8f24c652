# SPDX-License-Identifier: Apache-2.0
"""One of two data nodes dies for good, and a third machine takes its place under load, while the other one goes
on alone: refused while the dead one is there; then the new one is a voter, takes over when the master dies,
and what the dead one knew is of no use to it when it comes back. Nothing acknowledged is lost."""
import time

from case import main, require


def test(case):
    cluster = case.cluster
    cluster.up()
    cluster.settle()
    journal = case.path('journal')
    # It goes on now: later the master may be one that it knows nothing of.
    load = cluster.load_begin(journal, 'replace')
    case.step('who is there is not replaced')
    master = cluster.wait_duplex()
    dead = cluster.other(master)
    cluster.refused('is there', 'replace', dead, 'c')
    cluster.refused('is a voter already', 'replace', dead, master)
    case.step(f'{dead} dies, and c takes its place')
    cluster.kill_in_sync(dead)
    cluster.wait('SOLO', lambda s: s[master]['mode'] == 'SOLO' and s[master]['serving'])
    cluster.refused('is the master', 'replace', master, 'c')
    cluster.persist('replace', dead, 'c', until=(0,))
    cluster.spares = [dead]
    names = sorted([master, 'c'])
    cluster.wait('two voters', lambda s: all(
        s[name].get('membership', {}).get('voters') == names and
        s[name]['membership']['committed'] for name in names))
    cluster.wait_duplex()
    case.step('the master dies: c and the witness')
    cluster.kill_in_sync(master)
    cluster.wait('service by c', cluster.serves_without([master, dead]))
    case.step('the dead one comes back, and knows nothing of it')
    cluster.dev('start', dead)
    time.sleep(1)
    cluster.wait('service by c still', cluster.serves_without([master, dead]))
    cluster.dev('kill', 'c')
    time.sleep(2)
    status = cluster.status()
    require(not any(node.get('serving') for node in status.values()),
            f'somebody serves who lacks commits: {cluster.brief(status)}')
    cluster.dev('start', 'c')
    cluster.wait('service by c', cluster.serves_without([master, dead]))
    cluster.dev('start', master)
    cluster.wait_duplex()
    case.step('all die')
    cluster.kill_all()
    cluster.start_all()
    cluster.wait_duplex()
    totals = cluster.load_stop(load)
    require(totals['acknowledged'] > 100, f'load: {totals}')
    cluster.settle()
    case.verify([journal])


main(test)
