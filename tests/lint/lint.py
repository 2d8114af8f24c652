#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Rules of the code base that a tool can check; one test for each.

usage: lint.py SOURCE_DIR CHECK [ARGS...]
  includes                    include directions between the rooms
  symbols ARCHIVE...          what the pure archives import
  calls                       banned calls
  headers CC [FLAGS...]       every header compiles alone
  size                        length of functions and files
  text                        licence lines, leftover markers, files that got in by mistake
  bugs                        planted bugs, their names and the table of them in the documentation
  circles                     files of a room that call each other in a circle
"""
import os
import re
import subprocess
import sys
import tempfile

from circles import circles

ROOT = ''
TOP = ('dataplane', 'control', 'hw', 'tests')

# room -> what it may include besides itself. 'base' stands for dataplane/base, and so on.
BASE = {'dataplane/base'}
WIRE = BASE | {'dataplane/wire'}
PURE = {'dataplane/core', 'dataplane/cmdlog', 'dataplane/transport', 'dataplane/state',
        'dataplane/stripe'}
ADAPTERS = {'hw/nic_dpdk', 'hw/nvme_uring', 'hw/ram_disk', 'hw/net_kernel', 'hw/file_store',
            'hw/platform', 'hw/device_facts'}
RUNTIME = WIRE | PURE | {'dataplane/runtime', 'hw/seam'}
CONTROL = RUNTIME | ADAPTERS | {
    'control/config', 'control/admin', 'control/gateway', 'control/cli', 'control/daemon',
    'control/witness', 'control/bench', 'control/endpoint', 'control/backup', 'dataplane/client'}
ALLOWED = {
    'dataplane/base': set(),
    'dataplane/wire': BASE,
    'dataplane/core': WIRE,
    'dataplane/cmdlog': WIRE,
    'dataplane/transport': WIRE,
    'dataplane/stripe': WIRE | {'hw/seam'},
    'dataplane/state': WIRE,
    'hw/seam': WIRE,
    'hw/platform': WIRE | {'hw/seam'},
    'hw/nic_dpdk': WIRE | {'hw/seam', 'hw/platform'},
    'hw/device_facts': BASE,
    'hw/nvme_uring': WIRE | {'hw/seam', 'hw/platform', 'hw/device_facts'},
    'hw/ram_disk': WIRE | {'hw/seam', 'hw/platform'},
    'hw/net_kernel': WIRE | {'hw/seam', 'hw/platform'},
    'hw/file_store': WIRE | {'hw/seam', 'hw/platform'},
    'dataplane/runtime': RUNTIME,
    'control/config': CONTROL, 'control/admin': CONTROL, 'control/gateway': CONTROL,
    'control/endpoint': CONTROL,
    'dataplane/client': WIRE,
    'control/cli': CONTROL, 'control/daemon': CONTROL, 'control/witness': CONTROL,
    'control/bench': CONTROL,
    # Storage from outside: no verbs, no daemon, nothing that runs.
    'control/backup': WIRE | {'dataplane/cmdlog', 'dataplane/stripe', 'hw/seam', 'hw/platform',
                              'hw/nvme_uring', 'control/config', 'control/admin'},
}
# Foreign headers that only one room may include.
ONLY = [(re.compile(r'^rte_'), 'hw/nic_dpdk'), (re.compile(r'^liburing'), 'hw/nvme_uring'),
        (re.compile(r'^urcu'), 'dataplane/state'), (re.compile(r'^isa-l/crc'), 'dataplane/base'),
        (re.compile(r'^isa-l/erasure'), 'dataplane/stripe control/bench'),
        (re.compile(r'^xxhash'), 'dataplane/base'), (re.compile(r'^zstd'), 'control/backup'), (re.compile(r'^libconfig'), 'control/config'),
        (re.compile(r'^blkid'), 'hw/device_facts')]
PURE_SYSTEM = {'assert.h', 'endian.h', 'stdalign.h', 'stdatomic.h', 'stdbool.h', 'stddef.h',
               'stdint.h', 'string.h', 'limits.h', 'inttypes.h', 'xxhash.h', 'isa-l/crc.h',
               'isa-l/erasure_code.h',
               'immintrin.h'}
PURE_ROOMS = BASE | WIRE | PURE

SYMBOLS = re.compile(
    r'^(mem(cpy|move|set|cmp|chr)|crc32_iscsi|tern_invariant_failed|__cpu_model|'
    r'__cpu_indicator_init|__stack_chk_fail|__popcountdi2|_GLOBAL_OFFSET_TABLE_|__(ubsan|asan|tsan)_.*)$')
ISAL = re.compile(r'^(ec_encode_data(_update)?|ec_init_tables|gf_gen_cauchy1_matrix|gf_invert_matrix|'
                  r'gf_mul)$')
URCU = re.compile(r'^(urcu_qsbr_|rcu_|pthread_self|__tls_get_addr|poll$|syscall$)')

NO_HEAP = ('dataplane', 'hw')
BANNED = {
    # call -> rooms where it is banned (prefixes)
    'time': TOP, 'rand': TOP, 'srand': TOP, 'random': TOP, 'strcpy': TOP, 'strcat': TOP,
    'sprintf': TOP, 'vsprintf': TOP, 'gets': TOP, 'assert': TOP,
    'alloca': TOP, 'malloc': NO_HEAP, 'calloc': NO_HEAP, 'realloc': NO_HEAP,
    'free': NO_HEAP, 'strdup': NO_HEAP, 'aligned_alloc': NO_HEAP, 'printf': ('dataplane',), 'fprintf': ('dataplane',),
    'gettimeofday': TOP, 'clock': TOP,
}


def files(suffixes, tops=TOP):
    for top in tops:
        for directory, dirs, names in os.walk(os.path.join(ROOT, top)):
            dirs.sort()
            for name in sorted(names):
                if name.endswith(suffixes):
                    yield os.path.relpath(os.path.join(directory, name), ROOT)


def room_of(path):
    parts = path.split('/')
    return '/'.join(parts[:2])


def read(path):
    with open(os.path.join(ROOT, path), encoding='utf-8') as handle:
        return handle.read()


def without_comments(text):
    def blank(match):
        return re.sub(r'[^\n]', ' ', match.group(0))
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text,
                  flags=re.S)


def check_includes():
    for path in files(('.c', '.h'), ('dataplane', 'control', 'hw')):
        room = room_of(path)
        if room not in ALLOWED:
            yield f'{path}: {room} is no room of the plan'
            continue
        for match in re.finditer(r'^\s*#\s*include\s+(["<])([^">]+)[">]', read(path), re.M):
            name = match.group(2)
            if match.group(1) == '"':
                target = room_of(name)
                if target != room and target not in ALLOWED[room]:
                    yield f'{path}: {room} may not include {target} ({name})'
                continue
            for pattern, owner in ONLY:
                if pattern.match(name) and room not in owner.split():
                    yield f'{path}: only {owner} includes <{name}>'
            if room in PURE_ROOMS and name not in PURE_SYSTEM and not name.startswith('urcu'):
                yield f'{path}: a pure room does not include <{name}>'


def check_symbols(archives):
    for archive in archives:
        listing = subprocess.run(['objdump', '-t', archive], capture_output=True, text=True,
                                 check=True).stdout
        defined, wanted = set(), set()
        for line in listing.splitlines():
            match = re.match(r'^[0-9a-f]{16} (.{7}) (\S+)\s+[0-9a-f]+\s+(?:\.hidden )?(\S+)$', line)
            if match is None:
                continue
            flags, section, symbol = match.groups()
            if section == '*UND*':
                wanted.add(symbol)
                continue
            defined.add(symbol)
            # Constants that hold addresses lie in .data.rel.ro: they are not mutable.
            if 'O' in flags and re.match(r'^\.(data|bss|tdata|tbss)', section) and \
                    not section.startswith('.data.rel.ro') and symbol not in KNOWN_DATA:
                yield f'{archive}: {symbol} is mutable data; pure rooms have no globals'
        name = os.path.basename(archive)
        for symbol in sorted(wanted - defined):
            if SYMBOLS.match(symbol) or symbol.startswith(OWN):
                continue
            if 'tern_state' in name and URCU.match(symbol):
                continue
            if 'tern_stripe' in name and ISAL.match(symbol):
                continue
            yield f'{archive}: imports {symbol}'


# What a thread is to liburcu is by its nature a thread-local variable.
KNOWN_DATA = {'rcu_thread'}
OWN = ('crc32c', 'hash128', 'hash64', 'ring_', 'histogram_', 'tern_err_text', 'frame_', 'msg_',
       'page_', 'block_', 'command_', 'superblock_', 'witness_register_', 'membership_', 'inet_',
       'fragment_', 'fetch_', 'native_', 'reply_list_', 'checkpoint_')


def check_calls():
    for path in files(('.c', '.h')):
        text = without_comments(read(path))
        for match in re.finditer(r'(?<![\w.>])(\w+)\s*\(', text):
            rooms = BANNED.get(match.group(1))
            before = text[:match.start()].rstrip()
            if rooms is None or not path.startswith(tuple(rooms)):
                continue
            if before.endswith(('*', 'struct', 'enum')) or re.search(r'\b\w+$', before) and not \
                    before.endswith(('return', 'else', 'do')):
                continue  # a declaration
            line = text.count('\n', 0, match.start()) + 1
            yield f'{path}:{line}: {match.group(1)}() is banned here'


def check_headers(command):
    with tempfile.TemporaryDirectory() as scratch:
        for path in files(('.h',)):
            if path.endswith('hash_unit.h'):
                continue  # meant to be compiled with HASH_UNIT set
            source = os.path.join(scratch, 'one.c')
            with open(source, 'w', encoding='utf-8') as out:
                out.write(f'#include "{path}"\n#include "{path}"\n')
            run = subprocess.run(command + ['-I', ROOT, '-fsyntax-only', '-std=c17', '-Wall',
                                            '-Wextra', '-Werror', '-D_DEFAULT_SOURCE', source],
                                 capture_output=True, text=True)
            if run.returncode != 0:
                yield f'{path}: does not compile alone:\n{run.stderr}'


def check_size():
    for path in files(('.c', '.h')):
        lines = read(path).split('\n')
        limit = 1000 if path.endswith('.c') else 300
        if len(lines) - 1 > limit:
            yield f'{path}: {len(lines) - 1} lines, at most {limit}'
        start = None
        for number, line in enumerate(lines, 1):
            if line == '{':
                start = number
            elif line == '}' and start is not None:
                if number - start - 1 > 70:
                    yield f'{path}:{start}: a function of {number - start - 1} lines, at most 70'
                start = None


def scripts():
    """Files without a suffix that begin with #!, also above the rooms."""
    out = []
    for directory, dirs, names in os.walk(ROOT):
        at_root = os.path.samefile(directory, ROOT)
        dirs[:] = sorted(name for name in dirs if not at_root or name in TOP + ('.ci', 'docs'))
        for name in sorted(names):
            path = os.path.join(directory, name)
            if '.' in name or not os.path.isfile(path):
                continue
            with open(path, 'rb') as handle:
                if handle.read(2) == b'#!':
                    out.append(os.path.relpath(path, ROOT))
    return out


def tracked():
    """Paths that git knows; none outside a checkout, or without git."""
    try:
        listed = subprocess.run(['git', '-C', ROOT, 'ls-files', '-z'], capture_output=True,
                                text=True).stdout
    except FileNotFoundError:
        return []
    return [path for path in listed.split('\0') if path]


def is_text(path):
    with open(os.path.join(ROOT, path), 'rb') as handle:
        data = handle.read()
    try:
        data.decode('utf-8')
    except UnicodeDecodeError:
        return False
    return b'\0' not in data


def check_text():
    for path in tracked():
        if not path.startswith('tests/fuzz/corpus/') and os.path.isfile(os.path.join(ROOT, path)) \
                and not is_text(path):
            yield f'{path}: not text; only what fuzzers start from may be'
    marker = re.compile(r'\b(' + 'FIX' + 'ME|TO' + 'DO|XX' + r'X)\b')
    for path in list(files(('.c', '.h', '.py', '.build', '.sh', '.pml', '.js', '.conf'))) + scripts():
        text = read(path)
        if 'SPDX-License-Identifier: Apache-2.0' not in '\n'.join(text.split('\n')[:3]):
            yield f'{path}: no SPDX line at the top'
        if path.endswith(('.c', '.h')) and not text.startswith('/* SPDX'):
            yield f'{path}: does not begin with a comment of the SPDX line'
        for number, line in enumerate(text.split('\n'), 1):
            if marker.search(line):
                yield f'{path}:{number}: a leftover marker'
            if path.endswith(('.c', '.h')) and len(line.expandtabs(8)) > 100:
                yield f'{path}:{number}: longer than 100 columns'


def check_bugs():
    """What is planted has a name, each name a row or a word in the simulator's page, and back."""
    options, page = 'tests/sim/sim_options.c', 'docs/explanation/simulator.md'
    planted = {}
    for path in files(('.h',), ('dataplane', 'control', 'hw')):
        for match in re.finditer(r'^\s*(\w*BUG_\w+)\s*=\s*1 << \d+', read(path), re.M):
            planted[match.group(1)] = path
    named = {constant: name for name, constant in
             re.findall(r'{\s*"(\w+)",\s*(\w*BUG_\w+)\s*}', read(options))}
    rows = set(re.findall(r'^\| ([A-Z][A-Z0-9_]*) \|', read(page), re.M))
    for constant in sorted(planted.keys() - named.keys()):
        yield f'{planted[constant]}: {constant} has no name in {options}'
    for constant in sorted(named.keys() - planted.keys()):
        yield f'{options}: {constant} is planted nowhere'
    for name in sorted(set(named.values()) - rows):
        if f'`{name}`' not in read(page):
            yield f'{page}: nothing about {name}, which {options} knows'
    for name in sorted(rows - set(named.values())):
        yield f'{page}: {name} is no bug that {options} knows'
    sources = {path: without_comments(read(path))
               for path in files(('.c',), ('dataplane', 'control', 'hw', 'tests/sim'))
               if path != options}
    for constant in sorted(planted):
        if not any(re.search(rf'\b{constant}\b', text) for text in sources.values()):
            yield f'{planted[constant]}: {constant} changes nothing'


def check_circles():
    rooms = {}
    for path in files(('.c',), ('dataplane', 'control', 'hw')):
        rooms.setdefault(os.path.dirname(path), {})[os.path.basename(path)] = \
            without_comments(read(path))
    for room in sorted(rooms):
        for names in circles(rooms[room]):
            yield f'{room}: {", ".join(names)} call each other in a circle'


def main():
    global ROOT
    ROOT = sys.argv[1]
    check, rest = sys.argv[2], sys.argv[3:]
    found = {
        'includes': check_includes, 'calls': check_calls, 'size': check_size, 'text': check_text,
        'bugs': check_bugs, 'circles': check_circles,
        'symbols': lambda: check_symbols(rest), 'headers': lambda: check_headers(rest),
    }[check]()
    count = 0
    for complaint in found:
        print(complaint)
        count += 1
    print(f'{check}: {count} complaints')
    return 1 if count else 0


sys.exit(main())
