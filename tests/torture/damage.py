# SPDX-License-Identifier: Apache-2.0
"""Damage to what one node of a cluster has stored, within what the cluster bears: another node that
serves has all of it, and one node at a time is hit."""
import glob
import os
import random

from failure import require

PAGE_BYTES = 4096
FIRST_PAGE = 64  # behind the copies of the superblock, whose loss is another fault
PAGES_MAX = 8


class Damage:
    def __init__(self, cluster, seed, say):
        self.cluster, self.say = cluster, say
        self.rng = random.Random(seed)
        self.failed = {}  # node: {position}

    # ---- whom ----

    def is_whole(self, status, name):
        node = status[name]
        return node.get('mode') in ('REPLICA', self.cluster.whole_mode) and not node.get('forgetful') and \
            not node.get('rejoining') and not node.get('damaged')

    def is_settled(self, status):
        """A master that serves with all copies, each of them elected or electable."""
        master = self.cluster.master(status)
        if not master or status[master]['mode'] != self.cluster.whole_mode:
            return False
        return all(self.is_whole(status, name) and
                   status[name].get('epoch') == status[master]['epoch']
                   for name in self.cluster.data_names())

    def may_hit(self, name):
        return name in self.cluster.data_names() and self.is_settled(self.cluster.status())

    def is_served_without(self, name):
        return bool(self.cluster.serves_without([name])(self.cluster.status()))

    # ---- what ----

    def stored(self, name):
        """The files that a node keeps its pages in."""
        paths = glob.glob(os.path.join(self.cluster.dir, name, 'storage', '**'), recursive=True)
        return sorted(path for path in paths
                      if os.path.isfile(path) and os.path.getsize(path) > FIRST_PAGE * PAGE_BYTES)

    def rot(self, name):
        """Some written pages change: a bit, or all of it. Of several devices one is hit."""
        path = self.rng.choice(self.stored(name))
        count = self.rng.randint(1, PAGES_MAX)
        hit = []
        with open(path, 'r+b') as handle:
            pages = os.path.getsize(path) // PAGE_BYTES
            for _ in range(count * 20):
                page = self.rng.randrange(FIRST_PAGE, pages)
                handle.seek(page * PAGE_BYTES)
                content = bytearray(handle.read(PAGE_BYTES))
                if len(hit) == count or not any(content):
                    continue
                if self.rng.random() < 0.5:
                    content[self.rng.randrange(PAGE_BYTES)] ^= 1 << self.rng.randrange(8)
                else:
                    content = self.rng.randbytes(PAGE_BYTES)
                handle.seek(page * PAGE_BYTES)
                handle.write(content)
                hit.append(page)
            handle.flush()
            os.fsync(handle.fileno())
        self.say(f'rot {name}: pages {hit} of {path}')

    def wipe(self, name):
        self.cluster.lose_storage(name)
        self.failed.pop(name, None)
        done = self.cluster.rejoin(name)
        self.say(f'wipe {name}: rejoin exit {done.returncode} {done.stderr.strip()}')
        require(done.returncode == 0, f'rejoin of {name}: {done.stdout}{done.stderr}')

    # ---- one device of several ----

    def bears_loss(self, name):
        pool = self.cluster.status()[name].get('pool')
        return bool(pool) and pool['losses_left'] > 0 and not self.failed.get(name)

    def fail_device(self, name):
        devices = self.cluster.status()[name]['pool']['devices']
        position = self.rng.choice([one['position'] for one in devices if one['state'] == 'ok'])
        kind = self.rng.choice(('eio', 'eio', 'hang'))
        self.failed[name] = {position}
        self.say(f'device {position} of {name}: {kind}')
        self.cluster.dev('fault', name, f'{position}={kind}')
        return position

    def heal_device(self, name, position):
        self.say(f'device {position} of {name}: answers again')
        self.failed.pop(name, None)
        self.cluster.dev('fault', name, f'{position}=none', check=False)

    def wait_whole(self):
        def look(status):
            nodes = [status[name] for name in self.cluster.data_names()]
            return self.is_settled(status) and \
                not any(node.get('pool', {}).get('degraded') for node in nodes)
        self.cluster.wait('every copy to be whole', look, seconds=120)
