# SPDX-License-Identifier: Apache-2.0
"""The witness loses its register and is replaced under load: what was made in its place grants nothing by
itself, is refused a place while a copy is away, and has one in two steps; then it elects, and a register of
before that comes back grants nothing. All of it is known again after every node was started anew. Nothing
acknowledged is lost."""
import os
import shutil
import time

from case import main, require


def refused(cluster, words, *args):
    done = cluster.run('cluster', *args, check=False)
    require(done.returncode == 5 and words in done.stderr,
            f'{args}: exit {done.returncode}, {done.stderr!r}; wanted {words!r}')


def generation(name='a'):
    def of(status):
        return status[name].get('membership', {}).get('witness_gen')
    return of


def new_register(case, register, aside):
    """As when the machine was lost; the old register is kept aside, to come back later."""
    cluster = case.cluster
    cluster.dev('kill', 'w')
    done = cluster.rejoin('w')
    require(done.returncode == 5 and 'is there' in done.stderr, done.stderr)
    os.rename(register, aside)
    done = cluster.rejoin('w')
    require(done.returncode == 0 and 'replace-witness' in done.stdout, f'{done.stdout}{done.stderr}')


def replace(case, wanted):
    """What is refused for a moment's sake is asked for again."""
    cluster = case.cluster

    def look(_):
        done = cluster.run('cluster', 'replace-witness', check=False)
        require(done.returncode in (0, 5, 6), done.stderr)
        return done.returncode == 0
    cluster.wait('replace-witness', look)
    cluster.wait(f'generation {wanted} everywhere', lambda s: all(
        generation(name)(s) == wanted and not s[name]['membership']['witness_out'] and
        s[name]['membership']['committed'] for name in ('a', 'b')) and
        s['w'].get('witness_gen') == wanted)


def decides(case, what):
    cluster = case.cluster
    case.step(what)
    master = cluster.wait_duplex()
    cluster.dev('kill', master)
    cluster.wait('SOLO by the witness', cluster.serves_without([master]))
    cluster.dev('start', master)
    cluster.wait_duplex()


def test(case):
    cluster = case.cluster
    cluster.up()
    cluster.settle()
    journal = case.path('journal')
    load = cluster.load_start(journal, 'witness')
    register = os.path.join(cluster.dir, 'w', 'storage', 'register')
    first = case.path('register.1')
    case.step('a new register grants nothing')
    new_register(case, register, first)
    cluster.dev('start', 'w')
    status = cluster.wait('the new register to be told of', lambda s: s['w'].get('witness_gen') == 0)
    text = cluster.run('status', check=False)
    require('grants nothing' in text.stdout + text.stderr, f'{text.stdout}{text.stderr}')
    case.step('not while a copy is away')
    master = cluster.wait_duplex()
    other = cluster.other(master)
    cluster.dev('stop', other)
    time.sleep(0.02)
    done = cluster.run('cluster', 'replace-witness', check=False)
    require(done.returncode in (4, 5), f'exit {done.returncode}: {done.stderr}')
    cluster.dev('cont', other)
    cluster.wait_duplex()
    case.step('it is replaced')
    replace(case, 2)
    decides(case, 'the new one decides')
    case.step('the old one comes back')
    cluster.dev('kill', 'w')
    second = case.path('register.2')
    os.rename(register, second)
    shutil.copy(first, register)
    cluster.dev('start', 'w')
    cluster.wait('an alarm', lambda s: s['w'].get('alarms', {}).get('witness_amnesia', 0) != 0)
    master = cluster.wait_duplex()
    cluster.dev('kill', master)
    time.sleep(2)
    status = cluster.status()
    require(not any(node.get('serving') for node in status.values()),
            f'somebody serves by the old witness: {cluster.brief(status)}')
    case.step('and goes again')
    cluster.dev('kill', 'w')
    os.rename(second, register)
    cluster.dev('start', 'w')
    cluster.wait('service', cluster.serves_without([master]))
    cluster.dev('start', master)
    cluster.wait_duplex()
    case.step('all die')
    for name in cluster.nodes:
        cluster.dev('kill', name)
    for name in cluster.nodes:
        cluster.dev('start', name)
    cluster.wait_duplex()
    cluster.wait('generation 2', lambda s: generation('b')(s) == 2)
    case.step('a witness that is well may be replaced too')
    replace(case, 3)
    decides(case, 'and decides')
    totals = cluster.load_stop(load)
    require(totals['acknowledged'] > 100, f'load: {totals}')
    cluster.settle()
    case.verify([journal])


main(test)
