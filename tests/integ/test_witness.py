# SPDX-License-Identifier: Apache-2.0
"""The witness loses its register and is replaced under load: what was made in its place grants nothing by
itself, is refused a place while a copy is away, and has one in two steps; then it elects, and a register of
before that comes back grants nothing. All of it is known again after every node was started anew. Nothing
acknowledged is lost."""
import os
import shutil
import time

from case import main, require


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


def replace(case, before):
    """What is refused for a moment's sake, or has an unknown end, is asked for again, and so may have
    been done twice. Returns the generation that came after @before."""
    cluster = case.cluster

    cluster.persist('replace-witness', until=(0,))

    def new(status):
        now = status['w'].get('witness_gen')
        members = [status[name].get('membership') for name in ('a', 'b')]
        return now and now > before and now if all(
            one and one['witness_gen'] == now and not one['witness_out'] and one['committed']
            for one in members) else None
    return cluster.wait(f'a generation after {before} everywhere', new)


def decides(case, what):
    cluster = case.cluster
    case.step(what)
    master = cluster.kill_master()
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
    now = replace(case, 1)
    decides(case, 'the new one decides')
    case.step('the old one comes back')
    cluster.dev('kill', 'w')
    second = case.path('register.2')
    os.rename(register, second)
    shutil.copy(first, register)
    cluster.dev('start', 'w')
    cluster.wait('an alarm', lambda s: s['w'].get('alarms', {}).get('witness_amnesia', 0) != 0)
    master = cluster.kill_master()
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
    cluster.kill_all()
    cluster.start_all()
    cluster.wait_duplex()
    cluster.wait(f'generation {now}', lambda s: generation('b')(s) == now)
    case.step('a witness that is well may be replaced too')
    replace(case, now)
    decides(case, 'and decides')
    cluster.load_end(load, journal)
    cluster.settle()
    case.verify([journal])


main(test)
