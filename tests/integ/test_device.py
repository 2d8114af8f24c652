# SPDX-License-Identifier: Apache-2.0
"""What an operator does with devices while a cluster serves: looks at them and at what they do, takes
one out, is refused where the node would not bear it, waits for the rebuild, replaces one that
carries something else. Devices are files of nodes of 2+1."""
import hashlib
import json
import os
import subprocess

from case import main, require


def verb(case, *words, code=0):
    """A verb with -o json: what it says, after its exit code was looked at."""
    done = case.cluster.run(*words, '-o', 'json', check=False)
    require(done.returncode == code,
            f'{" ".join(words)}: exit {done.returncode}, not {code}\n{done.stdout}{done.stderr}')
    return json.loads(done.stdout) if done.stdout else None


def bare(case, *words, code=0):
    """A verb that speaks of no cluster."""
    done = subprocess.run([case.cluster.tern, *words, '-o', 'json'], capture_output=True, text=True,
                          timeout=60)
    require(done.returncode == code,
            f'{" ".join(words)}: exit {done.returncode}, not {code}\n{done.stdout}{done.stderr}')
    return json.loads(done.stdout)


def look(case, master):
    case.step('list, show, iostat')
    nodes = verb(case, 'device', 'list')['nodes']
    require(len(nodes) == 2, nodes)
    for node in nodes:
        for device in node['pool']['devices']:
            require(device['state'] == 'ok' and device['io']['writes'] > 0, device)
            require(device['io']['write_errors'] == 0, device)
    shown = verb(case, 'device', 'show', master, '1')
    require(shown['facts']['kind'] == 'file' and shown['facts']['durable_by'] == 'flush', shown)
    require('RWF_DSYNC' in shown['facts']['durable_why'], shown)
    require('RWF_DSYNC' in shown['disk']['mode'] if 'mode' in shown['disk'] else True, shown)
    done = case.cluster.run('device', 'iostat', master, '--interval', '500ms', '--count', '2', '-o',
                            'json')
    reports, at = [], 0
    while at < len(done.stdout.rstrip()):
        report, end = json.JSONDecoder().raw_decode(done.stdout[at:])
        reports.append(report)
        at += end + 1
    require(len(reports) == 2, done.stdout)
    for report in reports:
        (node,) = report['nodes']
        require(node['node'] == master and len(node['devices']) == 3, node)
        written = sum(device['writes'] for device in node['devices'])
        require(written > 0, f'under load: {node}')
        for device in node['devices']:
            if device['writes']:
                require(device['write_p99_ns'] > 0 and device['write_mean_ns'] > 0 and
                        device['write_bytes'] >= 4096 * device['writes'] and
                        device['writes_per_s'] > 0, device)
    since = verb(case, 'device', 'iostat')
    require(len(since['nodes']) == 2, since)
    verb(case, 'device', 'iostat', '--interval', '1ns', code=2)
    verb(case, 'device', 'iostat', 'nobody', code=7)


def take_out(case, name):
    case.step(f'device 1 of {name} is taken out')
    verb(case, 'device', 'can-remove', name, '1')
    verb(case, 'device', 'fail', name, '1')
    nodes = {node['node']: node for node in verb(case, 'device', 'list', code=3)['nodes']}
    pool = nodes[name]['pool']
    require(pool['devices'][1]['state'] == 'failed' and pool['devices'][1]['recorded'], pool)
    require(pool['losses_left'] == 0, pool)
    verb(case, 'device', 'fail', name, '1', code=5)
    verb(case, 'device', 'fail', name, '2', code=5)
    verb(case, 'device', 'fail', name, '7', code=2)
    verb(case, 'device', 'fail', 'w', '0', code=2)
    require(not verb(case, 'device', 'list', code=3)['nodes'][0]['storage_failed'], 'it goes on')


def jobs_of(case, name):
    return [job for job in verb(case, 'job', 'list')['jobs']
            if job['node'] == name and job['kind'] == 'rebuild']


def come_back(case, name):
    case.step(f'{name} starts again with it')
    cluster = case.cluster
    cluster.dev('kill', name)
    verb(case, 'job', 'list', code=3)
    cluster.dev('start', name)
    cluster.wait('a rebuild', lambda _status: bool(jobs_of(case, name)))
    (job,) = jobs_of(case, name)
    require(job['job'] == f'{name}-{job["id"]}' and job['device'] == 1, job)
    # Whether it runs or has ended, it is not cancelled.
    verb(case, 'job', 'cancel', job['job'], code=5)
    ended = verb(case, 'job', 'wait', job['job'])['job']
    require(ended['state'] == 'done', ended)
    require(verb(case, 'job', 'show', job['job'])['job']['state'] == 'done', job)
    done = cluster.run('job', 'list')
    require('rebuild' in done.stdout and '100.0 %' in done.stdout, done.stdout)
    verb(case, 'job', 'show', f'{name}-1', code=5)
    verb(case, 'job', 'show', 'nonsense', code=2)
    verb(case, 'job', 'cancel', job['job'], code=5)
    cluster.settle()
    verb(case, 'device', 'list')


def cancel(case, name):
    case.step(f'a scrub of {name} is listed, waited for, cancelled')
    verb(case, 'device', 'scrub', 'rate', '4KiB', name)
    verb(case, 'device', 'scrub', 'start', name)
    scrubs = [job for job in verb(case, 'job', 'list')['jobs']
              if job['kind'] == 'scrub' and job['node'] == name]
    require(len(scrubs) == 1 and scrubs[0]['state'] == 'running' and scrubs[0]['device'] is None,
            scrubs)
    job = scrubs[0]['job']
    verb(case, 'job', 'wait', job, '--timeout', '300ms', code=6)
    require(verb(case, 'job', 'cancel', job)['job']['state'] == 'cancelled', 'it is')
    verb(case, 'job', 'show', job, code=3)
    verb(case, 'job', 'wait', job, code=3)
    verb(case, 'job', 'cancel', job, code=5)


def content(path):
    with open(path, 'rb') as handle:
        return hashlib.sha256(handle.read()).hexdigest()


def replace(case, name):
    """In the place of the device lies a file system that somebody may still need."""
    cluster = case.cluster
    case.step(f'device 1 of {name} is replaced')
    paths = [device['path'] for device in cluster.status()[name]['pool']['devices']]
    config = os.path.join(cluster.dir, name, 'node.conf')
    verb(case, 'device', 'fail', name, '1')
    cluster.dev('kill', name)
    healthy = content(paths[0])
    bare(case, 'device', 'replace', '0', '--config', config, '--wipe', paths[0], code=5)
    require(content(paths[0]) == healthy, 'a device that is well is left alone, named or not')
    size = os.path.getsize(paths[1])
    os.unlink(paths[1])
    with open(paths[1], 'wb') as handle:
        handle.truncate(size)
    environment = dict(os.environ, PATH=os.environ['PATH'] + ':/usr/sbin:/sbin')
    subprocess.run(['mkfs.ext4', '-q', '-L', 'precious', paths[1]], check=True, timeout=60,
                   env=environment)
    before = content(paths[1])
    (scanned,) = bare(case, 'device', 'scan', paths[1])['devices']
    require('ext4' in scanned['carries'] and 'precious' in scanned['carries'] and
            scanned['usable'] == 'wipe' and scanned['wipe_by'] == paths[1], scanned)
    bare(case, 'device', 'replace', '1', '--config', config, code=8)
    bare(case, 'device', 'replace', '1', '--config', config, '--wipe', paths[2], code=2)
    require(content(paths[1]) == before, 'not named, so left alone')
    bare(case, 'device', 'replace', '1', '--config', config, '--wipe', paths[1])
    cluster.dev('start', name)
    cluster.wait('a rebuild', lambda _status: bool(jobs_of(case, name)))
    verb(case, 'job', 'wait', jobs_of(case, name)[-1]['job'])
    cluster.settle()
    verb(case, 'device', 'list')


def hot_replace(case, name, path, code=0):
    config = os.path.join(case.cluster.dir, name, 'node.conf')
    return bare(case, 'device', 'replace', '1', path, '--config', config, code=code)


def wait_ok(case, name, path):
    def stands(status):
        device = status[name]['pool']['devices'][1]
        return device['state'] == 'ok' and device['path'] == path
    case.cluster.wait(f'{path} to be whole', stands)


def refused_meanwhile(case, name):
    """The place is being filled: what is asked to take it then is refused, stays with the node, and is
    there when it is asked again."""
    first, second = case.path('first'), case.path('second')
    case.step(f'device 1 of {name} is replaced, twice')
    verb(case, 'device', 'fail', name, '1')
    verb(case, 'device', 'rebuild', 'rate', '4KiB', name)
    hot_replace(case, name, first)
    for _ in range(2):
        hot_replace(case, name, second, code=5)
        require(os.path.exists(second), 'the node has it open')
    made = os.stat(second).st_ino
    verb(case, 'device', 'rebuild', 'rate', '1GiB', name)
    wait_ok(case, name, first)
    verb(case, 'device', 'fail', name, '1')
    hot_replace(case, name, second)
    wait_ok(case, name, second)
    require(os.stat(second).st_ino == made, 'and this very file')
    case.cluster.dev('kill', name)
    case.cluster.dev('start', name)
    case.cluster.settle()
    wait_ok(case, name, second)


def in_use(case, name):
    case.step('what a daemon has is not to be had')
    paths = [device['path'] for device in case.cluster.status()[name]['pool']['devices']]
    config = os.path.join(case.cluster.dir, name, 'node.conf')
    (scanned,) = bare(case, 'device', 'scan', paths[0], code=5)['devices']
    require(scanned['usable'] == 'no' and 'another process' in scanned['why'], scanned)
    require(scanned['tern']['node_id'] == case.cluster.status()[name]['id'], scanned)
    bare(case, 'node', 'init', '--config', config, '--wipe', ','.join(paths), code=5)
    everything = bare(case, 'device', 'scan', '--config', config)['devices']
    require([one['path'] for one in everything][:3] == paths, everything)


def spares(case, name):
    case.step('spares: into the node file, and out of it')
    config = os.path.join(case.cluster.dir, name, 'node.conf')
    paths = [device['path'] for device in case.cluster.status()[name]['pool']['devices']]
    with open(config, encoding='utf-8') as handle:
        before = handle.read()
    spare = case.path('spare')
    added = bare(case, 'device', 'add', spare, '--config', config)
    require(added['path'] == spare and added['spares'] == 1, added)
    require(os.path.getsize(spare) == os.path.getsize(paths[0]), 'as long as the others')
    for device in (spare, paths[0]):
        bare(case, 'device', 'add', device, '--config', config, code=5)
    bare(case, 'device', 'remove', paths[0], '--config', config, code=5)
    bare(case, 'device', 'remove', case.path('none'), '--config', config, code=2)
    bare(case, 'config', 'check', config)
    with open(config, encoding='utf-8') as handle:
        require(handle.read().startswith(before), 'the rest of the file is as it was')
    bare(case, 'device', 'remove', spare, '--config', config)
    bare(case, 'device', 'add', spare, '--config', config, code=5)
    bare(case, 'device', 'add', spare, '--config', config, '--wipe', spare)
    bare(case, 'device', 'remove', spare, '--config', config)
    require(os.path.exists(spare), 'what a spare holds is left alone')


def test(case):
    cluster = case.cluster
    cluster.ec = '2+1'
    cluster.log_size = '64MiB'
    cluster.up()
    cluster.settle()
    journal = case.path('journal')
    load = cluster.load_start(journal, 'load', connections=8, rate=2000)
    master = cluster.wait_master()
    replica = cluster.other(master)
    look(case, master)
    cancel(case, master)
    take_out(case, replica)
    in_use(case, master)
    spares(case, replica)
    cluster.load_end(load, journal)
    come_back(case, replica)
    replace(case, replica)
    refused_meanwhile(case, replica)
    case.verify([journal])
    case.step('down: the verbs say so')
    cluster.down()
    verb(case, 'device', 'iostat', code=7)
    verb(case, 'job', 'list', code=3)


main(test)
