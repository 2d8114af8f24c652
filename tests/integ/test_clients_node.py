# SPDX-License-Identifier: Apache-2.0
"""ioredis and node-redis, by their own Sentinel support, each through a kill of the master. They
are installed into the build directory; skipped where nodejs or the registry cannot be had."""
import os
import shutil
import subprocess
import sys

from case import main
from clients import through_failover

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'clients')


def install(build):
    """The directory that holds node_modules, or None and why not."""
    directory = os.path.join(build, 'npm-clients')
    for tool in ('node', 'npm'):
        if shutil.which(tool) is None:
            return None, f'{tool} is not installed (packages nodejs, npm)'
    os.makedirs(directory, exist_ok=True)
    for name in ('package.json', 'client_ioredis.js', 'client_node_redis.js'):
        shutil.copy(os.path.join(HERE, name), directory)
    if all(os.path.isdir(os.path.join(directory, 'node_modules', name))
           for name in ('ioredis', 'redis')):
        return directory, ''
    done = subprocess.run(['npm', 'install', '--no-audit', '--no-fund', '--no-package-lock'],
                          cwd=directory, capture_output=True, text=True, timeout=240)
    if done.returncode != 0:
        return None, f'npm install: {(done.stderr or done.stdout).strip()[-400:]}'
    return directory, ''


def test(case):
    case.cluster.log_size = '64MiB'
    case.cluster.up()
    for name, script in (('ioredis', 'client_ioredis.js'),
                         ('node-redis', 'client_node_redis.js')):
        through_failover(case, name, ['node', os.path.join(directory, script)])


directory, why = install(os.path.abspath(sys.argv[1]))
if directory is None:
    print(f'skipped: {why}')
    sys.exit(77)
main(test)
