# SPDX-License-Identifier: Apache-2.0
"""Checkpoints and the log behind them: several times the log's size is written, the log is used
round and round, nodes are killed while checkpoints are being written, and start from one; nothing
acknowledged is lost, and all data nodes hold the same state."""
from case import main, require

LOG_BYTES = 32 << 20


def logs(cluster):
    return {name: node for name, node in cluster.status().items()
            if name in cluster.data_names()}


def tell(cluster):
    for name, node in logs(cluster).items():
        print(f"   {name}: begins behind {node['log_base_index']}, checkpoint "
              f"{node['checkpoint_index']}, last {node['last_index']}, "
              f"{node['checkpoints_written']} written, use "
              f"{node['log_used_bytes'] / node['log_area_bytes']:.2f}")


def kill_while_writing(case, journals, number):
    """kill -9 of every data node in turn, at any moment of a checkpoint."""
    cluster = case.cluster
    victim = cluster.data_names()[number % len(cluster.data_names())]
    case.step(f'kill {victim} while checkpoints are written')
    journal = case.path(f'journal-{number}')
    load = cluster.load_start(journal, f'load{number}')
    cluster.overwrite(LOG_BYTES // 2 + number * 1234567, f'big{number}')
    cluster.kill_in_sync(victim)
    cluster.wait('service without it', cluster.serves_without([victim]))
    cluster.load_goes_on(journal)
    cluster.load_stop(load)
    cluster.dev('start', victim)
    cluster.settle()
    node = cluster.status()[victim]
    require(node['log_base_index'] > 0, f'{victim} started from a checkpoint: {node}')
    journals.append(journal)
    case.verify(journals)


def test(case):
    cluster = case.cluster
    cluster.log_size = f'{LOG_BYTES >> 20}MiB'
    cluster.up()
    cluster.settle()
    require(cluster.ask('SET', 'before', 'all of it') == 'OK', 'SET')
    case.step('four times the log')
    cluster.overwrite(4 * LOG_BYTES, 'first')
    cluster.settle()
    tell(cluster)
    for name, node in logs(cluster).items():
        require(node['has_checkpoints'] and node['checkpoint_index'] > 0, f'{name}: {node}')
        require(node['log_base_index'] > 0, f'{name} has reclaimed')
        require(node['log_used_bytes'] < 0.9 * node['log_area_bytes'], f'{name} has room')
    cluster.wait_equal()
    journals = []
    for number in range(4):
        kill_while_writing(case, journals, number)
    tell(cluster)
    case.step('kill all, start all')
    cluster.kill_all()
    cluster.start_all()
    cluster.settle()
    cluster.wait_equal()
    tell(cluster)
    case.verify(journals)
    require(cluster.ask('GET', 'before') == 'all of it', 'GET')
    case.step('kill the master')
    master = cluster.kill_master()
    cluster.wait('another node to serve', cluster.serves_without([master]))
    require(cluster.ask('GET', 'before') == 'all of it', 'GET')
    case.verify(journals)
    cluster.dev('start', master)
    cluster.settle()
    cluster.wait_equal()


main(test)
