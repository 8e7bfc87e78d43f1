# SPDX-License-Identifier: GPL-2.0-or-later
"""Mode ipvs under others' hands, and with a kernel that refuses: it says what and why, tries again, and leaves nothing half
done."""
import contextlib
import fcntl
import os
import pathlib
import signal
import subprocess

import manifests
import modes
import pytest
from ipvs import Connection, Node
from proxy import wait_until
from test_iptables_faults import Programs

STEADY, OTHER = "10.96.43.1", "10.96.43.2"
EXTERNAL = ["198.51.100.143", "198.51.100.144"]
RESTORED_S = 2
REPAIRING = "somebody else changed fairlead's rules"


@pytest.fixture(scope="module")
def steady(ipvs_node):
    """A Service that has to be served whatever happens."""
    ipvs_node.simple("steady", STEADY, "a1")
    ipvs_node.settle()
    yield ipvs_node
    ipvs_node.remove("steady.yaml")


def verdict(prober, address, client="d1"):
    return prober.connect_once(client, "tcp", address, 80, timeout_s=2.0).kind


# --- others' hands

def unbind(node):
    node.run("ip", "addr", "del", f"{STEADY}/32", "dev", "kube-ipvs0")


def unbind_all(node):
    node.run("ip", "addr", "flush", "dev", "kube-ipvs0")


def delete_interface(node):
    node.run("ip", "link", "delete", "kube-ipvs0")


def bind_foreign(node):
    node.run("ip", "addr", "add", "10.96.43.77/32", "dev", "kube-ipvs0")


def flush_nat(node):
    node.run("iptables", "-t", "nat", "-F")


def flush_everything(node):
    node.run("nft", "flush", "ruleset")


@pytest.mark.parametrize("hand", [unbind, unbind_all, delete_interface, bind_foreign, flush_nat, flush_everything],
                         ids=lambda hand: hand.__name__)
def test_restored(steady, prober, hand):
    """Within two seconds, sets and virtual servers with it."""
    before = steady.holds()
    hand(steady)
    wait_until(lambda: steady.holds() == before, RESTORED_S, lambda: f"{before}\n{steady.holds()}\n"
               f"{steady.proxy.log()[-1500:]}")
    assert verdict(prober, STEADY) == "served"


def test_what_nobody_tells_of_is_counted(steady, prober):
    """Sets and virtual servers have no notifications: half a minute."""
    before = steady.holds()
    steady.run("ipvsadm", "-D", "-t", f"{STEADY}:80")
    steady.run("ipset", "flush", "KUBE-CLUSTER-IP")
    steady.becomes("as before", lambda: steady.holds() == before)
    assert verdict(prober, STEADY) == "served"


def test_own_changes_are_no_disturbance(steady):
    """Nor addresses elsewhere."""
    since = len(steady.proxy.log())
    for endpoints in ("a1", "", "b1"):
        steady.simple("other", OTHER, endpoints)
    steady.remove("other.yaml")
    steady.run("ip", "addr", "add", "192.0.2.143/32", "dev", "lo")
    steady.run("ip", "addr", "del", "192.0.2.143/32", "dev", "lo")
    steady.proxy.wait_ready()
    assert REPAIRING not in steady.proxy.log()[since:]


def test_lost_notifications(steady, prober):
    """A socket's buffer that ran over may have lost the one that mattered."""
    before, proxy = steady.holds(), steady.proxy
    lines = "".join(f"addr {verb} 10.97.{n >> 7}.{n & 127}/32 dev kube-ipvs0\n"
                    for verb in ("add", "del") for n in range(2048))
    os.kill(proxy.child.pid, signal.SIGSTOP)
    try:
        steady.run("ip", "-batch", "-", input=lines, timeout=60)
        unbind(steady)
        route = [line.split() for line in steady.run("cat", "/proc/net/netlink").splitlines()[1:]]
        assert any(int(words[8]) > 0 for words in route if words[1] == "0"), "the buffer ran over"
    finally:
        os.kill(proxy.child.pid, signal.SIGCONT)
    steady.becomes("as before", lambda: steady.holds() == before)
    assert verdict(prober, STEADY) == "served"


# --- a kernel that refuses

def make_set(node, name, room):
    """Puts another set in the place of one that rules refer to, with the same members and room for so many."""
    node.run("ipset", "create", "TMP", "hash:ip,port", "maxelem", str(room), "hashsize", "64")
    node.run("ipset", "restore", input="".join(f"add TMP {member}\n" for member in node.sets()[name]))
    node.run("ipset", "swap", "TMP", name)
    node.run("ipset", "destroy", "TMP")


def test_set_is_full(steady, prober):
    """It is named with the member that was one too many; what was served is served, and what was new is not yet to be seen.
    With room it goes on by itself."""
    steady.simple("other", OTHER, "a1", spec={"externalIPs": EXTERNAL[:1]})
    make_set(steady, "KUBE-EXTERNAL-IP", 1)
    before, since = steady.servers(), len(steady.proxy.log())
    try:
        steady.folder.write("other.yaml", manifests.simple("other", steady.lab.topology, [OTHER], "a1",
                                                           spec={"externalIPs": EXTERNAL}))
        steady.says(since, f"the ipset KUBE-EXTERNAL-IP is full: it has room for 1 members, and {EXTERNAL[1]},tcp:80 is one "
                    "more", "everything is tried again in")
        assert steady.servers() == before
        assert EXTERNAL[1] not in steady.bound()
        assert [verdict(prober, address) for address in (STEADY, OTHER, EXTERNAL[0])] == ["served"] * 3
        assert steady.proxy.status()[0] is False or "is full" in steady.proxy.tool("status", check=False).stdout
        make_set(steady, "KUBE-EXTERNAL-IP", 65536)
        steady.becomes("the new one is served", lambda: verdict(prober, EXTERNAL[1]) == "served")
    finally:
        make_set(steady, "KUBE-EXTERNAL-IP", 65536)
        steady.proxy.wait_ready()
        steady.remove("other.yaml")


@contextlib.contextmanager
def hidden(module):
    """A module that is not there."""
    subprocess.run(["modprobe", "-r", module], check=False)
    note = pathlib.Path("/etc/modprobe.d/hidden.conf")
    note.parent.mkdir(exist_ok=True)
    note.write_text(f"install {module} /usr/bin/false\n")
    try:
        yield
    finally:
        note.unlink(missing_ok=True)


def start_refused(node, scheduler):
    """Starts it with a scheduler that there is not; returns when it has said so, twice."""
    node.proxy.stop()
    node.proxy.flags["ipvs-scheduler"] = scheduler
    since = len(node.proxy.log())
    node.proxy.start()
    words = f"cannot be .*: this kernel has no scheduler {scheduler}; everything is tried again in"
    node.says(since, words)
    again = since + node.proxy.log()[since:].index("everything is tried again in") + 10
    node.says(again, words)


def test_scheduler_missing(steady, prober, lab):
    """One that nobody knows, and one whose module is missing: named, retried, and what was served goes on as it was."""
    steady.settle()
    before = steady.holds()
    with Connection(lab, "d1", STEADY, 80) as held:
        start_refused(steady, "nonesuch")
        assert steady.holds() == before
        assert steady.proxy.status()[0] is False
        with hidden("ip_vs_sed"):
            start_refused(steady, "sed")
            assert steady.holds() == before and verdict(prober, STEADY) == "served"
        steady.proxy.wait_ready()
        assert {server.scheduler for server in steady.servers().values()} == {"sed"}
        assert held.is_alive()
    steady.restart(ipvs_scheduler="rr")
    assert steady.holds() == before


@pytest.mark.skipif(not pathlib.Path("/usr/sbin/xtables-legacy-multi").exists(), reason="needs xtables-legacy-multi")
def test_lock_held_by_another(steady, lab, prober):
    """The lock is the legacy backend's. Nothing leads to services before there are rules; then all is there at once."""
    node = Node(lab, "n2", steady.folder)
    programs, lock = Programs(lab.directory / "programs-ipvs", "legacy"), lab.directory / "lock-ipvs"
    for family in modes.FAMILIES:
        node.run(str(programs.folder / f"{family}-restore"), input=modes.TABLES)  # loads modules, which fairlead may not
    try:
        with open(lock, "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            node.proxy.start({"PATH": f"{programs.folder}:/usr/bin:/bin:/usr/sbin", "XTABLES_LOCKFILE": str(lock)})
            node.says(0, "iptables-restore failed", "holding the xtables lock", "tried again")
            assert node.servers() == {} and node.bound() == set()
        node.proxy.wait_ready()
        assert verdict(prober, STEADY, "b2") == "served"
    finally:
        node.__exit__()
        for family in modes.FAMILIES:
            node.run(str(programs.folder / f"{family}-restore"), input=modes.TABLES)
