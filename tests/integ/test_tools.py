# SPDX-License-Identifier: Apache-2.0
"""redis-cli and redis-benchmark without an error, each with all copies and in one epoch from start to
end; then a switchover, and the verbs that a person uses."""
import json
import subprocess

from case import main, require


def benchmark(cluster, kind):
    """redis-benchmark runs without an error, and nothing changes meanwhile: the nodes and it may be too
    many for a busy host."""
    runs = []

    def attempt():
        master = cluster.wait_duplex()
        host, port = cluster.resp(master).rsplit(':', 1)
        before = cluster.standing(master)
        done = subprocess.run(['redis-benchmark', '-h', host, '-p', port, '-t', kind, '-n',
                               '100000', '-P', '16', '--csv'], capture_output=True, text=True,
                              timeout=300)
        print(done.stdout + done.stderr)
        runs.append((done, before))
        return before, cluster.standing(master)

    cluster.undisturbed('redis-benchmark', attempt)
    done, standing = runs[-1]
    require(standing[:2] == ['master', cluster.whole_mode], f'{standing}')
    require(done.returncode == 0, f'exit {done.returncode}')
    require('rror' not in done.stdout + done.stderr, 'no error')
    require(len(done.stdout.strip().splitlines()) == 2, 'a header and a line')


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
    for kind in ('set', 'get', 'incr', 'mset'):
        benchmark(cluster, kind)
    cluster.settle()

    case.step('switchover')
    target = cluster.other(cluster.wait_duplex())
    cluster.switchover(target)
    cluster.wait_duplex()
    require(cluster.ask('GET', 'a') == '2', 'data after the switchover')

    case.step('status, log status')
    cluster.with_master(lambda _: verbs(cluster))


main(test)
