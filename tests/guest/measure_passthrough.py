# SPDX-License-Identifier: Apache-2.0
"""What NVMe commands of our own save over the block device: durable writes of 4 KiB in both ways,
taking turns, medians of five. By hand, no test:

    tests/guest/measure_passthrough.py BUILD_DIR [counted] [file] [adapter]     default: all three

Instructions: QEMU counts them (icount, one a nanosecond of the guest's clock), on a device that is
done at once and keeps nothing: what the guest's kernel and the program execute for a request, the
same on every run. Times: on a file, with all that the emulation adds. First bare (`passthrough`),
then polled through the storage adapter as a node has it, also reads, and longer requests: there the
pages' filling and comparing is part of the time."""
import json
import statistics
import sys

from guest import main, require

COUNTED = ('-accel', 'tcg,thread=single,tb-size=256', '-icount', 'shift=0,sleep=on')
RUNS = 5


def controller(medium):
    return ['-device', 'nvme,id=nv,serial=TERN', '-device', f'nvme-ns,drive={medium},bus=nv,nsid=1']


def measure(case, machine, title, requests, words):
    out = machine.run(f'passthrough /dev/nvme0n1 /dev/ng0n1 {requests} {RUNS} {words}', 200).out
    runs = [json.loads(line) for line in out.splitlines()]
    unit = 'instructions' if 'keeps-nothing' in words else 'ns'
    for depth in (1, 8):
        rows = {}
        for way in ('block', 'command'):
            mine = [run for run in runs if (run['way'], run['depth']) == (way, depth)]
            # What the processor did is known of one alone that is counted.
            busy = [run['ns'] - run['idle_ns'] for run in mine if unit == 'instructions']
            rows[way] = [statistics.median(values) for values in (
                busy or [0], [run['thread_cpu_ns'] for run in mine], [run['ns'] for run in mine])]
            print(f'{title}, depth {depth}, {way:7}: ' +
                  (f'in all {rows[way][0]:8.0f}, ' if busy else '') +
                  f'of the thread {rows[way][1]:8.0f}, from first to last {rows[way][2]:8.0f} '
                  f'{unit} a request', flush=True)
        ratios = ' '.join(f'{one / other:.2f}' for one, other in zip(rows['command'], rows['block'])
                          if other)
        print(f'{title}, depth {depth}, command / block: {ratios}', flush=True)


def adapter(machine):
    ways = {'block': 'io_uring-iopoll O_DIRECT', 'command': 'io_uring-iopoll passthrough'}
    for pages, count in ((1, 1000), (16, 100)):
        for depth in (1, 8):
            runs = {way: [] for way in ways}
            for _turn in range(RUNS):
                for way, mode in ways.items():
                    required = 'passthrough=required' if way == 'command' else ''
                    run = machine.json(f'disk_run /dev/nvme0n1 iopoll=try {required} depth={depth} '
                                       f'pages={pages} count={count}', 200)
                    require(run['mode'].startswith(mode) and run['errors'] == 0 and
                            run['mismatches'] == 0, run)
                    runs[way].append(run)
            for kind in ('write', 'read'):
                took = {way: statistics.median(run[kind + '_ns'] for run in runs[way])
                        for way in ways}
                print(f'adapter, {kind}s of {4 * pages} KiB, depth {depth}: block '
                      f'{took["block"] / 1000:.0f} us, command {took["command"] / 1000:.0f} us, '
                      f'{took["command"] / took["block"]:.2f}', flush=True)


def test(case, *parts):
    for polled in ('', 'polled'):
        append = 'nvme.poll_queues=1' if polled else ''
        nothing = ['-blockdev', 'driver=null-co,node-name=n1,size=67108864,read-zeroes=on']
        if not parts or 'counted' in parts:
            machine = case.boot([*nothing, *controller('n1')], append, 1, COUNTED)
            measure(case, machine, f'counted {polled}'.strip(), 20000, f'{polled} keeps-nothing')
        if not parts or 'file' in parts:
            machine = case.boot([*case.medium('f1', 64), *controller('f1')], append, 2)
            measure(case, machine, f'on a file {polled}'.strip(), 2000, polled)
    if not parts or 'adapter' in parts:
        machine = case.boot([*case.medium('f1', 64), *controller('f1')], 'nvme.poll_queues=1', 2)
        adapter(machine)


if len(sys.argv) < 2 or not set(sys.argv[2:]) <= {'counted', 'file', 'adapter'}:
    sys.exit(__doc__)
main(test)
