# SPDX-License-Identifier: Apache-2.0
"""The split-brain story, literally. The balance of user:1 is 120. The old master is cut off and is
told -100; the new master is told -50. Exactly one of the two is executed; what the losing side was
told is rolled back, saved, listed; the command is run again from the new state, where the floor at
0 refuses it. The balance ends at 20 or 70 and is never negative."""
import json
import socket

from case import main, require


def test(case):
    cluster = case.cluster
    cluster.up()
    cluster.settle()
    old = cluster.wait_master()
    case.step('balance 120')
    client = cluster.client(old)
    reply = client.call('TERN.INCRBY', 'user:1', 120, 'MIN', 0)
    require(reply == 120, f'{reply}')
    losing = cluster.client(old, timeout=60)
    require(losing.call('PING') == 'PONG', 'connected')

    case.step('cut the master off from both, tell both sides')
    cluster.isolate(old)
    losing.send('TERN.INCRBY', 'user:1', -100, 'MIN', 0)
    new = cluster.wait('the other side to serve', cluster.serves_without([old]))
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
    cluster.isolate(old, 'heal')
    cluster.settle()

    def saved(_):
        done = cluster.run('log', 'divergent', 'list', '-o', 'json')
        tails = json.loads(done.stdout)
        return tails if '"first_index"' in done.stdout else None
    tails = cluster.wait('the saved tail', saved)
    print('   ' + json.dumps(tails))
    case.step('the command is run again')
    again = cluster.client().call('TERN.INCRBY', 'user:1', -100, 'MIN', 0)
    print(f'   -100 again: {getattr(again, "text", again)}')
    require(getattr(again, 'text', '') == 'BOUND value 70 delta -100 min 0', f'{again!r}')
    balance = cluster.client().call('GET', 'user:1')
    require(balance == '70', f'balance {balance}')
    cluster.settle()


main(test)
