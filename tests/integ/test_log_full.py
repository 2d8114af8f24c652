# SPDX-License-Identifier: Apache-2.0
"""A full log area: client writes are refused with a clear error at 95 %, reads go on, status shows
the use, and barriers still fit: the master can be killed, the other side serves."""
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
    return getattr(reply, 'text', reply)


def test(case):
    cluster = case.cluster
    cluster.log_size = '32MiB'
    cluster.up()
    cluster.settle()
    master = cluster.wait_master()
    require(cluster.client(master).call('SET', 'before', '1') == 'OK', 'SET')
    case.step('fill')
    refusal = fill(cluster.client(master))
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
    case.step('kill the master of a full log')
    cluster.dev('kill', master)
    other = cluster.wait('another node to serve', cluster.serves_without([master]))
    require(cluster.client(other).call('GET', 'before') == '1', 'reads at the new master')
    again = cluster.client(other).call('SET', 'after', '1')
    require(getattr(again, 'text', '').startswith('LOGFULL'), f'{again}')
    case.step('start it again')
    cluster.dev('start', master)
    cluster.settle()


main(test)
