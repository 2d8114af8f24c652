# SPDX-License-Identifier: Apache-2.0
"""redis-cli, redis-benchmark, hiredis and python3-redis, each through a kill of the master without
a change to the client; and word of it to those who subscribed."""
import os
import subprocess
import sys

from case import Client, main, require
from clients import sentinels, through_failover

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'clients')


def address(cluster, sentinel):
    client = Client(cluster.resp(sentinel))
    found = client.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', 'tern')
    client.close()
    return ':'.join(found) if found else None


def benchmark(cluster):
    """It stops at the first error, as when the master changes, which it may on a busy host."""
    for _ in range(8):
        host, port = cluster.wait('the witness to name a master',
                                  lambda _: address(cluster, 'w')).split(':')
        before = cluster.standing(cluster.wait_master())
        done = subprocess.run(['redis-benchmark', '-h', host, '-p', port, '-t', 'set,get,incr',
                               '-n', '20000', '-c', '16', '-P', '4', '--csv'],
                              capture_output=True, text=True, timeout=120)
        if before == cluster.standing(cluster.wait_master()):
            break
    require(done.returncode == 0 and 'rror' not in done.stdout + done.stderr,
            f'redis-benchmark: exit {done.returncode}: {done.stdout}{done.stderr}')


def benchmark_and_events(case):
    """redis-benchmark does not connect again: the one under the kill ends, the next one is sent
    where the sentinel says."""
    cluster = case.cluster
    case.step('redis-benchmark and +switch-master')
    cluster.settle()
    victim = cluster.wait_master()
    other = cluster.other(victim)
    old, new = cluster.resp(victim), cluster.resp(other)
    listeners = [Client(cluster.resp(name), timeout=60) for name in ('w', other)]
    for listener in listeners:
        require(listener.call('SUBSCRIBE', '+switch-master') == ['subscribe', '+switch-master', 1],
                'subscribed')
    benchmark(cluster)
    host, port = old.split(':')
    running = subprocess.Popen(['redis-benchmark', '-h', host, '-p', port, '-t', 'set', '-n',
                                '100000000', '-c', '16'], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    try:
        cluster.kill_in_sync(victim)
        for listener in listeners:
            text = ' '.join(['tern', *old.split(':'), *new.split(':')])
            require(listener.read() == ['message', '+switch-master', text], 'the switch is told')
    finally:
        running.kill()
        running.wait(timeout=30)
    cluster.wait('the survivor to serve', lambda s: cluster.master(s) == other)
    require(address(cluster, 'w') == new, 'the witness names the survivor')
    benchmark(cluster)
    for listener in listeners:
        listener.close()
    cluster.dev('start', victim)


def no_view(case):
    """One node of three left: it knows no master, and says so."""
    cluster = case.cluster
    case.step('nil without a current view')
    cluster.settle()
    cluster.dev('kill', 'a')
    cluster.dev('kill', 'b')
    client = Client(cluster.resp('w'))
    until = cluster.wait('the witness to forget the master', lambda s: True if client.call(
        'SENTINEL', 'GET-MASTER-ADDR-BY-NAME', 'tern') == [] else None)
    require(until, 'nil')
    require(client.call('SENTINEL', 'MASTERS') == [], 'no master in the list')
    client.close()
    cluster.dev('start', 'a')
    cluster.dev('start', 'b')
    cluster.settle()
    require(address(cluster, 'w') == cluster.resp(cluster.wait_master()), 'known again')


def test(case, hiredis):
    if hiredis == 'missing':
        print('skipped: built without hiredis (tests/setup installs it)')
        sys.exit(77)
    case.cluster.log_size = '64MiB'
    case.cluster.up()
    through_failover(case, 'redis-cli', [os.path.join(HERE, 'client_redis_cli')])
    through_failover(case, 'hiredis', [hiredis])
    script = os.path.join(HERE, 'client_redis_py.py')
    for kind in ('plain', 'sentinel'):
        through_failover(case, f'redis-py-{kind}', ['/usr/bin/python3', script, kind])
    benchmark_and_events(case)
    no_view(case)
    require(len(sentinels(case.cluster)) == 3, 'three sentinels')


main(test)
