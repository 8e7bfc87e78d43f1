# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's packages as a source of files: those that are installed, and others, unpacked but not installed."""
import os
import pathlib
import re
import shutil
import subprocess

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent.parent
# Of no use to a guest that nobody logs in to.
UNWANTED = re.compile(r"/usr/share/(doc|man|locale|info|bash-completion|lintian|perl|zoneinfo)\b")
NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+")


class Unavailable(Exception):
    """This machine cannot do it; the text says why."""


def _names(relations):
    """The names in a field such as "libc6 (>= 2.36), dash | bash": alternatives too, because one of them is there."""
    return [match[0] for part in re.split(r"[,|]", relations) if (match := NAME.match(part.strip()))]


def closure(packages):
    """The installed packages among `packages` and all that they depend on. Raises Unavailable when one is missing."""
    shown = subprocess.run(["dpkg-query", "-W", "-f",
                            "${db:Status-Status}\t${Package}\t${Provides}\t${Pre-Depends},${Depends}\n"],
                           text=True, capture_output=True, check=True).stdout
    relations, providers = {}, {}
    for status, name, provides, depends in (line.split("\t") for line in shown.splitlines()):
        if status == "installed":
            relations[name] = depends
            for provided in _names(provides):
                providers.setdefault(provided, name)
    if missing := [name for name in packages if name not in relations]:
        raise Unavailable(f"the virtual machine needs files of {', '.join(missing)}, not installed here")
    found, rest = set(), list(packages)
    while rest:
        name = rest.pop()
        name = name if name in relations else providers.get(name)
        if name and name not in found:
            found.add(name)
            rest += _names(relations[name])
    return found


def files_of(package):
    """Paths of an installed package's files and links, as dpkg knows them, but for links of / itself (/bin)."""
    listed = subprocess.run(["dpkg-query", "-L", package], text=True, capture_output=True, check=True).stdout
    for path in listed.splitlines():
        if path.count("/") > 1 and not UNWANTED.match(path) and (os.path.islink(path) or os.path.isfile(path)):
            yield path


def _concrete(package, dependency):
    """The package that the empty package `package` stands for: the one it depends on whose name begins so."""
    release = subprocess.run(["sh", "-c", ". /etc/os-release && echo $VERSION_CODENAME"], text=True,
                             capture_output=True).stdout.strip()
    shown = subprocess.run(["apt-cache", "show", f"{package}/{release}"], text=True, capture_output=True).stdout
    found = [name for line in shown.splitlines() if line.startswith("Depends:")
             for name in _names(line.removeprefix("Depends:")) if name.startswith(dependency)]
    if not found:
        raise Unavailable(f"this machine's package lists name no {package} of {release}")
    return found[0]


def unpack(package, cache, dependency=""):
    """The folder in `cache` with the files of `package`, or of what it stands for; fetched when it is not there yet."""
    tree, fresh = cache / package, cache / f"{package}.{os.getpid()}"
    if tree.is_dir():
        return tree
    wanted = _concrete(package, dependency) if dependency else package
    done = subprocess.run(["sh", "-c", '. tests/doors.sh; unpack_package "$1" "$2"', "vm", wanted, fresh],
                          cwd=REPOSITORY, text=True, stderr=subprocess.PIPE)
    if done.returncode != 0:
        shutil.rmtree(fresh, ignore_errors=True)
        raise Unavailable(done.stderr.strip() or f"cannot unpack {wanted}")
    fresh.rename(tree)
    return tree
