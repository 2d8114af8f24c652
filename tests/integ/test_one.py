# SPDX-License-Identifier: Apache-2.0
"""One data node alone: it says that there is no redundancy, serves by itself, and after SIGKILL, an
orderly end and a start it has what it acknowledged; what needs a second node is refused."""
import time

from case import main, require

NOBODY = 'no other data node'


def says_so(cluster):
    done = cluster.run('status')
    require(': ok' in done.stdout and 'WARN NO REDUNDANCY' in done.stdout, done.stdout)
    node = cluster.status()['a']
    require((node['role'], node['mode'], node['copies']) == ('master', 'SOLO', 1), f'{node}')


def killed(case, number):
    cluster = case.cluster
    case.step('kill it under load')
    journal = case.path(f'journal-{number}')
    load = cluster.load_begin(journal, f'one{number}')
    cluster.dev('kill', 'a')
    time.sleep(0.2)
    totals = cluster.load_stop(load)
    require(totals['acknowledged'] > 100, f'load: {totals}')
    cluster.dev('start', 'a')
    cluster.settle()
    case.verify([journal])
    return journal


def test(case):
    cluster = case.cluster
    cluster.up()
    cluster.settle()
    case.step('what it says of itself')
    says_so(cluster)
    client = cluster.client('a')
    require(client.call('TERN.CLASS', 'memory') == 'OK' and client.call('SET', 'm', 1) == 'OK' and
            client.call('GET', 'm') == '1', 'class memory waits for the flush here')
    require(client.call('WAIT', 1, 100) == 0, 'nobody else has it')
    require(client.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', 'tern') ==
            cluster.resp('a').split(':'), 'the Sentinel calls name it')
    case.step('what needs a second node')
    done = cluster.run('cluster', 'switchover', check=False)
    require(done.returncode == 5 and NOBODY in done.stderr, f'exit {done.returncode} {done.stderr}')
    journals = [killed(case, number) for number in range(2)]
    case.step('end it, start it')
    cluster.down()
    cluster.up()
    cluster.settle()
    case.verify(journals)
    require(cluster.client('a').call('GET', 'm') == '1', 'GET')
    says_so(cluster)
    require('equal' in cluster.run('log', 'verify').stdout, 'log verify')


main(test)
