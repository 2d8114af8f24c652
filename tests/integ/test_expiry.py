# SPDX-License-Identifier: Apache-2.0
"""Keys with a time to live through kill -9 of the master: none comes back, none goes early, and on an
idle cluster they go by themselves. Both nodes then hold the same state."""
import time

from case import main, require

TTL_S = 8


def gone(client, key):
    """Polls until @key is gone; from then on it stays so."""
    until = time.monotonic() + 60
    while client.call('EXISTS', key) == 1:
        require(time.monotonic() < until, f'{key} is still there')
        time.sleep(0.01)


def test(case):
    cluster = case.cluster
    cluster.log_size = '64MiB'
    cluster.up()
    case.step('an idle cluster')
    client = cluster.follower()
    require(client.call('SET', 'idle', 'v', 'PX', 200) == 'OK', 'set')
    gone(client, 'idle')
    require(client.call('GET', 'idle') is None, 'gone for good')
    case.step('kill -9 before they expire')
    began = time.monotonic()
    for i in range(50):
        require(client.call('SET', f'mortal:{i}', i, 'EX', TTL_S) == 'OK', 'set')
        require(client.call('SET', f'immortal:{i}', i, 'EX', 1000) == 'OK', 'set')
        require(client.call('PERSIST', f'immortal:{i}') == 1, 'persisted')
        require(client.call('SET', f'long:{i}', i, 'EX', 100000) == 'OK', 'set')
    seen = int(client.call('PEXPIRETIME', 'mortal:0'))
    victim = cluster.kill_master()
    other = cluster.other(victim)
    cluster.wait('the other one to serve', lambda s: s[other].get('serving'))
    client = cluster.follower()
    require(int(client.call('PEXPIRETIME', 'mortal:0')) == seen, 'the same time after the failover')
    alive = client.call('EXISTS', *[f'mortal:{i}' for i in range(50)])
    if time.monotonic() - began < TTL_S - 1:
        require(alive == 50, f'gone early: {alive} of 50')
    for i in range(50):
        gone(client, f'mortal:{i}')
    require(time.monotonic() - began > TTL_S - 1, 'gone early')
    case.step('and again: what is gone stays gone')
    cluster.dev('start', victim)
    cluster.settle()
    cluster.kill_in_sync(other)
    cluster.wait('the first one to serve', lambda s: s[victim].get('serving'))
    client = cluster.follower()
    require(client.call('EXISTS', 'idle', *[f'mortal:{i}' for i in range(50)]) == 0, 'came back')
    require(client.call('EXISTS', *[f'immortal:{i}' for i in range(50)]) == 50, 'persisted ones')
    require(client.call('EXISTS', *[f'long:{i}' for i in range(50)]) == 50, 'long ones')
    require(99000 < int(client.call('TTL', 'long:0')) <= 100000, 'their time')
    require(client.call('TTL', 'immortal:0') == -1, 'no time')
    require('expires=50' in client.call('INFO', 'keyspace'), client.call('INFO', 'keyspace'))
    cluster.dev('start', other)
    cluster.settle()


main(test)
