# SPDX-License-Identifier: Apache-2.0
"""A replica that was away while the log was written round more than once comes back by a
checkpoint, under load; one whose storage is lost is given new storage by `tern node rejoin`, gets
all of it, and serves when the master is killed. The verb refuses what would be unsafe."""
import time

from case import main, require

LOG_BYTES = 32 << 20


def tell(cluster):
    for name, node in cluster.status().items():
        if name in cluster.data_names() and 'boot_no' in node:
            print(f"   {name}: {node['role']} {node['mode']}, start {node['boot_no']}, begins "
                  f"behind {node['log_base_index']}, last {node['last_index']}, checkpoint "
                  f"{node['checkpoint_index']}, parts sent {node['transfer_parts_sent']}")


def rejoin(case, node, expect):
    """Runs the verb for @node; returns what it said."""
    done = case.cluster.rejoin(node)
    text = (done.stdout + done.stderr).strip()
    print('   ' + text)
    require(done.returncode == expect, f'tern node rejoin: exit {done.returncode}\n{text}')
    return text


def away(case, journals):
    """The log is written round while the replica is away: only a checkpoint brings it back."""
    cluster = case.cluster
    master = cluster.wait_master()
    replica = cluster.other(master)
    case.step(f'{replica} is away while the log is written round')
    before = cluster.status()[replica]
    cluster.kill_in_sync(replica)
    cluster.wait('service without it', cluster.serves_without([replica]))
    cluster.overwrite(3 * LOG_BYTES, 'away')
    tell(cluster)
    base = cluster.status()[cluster.wait_master()]['log_base_index']
    require(base > before['last_index'], f'the log of the master goes on behind it: {base}')
    case.step(f'{replica} comes back under load')
    journal = case.path('journal-away')
    load = cluster.load_start(journal, 'away')
    cluster.dev('start', replica)
    time.sleep(1)
    cluster.overwrite(LOG_BYTES // 4, 'meanwhile')
    cluster.wait_duplex()  # under load no two nodes need ever be seen at the same position
    cluster.load_stop(load)
    journals.append(journal)
    cluster.wait_equal()
    tell(cluster)
    node = cluster.status()[replica]
    require(node['log_base_index'] > before['last_index'], f'by a checkpoint: {node}')
    case.verify(journals)


def lost(case, journals):
    cluster = case.cluster
    master = cluster.wait_master()
    replica = cluster.other(master)
    case.step('what the verb refuses')
    text = rejoin(case, replica, 5)
    require('runs' in text, text)
    cluster.dev('kill', replica)
    text = rejoin(case, replica, 5)
    require('start ternd' in text, text)
    if 'w' in cluster.nodes:
        cluster.dev('kill', 'w')
        rejoin(case, 'w', 5)
        cluster.dev('start', 'w')
    case.step(f'{replica} loses its storage')
    cluster.lose_storage(replica)
    rejoin(case, replica, 0)
    journal = case.path('journal-lost')
    load = cluster.load_start(journal, 'lost')
    cluster.dev('start', replica)
    cluster.wait_duplex()
    cluster.load_goes_on(journal)
    cluster.load_stop(load)
    journals.append(journal)
    cluster.wait_equal()
    tell(cluster)
    node = cluster.status()[replica]
    require(not node['rejoining'] and not node['forgetful'], f'it holds all of it: {node}')
    require(node['log_base_index'] > 0, f'by a checkpoint: {node}')
    require(node['boot_no'] > 1600000000, f'above all starts that it can have had: {node}')
    require(rejoin(case, replica, 5), 'refused while it runs')
    case.verify(journals)
    case.step(f'{master} is killed, {replica} serves')
    cluster.kill_in_sync(master)
    cluster.wait('service of the others', cluster.serves_without([master]))
    case.step('nothing is lost')
    case.verify(journals)
    require(cluster.ask('GET', 'before') == 'all of it', 'GET')
    case.step(f'{master} comes back')
    cluster.dev('start', master)
    cluster.settle()
    cluster.wait_equal()
    case.restart_all_and_verify(journals)
    cluster.wait_equal()


def test(case):
    cluster = case.cluster
    cluster.log_size = f'{LOG_BYTES >> 20}MiB'
    cluster.up()
    cluster.settle()
    require(cluster.ask('SET', 'before', 'all of it') == 'OK', 'SET')
    cluster.overwrite(LOG_BYTES // 2, 'first')
    journals = []
    away(case, journals)
    lost(case, journals)


main(test)
