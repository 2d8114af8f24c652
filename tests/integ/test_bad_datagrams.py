# SPDX-License-Identifier: Apache-2.0
"""Garbage at the UDP ports and at the admin socket: dropped and counted, shown by `tern status`,
and nobody else notices."""
import json
import os
import random
import re
import socket
import struct
import time

from case import main, require

COUNT = 2000


def port_of(cluster, node, key):
    with open(os.path.join(cluster.dir, node, 'node.conf'), encoding='utf-8') as handle:
        found = re.search(rf'name = "{node}";\s.*?\s{key} = "([^"]+)"',
                          handle.read().split('nodes = (', 1)[1], re.S)
    host, port = found.group(1).rsplit(':', 1)
    return host, int(port)


def garbage(rng):
    """Nothing, noise of every length, and noise that begins like something."""
    heads = (b'', b'\x00' * 64, b'\xff' * 64, b'TERN', b'*1\r\n$4\r\nPING\r\n',
             struct.pack('<IIQ', 0, 1, 1))
    return rng.choice(heads) + rng.randbytes(rng.choice((0, 1, 16, 63, 64, 200, 1472, 9000)))


def send(address, count, seed):
    rng = random.Random(seed)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        for number in range(count):
            out.sendto(garbage(rng), address)
            if number % 20 == 0:
                time.sleep(0.001)  # no more than its socket holds


def datagrams(case, cluster):
    rng = random.Random(2)
    before = cluster.status()
    case.step('garbage at the client ports')
    for name in cluster.data_names():
        send(port_of(cluster, name, 'client'), COUNT, rng.random())
    case.step('garbage at the management ports')
    for name in cluster.nodes:
        send(port_of(cluster, name, 'mgmt'), COUNT, rng.random())

    def counted(status):
        for name, node in status.items():
            old = before[name]
            mgmt = node['mgmt_port']['rx_dropped'] - old['mgmt_port']['rx_dropped'] + sum(
                node['drops'][key] - old['drops'][key] for key in ('malformed', 'version'))
            client = COUNT if 'client_port' not in node else \
                node['client_port']['malformed'] - old['client_port']['malformed']
            # The kernel may drop some of a burst.
            if min(mgmt, client) < COUNT // 2 or max(mgmt, client) > COUNT:
                return None
        return True
    cluster.wait('the drops to be counted', counted)
    text = cluster.run('status').stdout
    print('   ' + text.replace('\n', '\n   '))
    for name in cluster.nodes:
        require(re.search(rf'^{name}: dropped at the mgmt port: (\d+ rx_(malformed|unknown_peer)(, )?)+$',
                          text, re.M),
                f'{name} in {text}')
    for name in cluster.data_names():
        require(re.search(rf'^{name}: dropped at the client port: \d+ malformed$', text, re.M),
                f'{name} in {text}')


def ask(path, data, close=False):
    """What the admin socket answers to @data, by lines."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(60)
        client.connect(path)
        try:
            client.sendall(data)
            if close:
                return []
            client.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it may have closed already: its answer is there to be read
        lines = []
        try:
            lines = client.makefile('rb').read().splitlines()
        except OSError:
            pass
    return [json.loads(line) for line in lines]


def admin(case, cluster):
    for name, node in cluster.nodes.items():
        path = node['admin']
        case.step(f'the admin socket of {name}')
        for data in (b'\n', b'{}\n', b'[]\n', b'nonsense\n', b'\x00\xff\n', b'{"api":1}\n',
                     b'{"api":"admin/v2","verb":"status"}\n', b'{"api":"admin/v1"}\n',
                     b'{"api":"admin/v1","verb":7}\n', b'{"api":"admin/v1","verb":"x"}\n',
                     b'{"api":"admin/v1","api":"admin/v1","verb":"status"}\n',
                     b'[' * 60000 + b'\n'):
            found = ask(path, data)
            require(len(found) == 1 and not found[0]['ok'] and found[0]['exit'] == 2 and
                    found[0]['error'], f'{data[:60]}: {found}')
        found = ask(path, b'x' * 70000)
        require(found in ([], [{'api': 'admin/v1', 'ok': False, 'exit': 2,
                                'error': 'the request line is too long'}]), f'too long: {found}')
        found = ask(path, b'\n\n{"api":"admin/v1","verb":"status"}\n')
        require([line['ok'] for line in found] == [False, False, True], f'in a row: {found}')
        ask(path, b'{"api":"admin/v1","verb":"sta', close=True)
        # As many connections as there may be, all silent; the next is told, and then there is room.
        held = []
        for _ in range(16):
            client = socket.socket(socket.AF_UNIX)
            client.connect(path)
            held.append(client)

        def is_busy():
            try:
                found = ask(path, b'')
            except BlockingIOError:  # not yet taken from the queue of the kernel
                return False
            return bool(found and 'too many admin connections' in found[0]['error'])
        until = time.monotonic() + 60
        while not is_busy():
            require(time.monotonic() < until, 'the seventeenth connection is told so')
        for client in held:
            client.close()
        cluster.wait('room at the admin socket', lambda s, n=name: s[n]['mode'] != 'DOWN')


def memif(case, cluster):
    """Whoever connects to a port's socket and goes, as a peer that is killed does, ends nobody."""
    case.step('the sockets of the ports')
    found = set()
    for name in cluster.data_names():
        with open(os.path.join(cluster.dir, name, 'node.conf'), encoding='utf-8') as handle:
            found |= set(re.findall(r'socket=([^,"]+)', handle.read()))
    require(found, 'a memif port has a socket')
    boots = {name: node['boot_no'] for name, node in cluster.status().items()}
    for path in found:
        for number in range(100):
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as peer:
                peer.connect(path)
                if number % 2 == 1:
                    peer.send(bytes(number))
    cluster.wait_duplex()
    require(boots == {name: node['boot_no'] for name, node in cluster.status().items()},
            'nobody was ended by this')


def nobody_notices(case, cluster):
    master = cluster.wait_duplex()
    client = cluster.client(master)
    stood = cluster.standing(master)
    datagrams(case, cluster)
    admin(case, cluster)
    stands = cluster.standing(master)
    if stands == stood:
        require(client.call('GET', 'k') == '1', 'the same connection is still served')
    return stood, stands


def test(case):
    cluster = case.cluster
    cluster.log_size = '64MiB'
    cluster.up()
    cluster.settle()
    require(cluster.ask('SET', 'k', '1') == 'OK', 'SET')
    cluster.undisturbed('garbage', lambda: nobody_notices(case, cluster))
    memif(case, cluster)
    # A port that is struck a hundred times may cost a master its place.
    require(cluster.ask('GET', 'k') == '1', 'nothing was lost by this')
    require(cluster.ask('SET', 'k', '2') == 'OK', 'and writes go on')
    cluster.settle()


main(test)
