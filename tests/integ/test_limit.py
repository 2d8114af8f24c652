# SPDX-License-Identifier: Apache-2.0
"""log.command_max is lowered while the log holds larger blocks: the start refuses, says what it has to
be, and loses nothing; with the old limit everything is there. A replica whose limit is lower than the
master's says so."""
import os
import re
import subprocess

from case import main, require

LOWERED = '520KiB'


def limit(cluster, value):
    """Sets log.command_max for every node that is started from now on; returns what it was."""
    path = os.path.join(cluster.dir, 'profile.conf')
    with open(path, encoding='utf-8') as handle:
        text = handle.read()
    found = re.search(r'command_max = "([^"]*)"', text)
    require(found, f'command_max in {text}')
    with open(path, 'w', encoding='utf-8') as handle:
        handle.write(text.replace(found.group(0), f'command_max = "{value}"'))
    return found.group(1)


def large(client, mark):
    """A command that takes more than what LOWERED allows."""
    require(client.call('MSET', 'x', mark * 400000, 'y', mark * 500000) == 'OK', 'MSET')


def refused(case, name):
    conf = os.path.join(case.cluster.dir, name, 'node.conf')
    done = subprocess.run([os.path.join(case.build, 'control/daemon/ternd'), '--config', conf],
                          capture_output=True, text=True, timeout=60)
    told = [line for line in done.stderr.splitlines() if line.startswith('ternd: ')]
    print('   ' + '\n   '.join(told))
    require(done.returncode == 8 and len(told) == 1, f'exit {done.returncode}\n{done.stderr}')
    found = re.search(r'larger blocks than log.command_max allows: set it to at least "(\d+KiB)"',
                      told[0])
    require(found, told[0])
    return found.group(1)


def alone(case):
    cluster = case.cluster
    cluster.topology = '1'
    cluster.up()
    cluster.settle()
    large(cluster.client('a'), 'p')
    case.step('kill it, lower its limit')
    cluster.dev('kill', 'a')
    before = limit(cluster, LOWERED)
    enough = refused(case, 'a')
    require(refused(case, 'a') == enough, 'and so does the next start')
    for name in '01':
        os.mkdir(case.path(name))
    backup = subprocess.run(
        [cluster.tern, 'backup', 'create', '--config', os.path.join(cluster.dir, 'a', 'node.conf'),
         '--to', f'{case.path("0")},{case.path("1")}', '--ec', '1+1'],
        capture_output=True, text=True, timeout=60)
    print('   ' + backup.stderr.strip())
    require(backup.returncode != 0 and f'set it to at least "{enough}"' in backup.stderr,
            f'a backup says the same: {backup.returncode} {backup.stderr}')
    case.step(f'start it with {enough}, then {before}')
    for value in (enough, before):
        limit(cluster, value)
        cluster.dev('start', 'a')
        cluster.settle()
        client = cluster.client('a')
        require(client.call('GET', 'x') == 'p' * 400000 and client.call('GET', 'y') == 'p' * 500000,
                'what was acknowledged is there')
        cluster.dev('kill', 'a')
    cluster.remove()


def words(cluster, name):
    with open(os.path.join(cluster.dir, name, 'log'), encoding='utf-8') as handle:
        return handle.read()


def replica(case):
    """A replica whose limit is lower than the master's takes nothing from the large block on, says so
    once, and loses nothing by it."""
    cluster = case.cluster
    cluster.topology = '2+w'
    cluster.up()
    cluster.settle()
    case.step('a replica with a lower limit')
    cluster.dev('kill', 'b')
    cluster.wait('a to serve alone', cluster.serves_without(['b']))
    before = limit(cluster, LOWERED)
    cluster.dev('start', 'b')
    cluster.wait_duplex()
    client = cluster.follower()
    require(client.call('MSET', 'x', 'p' * 400000, 'y', 'p' * 500000) == 'OK', 'MSET')
    cluster.wait('b to count what it does not take', lambda s:
                 s['b'].get('drops', {}).get('block_too_large', 0) > 1)
    cluster.wait('b to say so', lambda s: 'set log.command_max to the master' in words(cluster, 'b'))
    require(words(cluster, 'b').count('block_too_large node=b') == 1, 'once')
    require('block_too_large' in cluster.run('status', check=False).stdout, 'status')
    case.step('the limit of the master')
    cluster.dev('kill', 'b')
    limit(cluster, before)
    cluster.dev('start', 'b')
    cluster.wait_duplex()
    cluster.wait_equal()
    require(client.call('GET', 'x') == 'p' * 400000, 'GET')
    require(cluster.status()['b']['drops']['block_too_large'] == 0, 'it takes all now')


def test(case):
    alone(case)
    replica(case)


main(test)
