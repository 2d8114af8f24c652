# SPDX-License-Identifier: Apache-2.0
"""A virtual machine with emulated NVMe controllers: QEMU without KVM, Debian's kernel, a first file
system with busybox and our programs. Commands go in over a serial port; devices are taken out and
put in, and their faults chosen, from outside."""
import glob
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

from initramfs import Initramfs

BOOT_S = 120
COMMAND_S = 90
LIFE_S = 280  # whatever happens, QEMU ends
MIB = 1 << 20
ACCEL = ('-accel', 'tcg,thread=multi,tb-size=256')
HERE = os.path.dirname(os.path.abspath(__file__))
PLUGINS = '/usr/lib/x86_64-linux-gnu/dpdk/pmds-*'
QEMU = 'qemu-system-x86_64'
BUSYBOX = '/bin/busybox'


class Failure(Exception):
    pass


class Skip(Exception):
    pass


def require(condition, what):
    if not condition:
        raise Failure(what)


def kernel(build):
    """Debian's kernel for virtual machines, which has NVMe built in: fetched once, never installed."""
    directory = os.path.join(build, 'guest-kernel')
    found = glob.glob(os.path.join(directory, 'boot', 'vmlinuz-*'))
    if found:
        return found[0]
    depends = subprocess.run(['apt-cache', 'depends', 'linux-image-cloud-amd64'],
                             capture_output=True, text=True, timeout=60).stdout.split()
    names = [word for word in depends if word.startswith('linux-image-') and word[12].isdigit()]
    if not names:
        raise Skip('apt does not know linux-image-cloud-amd64')
    with tempfile.TemporaryDirectory(prefix='kernel-', dir=build) as scratch:
        os.chmod(scratch, 0o755)
        done = subprocess.run(['apt-get', 'download', '-qq', '-o', 'APT::Sandbox::User=root', names[0]],
                              cwd=scratch, capture_output=True, text=True, timeout=240)
        packages = glob.glob(os.path.join(scratch, '*.deb'))
        if done.returncode != 0 or not packages:
            raise Skip(f'{names[0]} cannot be fetched: {done.stderr.strip()}')
        unpacked = os.path.join(scratch, 'root')
        subprocess.run(['dpkg-deb', '-x', packages[0], unpacked], check=True, timeout=120)
        shutil.rmtree(os.path.join(unpacked, 'lib'))  # its modules: nothing here needs one
        os.rename(unpacked, directory)
    return glob.glob(os.path.join(directory, 'boot', 'vmlinuz-*'))[0]


class Lines:
    """A socket of QEMU's, read with a deadline."""

    def __init__(self, path, until):
        self.path, self.rest = path, b''
        self.socket = socket.socket(socket.AF_UNIX)
        while True:
            try:
                self.socket.connect(path)
                return
            except OSError as error:
                require(time.monotonic() < until, f'{path}: {error}')
                time.sleep(0.05)

    def fill(self, until):
        left = until - time.monotonic()
        require(left > 0, f'{os.path.basename(self.path)}: no answer in time')
        self.socket.settimeout(left)
        try:
            got = self.socket.recv(1 << 16)
        except TimeoutError:
            raise Failure(f'{os.path.basename(self.path)}: no answer in time') from None
        except OSError:
            got = b''
        require(got, f'{os.path.basename(self.path)}: closed, the machine has ended')
        self.rest += got

    def line(self, until):
        while b'\n' not in self.rest:
            self.fill(until)
        line, self.rest = self.rest.split(b'\n', 1)
        return line.decode(errors='replace').strip('\r')

    def take(self, count, until):
        while len(self.rest) < count:
            self.fill(until)
        out, self.rest = self.rest[:count], self.rest[count:]
        return out.decode(errors='replace')


class Done:
    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err


class Machine:
    """Boots with @devices (QEMU's arguments) and @append (the kernel's)."""

    def __init__(self, case, devices, append='', cpus=2, accel=ACCEL):
        self.dir = tempfile.mkdtemp(prefix='vm-', dir=case.short)
        monitor, command = (os.path.join(self.dir, name) for name in ('monitor', 'command'))
        self.console = os.path.join(self.dir, 'console')
        arguments = [
            QEMU, *accel, '-cpu', 'max', '-M', 'q35',
            '-smp', str(cpus), '-m', '1024', '-nodefaults', '-no-user-config', '-display', 'none',
            '-no-reboot', '-kernel', case.kernel, '-initrd', case.initrd,
            '-append', f'console=ttyS0 quiet panic=-1 {append}',
            '-serial', f'file:{self.console}',
            '-chardev', f'socket,id=command,path={command},server=on,wait=off',
            '-serial', 'chardev:command',
            '-qmp', f'unix:{monitor},server=on,wait=off', *devices]
        self.log = os.path.join(self.dir, 'qemu')
        with open(self.log, 'w', encoding='utf-8') as log:
            self.process = subprocess.Popen(['timeout', '-k', '5', str(LIFE_S), *arguments],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            until = time.monotonic() + BOOT_S
            self.monitor = Lines(monitor, until)
            self.monitor.line(until)
            self.ask('qmp_capabilities')
            self.command = Lines(command, until)
            while self.command.line(until) != 'READY':
                pass
        except BaseException:
            self.last_words()
            self.end()
            raise

    def ask(self, verb, **arguments):
        """A command of QEMU's monitor; what it returns. Events in between are passed over."""
        until = time.monotonic() + COMMAND_S
        request = {'execute': verb, 'arguments': arguments}
        self.monitor.socket.sendall(json.dumps(request).encode() + b'\n')
        while True:
            answer = json.loads(self.monitor.line(until))
            if 'error' in answer:
                raise Failure(f'QEMU refuses {verb}: {answer["error"]["desc"]}')
            if 'return' in answer:
                return answer['return']

    def blocks(self, node):
        """How many writes and flushes QEMU did on the device whose medium is @node."""
        for one in self.ask('query-blockstats'):
            if one.get('node-name') == node:
                return one['stats']['wr_operations'], one['stats']['flush_operations']
        raise Failure(f'no medium {node}')

    def send(self, line):
        require('\n' not in line, line)
        self.command.socket.sendall(line.encode() + b'\n')

    def answer(self, seconds=COMMAND_S):
        until = time.monotonic() + seconds
        word, *numbers = self.command.line(until).split()
        require(word == 'DONE' and len(numbers) == 3, f'{word} {numbers}')
        status, out, err = (int(number) for number in numbers)
        return Done(status, self.command.take(out, until), self.command.take(err, until))

    def run(self, line, seconds=COMMAND_S, code=0):
        """A line for the guest's shell, and how it ended; @code None: in any way."""
        self.send(line)
        done = self.answer(seconds)
        require(code is None or done.status == code,
                f'{line}: exit {done.status}, not {code}\n{done.out}{done.err}')
        return done

    def json(self, line, seconds=COMMAND_S, code=0):
        done = self.run(line, seconds, code)
        try:
            return json.loads(done.out)
        except ValueError as error:
            raise Failure(f'{line}: {error}\n{done.out}{done.err}') from error

    def wait(self, what, look, seconds=COMMAND_S):
        until = time.monotonic() + seconds
        while True:
            found = look()
            if found:
                return found
            require(time.monotonic() < until, f'waited {seconds} s for: {what}')
            time.sleep(0.2)

    def last_words(self):
        for path in (self.log, self.console):
            with open(path, encoding='utf-8', errors='replace') as handle:
                lines = handle.readlines()[-15:]
            print(f'--- {os.path.basename(path)}\n' + ''.join(lines))

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Case:
    def __init__(self, build):
        for program in (QEMU, BUSYBOX):
            if shutil.which(program) is None:
                raise Skip(f'needs {program}: tests/setup --guest')
        self.build = build
        self.kernel = kernel(build)
        self.dir = tempfile.mkdtemp(prefix='guest-', dir=build)
        # A socket's path has at most 107 bytes.
        self.short = tempfile.mkdtemp(prefix='tern-guest-')
        self.initrd = os.path.join(self.dir, 'initrd')
        self.machine = None
        self.began = time.monotonic()
        self.step_name = 'start'
        self.pack({})

    def pack(self, texts):
        """What the next boot finds: our programs and @texts, by their paths."""
        inside = Initramfs()
        inside.file(os.path.join(HERE, 'init'), '/init')
        inside.program(BUSYBOX, BUSYBOX)
        inside.directory('/root')
        for path, text in texts.items():
            inside.text(path, text, 0o644)
        for name in ('control/cli/tern', 'control/daemon/ternd', 'tests/support/load_client',
                     'tests/guest/disk_run', 'tests/guest/passthrough'):
            inside.program(os.path.join(self.build, name), '/bin/' + os.path.basename(name))
        # What DPDK loads by itself. It knows a plugin by the end of its name, and one that is there
        # twice is loaded twice.
        for directory in glob.glob(PLUGINS):
            for plugin in ('bus_vdev', 'bus_pci', 'mempool_ring'):
                for path in glob.glob(os.path.join(directory, f'librte_{plugin}.so.*.*')):
                    inside.program(os.path.realpath(path), path)
        for library in glob.glob('/lib/x86_64-linux-gnu/libgcc_s.so.1'):
            inside.file(library, library)
        inside.write(self.initrd)

    def step(self, name):
        self.step_name = name
        print(f'-- {time.monotonic() - self.began:5.1f} {name}', flush=True)

    def boot(self, devices, append='', cpus=2, accel=ACCEL):
        self.shut()
        self.machine = Machine(self, devices, append, cpus, accel)
        return self.machine

    def shut(self):
        if self.machine is not None:
            self.machine.end()
        self.machine = None

    def image(self, name, mib):
        """A medium: an empty file of so many MiB. One that exists keeps what it holds."""
        path = os.path.join(self.dir, name)
        if not os.path.exists(path):
            with open(path, 'wb') as handle:
                handle.truncate(mib * MIB)
        return path

    def medium(self, name, mib, driver='raw', **options):
        """QEMU's arguments for a medium @name; @driver: what lies above its file."""
        below = 'file' if driver == 'raw' else 'image' if driver == 'blkdebug' else 'file'
        words = [f'driver={driver}', f'node-name={name}', f'{below}.driver=file',
                 f'{below}.filename={self.image(name, mib)}', f'{below}.cache.direct=on']
        words += [f'{key.replace("__", ".").replace("_", "-")}={value}'
                  for key, value in options.items()]
        return ['-blockdev', ','.join(words)]

    def faulty(self, name, mib, **faults):
        """A medium that fails: what ("write", "read", "flush") = sector; a flush has none."""
        options = {}
        for number, (what, sector) in enumerate(faults.items()):
            rule = f'inject_error__{number}__'
            options.update({rule + 'event': 'none', rule + 'iotype': what, rule + 'errno': 5,
                            rule + 'once': 'off'})
            if sector is not None:
                options[rule + 'sector'] = sector
        return self.medium(name, mib, 'blkdebug', **options)

    def close(self):
        self.shut()
        shutil.rmtree(self.dir, ignore_errors=True)
        shutil.rmtree(self.short, ignore_errors=True)


def main(test):
    """usage of every test: test_X.py BUILD_DIR. Exit 0 passed, 1 failed, 77 skipped."""
    # A test that is ended from outside (a time limit) still ends its machine.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(1))
    case, status = None, 1
    try:
        case = Case(os.path.abspath(sys.argv[1]))
        test(case, *sys.argv[2:])
        status = 0
    except Skip as reason:
        print(f'skipped: {reason}')
        status = 77
    except Exception as error:  # whatever it was, it is shown and the machine is ended
        print(f'FAILED in step "{case.step_name if case else "start"}": {error}')
        if not isinstance(error, Failure):
            traceback.print_exc()
        if case is not None and case.machine is not None:
            case.machine.last_words()
    finally:
        if case is not None:
            case.close()
    sys.exit(status)
