# SPDX-License-Identifier: Apache-2.0
"""A full log area. With checkpoints the log is used round and round (integ-checkpoint,
integ-transfer); a log in RAM has none, and is full one day: client writes are refused with a clear
error at 95 %, reads go on, status shows the use, and the rest is enough for another master."""
import json
import os

from case import main, require


def memory_client(cluster, name=None):
    client = cluster.client(name)
    require(client.call('TERN.CLASS', 'memory') == 'OK', 'TERN.CLASS')
    return client


def fill(cluster):
    """Writes large values, then small ones, until the log refuses both; returns the refusal. It
    follows the master, which may be another one at any time on a busy machine."""
    client = memory_client(cluster)
    for value in ('x' * 60000, 'x'):
        text = ''
        for i in range(20000):
            try:
                reply = client.call('SET', f'key:{i % 50}', value)
            except ConnectionError:
                reply = None
            text = getattr(reply, 'text', '')
            if text.startswith('LOGFULL'):
                break
            if reply != 'OK':
                client.close()
                client = memory_client(cluster)
    client.close()
    return text


def test(case):
    cluster = case.cluster
    cluster.log = 'ram'
    cluster.log_size = '32MiB'
    cluster.up()
    cluster.settle()
    require(memory_client(cluster).call('SET', 'before', '1') == 'OK', 'SET')
    case.step('fill')
    refusal = fill(cluster)
    master = cluster.wait_master()
    print(f'   {refusal}')
    require(refusal.startswith('LOGFULL'), refusal)
    require(memory_client(cluster).call('GET', 'before') == '1', 'reads go on')
    node = cluster.status()[master]
    used = node['log_used_bytes'] / node['log_area_bytes']
    require(0.90 < used <= 0.96, f'use {used}')
    print('   ' + cluster.run('log', 'status', check=False).stdout.replace('\n', '\n   '))
    warnings = json.loads(cluster.run('status', '-o', 'json', check=False).stdout)['warnings']
    require(any(f'the log of {master} has' in text and 'pages left' in text for text in warnings),
            f'{warnings}')
    with open(os.path.join(cluster.dir, master, 'log'), encoding='utf-8') as handle:
        require(handle.read().count('log_area_reserve') == 1, 'the daemon says it, once')
    case.step('kill the master')
    master = cluster.kill_master()
    other = cluster.wait('another node to serve', cluster.serves_without([master]))
    client = memory_client(cluster, other)
    require(client.call('GET', 'before') == '1', 'reads at the new master')
    reply = client.call('SET', 'after', '1')
    require(getattr(reply, 'text', '').startswith('LOGFULL'), f'writes are refused: {reply}')


main(test)
