# SPDX-License-Identifier: Apache-2.0
"""A full log area. What a data node lacks that is away is kept for it, so without it the log fills
up: client writes are refused with a clear error at 95 %, reads go on, status shows the use. When it
has returned and holds everything, the log is reclaimed and writes go on by themselves."""
import json
import os

from case import main, require


def fill(cluster):
    """Writes large values, then small ones, until the log refuses both; returns the refusal."""
    client = cluster.follower()
    for value in ('x' * 60000, 'x'):
        text = ''
        for i in range(20000):
            text = getattr(client.call('SET', f'key:{i % 50}', value), 'text', '')
            if text.startswith('LOGFULL'):
                break
            require(text == '', text)
    client.close()
    return text


def test(case):
    cluster = case.cluster
    cluster.log_size = '32MiB'
    cluster.up()
    cluster.settle()
    master = cluster.wait_master()
    away = cluster.other(master)
    require(cluster.client(master).call('SET', 'before', '1') == 'OK', 'SET')
    case.step('fill while a data node is away')
    cluster.dev('kill', away)
    cluster.wait('service without it', cluster.serves_without([away]))
    refusal = fill(cluster)
    master = cluster.wait_master()
    print(f'   {refusal}')
    require(refusal.startswith('LOGFULL'), refusal)
    require(cluster.client(master).call('GET', 'before') == '1', 'reads go on')
    node = cluster.status()[master]
    used = node['log_used_bytes'] / node['log_area_bytes']
    require(0.90 < used <= 0.96, f'use {used}')
    print('   ' + cluster.run('log', 'status', check=False).stdout.replace('\n', '\n   '))
    warnings = json.loads(cluster.run('status', '-o', 'json', check=False).stdout)['warnings']
    require(any(f'the log of {master} has' in text and 'pages left' in text for text in warnings),
            f'{warnings}')
    with open(os.path.join(cluster.dir, master, 'log'), encoding='utf-8') as handle:
        require(handle.read().count('log_area_reserve') == 1, 'the daemon says it, once')
    case.step('it returns, and the log has room again')
    cluster.dev('start', away)
    cluster.settle()
    cluster.wait('room in the log', lambda s: all(
        s[name]['log_used_bytes'] < 0.9 * s[name]['log_area_bytes']
        for name in cluster.data_names()) or None)
    client = cluster.follower()
    for i in range(2000):
        reply = client.call('SET', f'after:{i % 50}', 'x' * 60000)
        require(reply == 'OK', f'SET {i}: {reply}')
    client.close()
    case.step('kill the master')
    cluster.settle()
    master = cluster.wait_master()
    cluster.dev('kill', master)
    other = cluster.wait('another node to serve', cluster.serves_without([master]))
    require(cluster.client(other).call('GET', 'before') == '1', 'reads at the new master')
    require(cluster.client(other).call('SET', 'after', '1') == 'OK', 'SET')
    case.step('start it again')
    cluster.dev('start', master)
    cluster.settle()
    cluster.wait_equal()


main(test)
