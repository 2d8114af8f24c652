# SPDX-License-Identifier: Apache-2.0
"""RESP over plain sockets: one connection, and one that follows the master."""
import socket
import time

from failure import WAIT_S, Failure, require


class Reply:
    """One RESP error."""

    def __init__(self, text):
        self.text = text

    def __repr__(self):
        return f'Reply({self.text!r})'


class Client:
    """One RESP connection. Closed by the server: ConnectionError."""

    def __init__(self, address, timeout=WAIT_S):
        host, port = address.rsplit(':', 1)
        self.socket = socket.create_connection((host.strip('[]'), int(port)), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.stream = self.socket.makefile('rb')

    def close(self):
        self.stream.close()
        self.socket.close()

    @staticmethod
    def encode(*args):
        parts = [a if isinstance(a, bytes) else str(a).encode() for a in args]
        out = b'*%d\r\n' % len(parts)
        for part in parts:
            out += b'$%d\r\n%s\r\n' % (len(part), part)
        return out

    def send(self, *args):
        self.socket.sendall(self.encode(*args))

    def read(self):
        line = self.stream.readline()
        if not line.endswith(b'\r\n'):
            raise ConnectionError('closed by the server')
        kind, rest = line[:1], line[1:-2]
        if kind == b'+':
            return rest.decode()
        if kind == b'-':
            return Reply(rest.decode())
        if kind == b':':
            return int(rest)
        if kind == b'$':
            if int(rest) < 0:
                return None
            data = self.stream.read(int(rest) + 2)
            if len(data) != int(rest) + 2:
                raise ConnectionError('closed by the server')
            return data[:-2].decode()
        if kind == b'*':
            return [self.read() for _ in range(int(rest))]
        raise Failure(f'unknown reply {line!r}')

    def call(self, *args):
        self.send(*args)
        return self.read()


class Follower:
    """A client of whoever is master: on a busy host mastership may move at any time. What a
    connection's end left open is sent again to the next master, so only for requests that may be
    executed twice. @greeting, if any, is said first on every connection."""

    AGAIN = ('READONLY', 'MOVED', 'TRYAGAIN', 'MASTERDOWN', 'BUSY')  # not executed

    def __init__(self, cluster, greeting=None):
        self.cluster = cluster
        self.client = None
        self.greeting = greeting

    def connect(self):
        self.client = self.cluster.client(timeout=10)
        if self.greeting is not None:
            reply = self.client.call(*self.greeting)
            require(reply == 'OK', f'{self.greeting}: {reply}')

    def call_all(self, requests):
        """The replies to all @requests, of one master; sent without waiting in between."""
        until = time.monotonic() + WAIT_S
        while time.monotonic() < until:
            try:
                if self.client is None:
                    self.connect()
                self.client.socket.sendall(b''.join(Client.encode(*args) for args in requests))
                replies = [self.client.read() for _ in requests]
                if not any(getattr(reply, 'text', '').startswith(self.AGAIN) for reply in replies):
                    return replies
            except OSError:
                pass
            self.close()
            time.sleep(0.01)
        raise Failure(f'no master answered {requests[0][:2]} within {WAIT_S} s')

    def call(self, *args):
        return self.call_all([args])[0]

    def close(self):
        if self.client is not None:
            self.client.close()
        self.client = None
