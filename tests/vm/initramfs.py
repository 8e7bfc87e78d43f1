# SPDX-License-Identifier: GPL-2.0-or-later
"""A root file system as the kernel takes it: a cpio archive of the "new ASCII" form (the kernel's
Documentation/driver-api/early-userspace/buffer-format.rst), everything in it root's, whoever writes it."""
import os
import pathlib
import stat

MERGED = ("bin", "sbin", "lib", "lib64")  # links into /usr, on Debian 12 and later


def _place(path):
    """Where a path of a merged or an unmerged system lies in ours."""
    parts = pathlib.PurePosixPath(path).parts[1:]
    return "/".join(("usr", *parts) if parts[0] in MERGED else parts)


class Initramfs:
    def __init__(self):
        self.entries = {}  # path without leading / -> (mode, a Path to read, or the bytes)
        for name in MERGED:
            self.entries[name] = (stat.S_IFLNK | 0o777, f"usr/{name}".encode())
            self.add_folder(f"/usr/{name}")

    def _put(self, place, mode, content):
        parent = os.path.dirname(place)
        if parent and parent not in self.entries:
            self._put(parent, stat.S_IFDIR | 0o755, b"")
        self.entries[place] = (mode, content)

    def add_folder(self, path):
        self._put(path[1:], stat.S_IFDIR | 0o755, b"")

    def add_text(self, path, text):
        self._put(path[1:], stat.S_IFREG | 0o644, text.encode())

    def add_file(self, path, source, permissions=0o644):
        """The file `source`; a link stays a link."""
        if source.is_symlink():
            self._put(_place(path), stat.S_IFLNK | 0o777, os.readlink(source).encode())
        else:
            self._put(_place(path), stat.S_IFREG | permissions, source)

    def add_own(self, path):
        """A file of this machine, at the same path; of a Python module also what Python made of it, which saves the
        guest the most expensive part of its start."""
        source = pathlib.Path(path)
        if not os.access(source, os.R_OK) and not source.is_symlink():
            return
        self.add_file(path, source, stat.S_IMODE(source.lstat().st_mode))
        if source.suffix == ".py":
            for compiled in source.parent.glob(f"__pycache__/{source.stem}.cpython-*.pyc"):
                self.add_file(str(compiled), compiled)
        if source.is_symlink() and (target := source.resolve()).is_file() and _place(str(target)) not in self.entries:
            self.add_own(str(target))

    def add_alternatives(self):
        """The names that update-alternatives(1) made for programs that are in already: no package lists them."""
        for folder in ("/usr/bin", "/usr/sbin"):
            for link in pathlib.Path(folder).iterdir():
                if link.is_symlink() and os.readlink(link).startswith("/etc/alternatives/") and \
                        _place(str(link.resolve())) in self.entries:
                    self.add_own(str(link))
                    self.add_own(os.readlink(link))

    def add_tree(self, tree, path, wanted):
        """Every file below the folder `tree` for whose path in it `wanted` is true, below `path`."""
        for source in sorted(tree.rglob("*")):
            inside = source.relative_to(tree)
            if wanted(inside) and (source.is_symlink() or source.is_file()):
                self.add_file(os.path.join(path, inside), source, stat.S_IMODE(source.lstat().st_mode))

    def write(self, path):
        with open(path, "wb") as file:
            number = 0
            for place, (mode, content) in sorted(self.entries.items()):
                number += 1
                _write_entry(file, number, place, mode, content)
            _write_entry(file, 0, "TRAILER!!!", 0, b"")


def _pad(file):
    file.write(b"\0" * (-file.tell() % 4))


def _write_entry(file, number, place, mode, content):
    data = content if isinstance(content, bytes) else content.read_bytes()
    name = place.encode() + b"\0"
    links = 2 if stat.S_ISDIR(mode) else 1
    fields = (number, mode, 0, 0, links, 0, len(data), 0, 0, 0, 0, len(name), 0)
    file.write(b"070701" + b"".join(b"%08X" % value for value in fields) + name)
    _pad(file)
    file.write(data)
    _pad(file)
