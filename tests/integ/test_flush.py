# SPDX-License-Identifier: Apache-2.0
"""Flushes are real. On a device that loses unflushed writes at SIGKILL all data nodes are killed
at once under load and nothing acknowledged is lost. The same check must find losses on that device
when nothing is flushed, and on one that acknowledges flushes without doing them (there a node that
refuses its damaged log, by exit code 8, is found out too)."""
import time

from case import main, require


BAD_STORAGE = 8  # exit code of `dev start`


def profile(case, lossy, durability='auto'):
    return case.profile(f'{lossy}-{durability}',
                        ('durability = "auto";', f'durability = "{durability}"; lossy = "{lossy}";'))


def kill_both(case, name, is_honest):
    """What the journal's check found, or None when a node refused to start. Copies that lied may
    never agree again (one refuses to cut what it knows committed): then whoever serves is asked."""
    cluster = case.cluster
    cluster.settle()
    journal = case.path(f'journal-{name}')
    load = cluster.load_start(journal, name)
    time.sleep(1)
    cluster.load_goes_on(journal, 500)
    for node in cluster.data_names():
        cluster.dev('kill', node)
    time.sleep(0.1)
    totals = cluster.load_stop(load)
    require(totals['acknowledged'] > 100, f'{totals}')
    started = [cluster.dev('start', node, check=False) for node in
               cluster.data_names()]
    for done in started:
        require(done.returncode in (0, BAD_STORAGE), f'{done.returncode} {done.stderr}')
    if any(done.returncode for done in started):
        return None
    if is_honest:
        cluster.wait_duplex()
    else:
        cluster.wait_master()
    return cluster.verify(journal)


def test(case):
    case.step('a device that loses what was not flushed')
    case.another(profile=profile(case, 'unflushed'))
    for number in range(3):
        found = kill_both(case, f'honest{number}', True)
        require(found is not None, 'all nodes must start')
        require(found['lost'] == 0, f'{found}')
    case.step('the same device, and nothing is flushed')
    case.another(profile=profile(case, 'unflushed', 'none'))
    found = kill_both(case, 'unflushed', False)
    print(f'   {found}')
    require(found is not None, 'storage without any write after its birth is whole')
    require(found['lost'] > 0, 'the test does not see that nothing was flushed')
    case.step('a device that lies about flushes')
    case.another(profile=profile(case, 'lying'))
    for number in range(5):
        found = kill_both(case, f'lying{number}', False)
        print(f'   {"a node refused its storage" if found is None else found}')
        if found is None or found['lost'] > 0:
            return
    require(False, 'the test does not see lost flushes')


main(test)
