# SPDX-License-Identifier: GPL-2.0-or-later
"""Network namespaces by name: making them, entering them, opening sockets and starting programs in them.

A socket stays in the namespace that it was opened in. So one thread can hold sockets of every node, pod and client at
once: `Namespace.socket` enters the namespace for the length of one call to socket(2), and no helper process is needed.
"""
import contextlib
import ctypes
import os
import socket as socketlib
import subprocess

import patience

RUN_NETNS = "/run/netns"
CLONE_NEWNET = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)
_home_fd = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def _setns(fd):
    """Moves the calling thread (only it) into the network namespace behind `fd`."""
    if _libc.setns(fd, CLONE_NEWNET) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"setns: {os.strerror(code)}")


class Namespace:
    """A named network namespace that exists already (see `ip_batch` for making one)."""

    def __init__(self, name):
        self.name = name
        self.path = f"{RUN_NETNS}/{name}"
        self.fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)

    def close(self):
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    @contextlib.contextmanager
    def entered(self):
        """The calling thread is inside for the length of the block. Never yield to an event loop in it."""
        _setns(self.fd)
        try:
            yield self
        finally:
            _setns(_home_fd)

    def socket(self, family, kind, protocol=0):
        with self.entered():
            return socketlib.socket(family, kind, protocol)

    def sysctl(self, values):
        """Writes {"net/ipv4/ip_forward": 1, ...}. A name that this kernel lacks is skipped, a refused value is not."""
        with self.entered():
            for name, value in values.items():
                with contextlib.suppress(FileNotFoundError):
                    with open(f"/proc/sys/{name}", "w") as file:
                        file.write(f"{value}\n")

    def command(self, argv):
        """`argv` prefixed so that it runs inside; the pid stays that of the program, because nsenter execs."""
        return ["nsenter", f"--net={self.path}", "--", *argv]

    def run(self, argv, check=True, timeout=20, **options):
        """Runs a program to its end inside, and returns the CompletedProcess with its output as text."""
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        done = subprocess.run(self.command(argv), text=True, timeout=patience.seconds(timeout), **options)
        if check and done.returncode != 0:
            raise RuntimeError(f"{' '.join(argv)} in {self.name}: exit {done.returncode}: {done.stderr}")
        return done

    def popen(self, argv, **options):
        """Starts a daemon inside. It dies with the thread that started it, so an orphan cannot outlive a killed run.

        Its own session keeps a Ctrl-C at the terminal from reaching it: the lab ends it itself, in order.
        """
        return subprocess.Popen(self.command(["setpriv", "--pdeathsig", "KILL", "--", *argv]),
                                start_new_session=True, **options)


def ip_batch(lines, namespace=None, family=None):
    """One `ip -batch` for all `lines`, inside `namespace` (a name) when given. Raises with ip's own words."""
    argv = ["ip", *([f"-{family}"] if family else []), *(["-n", namespace] if namespace else []), "-batch", "-"]
    done = subprocess.run(argv, input="\n".join(lines) + "\n", text=True, capture_output=True,
                          timeout=patience.seconds(60))
    if done.returncode != 0:
        raise RuntimeError(f"ip -batch in {namespace or 'the host'}: {done.stderr.strip()}")


def existing():
    """Names of all named namespaces of this host."""
    try:
        return set(os.listdir(RUN_NETNS))
    except FileNotFoundError:
        return set()


def delete(names):
    """Deletes those of `names` that exist; goes on past one that fails, so that the rest still goes."""
    for name in sorted(set(names) & existing()):
        subprocess.run(["ip", "netns", "del", name], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
