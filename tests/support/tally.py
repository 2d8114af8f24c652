#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""usage: tally.py BROKEN EXPECTED_SKIPS TESTLOG...

Adds up meson's test logs. A skip that EXPECTED_SKIPS does not name is a failure. EXPECTED_SKIPS: one
`test-name: reason` a line; `test-name (ordinary user): reason` allows it to others than root only.
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

passed, failed, skipped = 0, broken, 0
for path in sys.argv[3:]:
    with open(path, encoding='utf-8') as handle:
        for line in handle:
            test = json.loads(line)
            name = test['name'].split(' / ')[-1]
            result = test['result']
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
                print(f'FAILED {name} ({result}) in {path}')
print(f'{passed} passed, {failed} failed, {skipped} skipped')
sys.exit(1 if failed else 0)
