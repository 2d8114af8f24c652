# SPDX-License-Identifier: Apache-2.0
"""What no well-behaved client sends, and more than the limits allow: each gets a clear error with
the next step, and everybody else is still served."""

from case import Client, main, require


def raw(cluster, data):
    """What comes back for @data until the server closes."""
    client = Client(cluster.resp(cluster.wait_master()))
    client.socket.sendall(data)
    found = client.stream.read()
    client.close()
    return found.decode()


def alive(cluster):
    client = cluster.follower()
    require(client.call('SET', 'alive', '1') == 'OK', 'others are served')
    client.close()


def protocol(case):
    cluster = case.cluster
    for name, data, text in (
            ('2 GB length', b'*2\r\n$3\r\nGET\r\n$2147483648\r\n',
             '-ERR Protocol error: invalid bulk length'),
            ('2 G arguments', b'*2147483647\r\n', '-ERR Protocol error: invalid multibulk length'),
            ('no string', b'*1\r\n:1\r\n', "-ERR Protocol error: expected '$'"),
            ('open quote', b'SET "a\r\n', '-ERR Protocol error: unbalanced quotes'),
            ('endless line', b'x' * 70000, '-ERR Protocol error: too big inline request')):
        case.step(name)
        found = raw(cluster, data)
        require(found.startswith(text), f'{found!r}, wanted {text!r}')
        alive(cluster)


def connections(case, limit, master):
    cluster = case.cluster
    case.step('too many connections')
    held = [Client(cluster.resp(master)) for _ in range(limit)]
    for client in held:
        require(client.call('PING') == 'PONG', 'within the limit')
    more = Client(cluster.resp(master))
    found = more.read()
    require(found.text.startswith('ERR max number of clients reached') and
            'gateway.connections_max' in found.text, found.text)
    try:
        require(more.read() is None, 'nothing comes after it')
    except ConnectionError:
        pass
    for number, client in enumerate(held):
        require(client.call('SET', f'held:{number}', number) == 'OK', 'the others go on')
    case.step('one goes, one may come')
    held.pop().close()
    cluster.wait('room for one', lambda s: True if room(cluster, master) else None)
    for client in [more, *held]:
        client.close()
    cluster.wait('room again', lambda s: True if room(cluster, master) else None)


def room(cluster, master):
    client = Client(cluster.resp(master))
    try:
        return client.call('PING') == 'PONG'
    except OSError:
        return False
    finally:
        client.close()


def keys(case):
    cluster = case.cluster
    case.step('too many keys')
    client = cluster.follower()
    found = 'OK'
    for number in range(4096):
        found = client.call('SET', f'key:{number}', 'x' * 1024)
        if found != 'OK':
            break
    require(found != 'OK' and found.text.startswith('OOM ') and 'state.capacity' in found.text,
            f'{found}')
    hashes = cluster.wait_equal()
    for command in (('SET', 'key:0', 'z' * 2048), ('APPEND', 'key:0', 'z' * 32),
                    ('MSET', 'new:1', 'x' * 1024, 'new:2', 'x' * 1024)):
        found = client.call(*command)
        require(getattr(found, 'text', '').startswith('OOM '), f'{command[0]}: {found}')
    require(client.call('GET', 'key:0') == 'x' * 1024, 'reads are served')
    require(client.call('EXISTS', 'new:1', 'new:2') == 0, 'none of an MSET')
    require(cluster.wait_equal()[1] == hashes[1], 'what was refused changed nothing, anywhere')
    require(client.call('DEL', 'key:0', 'key:1', 'key:2', 'key:3') == 4, 'keys can be deleted')
    require(client.call('SET', 'key:0', 'y') == 'OK', 'room again')
    found = client.call('SET', 'key:0', 'v' * (512 * 1024 + 1))
    require(found.text == 'ERR value is too large: 524289 bytes, at most 524288', found.text)
    require(client.call('GET', 'key:0') == 'y', 'the connection and the old value are kept')
    client.close()
    cluster.settle()


def test(case):
    case.another(profile=case.profile('small', ('capacity = "256MiB"', 'capacity = "1MiB"'),
                                      ('connections_max = 1024', 'connections_max = 8')))
    protocol(case)
    case.cluster.with_master(lambda master: connections(case, 8, master))
    keys(case)


main(test)
