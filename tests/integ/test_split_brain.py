# SPDX-License-Identifier: Apache-2.0
"""The split-brain story, literally. The balance of user:1 is 120. The old master is cut off and is
told -100; the new master is told -50. Exactly one of the two is executed; what the losing side was
told is rolled back, saved, listed; the command is run again from the new state, where the floor at
0 refuses it. The balance ends at 20 or 70 and is never negative.

The saved tail is whole: exporting it gives the very command. It is saved although its directory
could not be made at first, and although a process that was killed before it wrote the file would
not have: the next start saves what no file has, once."""
import json
import os
import shutil
import socket

from case import main, require


def tails(cluster):
    return json.loads(cluster.run('log', 'divergent', 'list', '-o', 'json').stdout)['tails']


def ranges(cluster):
    return sorted((tail['first_index'], tail['last_index']) for tail in tails(cluster))


def tail_of(case, told_at):
    """Where in the list the tail with the rolled-back command is; None: not (yet) there."""
    cluster = case.cluster
    found = []
    for tail in tails(cluster):
        path = case.path(f'export-{told_at}-{tail["number"]}')
        if os.path.exists(path):
            os.unlink(path)
        cluster.run('log', 'divergent', 'export', str(tail['number']), '--to', path)
        with open(path, encoding='utf-8') as handle:
            header, *commands = [json.loads(line) for line in handle]
        require(header['api'] == 'divergent/v1' and 'unreadable' not in header and
                header['commands'] == len(commands), f'{header}')
        found += [(tail, command) for command in commands
                  if command['op'] == 'ADD' and command['args'] == ['user:1', -100, 0]]
    if not found:
        return None
    require(len(found) == 1 and found[0][0]['node'] == told_at, f'{found}')
    tail, command = found[0]
    require(tail['first_index'] <= command['log_index'] <= tail['last_index'], f'{found}')
    return tail


def saved_again(case, told_at):
    """Starts the node again, twice: with the files of before, and without them."""
    cluster = case.cluster
    directory = os.path.join(cluster.dir, told_at, 'storage', 'divergent')
    for is_lost in (False, True):
        before = ranges(cluster)
        cluster.dev('kill', told_at)
        if is_lost:
            shutil.rmtree(directory)
        cluster.dev('start', told_at)
        require(tail_of(case, told_at), f'the tail must be there, files lost: {is_lost}')
        after = ranges(cluster)
        # Without the files the tail may come in other pieces than those in which it was cut.
        require((before[0][0], before[-1][1]) == (after[0][0], after[-1][1]) if is_lost else
                before == after, f'{before} {after}')


def balance_of_120(cluster, master):
    """It is 120; a connection to @master."""
    client = cluster.client(master)
    require(client.call('SET', 'user:1', 0) == 'OK', 'SET')
    reply = client.call('TERN.INCRBY', 'user:1', 120, 'MIN', 0)
    require(reply == 120, f'{reply}')
    return client


def test(case):
    cluster = case.cluster
    cluster.log_size = '64MiB'
    cluster.up()
    cluster.settle()
    for _ in range(20):
        case.step('balance 120')
        old, losing = cluster.with_master(lambda master: (master, balance_of_120(cluster, master)))
        case.step('cut the master off from both, tell both sides')
        cluster.isolate(old)
        losing.send('TERN.INCRBY', 'user:1', -100, 'MIN', 0)
        new = cluster.heir_of(old)
        if new is not None:
            break
        losing.close()
        cluster.isolate(old, 'heal')
    require(new is not None, 'the master was alone whenever it was cut off')
    winning = cluster.client(new)
    told_new = winning.call('TERN.INCRBY', 'user:1', -50, 'MIN', 0)
    try:
        told_old = losing.read()
    except (ConnectionError, socket.timeout, TimeoutError) as error:
        told_old = f'no reply, {error}'
    print(f'   {old} was told -100 and answered: {told_old}')
    print(f'   {new} was told  -50 and answered: {told_new}')
    require(told_new == 70, f'the new master must have executed -50: {told_new}')
    require(not isinstance(told_old, int), f'the old master must not have executed: {told_old}')

    case.step('heal: the tail is rolled back, saved and listed')
    in_the_way = os.path.join(cluster.dir, old, 'storage', 'divergent')
    with open(in_the_way, 'wb'):
        pass
    cluster.isolate(old, 'heal')
    cluster.settle()
    require(not tails(cluster), 'nowhere to save it')
    os.unlink(in_the_way)
    tail = cluster.wait('the saved tail', lambda _: tail_of(case, old))
    print('   ' + json.dumps(tail))
    case.step('the command is run again')
    again = cluster.client().call('TERN.INCRBY', 'user:1', -100, 'MIN', 0)
    print(f'   -100 again: {getattr(again, "text", again)}')
    require(getattr(again, 'text', '') == 'BOUND value 70 delta -100 min 0', f'{again!r}')
    balance = cluster.ask('GET', 'user:1')
    require(balance == '70', f'balance {balance}')
    cluster.settle()
    case.step('a later start saves what no file has')
    saved_again(case, old)
    case.restart_all()
    balance = cluster.ask('GET', 'user:1')
    require(balance == '70', f'balance {balance} after all were started again')


main(test)
