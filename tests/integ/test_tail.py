# SPDX-License-Identifier: Apache-2.0
"""A master is cut off with a command that it cannot commit, and its tail cannot be saved when it comes
back, for longer than a few tries. Meanwhile the log of the other one has gone on so far that only a
checkpoint helps, after which nothing would name the tail any more: so it is not taken before the
tail is in a file, and status and log say what is waited for."""
import json
import os
import time

from case import main, require

LOG_BYTES = 32 << 20
WAITS_S = 13  # for nothing to happen: ten tries and some more


def told(case):
    """The header of the saved tail that holds the command; None: there is none."""
    cluster = case.cluster
    listed = json.loads(cluster.run('log', 'divergent', 'list', '-o', 'json').stdout)['tails']
    for tail in listed:
        path = case.path(f'export-{tail["number"]}')
        if os.path.exists(path):
            os.unlink(path)
        cluster.run('log', 'divergent', 'export', str(tail['number']), '--to', path)
        with open(path, encoding='utf-8') as handle:
            header, *commands = [json.loads(line) for line in handle]
        if any(command['op'] == 'SET' and command['args'][:2] == ['told', 'the old master']
               for command in commands):
            return header
    return None


def cut_off(cluster):
    """A master that was told something that it cannot commit; another node serves."""
    for _ in range(20):
        old = cluster.wait_duplex()
        losing = cluster.client(old)
        losing.call('SET', 'before', 'both')
        cluster.isolate(old)
        losing.send('SET', 'told', 'the old master')
        new = cluster.heir_of(old)
        if new is not None:
            return old
        losing.close()
        cluster.isolate(old, 'heal')
    require(False, 'the master was alone whenever it was cut off')
    return None


def test(case):
    cluster = case.cluster
    cluster.log_size = f'{LOG_BYTES >> 20}MiB'
    cluster.up()
    cluster.settle()
    case.step('a master is cut off, and told something')
    old = cut_off(cluster)
    last = cluster.status()[old]['last_index']
    case.step('the other one goes on, until its log begins behind that')
    cluster.overwrite(3 * LOG_BYTES, 'away')
    base = cluster.status()[cluster.wait_master()]['log_base_index']
    require(base > last, f'the log of the master goes on behind it: {base}, {last}')
    case.step(f'{old} comes back, and has nowhere to save its tail')
    in_the_way = os.path.join(cluster.dir, old, 'storage', 'divergent')
    with open(in_the_way, 'wb'):
        pass
    cluster.isolate(old, 'heal')

    def waits(status):
        node = status[old]
        return node.get('tail_unsaved') and node['transfer_index'] != 0 and node['boot_no']
    boot_no = cluster.wait('the tail to be waited for', waits)
    time.sleep(WAITS_S)
    node = cluster.status()[old]
    require(waits({old: node}) == boot_no, f'no checkpoint is taken before: {node}')
    text = cluster.run('status', check=False).stdout
    require(f'{old}: a divergent tail is not saved yet' in text, text)
    case.step('there is room: the tail is saved, and then the checkpoint is taken')
    os.unlink(in_the_way)
    cluster.wait_duplex()
    cluster.wait_equal()
    node = cluster.status()[old]
    require(node['boot_no'] > boot_no and node['log_base_index'] > last, f'by a checkpoint: {node}')
    require(not node['tail_unsaved'], f'{node}')
    header = told(case)
    print('   ' + json.dumps(header))
    require(header is not None and 'unreadable' not in header, 'what the old master was told')
    require(cluster.ask('GET', 'told') is None, 'it was rolled back')
    require(cluster.ask('GET', 'before') == 'both', 'GET')


main(test)
