# SPDX-License-Identifier: GPL-2.0-or-later
"""Which mode's rules the lab runs with, and what cannot hold in which: the one place where that is said."""
import functools
import os
import pathlib
import shutil
import subprocess
import tempfile

FAMILIES = ("iptables", "ip6tables")
TABLES = "*mangle\nCOMMIT\n*nat\nCOMMIT\n*filter\nCOMMIT\n"

OVER_IPTABLES = {"iptables", "userspace"}

# Test, or the begin of its name, and why. The packet matrix is not among them, and never will be.
FIRST = "the kernel's nat chains have one priority for all of iptables, and the program that came first goes first"
FAULT = "FAIRLEAD_FAULT fails a transaction of ours; here the transactions are those of iptables-restore"
PROCESS = "nobody serves while there is no process: its sockets, and what is established over them, end with it"
ONLY_ELSEWHERE = {
    "iptables": {
        "test_handover.py::test_come_and_go": FIRST,
        "test_restart.py::test_failing_transaction": FAULT,
    },
    "userspace": {
        "test_handover.py::test_come_and_go": FIRST,
        "test_handover.py::test_modes_take_turns": PROCESS,
        "test_restart.py::test_failing_transaction": FAULT,
        "test_restart.py::test_stop_and_start": PROCESS,
        "test_restart.py::test_kill_and_start": PROCESS,
        "test_restart.py::test_stopped_proxy_keeps_serving": PROCESS,
        "test_restart.py::test_change_while_down": PROCESS,
    },
}
ONLY_HERE = {  # files and their modes
    "test_iptables.py": {"iptables"},
    "test_iptables_faults.py": {"iptables", "userspace"},
    "test_ipvs.py": {"ipvs"},
    "test_ipvs_adoption.py": {"ipvs"},
    "test_ipvs_faults.py": {"ipvs"},
    "test_ipvs_leaving.py": {"ipvs"},
    "test_ipvs_sets.py": {"ipvs"},
    "test_userspace.py": {"userspace"},
}


def mode():
    """The dataplane under test: the lab is the same for all of them."""
    return os.environ.get("LAB_MODE", "nftables")


@functools.cache
def can(name):
    """Whether this kernel and this machine can do the mode; which a skip cannot know before the tests are collected."""
    import lab  # not above: it stands on this module
    try:
        return subprocess.run([lab.binary(), "probe", name], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def backend():
    """nft or legacy: whose programs come first in $PATH; "" for what the host has chosen."""
    return os.environ.get("LAB_IPTABLES", "") if mode() in OVER_IPTABLES else ""


def is_proxied():
    """Whether connections go through the daemon: then pods see the node that passes them on, and what is established
    ends with the daemon (docs/decisions/0010)."""
    return mode() == "userspace"


def skip_what_cannot_hold(items):
    import pytest  # not above: the demonstration comes by here, too, and needs none
    for item in items:
        for name, reason in ONLY_ELSEWHERE.get(mode(), {}).items():
            if f"{item.path.name}::{item.name}".startswith(name):
                item.add_marker(pytest.mark.skip(reason=f"not in mode {mode()}: {reason}"))
        for name, only in ONLY_HERE.items():
            if item.path.name == name and mode() not in only:
                item.add_marker(pytest.mark.skip(reason=f"about the mode {' or '.join(sorted(only))}"))


class Programs:
    """A folder ahead of everything in $PATH, in which the backend's program has all its names. Its lock is this run's
    own: /run/xtables.lock is one for the whole machine."""

    def __init__(self):
        self.folder = None
        self.path = os.environ["PATH"]

    def begin(self):
        if not backend():
            return
        multi = shutil.which(f"xtables-{backend()}-multi", path=f"{self.path}:/usr/sbin:/sbin")
        if not multi:
            raise SystemExit(f"LAB_IPTABLES={backend()}: there is no xtables-{backend()}-multi")
        self.folder = tempfile.mkdtemp(prefix="fairlead-iptables-")
        for family in FAMILIES:
            for what in ("", "-save", "-restore"):
                os.symlink(multi, pathlib.Path(self.folder) / f"{family}{what}")
        os.environ["PATH"] = f"{self.folder}:{self.path}"
        os.environ["XTABLES_LOCKFILE"] = f"{self.folder}/lock"

    def end(self):
        os.environ["PATH"] = self.path
        if self.folder:
            shutil.rmtree(self.folder)


def reset(namespace):
    """No rules: `nft flush ruleset` does not know those of the legacy backend. Nor of IPVS anything."""
    if backend() == "legacy":
        for family in FAMILIES:
            namespace.run([f"{family}-restore"], input=TABLES)
    if mode() == "ipvs":
        namespace.run(["sh", "-c", "ipvsadm -C; ipset destroy; ip link delete kube-ipvs0; true"])


def forget_clients(namespace):
    """Nobody sticks to an endpoint any more."""
    if mode() == "iptables":
        namespace.run(["sh", "-c", "for table in /proc/net/xt_recent/KUBE-SEP-*; do echo / >$table; done"])
    else:
        namespace.run(["nft", "flush", "map", "ip", "fairlead", "affinity"])
