#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Searches every state of a Promela model, or proves that a broken rule is noticed.

usage: run_model.py [options] MODEL.pml [-DNAME[=VALUE]...]
  --fails          the search has to end in a violation, of the invariant of -DONLY if that is given;
                   anything else, an exhausted search too, fails the test
  --memory MIB     the search may use this much (default 1024)
  --seconds N      it may take this long (default 300)
  --depth STEPS    the longest path that it may follow (default 1000000)
  --cc COMMAND     the C compiler (default cc)
  --bounds         check array indexes too
  --trail          print the steps that lead to the violation

A search counts as exhausted only if spin says that it ended without an error, was not cut short by
the depth, the memory or the time, and stored more than one state. Exit 77 without spin.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time


def run(command, scratch, seconds):
    """Runs in a process group of its own, so that a time-out leaves nothing behind."""
    process = subprocess.Popen(command, cwd=scratch, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, start_new_session=True)
    try:
        return process.communicate(timeout=seconds)[0], process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.communicate()
        return None, -1


def search(options, defines, scratch):
    model = os.path.join(scratch, os.path.basename(options.model))
    shutil.copy(options.model, model)
    text, code = run(['spin', *defines, '-a', os.path.basename(model)], scratch, 60)
    if code != 0 or not os.path.exists(os.path.join(scratch, 'pan.c')):
        raise SystemExit(f'spin does not take {options.model}:\n{text}')
    # Breadth first gives the shortest way to a violation; depth first needs far less memory.
    # Its search is short, so that optimising would take longer than it saves. Compiling takes most
    # of the time, and with bound checks three times as long. Compressed states (COLLAPSE) would take
    # twice the time and, at these sizes, no less memory.
    flags = ['-O0', '-DBFS'] if options.fails else ['-O1']
    if not options.bounds:
        flags += ['-DNOBOUNDCHECK']
    flags += ['-w', '-DSAFETY', '-DNOREDUCE', f'-DMEMLIM={options.memory}']
    text, code = run([*options.cc.split(), *flags, '-o', 'pan', 'pan.c'], scratch, 300)
    if code != 0:
        raise SystemExit(f'pan.c was not compiled within 300 s or not at all:\n{text}')
    started = time.monotonic()
    text, _ = run(['nice', './pan', f'-m{options.depth}', '-w22'], scratch, options.seconds)
    if text is None:
        raise SystemExit(f'the search did not end within {options.seconds} s')
    return text, time.monotonic() - started


def number(pattern, text):
    match = re.search(pattern, text)
    return float(match.group(1)) if match else 0.0


def judge(options, defines, text, spent):
    stored = int(number(r'([\d.e+]+) states, stored', text))
    memory = number(r'([\d.]+)\s+total actual memory', text)
    depth = int(number(r'depth reached (\d+)', text))
    errors = re.search(r'errors: (\d+)', text)
    name = ' '.join([os.path.basename(options.model), *(d[2:] for d in defines)])
    print(f'{name}: {stored} states, depth {depth}, {memory:.0f} MiB, {spent:.1f} s')
    if errors is None:
        print(text)
        return 'the search did not come to an end'
    if not options.fails:
        for bad in ('search depth too small', 'Search not completed', 'out of memory',
                    'VECTORSZ', 'hash table full', 'aborting'):
            if bad in text:
                print(text)
                return f'the search was cut short: {bad}'
        if int(errors.group(1)) != 0 or stored < 2:
            print(text)
            return 'a violation'
        return None
    violated = re.search(r'pan:\d+: assertion violated (.*)', text)
    if violated is None:
        print(text)
        return 'no violation was found: this model has to fail'
    # HOLDS(n, c) is assert((ONLY != 0 && ONLY != n) || c): the second number names the invariant.
    which = re.search(r'\(\d+!=0\)&&\(\d+!=(\d+)\)', violated.group(1).replace(' ', ''))
    only = [d for d in defines if d.startswith('-DONLY=')]
    if which is None or (only and only[0] != f'-DONLY={which.group(1)}'):
        return f'another violation than the expected one: {violated.group(0)}'
    print(f'violated as it must be: invariant {which.group(1)}')
    return None


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument('model')
    parser.add_argument('--fails', action='store_true')
    parser.add_argument('--bounds', action='store_true')
    parser.add_argument('--trail', action='store_true')
    parser.add_argument('--memory', type=int, default=1024)
    parser.add_argument('--seconds', type=int, default=300)
    parser.add_argument('--depth', type=int, default=1000000)
    parser.add_argument('--cc', default='cc')
    options, defines = parser.parse_known_args()
    if any(not define.startswith('-D') for define in defines):
        raise SystemExit(f'unknown option among {defines}')
    if shutil.which('spin') is None:
        print('spin is not installed (tests/setup installs it)')
        return 77
    with tempfile.TemporaryDirectory(prefix='tern-model-') as scratch:
        text, spent = search(options, defines, scratch)
        complaint = judge(options, defines, text, spent)
        if options.trail and 'wrote' in text:
            print(run(['spin', *defines, '-t', '-p', '-g',
                       os.path.basename(options.model)], scratch, 60)[0])
    if complaint:
        print(complaint)
    return 1 if complaint else 0


sys.exit(main())
