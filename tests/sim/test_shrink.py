#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A seed that a planted bug fails is shrunk; the printed options must fail alike, and be less."""
import re
import subprocess
import sys


def run(*args):
    done = subprocess.run([sys.argv[1], *args], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def checker_of(text):
    found = re.search(r"FAILED (\S+) at ", text)
    return found.group(1) if found else None


def size_of(text, what):
    found = re.search(rf"^{what}: (\d+) episodes struck, (\d+) operations, (\d+) us", text, re.M)
    return tuple(int(number) for number in found.groups())


def main():
    options = sys.argv[2:]
    _, text = run("--seeds", "1..500", "--until-found", *options)
    seed = re.search(r"^seed (\d+): FAILED", text, re.M)
    assert seed, "no seed fails: " + text
    checker = checker_of(text)
    code, text = run("--shrink", seed.group(1), *options)
    print(text)
    assert code == 0, "not shrunk"
    drawn, shrunk = size_of(text, "drawn"), size_of(text, "shrunk")
    assert shrunk[0] < drawn[0], f"no episode was left out: {drawn} {shrunk}"
    replay = re.search(r"replay: tern-sim (.*)$", text, re.M).group(1).split()
    code, text = run(*replay)
    print(text.splitlines()[1])
    assert code == 1 and checker_of(text) == checker, f"the shrunk case does not fail by {checker}"
    # Without the bug the same options are an innocent run.
    at = replay.index("--bug")
    code, text = run(*(replay[:at] + replay[at + 2:]))
    assert code == 0, "the shrunk case fails without its bug: " + text


main()
