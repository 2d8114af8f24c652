# SPDX-License-Identifier: Apache-2.0
"""Writes a text file as a C string: embed_text.py INPUT OUTPUT NAME."""
import sys

source, target, name = sys.argv[1:]
with open(source, encoding="utf-8") as stream:
    lines = stream.read().split("\n")
with open(target, "w", encoding="utf-8") as out:
    out.write("/* Made by embed_text.py. */\n")
    out.write(f"extern const char {name}[];\nconst char {name}[] =\n")
    for line in lines[:-1]:
        escaped = line.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t")
        out.write(f'"{escaped}\\n"\n')
    out.write(";\n")
