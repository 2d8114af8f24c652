# SPDX-License-Identifier: Apache-2.0
"""`tern bench`: what it reports is what happened. Figures are looked at, never judged."""
import json
import os
import signal
import socket
import subprocess
import sys
import time

from case import main, require


def read_history(path):
    with open(path, encoding='ascii') as handle:
        return [json.loads(line) for line in handle]


def check_history(lines, counts):
    """The history says the same as the report, and every value read was written."""
    for outcome in ('ok', 'fail', 'unknown'):
        found = sum(line['outcome'] == outcome for line in lines)
        require(found == counts[outcome], f'{outcome}: {found} lines, {counts[outcome]} counted')
    require(all(line['call_ns'] <= line['return_ns'] for line in lines), 'times in order')
    written = {}
    for line in lines:
        if line['op'] == 'set':
            written.setdefault(line['key'], set()).add(line['arg'])
    counters = {}
    for line in lines:
        if line['outcome'] != 'ok':
            continue
        if line['op'] == 'get' and line['result'] is not None and ':s' in line['key']:
            require(line['result'] in written.get(line['key'], ()), f'never written: {line}')
        if line['op'] == 'incr':
            seen = counters.setdefault(line['key'], set())
            require(line['result'] not in seen, f'the same count twice: {line}')
            seen.add(line['result'])
    for key, seen in counters.items():
        unknown = sum(line['op'] == 'incr' and line['key'] == key and
                      line['outcome'] == 'unknown' for line in lines)
        require(max(seen) <= len(seen) + unknown, f'{key}: counted {max(seen)}, {len(seen)} said')


def test_run(case):
    cluster = case.cluster
    history = case.path('history')

    case.step('closed loop with a history')
    done = cluster.run('bench', 'run', '--duration', '1s', '--connections', '8', '--pipeline', '4',
                       '--mix', 'set=2,get=2,incr=1', '--keys', '50', '--value-size', '100',
                       '--history', history, '-o', 'json')
    closed = json.loads(done.stdout)
    require(closed['api'] == 'bench/v1' and closed['kind'] == 'run', 'bench/v1')
    require(closed['counts']['ok'] > 0 and closed['counts']['unknown'] == 0, closed['counts'])
    require(closed['void'] == [] and
            closed['cluster']['after']['mode'] == cluster.whole_mode, closed)
    lines = read_history(history)
    require({line['op'] for line in lines} == {'set', 'get', 'incr'}, 'all kinds')
    check_history(lines, closed['counts'])

    case.step('open loop')
    reports = []
    for number in range(2):
        done = cluster.run('bench', 'run', '--duration', '1s', '--rate', '1000', '--connections',
                           '16', '-o', 'json')
        report = json.loads(done.stdout)
        counts = report['counts']
        require(counts['sent'] + counts['unsent'] == 1000, counts)
        reports.append(case.path(f'report{number}'))
        with open(reports[-1], 'w', encoding='ascii') as out:
            out.write(done.stdout)

    case.step('compare')
    done = subprocess.run([cluster.tern, 'bench', 'compare', *reports, '-o', 'json'],
                          capture_output=True, text=True, timeout=30)
    require(done.returncode == 0, done.stdout + done.stderr)
    result = json.loads(done.stdout)
    require(result['kind'] == 'compare' and len(result['rows']) >= 6, result)
    done = subprocess.run([cluster.tern, 'bench', 'compare', *reports], capture_output=True,
                          text=True, timeout=30)
    require('throughput' in done.stdout, done.stdout)
    bad = subprocess.run([cluster.tern, 'bench', 'compare', reports[0], history],
                         capture_output=True, text=True, timeout=30)
    require(bad.returncode == 2, f'exit {bad.returncode}')


def reads_of(cluster, name):
    """That its gateway has answered."""
    client = cluster.client(name)
    text = client.call('INFO', 'stats')
    client.close()
    return int(next(line for line in text.split('\r\n')
                    if line.startswith('tern_reads:')).split(':')[1])


def test_reads(case):
    """Gets alone, answered by all nodes; with sets among them, by the master."""
    cluster = case.cluster
    history = case.path('reads')
    checker = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'support',
                           'check_history.py')
    case.step('reads of other kinds')
    for kind in ('session', 'stale:60000', 'snapshot', 'dirty'):
        before = {name: reads_of(cluster, name) for name in cluster.data_names()}
        # More of them than a node keeps positions: they share one.
        done = cluster.run('bench', 'run', '--duration', '300ms', '--connections', '64', '--mix',
                           'get', '--reads', kind, '-o', 'json')
        report = json.loads(done.stdout)
        require(report['config']['reads'] == kind.split(':')[0], report['config'])
        # On a busy host a replica may not know for a moment how old its state is, or its master.
        require(set(report['errors']) <= {'STALE', 'MASTERDOWN'} and report['counts']['ok'] > 0,
                report)
        for name, count in before.items():
            require(reads_of(cluster, name) > count, f'{kind}: {name} has answered none')
        done = cluster.run('bench', 'run', '--duration', '300ms', '--connections', '4', '--mix',
                           'get=2,set=1,incr=1', '--keys', '20', '--reads', kind, '--history',
                           history, '-o', 'json')
        lines = read_history(history)
        again = cluster.run('bench', 'run', '--history', history, check=False)
        require(again.returncode == 1 and 'not overwritten' in again.stderr and
                read_history(history) == lines, again.stderr)
        check_history(lines, json.loads(done.stdout)['counts'])
        require({line.get('reads') for line in lines if line['op'] == 'get'} ==
                {kind.split(':')[0]}, 'the lines of gets say so')
        require(not any('reads' in line for line in lines if line['op'] != 'get'), 'no others do')
        done = subprocess.run([sys.executable, checker, history], capture_output=True, text=True,
                              timeout=60)
        require(done.returncode == 0, done.stdout + done.stderr)
        os.unlink(history)


def test_failover(case):
    cluster = case.cluster
    history = case.path('failover')

    case.step('a run over a failover')
    master = cluster.wait_duplex()
    load = subprocess.Popen([cluster.tern, 'bench', 'run', '--dir', cluster.dir, '--duration',
                             '6s', '--connections', '8', '--mix', 'set=1,incr=1', '--keys', '20',
                             '--history', history, '-o', 'json'], stdout=subprocess.PIPE,
                            text=True)
    time.sleep(2)
    cluster.kill_in_sync(master)
    killed_ns = time.monotonic_ns()
    out, _ = load.communicate(timeout=120)
    require(load.returncode == 0, out)
    report = json.loads(out)
    require(report['void'] != [], 'a failover makes a run void as a measurement')
    lines = read_history(history)
    check_history(lines, report['counts'])
    require(any(line['outcome'] == 'ok' and line['call_ns'] > killed_ns for line in lines),
            'it found the new master')
    require(report['counts']['gap_max_ns'] > 0, report['counts'])
    cluster.dev('start', master)
    cluster.settle()


def test_usage(case):
    case.step('bad options')
    for args in (['--rate', '0'], ['--mix', 'put=1'], ['--connections', '0'], ['--keys', 'x'],
                 ['--reads', 'stale'], ['--value-size', '0'], ['--duration', '1'], ['--address', 'nowhere'],
                 ['--value-size', '8', '--history', case.path('none')]):
        done = case.cluster.run('bench', 'run', *args, check=False)
        require(done.returncode == 2, f'{args}: exit {done.returncode} {done.stderr}')
    done = subprocess.run([case.cluster.tern, 'bench', 'run', '--address', '127.0.0.1:1',
                           '--duration', '50ms'], capture_output=True, text=True, timeout=60)
    require(done.returncode == 1 and 'no request was answered' in done.stderr, done.stderr)


def test_raw(case):
    case.step('the floor of the machine')
    done = case.cluster.run('bench', 'raw', '--runs', '1', '--duration', '20ms', '-o', 'json')
    report = json.loads(done.stdout)
    require(report['kind'] == 'raw' and len(report['measures']) == 11, report)
    require(all(measure['value'] > 0 for measure in report['measures']), report['measures'])
    require('O_DIRECT' in report['floor']['disk_mode'] and 'DSYNC' in report['floor']['disk_mode'],
            report['floor'])
    for verb in ('raw', 'replicate'):
        done = case.cluster.run('bench', verb, '--duration', '61s', check=False)
        require(done.returncode == 2 and '60s' in done.stderr, done.stderr)
    load = subprocess.Popen([case.cluster.tern, 'bench', 'raw', '--dir', case.cluster.dir,
                             '--runs', '25', '--duration', '10s'])
    time.sleep(3)
    load.terminate()
    require(load.wait(timeout=60) == -signal.SIGTERM, 'it was ended')
    left = [name for name in os.listdir(case.cluster.dir) if name.startswith('bench-raw')]
    require(left == [], f'files are left: {left}')


def test_disk(case):
    case.step('the store beside its devices')
    done = case.cluster.run('bench', 'disk', '--runs', '1', '--duration', '20ms', '-o', 'json')
    report = json.loads(done.stdout)
    require(report['kind'] == 'disk' and report['config']['geometries'] ==
            ['1+0', '1+1', '2+1', '4+2'], report)
    require(len(report['measures']) == 4 * 3 * 4, report['measures'])
    require(all(measure['value'] > 0 for measure in report['measures']), report['measures'])
    require('O_DIRECT' in report['disk']['mode'] and
            report['disk']['durable_writes'] == report['disk']['writes'] > 0, report['disk'])
    values = {measure['name']: measure['value'] for measure in report['measures']
              if measure['unit'] == 'bytes/s'}
    blocks = {measure['name']: measure['value'] for measure in report['measures']
              if measure['unit'] == 'blocks/s'}
    for name, pages in (('1+0, 16 KiB', 4), ('2+1, 1 KiB', 2), ('4+2, 64 KiB', 24)):
        written = values[name + ', written']  # parity counted
        require(abs(written - blocks[name] * pages * 4096) < written / 1000, f'{name}: {report}')
    done = case.cluster.run('bench', 'disk', '--ec', '0+1', check=False)
    require(done.returncode == 2 and 'K+M' in done.stderr, done.stderr)
    left = [name for name in os.listdir(case.cluster.dir) if name.startswith('bench-disk')]
    require(left == [], f'files are left: {left}')


def ask(path, **request):
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(60)
        client.connect(path)
        client.sendall(json.dumps({'api': 'admin/v1', **request}).encode() + b'\n')
        return json.loads(client.makefile().readline())


def test_load_refused(case):
    case.step('load that is refused')
    master = case.cluster.wait_duplex()
    good = {'verb': 'load-start', 'command_bytes': 64, 'in_flight': 1, 'duration_ms': 1,
            'keys': 1024}
    here, there = (case.cluster.nodes[name]['admin']
                   for name in (master, case.cluster.other(master)))
    require(ask(there, **good)['exit'] == 5, 'a replica takes no load')
    for change in ({'command_bytes': 56}, {'command_bytes': 60}, {'command_bytes': 1 << 40},
                   {'in_flight': 0}, {'in_flight': 16385}, {'keys': 1000}, {'keys': -1},
                   {'duration_ms': 1 << 33}):
        require(ask(here, **{**good, **change})['exit'] == 2, str(change))
    require(ask(here, verb='load-result')['exit'] == 5, 'no result without a load')


def test_load_over_a_handover(case):
    case.step('load on a node that hands over')
    master = case.cluster.wait_duplex()
    here = case.cluster.nodes[master]['admin']
    answer = ask(here, verb='load-start', command_bytes=64, in_flight=64, duration_ms=20000,
                 keys=1024)
    require('result' in answer, answer)
    case.cluster.run('cluster', 'switchover', case.cluster.other(master))
    while True:
        answer = ask(here, verb='load-result')
        require('result' in answer, answer)
        if not answer['result'].get('running'):
            break
        time.sleep(0.05)
    outcomes = answer['result']['outcomes']
    require(len(outcomes) == 13 and outcomes['not_master'] + outcomes['unknown'] > 0 and
            outcomes['log_full'] == 0, outcomes)
    case.cluster.settle()


def test_replicate(case):
    case.step('replication beside the floor')
    master = case.cluster.wait_duplex()
    answer = ask(case.cluster.nodes[master]['admin'], verb='load-start', command_bytes=64,
                 in_flight=1, duration_ms=1, keys=1024)
    require('result' in answer, answer)
    time.sleep(1)  # its result waits, and nobody will ask for it
    for _ in range(5):  # a busy host may change the mode meanwhile, and then a load is void
        done = case.cluster.run('bench', 'replicate', '--runs', '1', '--duration', '30ms',
                                '--keys', '1024', '-o', 'json', check=False)
        require(done.returncode != 4, f'states differ: {done.stderr}')
        report = json.loads(done.stdout)
        case.cluster.settle()
        if done.returncode == 0 and report['void'] == []:
            break
    require(done.returncode == 0 and report['void'] == [], done.stdout + done.stderr)
    require(report['cluster']['mode'] == case.cluster.whole_mode and
            report['cluster']['copies'] == 2,  # of three, two are waited for
            report['cluster'])
    loads = {load['point']: load for load in report['loads']}
    require(len(loads) == 8, list(loads))
    for name, size in (('64 B blocks of 1', 1), ('64 B blocks of 16', 16),
                       ('1 KiB blocks of 1', 1), ('1 KiB blocks of 16', 16)):
        sizes = loads[name]['block_size']
        require(sizes['p50'] == size and sizes['max'] == size, f'{name}: {sizes}')
    for load in loads.values():
        require(load['outcomes']['done'] > 0 and sum(load['outcomes'].values()) ==
                load['outcomes']['done'], load['outcomes'])
        require(load['latency']['count'] == load['outcomes']['done'], load['latency'])
    require(case.cluster.ask('DBSIZE') >= 2048, 'all keys of both sizes')
    values = {measure['name']: measure['value'] for measure in report['measures']}
    written = values['64 B full blocks bytes'] * len(case.cluster.data_names())
    ratio = written / values['device 256 KiB'] / values['64 B full blocks of the device']
    require(0.999 < ratio < 1.001, f'every data node writes: {ratio}')

    case.step('no room')
    done = case.cluster.run('bench', 'replicate', '--runs', '1', '--keys', str(1 << 20),
                            check=False)
    require(done.returncode == 5 and 'state.capacity' in done.stderr, done.stderr)


def test(case):
    case.cluster.up()
    case.cluster.settle()
    test_raw(case)
    test_disk(case)
    test_load_refused(case)
    test_load_over_a_handover(case)
    test_replicate(case)
    case.cluster.settle()
    test_usage(case)
    test_run(case)
    test_reads(case)
    test_failover(case)


main(test)
