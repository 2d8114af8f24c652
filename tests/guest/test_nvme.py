# SPDX-License-Identifier: Apache-2.0
"""What the tools say of emulated NVMe devices, against what QEMU was told; what the storage adapter
does on them, against what QEMU counted; and on devices that fail, are slow, or are taken out."""
import re
import struct

from guest import main, require

ERROR_PAGE = 40  # of the device that fails: its write of this page, its read of the next


def machine_make(case):
    devices = [
        # A controller with two namespaces, one of them with sectors of 4 KiB.
        *case.medium('a1', 64), *case.medium('a2', 64),
        '-device', 'nvme,id=nvA,serial=TERN-A',
        '-device', 'nvme-ns,drive=a1,bus=nvA,nsid=1',
        '-device', 'nvme-ns,drive=a2,bus=nvA,nsid=2,logical_block_size=4096,'
                   'physical_block_size=4096',
        # Behind a port of its own, so that it can be taken out.
        *case.medium('b1', 64),
        '-device', 'pcie-root-port,id=way,chassis=1,slot=1',
        '-device', 'nvme,id=nvB,serial=TERN-B,drive=b1,bus=way',
        # A subsystem: the kernel shows the namespace, and keeps its path to it to itself.
        *case.medium('m1', 64),
        '-device', 'nvme-subsys,id=subsystem,nqn=tern',
        '-device', 'nvme,id=nvM,serial=TERN-M,subsys=subsystem',
        '-device', 'nvme-ns,drive=m1,bus=nvM,nsid=1',
        *case.faulty('e1', 64, write=ERROR_PAGE * 8, read=(ERROR_PAGE + 1) * 8),
        '-device', 'nvme,id=nvE,serial=TERN-E,drive=e1',
        *case.faulty('f1', 64, flush=None),
        '-device', 'nvme,id=nvF,serial=TERN-F,drive=f1',
        '-object', 'throttle-group,id=slow,x-iops-total=50',
        *case.medium('t1', 64, 'throttle', throttle_group='slow'),
        '-device', 'nvme,id=nvT,serial=TERN-T,drive=t1',
    ]
    return case.boot(devices)


def by_serial(machine):
    """Paths of namespaces: (serial, number of the namespace) -> what `device scan` says."""
    found = {}
    for one in machine.json('tern device scan -o json')['devices']:
        facts = one['facts']
        number = int(facts['name'].rsplit('n', 1)[1]) if facts['kind'] == 'nvme' else 0
        found[facts['serial'], number] = one
    return found


def facts_test(case, machine):
    case.step('facts')
    found = by_serial(machine)
    expected = {('TERN-A', 1), ('TERN-A', 2)} | {(f'TERN-{name}', 1) for name in 'BMEFT'}
    require(set(found) == expected, f'devices: {sorted(found)}')
    for (serial, number), one in found.items():
        facts = one['facts']
        lba = 4096 if (serial, number) == ('TERN-A', 2) else 512
        require(facts['model'] == 'QEMU NVMe Ctrl' and facts['firmware'], facts)
        require(facts['bytes'] == 64 << 20 and facts['logical_block_bytes'] == lba, facts)
        require(facts['volatile_cache'] is True and facts['flushed_by_kernel'] is True and
                facts['fua'] is True and facts['durable_by'] == 'fua', facts)
        require('FUA' in facts['durable_why'], facts)
        require(facts['by_id'].startswith('/dev/disk/by-id/nvme-'), facts)
        require(facts['can_poll'] is False, facts)
        formats = facts['nvme_formats']
        (used,) = [one for one in formats if one['in_use']]
        require(used['lba_bytes'] == lba and used['metadata_bytes'] == 0, formats)
        require({one['lba_bytes'] for one in formats} >= {512, 4096}, formats)
        require(facts['atomic_write_bytes'] == lba, facts)  # QEMU promises one block
        health = facts['health']
        require(health['critical_warning'] == 0 and health['temperature_c'] == 50 and
                health['media_errors'] == 0 and health['wear_pct'] == 0, health)
        require(one['usable'] == 'yes' and one['carries'] == '', one)
    return {key: one['path'] for key, one in found.items()}


def health_test(case, machine, path):
    case.step('health follows the device')
    machine.ask('qom-set', path='/machine/peripheral/nvA', property='smart_critical_warning',
                value=8)
    health = machine.json(f'tern device scan {path} -o json')['devices'][0]['facts']['health']
    require(health['critical_warning'] == 8, health)
    machine.ask('qom-set', path='/machine/peripheral/nvA', property='smart_critical_warning',
                value=0)


def shared_serial_test(case, machine, paths):
    case.step('two namespaces of one controller have different names')
    for number in (1, 2):
        machine.run(f'dd if=/dev/urandom of={paths["TERN-A", number]} bs=64k count=1')
    found = by_serial(machine)
    names = [found['TERN-A', number]['wipe_by'] for number in (1, 2)]
    require(names[0] != names[1] and all(names), names)
    require('TERN-A' not in names, f'the serial number is that of both: {names}')
    one = machine.json(f'tern device scan {paths["TERN-B", 1]} -o json')['devices'][0]
    require(one['carries'] == '', one)


def durability_test(case, machine, path):
    case.step('a cache that the kernel does not flush')
    queue = f'/sys/block/{path.rsplit("/", 1)[1]}/queue/write_cache'
    machine.run(f'echo write through >{queue}')
    facts = machine.json(f'tern device scan {path} -o json')['devices'][0]['facts']
    require(facts['volatile_cache'] is True and facts['flushed_by_kernel'] is False and
            facts['durable_by'] == 'unsafe' and queue in facts['durable_why'], facts)
    machine.run(f'echo write back >{queue}')
    facts = machine.json(f'tern device scan {path} -o json')['devices'][0]['facts']
    require(facts['durable_by'] == 'fua', facts)


def is_clean(run, count=64):
    return run['writes']['ok'] == run['reads']['ok'] == run['durable_writes'] == count and \
        run['mismatches'] == run['errors'] == 0 and run['has_ended']


def io_test(case, machine, paths):
    case.step('durable writes are read back')
    for key, node in ((('TERN-A', 1), 'a1'), (('TERN-A', 2), 'a2'), (('TERN-M', 1), 'm1')):
        before = machine.blocks(node)
        for depth in (1, 32):
            run = machine.json(f'disk_run {paths[key]} depth={depth}')
            require(is_clean(run) and run['mode'] == 'io_uring O_DIRECT RWF_DSYNC' and
                    run['volatile_cache'] and run['wait_fd'] >= 0, run)
        writes = machine.blocks(node)[0] - before[0]
        # disk_run's own, and one of the kernel's word for each run.
        require(writes == 2 * 65, f'{node}: QEMU counted {writes} writes')
    require(machine.blocks('b1')[0] == 0, 'nobody wrote to another controller')


TRACE = '/sys/kernel/tracing'


def commands(machine, line):
    """The commands that the kernel gave to controllers for @line: (what, whether with FUA)."""
    machine.run(f'mount -t tracefs tracefs {TRACE} 2>/dev/null; echo >{TRACE}/trace; '
                f'echo 1 >{TRACE}/events/nvme/nvme_setup_cmd/enable')
    machine.run(line)
    machine.run(f'echo 0 >{TRACE}/events/nvme/nvme_setup_cmd/enable')
    found = re.findall(r'cmd=\(nvme_cmd_(\w+)(.*)\)', machine.run(f'cat {TRACE}/trace').out)
    return [(what, bool(int((re.findall(r'ctrl=(0x[0-9a-f]+)', rest) or ['0x0'])[0], 16) & 0x4000))
            for what, rest in found]


def forced_test(case, machine, path):
    case.step('every write is forced through')
    seen = commands(machine, f'disk_run {path}')
    # The last two flushes, and one of the writes, are of the kernel's word.
    require(seen.count(('write', True)) == 65 and seen.count(('write', False)) == 0 and
            seen.count(('flush', False)) == 2, seen)
    character = path.replace('nvme', 'ng')
    seen = commands(machine, f'passthrough {path} {character} 64 1')
    require(seen.count(('write', True)) == 4 * 64 and seen.count(('write', False)) == 0, seen)


def written_test(case, machine, path):
    case.step('bytes written, as the controller counts them')
    stats = [one['stats'] for one in machine.ask('query-blockstats')
             if one.get('node-name') in ('a1', 'a2')]
    units = -(-sum(one['wr_bytes'] for one in stats) // 512000)
    health = machine.json(f'tern device scan {path} -o json')['devices'][0]['facts']['health']
    require(health['written_bytes'] == units * 512000 and units > 0, f'{health} {units}')


def refused(machine, path, what, before=None):
    """Commands that are required and not taken: nothing is written."""
    writes = before() if before else None
    done = machine.run(f'disk_run {path} iopoll=try passthrough=required', code=1)
    require(done.err.startswith('disk.passthrough = "on": ' + what) and '"auto"' in done.err and
            not done.out, done.err + done.out)
    require(not before or before() == writes, f'{path} was written to')


def iopoll_refused_test(case, machine, path):
    case.step('no queues to poll')
    run = machine.json(f'disk_run {path} iopoll=try')
    require(is_clean(run) and not run['polled'] and run['wait_fd'] >= 0 and
            'nvme.poll_queues' in run['polled_why_not'], run)
    run = machine.json(f'disk_run {path} iopoll=try passthrough=try')
    require(is_clean(run) and not run['passthrough'] and run['wait_fd'] >= 0 and
            run['mode'] == 'io_uring O_DIRECT RWF_DSYNC' and
            run['passthrough_why_not'].startswith(path + ' has no queues to poll') and
            'nvme.poll_queues' in run['passthrough_why_not'], run)
    refused(machine, path, f'{path} has no queues to poll')


def errors_test(case, machine, paths):
    case.step('devices that fail')
    failing = paths['TERN-E', 1]
    run = machine.json(f'disk_run {failing} first={ERROR_PAGE} count=1')
    require(run['writes']['failed'] == 1 and run['errors'] == 1, run)
    print(f'   a write: {run["kernel"]} (errno)', flush=True)
    require(run['kernel']['write'] != 0, run)
    run = machine.json(f'disk_run {failing} depth=1')
    # After its first failed write a device is given no other.
    require(run['writes'] == {'ok': ERROR_PAGE, 'failed': 64 - ERROR_PAGE,
                              'first_failed': ERROR_PAGE}, run)
    # One by one: the kernel joins neighbouring reads, and then one bad page fails all of them.
    run = machine.json(f'disk_run {failing} first={ERROR_PAGE + 1} count=4 depth=1')
    require(run['writes']['ok'] == 4 and run['reads']['failed'] == 1 and
            run['reads']['first_failed'] == ERROR_PAGE + 1 and run['mismatches'] == 0, run)
    print(f'   a read: {run["kernel"]}', flush=True)
    run = machine.json(f'disk_run {paths["TERN-F", 1]} depth=1')
    require(run['kernel']['flush'] != 0, run)
    # QEMU 7.2 does nothing about FUA; one that flushes must fail the first write, and so all.
    require(run['writes']['ok'] in (0, 64) and run['writes']['failed'] in (64, 0), run)
    print(f'   a flush: {run["kernel"]}, forced writes: {run["writes"]}', flush=True)


def slow_test(case, machine, path):
    case.step('a slow device')
    run = machine.json(f'disk_run {path} count=16 depth=16')
    require(is_clean(run, 16), run)


def removal_test(case, machine, path):
    case.step('taken out while it is written to')
    machine.send(f'disk_run {path} rounds=0 depth=8')
    machine.wait('writes', lambda: machine.blocks('b1')[0] > 200)
    machine.ask('device_del', id='nvB')
    done = machine.answer()
    require(done.status == 0, done.out + done.err)
    print('   ' + done.out.strip(), flush=True)
    require('"has_ended":true' in done.out and '"mismatches":0' in done.out, done.out)
    require(('TERN-B', 1) not in by_serial(machine), 'it is not listed any more')
    (gone,) = machine.json(f'tern device scan {path} -o json', code=None)['devices']
    require(gone['facts']['kind'] == 'absent', gone)


def interrupts(machine):
    """Of all queues but those of the controllers' own commands."""
    lines = machine.run('cat /proc/interrupts').out.splitlines()
    return sum(int(word) for line in lines if re.search(r'nvme\d+q[1-9]', line)
               for word in line.split()[1:] if word.isdigit())


WAYS = {'': 'io_uring-iopoll O_DIRECT RWF_DSYNC',
        'passthrough=required': 'io_uring-iopoll passthrough FUA'}


def partition_make(case):
    """A partition of half the medium, as a table of DOS has it."""
    path = case.image('p1', 64)
    with open(path, 'r+b') as handle:
        handle.seek(446)
        handle.write(bytes([0, 0, 0, 0, 0x83, 0, 0, 0]) + struct.pack('<II', 2048, 65536))
        handle.seek(510)
        handle.write(b'\x55\xaa')


def polled_machine(case):
    partition_make(case)
    machine = case.boot([
        *case.medium('a1', 64), *case.medium('a2', 64),
        '-device', 'nvme,id=nvA,serial=TERN-A',
        '-device', 'nvme-ns,drive=a1,bus=nvA,nsid=1',
        '-device', 'nvme-ns,drive=a2,bus=nvA,nsid=2,logical_block_size=4096,'
                   'physical_block_size=4096',
        # Behind ports of their own, so that they can be taken out.
        *case.medium('b1', 64), *case.medium('c1', 64),
        '-device', 'pcie-root-port,id=way1,chassis=1,slot=1',
        '-device', 'pcie-root-port,id=way2,chassis=2,slot=2',
        '-device', 'nvme,id=nvB,serial=TERN-B,drive=b1,bus=way1',
        '-device', 'nvme,id=nvC,serial=TERN-C,drive=c1,bus=way2',
        *case.faulty('e1', 64, write=ERROR_PAGE * 8, read=(ERROR_PAGE + 1) * 8),
        '-device', 'nvme,id=nvE,serial=TERN-E,drive=e1',
        # Subsystems: of one controller, and of two that lead to one namespace.
        *case.medium('m1', 64), *case.medium('n1', 64),
        '-device', 'nvme-subsys,id=subsystem1,nqn=tern1',
        '-device', 'nvme,id=nvM,serial=TERN-M,subsys=subsystem1',
        '-device', 'nvme-ns,drive=m1,bus=nvM,nsid=1',
        '-device', 'nvme-subsys,id=subsystem2,nqn=tern2',
        '-device', 'nvme,id=nvN1,serial=TERN-N,subsys=subsystem2',
        '-device', 'nvme,id=nvN2,serial=TERN-N,subsys=subsystem2',
        '-device', 'nvme-ns,drive=n1,bus=nvN1,nsid=1,shared=on',
        *case.medium('p1', 64),
        '-device', 'nvme,id=nvP,serial=TERN-P,drive=p1',
    ], 'nvme.poll_queues=1')
    case.step('queues to poll')
    return machine, by_serial(machine)


def block_writes(machine, path):
    """Writes that went through the block layer, which does not count commands; of a namespace of a
    subsystem it counts by path, on devices that it hides."""
    name = path.rsplit('/', 1)[1]
    hidden = re.sub(r'^(nvme\d+)(n\d+)$', r'\1c*\2', name)
    lines = machine.run(f'cd /sys/class/block; cat {name}/stat {hidden}/stat 2>/dev/null',
                        code=None).out.splitlines()
    return sum(int(line.split()[4]) for line in lines)


def polled_io_test(machine, path, sizes):
    """The kernel takes 127 pages as one request of these devices; it must not be left to cut. What
    one way writes the other reads, and so does who uses neither."""
    numbers = iter(range(100))
    for pages, count in sizes:
        for way, mode in WAYS.items():
            size = f'pages={pages} count={count} round={next(numbers)}'
            before, through = interrupts(machine), block_writes(machine, path)
            run = machine.json(f'disk_run {path} iopoll=try {way} {size}')
            require(is_clean(run, count) and run['polled'] and run['wait_fd'] == -1 and
                    run['mode'] == mode and run['passthrough'] == bool(way), run)
            rise = interrupts(machine) - before
            require(rise < 16, f'{rise} interrupts')  # five of them are of the kernel's word
            through = block_writes(machine, path) - through
            require(through < 4 if way else through >= count, f'{way}: {through} writes')
            for other in ('iopoll=off', f'iopoll=try {[one for one in WAYS if one != way][0]}'):
                run = machine.json(f'disk_run {path} {other} {size} read-only')
                require(run['reads']['ok'] == count and run['mismatches'] == 0 and
                        run['writes']['ok'] == 0, run)


def command_forced_test(case, machine, path):
    case.step('every write command is forced through')
    seen = commands(machine, f'disk_run {path} iopoll=try passthrough=required')
    # One of the writes is the trial at the start; one, and the last two flushes, are of the
    # kernel's word.
    require(seen.count(('write', True)) == 66 and seen.count(('write', False)) == 0 and
            seen.count(('flush', False)) == 2, seen)


def command_refused_test(case, machine, found):
    case.step('what takes no commands')
    partition = found['TERN-P', 1]['path'] + 'p1'
    writes = {name: (lambda name=name: machine.blocks(name)[0]) for name in ('p1', 'n1')}
    refused(machine, partition, f'{partition} is a partition', writes['p1'])
    run = machine.json(f'disk_run {partition} iopoll=try passthrough=try')
    require(is_clean(run) and run['polled'] and run['mode'] == WAYS[''] and
            run['passthrough_why_not'].startswith(f'{partition} is a partition'), run)
    shared = found['TERN-N', 1]['path']
    refused(machine, shared, f'{shared} has several paths', writes['n1'])
    # Who has not the character device has no commands: block I/O does not need it.
    path = found['TERN-A', 1]['path']
    machine.run('mkdir /tmp/aside; mv /dev/ng* /tmp/aside')
    refused(machine, path, f'{path} takes commands through /dev/ng')
    # Nor who has that of another namespace in its place.
    ours = machine.run(f'ls /sys/class/block/{path[5:]}/device | grep "^ng.*n1$"').out.strip()
    other = machine.run(f'ls /sys/class/block/{path[5:]}/device | grep "^ng.*n2$"').out.strip()
    machine.run(f'cp -a /tmp/aside/{other} /dev/{ours}')
    refused(machine, path, f'{path} and /dev/{ours} are not the same namespace')
    machine.run(f'rm /dev/{ours}; mv /tmp/aside/ng* /dev')


def polled_errors_test(case, machine, found):
    case.step('devices that fail')
    failing = found['TERN-E', 1]['path']
    run = machine.json(f'disk_run {failing} iopoll=try passthrough=required depth=1')
    require(run['passthrough'] and run['has_ended'] and
            run['writes'] == {'ok': ERROR_PAGE, 'failed': 64 - ERROR_PAGE,
                              'first_failed': ERROR_PAGE}, run)
    first = ERROR_PAGE + 1
    run = machine.json(f'disk_run {failing} iopoll=try passthrough=required first={first} count=4')
    require(run['passthrough'] and run['writes']['ok'] == 4 and run['mismatches'] == 0 and
            run['reads'] == {'ok': 3, 'failed': 1, 'first_failed': first}, run)
    for serial, way in (('B', ''), ('C', 'passthrough=required')):
        case.step(f'taken out while it is written to, {way or "block I/O"}')
        path, medium = found[f'TERN-{serial}', 1]['path'], serial.lower() + '1'
        before = machine.blocks(medium)[0]
        machine.send(f'disk_run {path} iopoll=try {way} rounds=0 depth=8')
        machine.wait('writes', lambda medium=medium, before=before:
                     machine.blocks(medium)[0] > before + 200)
        machine.ask('device_del', id='nv' + serial)
        done = machine.answer()
        require(done.status == 0, done.out + done.err)
        print('   ' + done.out.strip(), flush=True)
        require(f'"mode":"{WAYS[way]}"' in done.out and '"has_ended":true' in done.out and
                '"mismatches":0' in done.out, done.out)


def polled_test(case):
    machine, found = polled_machine(case)
    every, some = ((1, 512), (127, 8), (128, 8), (512, 8)), ((1, 64), (512, 4))
    for key, sizes in ((('TERN-A', 1), every), (('TERN-A', 2), every), (('TERN-M', 1), some)):
        require(found[key]['facts']['can_poll'] is True, found[key])
        case.step(f'polled: {key[0]}, namespace {key[1]}')
        polled_io_test(machine, found[key]['path'], sizes)
    command_forced_test(case, machine, found['TERN-A', 1]['path'])
    command_refused_test(case, machine, found)
    polled_errors_test(case, machine, found)


def test(case):
    machine = machine_make(case)
    case.step('booted')
    paths = facts_test(case, machine)
    health_test(case, machine, paths['TERN-A', 1])
    io_test(case, machine, paths)
    forced_test(case, machine, paths['TERN-A', 2])
    written_test(case, machine, paths['TERN-A', 1])
    iopoll_refused_test(case, machine, paths['TERN-A', 1])
    durability_test(case, machine, paths['TERN-M', 1])
    errors_test(case, machine, paths)
    slow_test(case, machine, paths['TERN-T', 1])
    removal_test(case, machine, paths['TERN-B', 1])
    shared_serial_test(case, machine, paths)
    polled_test(case)


main(test)
