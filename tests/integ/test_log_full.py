# SPDX-License-Identifier: Apache-2.0
"""A full log area. With checkpoints the log is used round and round (integ-checkpoint,
integ-transfer); a log in RAM has none, and is full one day: client writes are refused with a clear
error at 95 %, reads go on, status shows the use, and the rest is enough for another master."""
import json
import os

from case import main, require


def fill(client):
    """Writes large values, then small ones, until the log refuses both; returns the refusal."""
    for value in ('x' * 60000, 'x'):
        for i in range(20000):
            reply = client.call('SET', f'key:{i % 50}', value)
            if reply != 'OK':
                break
    return getattr(reply, 'text', '')


def words(cluster, name):
    with open(os.path.join(cluster.dir, name, 'log'), encoding='utf-8') as handle:
        return handle.read()


def test(case):
    cluster = case.cluster
    cluster.log = 'ram'
    cluster.log_size = '32MiB'
    cluster.up()
    cluster.settle()
    client = cluster.follower(('TERN.CLASS', 'memory'))
    require(client.call('SET', 'before', '1') == 'OK', 'SET')
    case.step('fill')
    refusal = fill(client)
    master = cluster.wait_master()
    print(f'   {refusal}')
    require(refusal.startswith('LOGFULL'), refusal)
    require(client.call('GET', 'before') == '1', 'reads go on')
    node = cluster.wait('status to show how full it is', lambda s: s[master] if
                        s[master]['log_used_bytes'] > 0.90 * s[master]['log_area_bytes'] else None)
    require(node['log_used_bytes'] <= 0.96 * node['log_area_bytes'], f'{node}')
    print('   ' + cluster.run('log', 'status', check=False).stdout.replace('\n', '\n   '))
    warnings = json.loads(cluster.run('status', '-o', 'json', check=False).stdout)['warnings']
    require(any(f'the log of {master} has' in text and 'pages left' in text for text in warnings),
            f'{warnings}')
    said = [words(cluster, name).count('log_area_reserve') for name in cluster.data_names()]
    require(max(said) == 1, f'a daemon says it, once: {said}')
    case.step('kill the master')
    master = cluster.kill_master()
    cluster.wait('another node to serve', cluster.serves_without([master]))
    require(client.call('GET', 'before') == '1', 'reads at the new master')
    reply = client.call('SET', 'after', '1')
    require(getattr(reply, 'text', '').startswith('LOGFULL'), f'writes are refused: {reply}')


main(test)
