# SPDX-License-Identifier: Apache-2.0
"""Of three copies one is cut off from the master on every path, and from nobody else: under load it
comes to what is committed, again and again, by the third one; with the load ended it has the
master's position and state while the cut stands. Also when it was away for so long that only a
checkpoint of the third one brings it back. Healed, it is a copy like the others."""
from case import Failure, main, require

LOG_BYTES = 32 << 20


def received(status, at, sender):
    """Frames that @at received from @sender, by path."""
    peer = status[at]['peers'][sender]
    return {path: peer[path]['rx_frames'] for path in ('data', 'mgmt')}


def goes_on(cluster, node, rounds=5):
    """@node applies what the others had committed a moment ago; so many times."""
    for _ in range(rounds):
        status = cluster.status()
        goal = max(status[name]['commit_index'] for name in cluster.others(node))
        cluster.wait(f'{node} to have applied {goal}',
                     lambda s: (s[node].get('applied_index') or 0) >= goal)


def behind_a_cut(case, what, attempt):
    """@attempt(master, node) with that link cut and healed. On a busy host another master may be
    elected meanwhile, whom the node hears: once more."""
    cluster = case.cluster
    for _ in range(8):
        master = cluster.wait_duplex()
        node = cluster.other(master)
        before = cluster.status()[master]['term']
        cluster.dev('cut', node, master)
        first = received(cluster.status(), node, master)
        attempt(master, node)
        status = cluster.status()
        cluster.dev('heal', node, master)
        if cluster.master(status) == master and status[master]['term'] == before:
            now = received(status, node, master)
            require(first == now or not any(now.values()), f'frames from {master}: {first} {now}')
            print(f"   {node}: {status[node]['blocks_pulled']} blocks, begins behind "
                  f"{status[node]['log_base_index']}, start {status[node]['boot_no']}")
            return master, node, status
        print(f'   {what}: another master meanwhile: once more', flush=True)
    raise Failure(f'{what}: every time another master was elected')


def follows(case, journals):
    cluster = case.cluster
    case.step('cut off from the master only: what is committed is applied, under load')
    journal = case.path('journal-follows')

    def attempt(master, node):
        load = cluster.load_begin(journal, 'follows', rate=2000)
        goes_on(cluster, node)
        cluster.load_goes_on(journal)
        goes_on(cluster, node)
        require(cluster.status()[node]['role'] != 'master', f'{node} hears no master, and is none')
        cluster.load_stop(load)
        case.step(f'the load ends: {node} and {master} are equal, and the cut stands')
        cluster.wait_equal()

    _, node, status = behind_a_cut(case, 'blocks', attempt)
    require(status[node]['blocks_pulled'] > 0, f'{node} got no blocks from a node that is no master')
    journals.append(journal)
    case.step('healed')
    cluster.settle()
    case.verify(journals)


def far_behind(case, journals):
    cluster = case.cluster
    case.step('away while the log is written round, and back behind a cut, under load')
    journal = case.path('journal-far')
    bases = []

    def attempt(master, node):
        cluster.dev('kill', node)
        cluster.overwrite(3 * LOG_BYTES, 'away')
        bases.append(min(cluster.status()[name]['log_base_index']
                         for name in cluster.others(node)))
        load = cluster.load_start(journal, 'far', connections=4, rate=200)
        cluster.dev('start', node)
        goes_on(cluster, node, 2)
        cluster.load_stop(load)
        cluster.wait_equal()

    _, node, status = behind_a_cut(case, 'a checkpoint', attempt)
    require(status[node]['log_base_index'] >= bases[-1] > 0, f'by a checkpoint: {bases}')
    journals.append(journal)
    case.step('healed')
    cluster.settle()
    case.restart_all_and_verify(journals)


def test(case):
    cluster = case.cluster
    cluster.log_size = f'{LOG_BYTES >> 20}MiB'
    cluster.up()
    cluster.settle()
    journals = []
    follows(case, journals)
    far_behind(case, journals)


main(test)
