# SPDX-License-Identifier: Apache-2.0
"""Which files of a room call each other in a circle.

A file calls another when a function of it names a function of the other that is not static. Found by
the house's layout: a function begins with a line that is `{` and ends with one that is `}`. Tables at
file level count as calls of what they name.
"""
import re

NAME = re.compile(r'\b[a-z_]\w*')
INITIALISER = re.compile(r'=\s*\{.*?\};|=\s*\w+;', re.S)


def functions_of(text):
    """Yields (name, is_static, body) of each function, and (None, True, text) of what lies between."""
    lines = text.split('\n')
    between = 0
    number = 0
    while number < len(lines):
        if lines[number] != '{':
            number += 1
            continue
        begin = number - 1
        while begin >= between and lines[begin].strip() and not lines[begin].startswith(('#', '}')) \
                and not lines[begin].rstrip().endswith(';'):
            begin -= 1
        head = ' '.join(lines[begin + 1:number])
        end = number
        while end < len(lines) - 1 and lines[end] != '}':
            end += 1
        match = re.search(r'(\w+)\s*\(', re.sub(r'__attribute__\s*\(\(.*?\)\)', '', head))
        yield None, True, '\n'.join(lines[between:begin + 1])
        if match:
            yield match.group(1), re.search(r'\bstatic\b', head) is not None, \
                '\n'.join(lines[number:end + 1])
        between = number = end + 1
    yield None, True, '\n'.join(lines[between:])


def calls_of(sources):
    """sources: {file: text without comments and strings}. Returns {file: set of files it calls}."""
    parts = {name: list(functions_of(text)) for name, text in sources.items()}
    owner = {function: name for name, functions in parts.items()
             for function, is_static, _ in functions if function and not is_static}
    calls = {name: set() for name in sources}
    for name, functions in parts.items():
        local = {function for function, is_static, _ in functions if function and is_static}
        for function, _, text in functions:
            if function is None:  # what is declared here is no call, what a table names is one
                text = '\n'.join(INITIALISER.findall(text))
            for word in set(NAME.findall(text)) - local:
                if owner.get(word, name) != name:
                    calls[name].add(owner[word])
    return calls


def reach(calls, start):
    seen, pending = set(), [start]
    while pending:
        for name in calls[pending.pop()] - seen:
            seen.add(name)
            pending.append(name)
    return seen


def circles(sources):
    """Returns the circles among the files, each a sorted tuple of names."""
    calls = calls_of(sources)
    reached = {name: reach(calls, name) for name in calls}
    return sorted({tuple(sorted(other for other in reached[name] if name in reached[other]))
                   for name in calls if name in reached[name]})
