# SPDX-License-Identifier: Apache-2.0
"""redis-cli and redis-benchmark without an error, with all copies and in one epoch from start to
end; then a switchover, and the verbs that a person uses."""
import json
import subprocess

from case import main, require


def standing(node):
    return [node.get(key) for key in ('role', 'mode', 'term', 'epoch')]


def benchmark(cluster):
    """redis-benchmark runs without an error, and nothing changes meanwhile. The nodes and it may be too
    many for a busy host: then a run in which the master changed is made again. Returns the master."""
    for _ in range(8):
        master = cluster.wait_duplex()
        host, port = cluster.resp(master).rsplit(':', 1)
        before = standing(cluster.status()[master])
        done = subprocess.run(['redis-benchmark', '-h', host, '-p', port, '-t',
                               'set,get,incr,mset', '-n', '100000', '-P', '16', '--csv'],
                              capture_output=True, text=True, timeout=300)
        print(done.stdout + done.stderr)
        after = standing(cluster.status()[master])
        if after == before:
            break
        print(f'   {before} became {after}: once more')
    require(after == before, 'mode or master changed every time')
    require(after[:2] == ['master', cluster.whole_mode], f'{after}')
    require(done.returncode == 0, f'exit {done.returncode}')
    require('rror' not in done.stdout + done.stderr, 'no error')
    require(len(done.stdout.strip().splitlines()) == 5, 'four tests and a header')
    cluster.settle()
    return master


def redis_cli(cluster, master):
    host, port = cluster.resp(master).rsplit(':', 1)
    for args, expected in ((['SET', 'a', '1'], 'OK'), (['GET', 'a'], '1'), (['INCR', 'a'], '2'),
                           (['DBSIZE'], '1'), (['PING'], 'PONG')):
        done = subprocess.run(['redis-cli', '-h', host, '-p', port, *args], capture_output=True,
                              text=True, timeout=30)
        require(done.stdout.strip() == expected, f'{args}: {done.stdout}{done.stderr}')
    other = cluster.resp(cluster.other(master)).rsplit(':', 1)
    done = subprocess.run(['redis-cli', '-h', other[0], '-p', other[1], 'SET', 'a', '1'],
                          capture_output=True, text=True, timeout=30)
    require('READONLY' in done.stdout, done.stdout)
    done = subprocess.run(['redis-cli', '-h', other[0], '-p', other[1], 'GET', 'a'],
                          capture_output=True, text=True, timeout=30)
    require(f'MOVED 0 {host}:{port}' in done.stdout, done.stdout)


def verbs(cluster):
    status = json.loads(cluster.run('status', '-o', 'json').stdout)
    require(status['api'] == 'status/v1' and len(status['nodes']) == len(cluster.nodes),
            'status/v1')
    cluster.run('log', 'status')
    require(cluster.run('log', 'divergent', 'list').returncode == 0, 'divergent list')
    cluster.run('log', 'verify')


def test(case):
    cluster = case.cluster
    cluster.log_size = '64MiB'
    cluster.up()
    cluster.settle()
    case.step('redis-cli')
    cluster.with_master(lambda master: redis_cli(cluster, master))
    case.step('redis-benchmark')
    master = benchmark(cluster)

    case.step('switchover')
    target = cluster.other(master)
    cluster.switchover(target)
    cluster.wait_duplex()
    require(cluster.ask('GET', 'a') == '2', 'data after the switchover')

    case.step('status, log status')
    cluster.with_master(lambda _: verbs(cluster))


main(test)
