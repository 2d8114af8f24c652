# SPDX-License-Identifier: Apache-2.0
"""Positions on a whole cluster. A client writes at the master, durably and in class async, and takes
each position to a replica: a read there in a session of that position has it. A snapshot at the
replica does not change while all of its keys do. The master is killed under writes that are
accepted only: every one is at the position that was named or nowhere, and on both nodes alike. A
master that is cut off accepts what nobody else will have; when it is master again, its client does
not wait for those positions."""
import threading
import time

from case import Failure, main, require

ROUNDS = 200
LOST_MIN = 30


class Acceptor(threading.Thread):
    """Writes keys of its own in class async until its master is gone, or it is enough."""

    def __init__(self, client):
        super().__init__(daemon=True)
        self.prefix = f'a-{time.monotonic_ns()}-'
        self.client = client
        self.accepted = {}
        self.enough = threading.Event()
        self.is_refused = False

    def run(self):
        number = 0
        while not self.enough.is_set():
            try:
                reply = self.client.call('SET', f'{self.prefix}{number}', number)
            except OSError:
                reply = None
            self.is_refused = not isinstance(reply, str) or not reply.startswith('ACCEPTED ')
            if self.is_refused:
                return
            self.accepted[number] = reply
            number += 1


def follow(writer, reader):
    for number in range(ROUNDS):
        verb = 'SET' if number % 2 else 'INCRBY'
        key = f'{verb}-key'
        writer.call('TERN.CLASS', 'async' if number % 3 == 0 else 'durable')
        reply = writer.call(verb, key, number)
        if number % 3 == 0:
            require(reply.startswith('ACCEPTED '), f'async: {reply}')
        position = writer.call('TERN.POSITION')
        require(reader.call('TERN.READ', 'SESSION', position, 10000) == 'OK', 'TERN.READ SESSION')
        found = reader.call('GET', key)
        want = number if verb == 'SET' else sum(range(0, number + 1, 2))
        require(found == str(want), f'{key} at position {position}: {found}, and {want} was written')
        require(reader.call('TERN.POSITION') >= position, 'a position before the token')
    writer.call('TERN.CLASS', 'durable')


def snapshot(writer, reader):
    keys = [f's-{i}' for i in range(100)]
    for key in keys:
        require(writer.call('SET', key, 'before') == 'OK', 'SET')
    reader.call('TERN.READ', 'SESSION', writer.call('TERN.POSITION'), 10000)
    require(reader.call('GET', keys[-1]) == 'before', 'a session read')
    held = reader.call('TERN.READ', 'SNAPSHOT')
    require(isinstance(held, int), f'SNAPSHOT: {held}')
    for key in keys:
        require(writer.call('SET', key, 'after') == 'OK', 'SET')
    require(set(reader.call('MGET', *keys)) == {'before'}, 'a snapshot has changed')
    require(reader.call('TERN.READ') == ['snapshot', held, held], 'what TERN.READ says')
    reader.call('TERN.READ', 'SESSION', writer.call('TERN.POSITION'), 10000)
    require(set(reader.call('MGET', *keys)) == {'after'}, 'a session behind it')


def positions(cluster, master):
    writer, reader = cluster.client(master), cluster.client(cluster.other(master))
    require(writer.call('DEL', 'INCRBY-key') in (0, 1), 'of an earlier try')
    follow(writer, reader)
    snapshot(writer, reader)
    late = reader.call('TERN.READ', 'SESSION', 1 << 40, 50)
    require(late == 'OK' and reader.call('GET', 'SET-key').text.startswith('POSITION '),
            'a position that is not there')
    writer.close()
    reader.close()


def begin(cluster, master):
    """Hundreds of writes are accepted, and more come."""
    client = cluster.client(master)
    client.call('TERN.CLASS', 'async')
    acceptor = Acceptor(client)
    acceptor.start()
    while len(acceptor.accepted) < ROUNDS:
        require(acceptor.is_alive(), f'{master} accepts no more after {len(acceptor.accepted)}')
        acceptor.join(0.01)
    return acceptor


def lose(case):
    """A client that was told of at least LOST_MIN positions which are lost, its master, and what it
    lost. It asked nothing while its node was no master, or it would have been sent away."""
    cluster = case.cluster
    for _ in range(20):
        master = cluster.wait_duplex()
        acceptor = begin(cluster, master)
        cluster.isolate(master)
        time.sleep(0.02)
        acceptor.enough.set()
        acceptor.join(30)
        heir = cluster.heir_of(master)
        lost = []
        if heir is not None and not acceptor.is_refused:
            now = cluster.client(heir)
            lost = [number for number in acceptor.accepted
                    if now.call('GET', f'{acceptor.prefix}{number}') is None]
            now.close()
        print(f'   {len(acceptor.accepted)} accepted, {len(lost)} lost, '
              f'{"refused" if acceptor.is_refused else "idle"}', flush=True)
        cluster.isolate(master, 'heal')
        if len(lost) >= LOST_MIN:
            return acceptor, master, lost
        acceptor.client.close()
    raise Failure('a master that is cut off accepts too little, or gives up too soon')


def master_again(case):
    cluster = case.cluster
    acceptor, master, lost = lose(case)
    cluster.wait_duplex()
    cluster.switchover(master)
    client = acceptor.client
    require(client.call('GET', f'{acceptor.prefix}{lost[-1]}') is None, 'it was lost')
    require(client.call('GET', f'{acceptor.prefix}{lost[0] - 1}') == str(lost[0] - 1), 'it was not')
    named = int(acceptor.accepted[lost[-1]].split()[2])
    require(client.call('TERN.POSITION') < named, f'{named} is a position that nobody has reached')
    client.close()


def test(case):
    cluster = case.cluster
    cluster.up()
    cluster.settle()
    case.step('positions from one node to the other, and a snapshot at the replica')
    cluster.with_master(lambda master: positions(cluster, master))

    case.step('the master dies under accepted writes')
    master, acceptor = cluster.with_master(lambda master: (master, begin(cluster, master)))
    cluster.kill_in_sync(master)
    acceptor.join(30)
    cluster.wait('another one to serve', cluster.serves_without([master]))
    cluster.dev('start', master)
    cluster.wait_duplex()
    now = cluster.follower()
    there = [number for number in acceptor.accepted
             if now.call('GET', f'{acceptor.prefix}{number}') == str(number)]
    print(f'   {len(acceptor.accepted)} accepted, {len(there)} executed')
    require(there == list(range(len(there))), 'a later one was executed, an earlier one was not')
    nobody = f'{acceptor.prefix}{len(acceptor.accepted) + 1}'
    require(now.call('GET', nobody) is None, 'nobody wrote that')
    case.step('a master that is cut off accepts, loses it, and is master again')
    master_again(case)
    cluster.settle()


main(test)
