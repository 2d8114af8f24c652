# SPDX-License-Identifier: Apache-2.0
"""Every verb of `tern`, used wrongly: exit code 2 and a sentence that names the next step. The
verbs and their options come from the tool's own table, so a new one is tried, too."""
import json
import os
import subprocess
import tempfile

from case import main, require

# Options of which any text is a value: another exit code says what came of it.
FREE = {'dir', 'node-file', 'config', 'to', 'profile', 'history', 'address',
        'from'}


class Tool:
    """@run_parent: below it lie the run directories of clusters that are made here."""
    def __init__(self, case, run_parent):
        require(len(run_parent) <= 50, f'{run_parent}: too long, `tern dev up` would take another')
        self.case, self.run_parent = case, run_parent
        self.tried = 0

    def run(self, *args, program='control/cli/tern'):
        self.tried += 1
        return subprocess.run([os.path.join(self.case.build, program), *args], cwd=self.case.dir,
                              env={**os.environ, 'XDG_RUNTIME_DIR': self.run_parent},
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=60)

    def refused(self, *args, hint=None, program='control/cli/tern'):
        done = self.run(*args, program=program)
        shown = f'{program} {" ".join(args)}: exit {done.returncode}\n{done.stdout}{done.stderr}'
        require(done.returncode == 2, shown)
        require(done.stderr.strip() and (hint is None or hint in done.stderr), shown)


def verb(tool, command):
    words = command['command'].split()
    arguments = [argument['name'] for argument in command['arguments']
                 if not argument['optional']]
    given = ['a'] * len(arguments)
    see = f'see `tern {command["command"]} --help`'
    tool.refused(*words, *given, '--no-such-option', hint=see)
    tool.refused(*words, *given, '-Z', hint=see)
    tool.refused(*words, *['a'] * (len(command['arguments']) + 1), hint='one argument too many')
    if arguments:
        tool.refused(*words, *given[1:], hint='is missing; ' + see)
    for option in command['options']:
        name = option['name']
        if option['argument'] is None:
            tool.refused(*words, *given, f'--{name}=x', hint=see)
            continue
        tool.refused(*words, *given, f'--{name}', hint='a value is missing after')
        if name not in FREE:
            tool.refused(*words, *given, f'--{name}', 'no such value')
            tool.refused(*words, *given, f'--{name}', '')
    done = tool.run(*words, '--help')
    require(done.returncode == 0 and done.stdout, f'{words} --help: exit {done.returncode}')


def groups(tool, commands):
    """A noun without its verb, and a word that is close to one."""
    nouns = {command['command'].rsplit(' ', 1)[0] for command in commands
             if ' ' in command['command']}
    for noun in sorted(nouns):
        tool.refused(*noun.split(), hint='needs a verb; see')
        tool.refused(*noun.split(), 'nonsense', hint='unknown command')
    tool.refused(hint='tern --help')
    tool.refused('nonsense', hint='tern --help')
    tool.refused('', hint='tern --help')
    tool.refused('ab', hint='tern --help')
    tool.refused('statsu', hint='did you mean `tern status`?')
    tool.refused('x' * 10000, hint='tern --help')


def daemons(tool):
    for program in ('control/daemon/ternd', 'control/witness/tern-witness'):
        for args in ((), ('--config',), ('--help',), ('x', 'y'), ('--config', 'x', 'y'),
                     ('--config', 'x', '--resp-fd', '77'), ('--config', 'x', '--resp-fd', '0'),
                     ('--config', 'x', '--resp-fd', 'x'), ('--config', 'x', '--no', '3')):
            tool.refused(*args, program=program, hint='usage: ')
        done = tool.run('--config', 'absent.conf', program=program)
        require(done.returncode == 8 and 'absent.conf: cannot be read' in done.stderr,
                f'{program}: exit {done.returncode} {done.stderr}')


def nowhere(tool):
    """Right usage, nothing there: never success, never a crash, always a sentence."""
    for args, code in ((('status',), 7), (('log', 'status'), 7), (('log', 'verify'), 7),
                       (('cluster', 'switchover'), 7), (('dev', 'status'), 7),
                       (('dev', 'kill', 'a'), 7), (('dev', 'cut', 'a', 'b'), 7),
                       (('status', '--node-file', 'absent.conf'), 8),
                       (('config', 'check', 'absent.conf'), 8),
                       (('node', 'init', '--config', 'absent.conf'), 8),
                       (('backup', 'list', '--from', 'absent'), 8),
                       (('backup', 'verify', '--from', 'absent,absent2'), 8),
                       (('bench', 'compare', 'absent', 'absent'), 2),
                       (('dev', 'up', '--profile', 'absent.conf', '--dir', 'd'), 8)):
        done = tool.run(*args)
        require(done.returncode == code and done.stderr.startswith('tern: '),
                f'{args}: exit {done.returncode}, wanted {code}\n{done.stdout}{done.stderr}')
        if args[0] != 'bench':
            again = tool.run(*args, '-o', 'json')
            told = json.loads(again.stdout)
            require(told['api'] == 'error/v1' and told['exit'] == code == again.returncode,
                    f'{args} -o json: {again.stdout}')
    left = os.listdir(tool.run_parent)
    require(not left, f'what was refused left {left}')


def running(case, tool):
    cluster = case.cluster
    cluster.log_size = '64MiB'
    cluster.up()
    cluster.settle()
    here = ('--dir', cluster.dir)
    pids = cluster.pids()
    for args in (('dev', 'kill', 'z'), ('dev', 'stop', ''), ('dev', 'start', 'A'),
                 ('dev', 'cut', 'a', 'z'), ('dev', 'cut', 'a', 'a'), ('dev', 'heal', 'z', 'a'),
                 ('cluster', 'switchover', 'z'), ('cluster', 'switchover', 'w'),
                 ('dev', 'up', '--topology', '3'), ('dev', 'up', '--log-size', '1GiB'),
                 ('log', 'divergent', 'export', 'x'), ('log', 'divergent', 'export', '0'),
                 ('log', 'divergent', 'export', '-1')):
        tool.refused(*args, *here)
    require(cluster.pids() == pids, 'nothing of this touched the cluster')
    cluster.wait_master()


def test(case):
    with tempfile.TemporaryDirectory(prefix='tern-usage-') as run_parent:
        use_wrongly(case, Tool(case, run_parent))


def use_wrongly(case, tool):
    case.step('the table')
    done = tool.run('commands', '-o', 'json')
    commands = json.loads(done.stdout)['commands']
    require(len(commands) > 15, 'the whole table')
    for command in commands:
        case.step(command['command'])
        verb(tool, command)
    case.step('nouns and words')
    groups(tool, commands)
    case.step('the daemons')
    daemons(tool)
    case.step('nothing there')
    nowhere(tool)
    case.step('names that a running cluster does not have')
    running(case, tool)
    print(f'   {tool.tried} calls')


main(test)
