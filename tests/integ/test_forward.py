# SPDX-License-Identifier: Apache-2.0
"""gateway.replica_writes = "forward": clients write through the replica only, and never learn that
it is one. The master is killed under them, several times: each acknowledged increment is there, and
none ran twice, although those that were under way were sent again to the next master. A connection
that is closed without a reply leaves at most its one increment open."""
import threading
import time

from case import WAIT_S, main, require

WRITERS = 8
KILLS = 3


class Writer(threading.Thread):
    """Increments counter @number, one at a time, through whatever node @where() names."""

    def __init__(self, cluster, number, where):
        super().__init__(daemon=True)
        self.cluster, self.number, self.where = cluster, number, where
        self.key = f'counter-{number}'
        self.stop = threading.Event()
        self.answered = self.unknown = self.refused = 0
        self.wrong = None
        self.low = 0  # the last value that was told

    def one(self, client):
        verb = ['INCR', self.key] if self.number % 2 else ['TERN.INCRBY', self.key, '1', 'MIN', '0']
        try:
            told = client.call(*verb)
        except OSError:
            self.unknown += 1
            return False
        if not isinstance(told, int):
            self.refused += 1
            return True
        self.answered += 1
        # Between two answers only what was open in between can have run as well.
        if not self.answered <= told <= self.answered + self.unknown or told <= self.low:
            self.wrong = f'{self.key}: told {told} after {self.low}, answered {self.answered}, ' \
                f'unknown {self.unknown}'
        self.low = told
        return True

    def run(self):
        client, at = None, None
        while not self.stop.is_set() and self.wrong is None:
            if client and at != self.where():
                client.close()
                client = None
            try:
                at = self.where()
                client = client or self.cluster.client(at, timeout=30)
            except OSError:
                time.sleep(0.05)
                continue
            if not self.one(client):
                client.close()
                client = None


def profile_of(case):
    return case.profile('forward', ('gateway = {', 'gateway = {\n\treplica_writes = "forward";'))


def info(client):
    return dict(line.split(':', 1) for line in client.call('INFO').splitlines() if ':' in line)


def answers(cluster, replica):
    client = cluster.client(replica)
    forwarded = int(info(client)['tern_forwarded'])
    own = f'own-{forwarded}'  # a new one in every try
    require(client.call('SET', 'k', 'v') == 'OK', 'SET through the replica')
    require(client.call('READONLY') == 'OK' and client.call('GET', 'k') == 'v',
            'a client reads at the replica what it wrote through it')
    for number in range(20):
        require(client.call('INCR', own) == number + 1, 'INCR through the replica')
        require(client.call('GET', own) == str(number + 1), 'and is seen there at once')
    require(client.call('TERN.INCRBY', own, '-50', 'MIN', '0').text ==
            'BOUND value 20 delta -50 min 0', 'BOUND through the replica')
    require(client.call('GETSET', 'k', 'w').text.startswith('READONLY'), 'GETSET is not forwarded')
    require(info(client)['role'] == 'slave' and
            int(info(client)['tern_forwarded']) == forwarded + 22, 'the replica forwarded them')
    # Only the client that also reads here needs a bound; any replica in sync meets this one, from
    # when on its age is known.
    require(client.call('READONLY', '10000') == 'OK', 'READONLY with a bound')
    cluster.wait('a read with a bound on its age', lambda _: client.call('GET', own) == '20')
    require(0 <= client.call('TERN.STALE')[0] < 10000, 'the age is known')
    client.close()


def one_failover(case, where):
    cluster = case.cluster
    cluster.wait_duplex()
    master = cluster.wait_master()
    where[0] = cluster.other(master)  # from here on they write at the replica
    time.sleep(1)
    cluster.kill_in_sync(master)
    cluster.wait('another one to serve', cluster.serves_without([master]))
    time.sleep(0.5)
    cluster.dev('start', master)
    cluster.wait_duplex()


def test(case):
    cluster = case.cluster
    cluster.profile = profile_of(case)
    cluster.up()
    cluster.wait_duplex()

    case.step('what a replica answers')
    cluster.with_master(lambda master: answers(cluster, cluster.other(master)))

    where = [cluster.other(cluster.wait_master())]
    writers = [Writer(cluster, number, lambda: where[0]) for number in range(WRITERS)]
    for writer in writers:
        writer.start()
    for number in range(KILLS):
        case.step(f'the master is killed under them, {number + 1}')
        one_failover(case, where)
    until = time.monotonic() + WAIT_S
    while min(writer.answered for writer in writers) <= 100 and time.monotonic() < until:
        time.sleep(0.05)
    for writer in writers:
        writer.stop.set()
    for writer in writers:
        writer.join(60)

    case.step('each once')
    cluster.settle()
    client = cluster.follower()
    for writer in writers:
        require(writer.wrong is None, writer.wrong)
        value = int(client.call('GET', writer.key))
        print(f'   {writer.key}: {value}, answered {writer.answered}, unknown {writer.unknown}, '
              f'refused {writer.refused}')
        require(writer.answered <= value <= writer.answered + writer.unknown,
                f'{writer.key} is {value}')
        require(writer.answered > 100, f'hardly any load on {writer.key}')
    # A failover passes: what was under way is sent again, and its answer is kept.
    unknown = sum(writer.unknown for writer in writers)
    require(unknown <= KILLS * WRITERS, f'{unknown} unknown')
    client.close()


main(test)
