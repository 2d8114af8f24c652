# SPDX-License-Identifier: Apache-2.0
"""Damaged logs. All data nodes lose a block each, at different places, while the power is off, and come
back by themselves, with everything that was acknowledged: who needs the block has no vote before others
gave it back; who has a checkpoint that covers it begins there. A block that is damaged under a running
node is named by `log verify --deep`, and replaced."""
import glob
import json
import os

from case import main, require

CRITICAL = 4  # exit code
KEYS = 1500


def log_of(cluster, node):
    return [path for path in glob.glob(os.path.join(cluster.dir, node, 'storage', '*'))
            if os.path.isfile(path)][0]


def flip(cluster, node, what):
    """Damages the one place in the log area where @what lies."""
    with open(log_of(cluster, node), 'r+b') as handle:
        at = handle.read(64 << 20).find(what)
        require(at > 0, f'{what} is in the log of {node}')
        handle.seek(at)
        handle.write(b'?')
        handle.flush()
        os.fsync(handle.fileno())


def said(cluster, node):
    with open(os.path.join(cluster.dir, node, 'log'), encoding='utf-8') as handle:
        return handle.read()


def deep(cluster):
    done = cluster.run('log', 'verify', '--deep', '-o', 'json', check=False)
    answer = json.loads(done.stdout)
    print('  ', done.returncode, answer['result'],
          [(node.get('name'), node.get('first_index'), node.get('end_index'), node.get('bytes'),
            node.get('damaged_blocks'), node.get('error')) for node in answer['nodes']])
    return done.returncode, answer


def write(cluster, first):
    client = cluster.follower()
    for i in range(first, first + KEYS):
        require(client.call('SET', f'key:{i}', f'<value {i}>') == 'OK', f'SET key:{i}')
    client.close()


def test(case):
    cluster = case.cluster
    cluster.log_size = '64MiB'
    cluster.up()
    cluster.settle()
    write(cluster, 0)
    cluster.settle()
    names = cluster.data_names()
    case.step('all is read back')
    code, answer = deep(cluster)
    require(code == 0 and answer['result'] == 'equal', f'{answer}')
    require(all(node['blocks'] > 100 for node in answer['nodes']), f'{answer}')

    case.step('all lose power, and a block each of the newest')
    write(cluster, KEYS)
    for name in names:
        cluster.dev('kill', name)
    for number, name in enumerate(names):
        flip(cluster, name, f'<value {2 * KEYS - 200 + 40 * number}>'.encode())
    for name in names:
        cluster.dev('start', name)
    cluster.wait_master()
    cluster.settle()
    client = cluster.follower()
    for i in range(0, 2 * KEYS, 7):
        require(client.call('GET', f'key:{i}') == f'<value {i}>', f'key:{i}')
    cluster.wait_equal()
    mended = [name for name in names if 'log_mended' in said(cluster, name)]
    begun = [name for name in names if 'log_begins_at_checkpoint' in said(cluster, name)]
    print('   mended in place:', mended, 'begun at a checkpoint:', begun)
    # Whoever is elected first may give the last one everything.
    require(mended or begun, 'nobody was mended, and yet somebody had a vote')

    case.step('and a block each of the oldest, which checkpoints cover')
    cluster.kill_all()
    for number, name in enumerate(names):
        flip(cluster, name, f'<value {700 + 600 * number}>'.encode())
    cluster.start_all()
    cluster.wait_master()
    cluster.settle()
    client = cluster.follower()
    for i in range(0, 2 * KEYS, 7):
        require(client.call('GET', f'key:{i}') == f'<value {i}>', f'key:{i}')
    cluster.wait_equal()

    case.step('a block is damaged under a running node')
    write(cluster, 2 * KEYS)
    cluster.settle()
    code, answer = deep(cluster)
    require(code == 0, f'{answer}')
    victim = cluster.others(cluster.wait_master())[0]
    flip(cluster, victim, f'<value {2 * KEYS + 500}>'.encode())
    code, answer = deep(cluster)
    require(code == CRITICAL, f'{code} {answer}')
    require([node['name'] for node in answer['nodes'] if node['damaged'] == 1] == [victim] and
            sum(node['damaged'] for node in answer['nodes']) == 1, f'{answer}')
    case.step('and replaced')
    cluster.wait('nothing is damaged any more', lambda _: deep(cluster)[0] != CRITICAL or None)
    require(cluster.follower().call('GET', f'key:{2 * KEYS + 500}') == f'<value {2 * KEYS + 500}>', 'GET')
    cluster.wait_equal()


main(test)
