# SPDX-License-Identifier: Apache-2.0
"""What the tests of client libraries share: a client writes key after key and finds the master by
the Sentinel calls alone; the master is killed under it; what it was told is written is there."""
import subprocess
import time

from case import WAIT_S, require

BEFORE = 40  # acknowledged writes before the kill, and after it


def sentinels(cluster):
    return [cluster.resp(name) for name in ('w', 'a', 'b')]


def acknowledged(path):
    """(key, value) of every whole line that says so."""
    with open(path, encoding='utf-8', errors='replace') as handle:
        lines = handle.read().split('\n')[:-1]
    return [tuple(line.split()[1:3]) for line in lines if line.startswith('A ')]


def wait_for(process, path, count, what):
    until = time.monotonic() + WAIT_S
    while len(acknowledged(path)) < count:
        if process.poll() is not None or time.monotonic() > until:
            with open(path, encoding='utf-8', errors='replace') as handle:
                tail = handle.readlines()[-10:]
            require(False, f'{what}: {len(acknowledged(path))} of {count} writes, exit '
                           f'{process.poll()}; the last lines:\n{"".join(tail)}')
        time.sleep(0.02)


def verify(cluster, path):
    client = cluster.follower()
    pairs = acknowledged(path)
    for key, value in pairs:
        found = client.call('GET', key)
        require(found == value, f'{key}: {found!r}, acknowledged {value!r}')
    client.close()
    return len(pairs)


def through_failover(case, name, command, env=None):
    """@command is given the master's name, a key prefix and the sentinels."""
    cluster = case.cluster
    case.step(f'{name}: through a kill of the master')
    cluster.settle()
    path = case.path(f'{name}.out')
    with open(path, 'wb') as out:
        process = subprocess.Popen([*command, 'tern', name, *sentinels(cluster)], stdout=out,
                                   stderr=subprocess.STDOUT, env=env)
    try:
        wait_for(process, path, BEFORE, f'{name} before the kill')
        victim = cluster.kill_master()
        before = len(acknowledged(path))
        wait_for(process, path, before + BEFORE, f'{name} after the kill')
    finally:
        process.kill()
        process.wait(timeout=30)
    require(cluster.wait_master() != victim, 'another node is master')
    count = verify(cluster, path)
    cluster.dev('start', victim)
    print(f'{name}: {count} acknowledged writes, {before} before the kill, all there', flush=True)
