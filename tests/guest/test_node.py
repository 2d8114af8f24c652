# SPDX-License-Identifier: Apache-2.0
"""A data node on four namespaces of emulated controllers, 2+2, busy and polled: under load a write
of one device fails and the controller of another is taken out; what was acknowledged is there then,
after SIGKILL of the daemon, and after the machine lost its power. Then the controller is back. The
log is written by NVMe commands past the block layer, and read back by both."""
import base64
import json

from guest import Failure, main, require

# The device that fails: where in its log area, in sectors. The load comes by there after a while.
FAILING_SECTOR = 2 * 2048
MIB_EACH = 96

REMOVED, FAILING = 2, 3  # places in the pool


def by_id(serial, number):
    """As the kernel names a namespace that has no number of its own."""
    model = 'QEMU NVMe Ctrl'
    return f'nvme-nvme.1b36-{serial.encode().hex()}-{model.encode().hex()}-{number:08x}'


PLACES = [by_id('TERN-A', 1), by_id('TERN-A', 2), by_id('TERN-B', 1), by_id('TERN-E', 1)]
DEVICES = ', '.join(f'{{ path = "/dev/disk/by-id/{place}"; size = "{MIB_EACH}MiB"; }}'
                    for place in PLACES)
NODE = f'''node = {{ name = "a"; id = 1; dev = DEV; }};
storage = "/root/a";
run = "/run";
parity = 2;
nodes = ( {{ name = "a"; id = 1; mgmt = "127.0.0.1:7300"; data = "10.9.0.1:7400";
	resp = "127.0.0.1:7379"; client = "127.0.0.1:7500"; admin = "/run/admin.sock"; }} );
devices = ( {DEVICES} );
poll = {{ mode = "busy"; }};
disk = {{ iopoll = "auto"; passthrough = "PASSTHROUGH"; lossy = "LOSSY"; }};
log = {{ ring = "4MiB"; command_max = "256KiB"; }};
state = {{ capacity = "16MiB"; value_max = "64KiB"; sessions_max = 256; }};
'''
CONFIG = '/root/a.conf'
JOURNAL = '/root/journal'
BLOCK, COMMANDS = 'io_uring-iopoll O_DIRECT RWF_DSYNC', 'io_uring-iopoll passthrough FUA'


def node_file(passthrough, lossy='none'):
    return NODE.replace('PASSTHROUGH', passthrough).replace('LOSSY', lossy).replace(
        'DEV', 'false' if lossy == 'none' else 'true')


def boot(case, is_polled, is_failing):
    """Two namespaces of one controller; one that can be taken out; one that fails: but not yet when
    `node init` writes it from end to end."""
    def name_space(medium, controller, number=1, more=''):
        return ['-device', f'nvme-ns,drive={medium},bus={controller},nsid={number}{more}']
    machine = case.boot([
        *case.medium('a1', MIB_EACH), *case.medium('a2', MIB_EACH), *case.medium('b1', MIB_EACH),
        *(case.faulty('e1', MIB_EACH, write=FAILING_SECTOR) if is_failing else
          case.medium('e1', MIB_EACH)),
        '-device', 'pcie-root-port,id=way,chassis=1,slot=1',
        '-device', 'nvme,id=nvA,serial=TERN-A',
        '-device', 'nvme,id=nvB,serial=TERN-B,bus=way',
        '-device', 'nvme,id=nvE,serial=TERN-E',
        *name_space('a1', 'nvA'), *name_space('b1', 'nvB'), *name_space('e1', 'nvE'),
        *name_space('a2', 'nvA', 2, ',logical_block_size=4096,physical_block_size=4096'),
    ], append='nvme.poll_queues=2' if is_polled else '')
    machine.wait('four devices', lambda: links(machine) == sorted(PLACES))
    return machine


def links(machine):
    return sorted(machine.run('link-devices; ls /dev/disk/by-id').out.split())


def admin(machine, verb, code=0):
    return machine.json(f'tern {verb} --node-file {CONFIG} -o json', code=code)


def node_of(machine, code=None):
    return admin(machine, 'status', code)['nodes'][0]


def start(machine):
    machine.run(f'ternd --config {CONFIG} >>/root/log 2>&1 & echo $! >/root/pid')

    def serves():
        if machine.run('kill -0 $(cat /root/pid)', code=None).status != 0:
            raise Failure('ternd has ended\n' + machine.run('tail -n 20 /root/log').out)
        return node_of(machine).get('serving')
    machine.wait('the node to serve', serves, 20)


def start_anew(machine, passthrough, lossy='none'):
    """SIGKILL, and a start with other settings."""
    machine.run('kill -9 $(cat /root/pid); sleep 1')
    settings = {'passthrough': passthrough, 'lossy': lossy}
    changes = ' '.join(f"-e 's/{key} = \"[a-z]*\"/{key} = \"{value}\"/'"
                       for key, value in settings.items())
    dev = 'false' if lossy == 'none' else 'true'
    machine.run(f"sed -i {changes} -e 's/dev = [a-z]*/dev = {dev}/' {CONFIG}")
    start(machine)


def require_mode(machine, mode):
    node = node_of(machine)
    disk = node['disk']
    is_command = mode == COMMANDS
    require(node['disk_mode'].startswith(mode) and disk['polled'] and
            disk['passthrough'] == is_command and disk['polled_why_not'] == '' and
            disk['passthrough_why_not'] == '' and disk['dsync'] and disk['direct'] and
            disk['registered'] != is_command, (node['disk_mode'], disk))


def write_load(machine, prefix):
    machine.run(f'load_client write --addr 127.0.0.1:7379 --journal {JOURNAL}-{prefix} '
                f'--prefix {prefix} --connections 8 --seconds 200 >/root/load 2>&1 & '
                'echo $! >/root/load.pid')


def acknowledged(machine, prefix):
    return int(machine.run(f'grep -c ^A {JOURNAL}-{prefix}', code=None).out or 0)


def goes_on(machine, prefix, count):
    first = acknowledged(machine, prefix)
    machine.wait(f'{count} further writes', lambda: acknowledged(machine, prefix) >= first + count)


def stop_load(machine):
    machine.run('kill $(cat /root/load.pid)')
    machine.wait('the load to end', lambda: machine.run('kill -0 $(cat /root/load.pid)',
                                                        code=None).status != 0)
    totals = json.loads(machine.run('cat /root/load').out)
    require(totals['acknowledged'] > 100, totals)
    print(f'   {totals}', flush=True)


def verify(machine, *prefixes):
    for prefix in prefixes:
        found = machine.json(f'load_client verify --addr 127.0.0.1:7379 --journal '
                             f'{JOURNAL}-{prefix} 2>/dev/null')
        require(found['acknowledged'] > 100 and found['lost'] == 0, found)


def states(machine, code):
    (node,) = admin(machine, 'device list', code)['nodes']
    return node['pool'], [device['state'] for device in node['pool']['devices']]


def device_verbs(machine):
    """What the tool says of devices of a node that runs, which has them for itself."""
    (node,) = admin(machine, 'device list')['nodes']
    require([device['path'].rsplit('/', 1)[1] for device in node['pool']['devices']] == PLACES,
            node['pool'])
    for number, (serial, lba) in enumerate((('TERN-A', 512), ('TERN-A', 4096), ('TERN-B', 512))):
        shown = machine.json(f'tern device show a {number} --node-file {CONFIG} -o json')
        facts, disk = shown['facts'], shown['disk']
        (used,) = [one for one in facts['nvme_formats'] if one['in_use']]
        require(facts['serial'] == serial and facts['model'] == 'QEMU NVMe Ctrl' and
                facts['logical_block_bytes'] == used['lba_bytes'] == lba and
                facts['durable_by'] == 'fua' and facts['can_poll'] and
                facts['health']['temperature_c'] == 50 and disk['passthrough'] and
                shown['device']['state'] == 'ok', shown)
    text = machine.run(f'tern device show a 0 --node-file {CONFIG}').out
    for what in (f'the node     {COMMANDS}', 'TERN-A', 'QEMU NVMe Ctrl'):
        require(what in text, text)
    require('block I/O' not in text and 'not polled' not in text, text)
    text = machine.run(f'tern device list --node-file {CONFIG}').out
    require(text.count('ok') >= 4, text)


def birth(case, machine):
    case.step('node init, start')
    machine.json(f'tern node init --config {CONFIG} -o json')
    start(machine)
    require(node_of(machine)['disk']['devices'] == 4, 'devices')
    require_mode(machine, COMMANDS)
    case.step('device list, device show')
    device_verbs(machine)


def failures(case, machine):
    case.step('a write fails')
    write_load(machine, 'one')
    machine.wait('the device to fail', lambda: states(machine, None)[1][FAILING] == 'failed')
    pool, now = states(machine, 3)
    require(now.count('failed') == 1 and pool['losses_left'] == 1 and pool['degraded'] and
            not pool['stopped'], pool)
    goes_on(machine, 'one', 200)
    case.step('a controller is taken out')
    machine.ask('device_del', id='nvB')
    machine.wait('the device to fail', lambda: states(machine, None)[1][REMOVED] == 'failed')
    pool, now = states(machine, 3)
    require(now.count('failed') == 2 and pool['losses_left'] == 0 and not pool['stopped'], pool)
    goes_on(machine, 'one', 200)
    stop_load(machine)
    require_mode(machine, COMMANDS)
    verify(machine, 'one')


def killed(case, machine):
    case.step('SIGKILL, start: block I/O reads what commands wrote')
    start_anew(machine, 'off')
    require_mode(machine, BLOCK)
    verify(machine, 'first', 'one')
    write_load(machine, 'two')
    goes_on(machine, 'two', 200)
    stop_load(machine)
    case.step('SIGKILL, start: and the other way round')
    start_anew(machine, 'on')
    require_mode(machine, COMMANDS)
    verify(machine, 'first', 'one', 'two')


def unflushed(case, machine):
    """What is not forced through is lost with the process: nothing that was acknowledged may be."""
    case.step('SIGKILL loses what commands did not force through')
    start_anew(machine, 'on', 'unflushed')
    require_mode(machine, COMMANDS)
    write_load(machine, 'three')
    goes_on(machine, 'three', 200)
    start_anew(machine, 'on')
    machine.run('kill $(cat /root/load.pid); sleep 1', code=None)
    verify(machine, 'three')


def power_lost(case, machine, prefixes, passthrough, **how):
    """The machine ends in the middle of the load; its devices keep what they had taken, and the disk
    that it boots from the node's directory."""
    case.step('the power goes')
    prefix = prefixes[-1]
    write_load(machine, prefix)
    goes_on(machine, prefix, 200)
    journals = {f'{JOURNAL}-{one}': machine.run(f'grep ^A {JOURNAL}-{one}').out
                for one in prefixes}
    kept = {path: base64.b64decode(machine.run(f'base64 {path}').out)
            for path in machine.run('find /root/a -type f').out.split()}
    require('/root/a/pool' in kept, kept)
    case.shut()
    case.pack({CONFIG: node_file(passthrough), **journals, **kept})
    return boot(case, **how)


def refused(machine):
    """Commands are required, and no controller has queues to poll."""
    done = machine.run(f'ternd --config {CONFIG} 2>&1', code=8)
    require('disk.passthrough = \\"on\\"' in done.out.replace('"on"', '\\"on\\"') and
            'has no queues to poll (nvme.poll_queues=N' in done.out, done.out)
    machine.run(f"sed -i 's/passthrough = \"on\"/passthrough = \"auto\"/' {CONFIG}")


def test(case):
    case.pack({CONFIG: node_file('auto')})
    machine = boot(case, is_polled=True, is_failing=False)
    birth(case, machine)
    machine = power_lost(case, machine, ['first'], 'on', is_polled=True, is_failing=True)
    start(machine)
    verify(machine, 'first')
    failures(case, machine)
    killed(case, machine)
    unflushed(case, machine)
    prefixes = ['first', 'one', 'two', 'three', 'four']
    machine = power_lost(case, machine, prefixes, 'on', is_polled=False, is_failing=True)
    case.step('commands are required and not taken')
    refused(machine)
    start(machine)
    verify(machine, *prefixes)
    disk = node_of(machine)['disk']
    require(not disk['polled'] and 'nvme.poll_queues' in disk['polled_why_not'] and
            not disk['passthrough'] and 'nvme.poll_queues' in disk['passthrough_why_not'], disk)
    text = machine.run(f'tern device show a 0 --node-file {CONFIG}', code=None).out
    require('block I/O    /dev/disk/by-id/' in text and 'not polled ' in text, text)
    case.step('the controller is back: it is filled')
    machine.wait('the rebuild', lambda: states(machine, None)[1][REMOVED] == 'ok')
    print(f'   {states(machine, None)[1]}', flush=True)


def test_or_tell(case):
    try:
        test(case)
    except Failure:
        if case.machine is not None:
            print(case.machine.run('cat /root/log; tern status --node-file ' + CONFIG,
                                   code=None).out)
        raise


main(test_or_tell)
