# SPDX-License-Identifier: Apache-2.0
"""Frames that nobody of the cluster sent, put on the wire of a veth data port by a raw socket:
malformed ones, those of another cluster, another address, another protocol. Each is dropped and
counted under its reason, none reaches the node's core, and the cluster goes on."""
import ctypes
import ipaddress
import json
import os
import socket
import struct
import subprocess

from case import main, require

COUNT = 50  # of each kind


def crc32c(data):
    table = crc32c.__dict__.setdefault('table', [])
    if not table:
        for value in range(256):
            for _ in range(8):
                value = value >> 1 ^ (0x82f63b78 if value & 1 else 0)
            table.append(value)
    value = 0xffffffff
    for byte in data:
        value = value >> 8 ^ table[(value ^ byte) & 0xff]
    return value ^ 0xffffffff


def internet_sum(data):
    data += b'\0' * (len(data) % 2)
    total = sum(struct.unpack(f'>{len(data) // 2}H', data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def udp(mac_to, mac_from, ip_from, ip_to, payload, port_to=7400, checksum=True, protocol=17):
    """A whole packet of either family."""
    length = 8 + len(payload)
    header = struct.pack('>HHHH', 7400, port_to, length, 0)
    if ip_to.version == 4:
        ip = struct.pack('>BBHHHBBH', 0x45, 0, 20 + length, 0, 0x4000, 64, protocol, 0) + \
            ip_from.packed + ip_to.packed
        value = internet_sum(ip) if checksum else 0x1234
        ip = ip[:10] + struct.pack('>H', value) + ip[12:]
        return mac_to + mac_from + b'\x08\x00' + ip + header + payload
    pseudo = ip_from.packed + ip_to.packed + struct.pack('>II', length, 17)
    value = (internet_sum(pseudo + header + payload) or 0xffff) if checksum else 0
    header = header[:6] + struct.pack('>H', value)
    ip = struct.pack('>IHBB', 6 << 28, length, protocol, 64) + ip_from.packed + ip_to.packed
    return mac_to + mac_from + b'\x86\xdd' + ip + header + payload


def frame(cluster_id, sender, receiver, version=7, shard=0, generation=1, gen_id=0):
    """A Tern frame with a good CRC, a FAREWELL: docs/reference/wire-format.md."""
    body = struct.pack('<B3x', 12)
    rest = struct.pack('<BBHQIHHHHIQQ16x', version, 1, len(body), cluster_id, gen_id, sender,
                       receiver, shard, generation, 0xffffffff, 1 << 40, 1) + body
    return struct.pack('<I', crc32c(rest)) + rest


class Wire:
    """A raw socket on one interface of a namespace."""

    def __init__(self, netns, interface):
        libc = ctypes.CDLL(None, use_errno=True)
        home = os.open('/proc/self/ns/net', os.O_RDONLY)
        there = os.open(f'/run/netns/{netns}', os.O_RDONLY)
        try:
            require(libc.setns(there, 0x40000000) == 0, 'setns')
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            self.socket.bind((interface, 0))
        finally:
            libc.setns(home, 0x40000000)
            os.close(home)
            os.close(there)

    def send(self, packet):
        self.socket.send(packet + bytes(max(0, 60 - len(packet))))


def mac_of(netns, interface):
    done = subprocess.run(['ip', '-n', netns, '-j', 'link', 'show', interface],
                          capture_output=True, text=True, check=True)
    return bytes.fromhex(json.loads(done.stdout)[0]['address'].replace(':', ''))


def address(case, node_id):
    return ipaddress.ip_address(f'fd77::{node_id:x}' if case.cluster.ip == '6'
                                else f'10.77.0.{node_id}')


def packets(case, cluster_id, mac_a, mac_b):
    """Where the reason is counted, the reason, and a packet to node a that meets it. No fragments:
    net_af_packet has the kernel put them together, and one alone never comes."""
    a, b, stranger = (address(case, number) for number in (1, 2, 9))

    def from_b(payload, **kwargs):
        return udp(mac_a, mac_b, b, a, payload, **kwargs)
    good = frame(cluster_id, 2, 1)
    bent = bytearray(good)
    bent[70 % len(bent)] ^= 1
    whole = from_b(good)
    return [
        ('node', 'malformed', from_b(b'x' * 100)),
        ('node', 'malformed', from_b(b'x')),
        ('node', 'malformed', from_b(bytes(bent))),
        ('node', 'malformed', from_b(good[:-1])),
        ('node', 'version', from_b(frame(cluster_id, 2, 1, version=9))),
        ('node', 'foreign_cluster', from_b(frame(cluster_id ^ 1, 2, 1))),
        ('node', 'later_generation', from_b(frame(cluster_id, 2, 1, generation=2, gen_id=7))),
        ('node', 'wrong_receiver', from_b(frame(cluster_id, 2, 3))),
        ('node', 'wrong_shard', from_b(frame(cluster_id, 2, 1, shard=1))),
        ('node', 'duplicate_id', from_b(frame(cluster_id, 1, 1))),
        ('node', 'unknown_sender', from_b(frame(cluster_id, 9, 1))),
        ('node', 'unknown_sender', from_b(frame(cluster_id, 3, 1))),  # from b's address
        ('port', 'rx_malformed', from_b(good, checksum=False)),
        ('port', 'rx_malformed', whole[:-20]),
        ('port', 'rx_unknown_peer', udp(mac_a, mac_b, stranger, a, good)),
        ('port', 'rx_not_ours', udp(mac_a, mac_b, b, stranger, good)),
        ('port', 'rx_not_ours', from_b(good, port_to=7)),
        ('port', 'rx_not_ours', from_b(good, protocol=6)),
        ('port', 'rx_not_ours', mac_a + mac_b + b'\x88\xb5' + bytes(64)),
    ]


def counters(status, where, reason):
    return status['a']['drops'][reason] if where == 'node' else \
        status['a']['ports'][0]['drops'][reason]


def test(case):
    cluster = case.cluster
    cluster.log_size = '64MiB'
    cluster.up()
    cluster.settle()
    shown = json.loads(cluster.dev('status', '-o', 'json').stdout)
    prefix = os.path.basename(shown['run_dir'])
    mac_a, mac_b = (mac_of(f'{prefix}-{name}', 'data0') for name in ('a', 'b'))
    wire = Wire(f'{prefix}-switch', 'data-a')
    cluster.wait_duplex()
    for number, (where, reason, packet) in enumerate(
            packets(case, int(shown['cluster_id'], 16), mac_a, mac_b)):
        case.step(f'{reason}: {len(packet)} bytes')
        start = counters(cluster.status(), where, reason)

        def counted(status, goal=start + COUNT, where=where, reason=reason, packet=packet):
            # A packet socket drops what it has no room for: that much is sent again.
            missing = goal - counters(status, where, reason)
            for _ in range(missing):
                wire.send(packet)
            return missing <= 0
        cluster.wait(f'{COUNT} counted as {reason}', counted)
        require(cluster.ask('SET', f'k{number}', 'it') == 'OK', 'writes go on')
    # One of them was a FAREWELL of a boot far ahead: had it been believed, b would be stale now.
    require(cluster.status()['a']['drops']['stale_boot'] == 0, 'nothing was believed')
    totals = cluster.status()['a']['data_port']
    require(totals['rx_dropped'] == sum(totals['drops'][key] for key in
                                        ('rx_malformed', 'rx_not_ours', 'rx_unknown_peer')),
            f'{totals}')
    cluster.settle()


main(test)
