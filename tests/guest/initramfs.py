# SPDX-License-Identifier: Apache-2.0
"""An archive of the kind that Linux unpacks into its first file system (cpio, "newc"): programs with
the shared libraries that they need, directories, links."""
import os
import re
import stat
import subprocess


class Initramfs:
    def __init__(self):
        self.entries = {}  # path inside, without the first / -> (mode, content)

    def _parents(self, path):
        parent = os.path.dirname(path)
        if parent and parent not in self.entries:
            self._parents(parent)
            self.entries[parent] = (stat.S_IFDIR | 0o755, b'')

    def directory(self, path):
        path = path.strip('/')
        self._parents(path)
        self.entries[path] = (stat.S_IFDIR | 0o755, b'')

    def text(self, path, content, mode=0o755):
        path = path.strip('/')
        self._parents(path)
        raw = content if isinstance(content, bytes) else content.encode()
        self.entries[path] = (stat.S_IFREG | mode, raw)

    def link(self, path, target):
        path = path.strip('/')
        self._parents(path)
        self.entries[path] = (stat.S_IFLNK | 0o777, target.encode())

    def file(self, source, path):
        path = path.strip('/')
        self._parents(path)
        with open(source, 'rb') as handle:
            self.entries[path] = (stat.S_IFREG | 0o755, handle.read())

    def program(self, source, path):
        """A program and what it is linked with, where the loader looks for that."""
        self.file(source, path)
        done = subprocess.run(['ldd', source], capture_output=True, text=True, timeout=30)
        for library in re.findall(r'(?:=> )?(/\S+) \(0x', done.stdout):
            self.file(library, library)

    def write(self, out):
        with open(out, 'wb') as archive:
            entries = [*sorted(self.entries.items()), ('TRAILER!!!', (0, b''))]
            for number, (path, (mode, content)) in enumerate(entries, 1):
                name = path.encode() + b'\0'
                fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name), 0)
                head = b'070701' + b''.join(b'%08X' % field for field in fields) + name
                archive.write(head + b'\0' * (-len(head) % 4))
                archive.write(content + b'\0' * (-len(content) % 4))
