# SPDX-License-Identifier: Apache-2.0
"""Money that is moved between accounts while nodes die: two steps each, a withdrawal that an empty
account refuses, then a deposit. A ledger says of every step whether it was made, was not, or is
not known; at the end every balance must be what the ledger allows, and none may be negative.

`plain` tellers use plain connections: a step whose connection breaks stays unknown. `once` tellers
number their steps in a session (TERN.ONCE) and ask again until they know."""
import random
import threading
import time

from failure import require
from resp import Client, Reply

ACCOUNTS = 8
START = 1000
REDIRECTS = ('READONLY', 'MOVED', 'MASTERDOWN', 'TRYAGAIN', 'LOADING', 'BUSY')


class Ledger:
    """Steps of the accounts that begin with @prefix."""

    def __init__(self, prefix):
        self.prefix = prefix
        self.lock = threading.Lock()
        self.known = {self.name(number): START for number in range(ACCOUNTS)}
        self.unknown = {self.name(number): [] for number in range(ACCOUNTS)}
        self.steps = self.refused = self.transfers = 0

    def name(self, number):
        return f'{self.prefix}:{number}'

    def note(self, account, delta, is_known):
        with self.lock:
            self.steps += 1
            if is_known:
                self.known[account] += delta
            else:
                self.unknown[account].append(delta)

    def check(self, balances):
        """Every balance is what is known of it and the sum of some of the unknown steps."""
        for account, balance in balances.items():
            require(balance >= 0, f'{account} is overdrawn: {balance}')
            rest = balance - self.known[account]
            unknown = self.unknown[account]
            low = sum(delta for delta in unknown if delta < 0)
            # Bit i: some of the unknown steps make low + i.
            reachable = 1
            for delta in unknown:
                reachable |= reachable << abs(delta)
            require(rest - low >= 0 and reachable >> (rest - low) & 1,
                    f'{account}: balance {balance}, known {self.known[account]}, and no choice of '
                    f'the {len(unknown)} unknown steps makes the rest of {rest}: {unknown}')
        known, unknown = sum(self.known.values()), sum(map(len, self.unknown.values()))
        print(f'   {self.prefix}: {self.transfers} transfers, {self.steps} steps, {self.refused} '
              f'refused at zero, {unknown} unknown; {sum(balances.values())} in all accounts, '
              f'{known} known')
        if unknown == 0:
            require(sum(balances.values()) == known, 'money was made or lost')
        return self.steps


class Teller(threading.Thread):
    """One connection at a time, on whichever node serves."""

    def __init__(self, addresses, ledger, seed, is_once, pace_s):
        super().__init__(daemon=True)
        self.addresses, self.ledger, self.is_once = addresses, ledger, is_once
        self.rng = random.Random(seed)
        self.pace_s = pace_s
        self.at, self.client = 0, None
        self.session, self.seq = None, 0
        self.is_ending = threading.Event()
        self.failure = None

    def leave(self):
        if self.client is not None:
            self.client.close()
        self.client = None
        self.at += 1
        time.sleep(0.005)

    def ask(self, *command):
        """A reply that is not about who is master; None: the connection broke after sending."""
        while True:
            if self.client is None:
                try:
                    self.client = Client(self.addresses[self.at % len(self.addresses)], timeout=3)
                except OSError:
                    self.leave()
                    continue
            try:
                reply = self.client.call(*command)
            except OSError:
                self.leave()
                return None
            if isinstance(reply, Reply) and reply.text.startswith(REDIRECTS):
                self.leave()
                continue
            return reply

    def execute(self, *command):
        """As ask; a teller with a session asks until it is known."""
        if not self.is_once:
            return self.ask(*command)
        while self.session is None:
            reply = self.ask('TERN.SESSION', 'OPEN')
            self.session = None if reply is None else reply
        self.seq += 1
        while True:
            reply = self.ask('TERN.ONCE', self.session, self.seq, *command)
            if reply is not None:
                return reply

    def step(self, account, delta):
        """Makes one step; True: it was made, False: refused at zero, None: not known."""
        reply = self.execute('TERN.INCRBY', account, delta, 'MIN', 0)
        if isinstance(reply, Reply) and reply.text.startswith(('BOUND', 'REFUSED')):
            self.ledger.refused += 1
            return False
        require(not isinstance(reply, Reply), f'a step was answered {reply}')
        self.ledger.note(account, delta, reply is not None)
        return None if reply is None else True

    def run(self):
        try:
            while not self.is_ending.is_set():
                source, target = self.rng.sample(range(ACCOUNTS), 2)
                amount = self.rng.randint(1, 200)
                # An unknown withdrawal is not followed by a deposit: the ledger holds it open.
                if self.step(self.ledger.name(source), -amount):
                    self.step(self.ledger.name(target), amount)
                    self.ledger.transfers += 1
                time.sleep(self.pace_s)
        except Exception as error:  # told to whoever ends the teller
            self.failure = error


class Bank:
    """Both kinds of tellers over accounts of their own."""

    def __init__(self, cluster, seed, tellers=3, pace_s=0.015):
        self.cluster = cluster
        self.ledgers = {'plain': Ledger('plain'), 'once': Ledger('once')}
        addresses = [cluster.resp(name) for name in cluster.data_names()]
        client = cluster.client()
        for ledger in self.ledgers.values():
            for account in ledger.known:
                require(client.call('SET', account, START) == 'OK', 'an account is opened')
        client.close()
        self.tellers = [Teller(addresses, ledger, f'{seed}:{kind}:{number}', kind == 'once', pace_s)
                        for kind, ledger in self.ledgers.items() for number in range(tellers)]

    def begin(self):
        for teller in self.tellers:
            teller.start()

    def end(self):
        """After the last fault: every teller knows its last step, or that it is unknown."""
        for teller in self.tellers:
            teller.is_ending.set()
        for teller in self.tellers:
            teller.join(timeout=60)
            require(not teller.is_alive(), 'a teller does not end')
            if teller.failure is not None:
                raise teller.failure

    def check(self):
        client, steps = self.cluster.follower(), 0
        for ledger in self.ledgers.values():
            balances = {account: int(client.call('GET', account)) for account in ledger.known}
            steps += ledger.check(balances)
        client.close()
        require(steps > 100, f'hardly any transfers: {steps} steps')
