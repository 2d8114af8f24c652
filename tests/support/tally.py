#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""usage: tally.py BROKEN EXPECTED_SKIPS TESTLOG...

Adds up meson's test logs and shows what took longest. A skip that EXPECTED_SKIPS does not name is a
failure. EXPECTED_SKIPS: one `test-name: reason` a line; `test-name (ordinary user): reason` allows it to
others than root only.
"""
import json
import os
import sys

NOT_ROOT = ' (ordinary user)'

broken = int(sys.argv[1])
expected = {}
with open(sys.argv[2], encoding='utf-8') as handle:
    for line in handle:
        if line.strip() and not line.startswith('#'):
            name, _, reason = line.partition(':')
            if name.endswith(NOT_ROOT) and os.geteuid() == 0:
                continue
            expected[name.removesuffix(NOT_ROOT)] = reason.strip()

SHOWN = 10
SHOWN_LINES = 12  # of what a failed test printed


def tail(test):
    """The end of what a failed test printed, without the tests that passed."""
    text = test.get('stdout', '') + test.get('stderr', '')
    lines = [line for line in text.splitlines()
             if line.strip() and not line.startswith(('[ RUN', '[       OK'))]
    return lines[-SHOWN_LINES:]


passed, failed, skipped = 0, broken, 0
durations = []
for path in sys.argv[3:]:
    with open(path, encoding='utf-8') as handle:
        for line in handle:
            test = json.loads(line)
            name = test['name'].split(' / ')[-1]
            result = test['result']
            build = os.path.basename(path).removesuffix('.json')
            durations.append((test.get('duration', 0), name, build))
            if result in ('OK', 'EXPECTEDFAIL'):
                passed += 1
            elif result == 'SKIP':
                if name in expected:
                    skipped += 1
                    print(f'skipped {name}: {expected[name]}')
                else:
                    failed += 1
                    print(f'FAILED {name}: skipped, and tests/expected-skips does not allow it')
            else:
                failed += 1
                print(f'FAILED {name} ({result}) in {build}')
                print(*(f'    {line}' for line in tail(test)), sep='\n')
durations.sort(reverse=True)
print(f'tests took {sum(seconds for seconds, _, _ in durations):.0f} s in all, the longest:')
for seconds, name, build in durations[:SHOWN]:
    print(f'{seconds:8.1f} s  {name} ({build})')
print(f'{passed} passed, {failed} failed, {skipped} skipped')
sys.exit(1 if failed else 0)
