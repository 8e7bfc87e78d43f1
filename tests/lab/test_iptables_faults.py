# SPDX-License-Identifier: GPL-2.0-or-later
"""The modes over iptables under others' hands and with programs that fail: the rules come back, nothing stays half
done."""
import contextlib
import dataclasses
import fcntl
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import time

import lab as labs
import manifests
import modes
import patience
import pytest
from load import Load
from proxy import READY_S, Proxy, wait_until

RESTORED_S = 2.0
PATIENCE_S = 20  # with back-off, and programs on a busy machine
STEADY, OTHER = ["10.96.40.1", "fd00:10:96::4001"], ["10.96.40.2", "fd00:10:96::4002"]
BACKENDS = [modes.backend()] if modes.backend() else ["nft", "legacy"]
PROGRAMS = [f"{family}tables{what}" for family in ("ip", "ip6") for what in ("", "-save", "-restore")]
REPAIRING = "somebody else changed fairlead's rules"


@dataclasses.dataclass(frozen=True)
class Shape:
    """A mode's chains: one that leads to services, one below it, and a jump in filter's FORWARD; the extension that a
    Service with affinity needs; and what of its rules another socket changes, though they mean the same."""
    leading: str
    below: str
    jump: tuple
    extension: str
    sockets: str = "^$"


SHAPES = {
    "iptables": Shape("KUBE-SVC-", "KUBE-SEP-", (
        "-m", "comment", "--comment", "kubernetes forwarding rules", "-j", "KUBE-FORWARD"), "recent"),
    "userspace": Shape("KUBE-PORTALS-CONTAINER", "KUBE-PORTALS-HOST", (
        "-m", "conntrack", "--ctstate", "NEW", "-m", "comment", "--comment", "fairlead: refused portals",
        "-j", "FAIRLEAD-PORTALS"), "REDIRECT", r"(?<=--to-ports )\d+|(?<=--dport )\d{4,5}"),
}
SHAPE = SHAPES.get(modes.mode(), SHAPES["iptables"])  # in all other modes nothing of this runs


class Programs:
    """A folder for $PATH with the programs of one backend, each of which a script may stand in for."""

    def __init__(self, folder, backend):
        self.backend = backend
        self.multi = shutil.which(f"xtables-{backend}-multi")
        self.folder = pathlib.Path(folder)
        self.folder.mkdir()
        for name in PROGRAMS:
            self.heal(name)

    def _put(self, name, make):
        beside = self.folder / f".{name}.new"
        beside.unlink(missing_ok=True)
        make(beside)
        os.rename(beside, self.folder / name)

    def heal(self, name):
        self._put(name, lambda path: path.symlink_to(self.multi))

    def replace(self, name, script):
        """REAL in the script is the program itself."""
        text = "#!/bin/sh\n" + script.replace("REAL", f"{self.multi} {name}") + "\n"

        def make(path):
            path.write_text(text)
            path.chmod(0o755)
        self._put(name, make)

    def remove(self, name):
        (self.folder / name).unlink()


class Node:
    """n1 with one backend: its programs, fairlead over a folder of its own, and what the kernel has."""

    def __init__(self, lab, prober, backend):
        self.lab = lab
        self.prober = prober
        self.namespace = lab.namespace("n1")
        self.programs = Programs(lab.directory / f"programs-{backend}", backend)
        self.folder = manifests.Folder(lab.directory / f"iptables-{backend}")
        self.folder.write("nodes.yaml", [node.manifest() for node in lab.topology.nodes.values()])
        self.folder.write("servicecidr.yaml", [manifests.service_cidr()])
        self.folder.write("steady.yaml", manifests.simple(
            "steady", lab.topology, STEADY, "a1 b1", spec={"sessionAffinity": "ClientIP"}))
        self.lock = lab.directory / f"lock-{backend}"
        self.libraries = lab.directory / f"extensions-{backend}"
        self.libraries.mkdir()
        for path in extensions().iterdir():
            (self.libraries / path.name).symlink_to(path)
        self.proxy = Proxy(lab, "n1", self.folder)
        self.proxy.log_name = f"n1-{modes.mode()}-{backend}.log"

    def keep_tracking(self):
        """Something else on the node that needs conntrack and nat, out of reach of what is flushed here.

        With their last user the kernel takes their hooks away, and then not even what is established is translated:
        that is no dataplane's to prevent.
        """
        if self.programs.backend == "legacy":
            self.namespace.run(["nft", "-f", "-"], input="table inet keeper {\n  chain watch {\n    type filter hook "
                               "forward priority 50\n    ct state established counter\n  }\n}\n")
        elif shutil.which("xtables-legacy-multi"):
            for words in ("-t nat -L -n", "-A FORWARD -m conntrack --ctstate ESTABLISHED"):
                self.namespace.run(["xtables-legacy-multi", "iptables", *words.split()], check=False)

    def start(self, **environment):
        self.proxy.start({"PATH": f"{self.programs.folder}:/usr/bin:/bin", "XTABLES_LOCKFILE": str(self.lock),
                          "XTABLES_LIBDIR": str(self.libraries), **environment})

    def ipt(self, *words, check=True, family="ip", what="", **options):
        return self.namespace.run([str(self.programs.folder / f"{family}tables{what}"), *words], check=check,
                                  env={**os.environ, "XTABLES_LOCKFILE": str(self.lock)}, **options)

    def rules(self):
        """What is ours of both families, as a sorted list: the order of chains means nothing here."""
        lines = []
        for family in ("ip", "ip6"):
            table = ""
            for line in self.ipt(family=family, what="-save").stdout.splitlines():
                table = line if line.startswith("*") else table
                if re.search(r"KUBE-|FAIRLEAD-", line):
                    lines.append(f"{family} {table} {line.split(' [')[0]}")
        return sorted(lines)

    def shape(self):
        """The same, whichever sockets it leads to."""
        return sorted(re.sub(SHAPE.sockets, "PORT", line) for line in self.rules())

    def chain(self, prefix):
        return next(word for line in self.rules() for word in line.split() if word.startswith(prefix)).lstrip(":")

    def other(self, endpoints):
        self.folder.write("other.yaml", manifests.simple("other", self.lab.topology, OTHER, endpoints))

    def verdict(self, address=OTHER[0]):
        return self.prober.connect_once("d1", "tcp", address, 80).kind

    def becomes(self, kind, address=OTHER[0]):
        wait_until(lambda: self.verdict(address) == kind, PATIENCE_S,
                   lambda: f"{address} is {kind}; the log ends:\n{self.proxy.log()[-1500:]}")

    def says(self, since, *patterns):
        """One line of the log after position `since` has all of them."""
        def found():
            return any(all(re.search(p, line) for p in patterns) for line in self.proxy.log()[since:].splitlines())
        wait_until(found, PATIENCE_S, lambda: f"{patterns} in:\n{self.proxy.log()[since:][-2000:]}")

    def tries(self, since):
        return self.proxy.log()[since:].count("everything is tried again")

    def end(self):
        self.proxy.stop()
        if self.programs.backend == "legacy":
            for family in ("ip", "ip6"):
                for table in ("mangle", "nat", "filter"):
                    self.ipt("-t", table, "-F", family=family)
                    self.ipt("-t", table, "-X", family=family)
        elif shutil.which("xtables-legacy-multi"):
            self.namespace.run(["xtables-legacy-multi", "iptables", "-F", "FORWARD"], check=False)
        self.lab.reset_node("n1")


def extensions():
    """Where the programs have their matches and targets."""
    return next(path for path in pathlib.Path("/usr/lib").glob("*/xtables"))


@pytest.fixture(scope="module", params=BACKENDS)
def node(request, lab, prober):
    if not shutil.which(f"xtables-{request.param}-multi"):
        pytest.skip(f"needs xtables-{request.param}-multi (Debian: iptables)")
    made = Node(lab, prober, request.param)
    if made.ipt("-t", "nat", "-L", "-n", check=False).returncode:
        pytest.skip(f"needs a kernel with the tables of iptables-{request.param}")
    try:
        made.keep_tracking()
        made.start()
        made.proxy.wait_ready()
        yield made
    finally:
        made.end()


@pytest.fixture
def settled(node):
    """Before and after a test the programs are whole, the service is there, and the rules are the same."""
    for name in PROGRAMS:
        node.programs.heal(name)
    node.other("a1 a2")
    node.becomes("served")
    time.sleep(patience.seconds(1.1))  # the limit on repairs, and one look at the legacy tables
    before = node.shape()
    yield node
    for name in PROGRAMS:
        node.programs.heal(name)
    node.other("a1 a2")
    wait_until(lambda: node.shape() == before, PATIENCE_S, lambda: difference(before, node.shape(), node))


def difference(before, now, node):
    return (f"the rules as before; missing {[line for line in before if line not in now][:6]}, new "
            f"{[line for line in now if line not in before][:6]}; the log ends:\n{node.proxy.log()[-1500:]}")


# --- others' hands

def flush_nat(node):
    node.ipt("-t", "nat", "-F")


def flush_nat_v6(node):
    node.ipt("-t", "nat", "-F", family="ip6")


def flush_filter(node):
    node.ipt("-F")


def delete_jump(node):
    node.ipt("-t", "nat", "-D", "PREROUTING", "1")


def delete_filter_jump(node):
    node.ipt("-D", "FORWARD", *SHAPE.jump)


def flush_service_chain(node):
    node.ipt("-t", "nat", "-F", node.chain(SHAPE.leading))


def delete_rule(node):
    node.ipt("-t", "nat", "-D", node.chain(SHAPE.below), "1")


def flush_everything(node):
    if node.programs.backend == "nft":
        node.namespace.run(["nft", "flush", "ruleset"])
        return
    for table in ("filter", "nat", "mangle"):
        node.ipt(what="-restore", input=f"*{table}\nCOMMIT\n")


HANDS = [flush_nat, flush_nat_v6, flush_filter, delete_jump, delete_filter_jump, flush_service_chain, delete_rule,
         flush_everything]


@pytest.mark.parametrize("hand", HANDS, ids=lambda hand: hand.__name__)
def test_restored(settled, prober, tell, hand):
    """Within two seconds, while what is established goes on."""
    before = settled.rules()
    with Load(prober, [("d1", STEADY[0], 80)]) as counts:
        hand(settled)
        wait_until(lambda: settled.rules() == before, RESTORED_S, lambda: difference(before, settled.rules(), settled))
        echoed = counts.echoed
        wait_until(lambda: counts.echoed > echoed, RESTORED_S, lambda: f"established connections go on: {counts}")
    tell(counts)
    assert not counts.lost, counts.lost


def test_restored_to_nothing_more(settled):
    """A repair is not taken for a disturbance: after the last one it is quiet, and others' rules have stayed."""
    settled.ipt("-A", "INPUT", "-s", "192.0.2.7", "-j", "DROP")
    before = settled.rules()
    delete_jump(settled)
    wait_until(lambda: settled.rules() == before, PATIENCE_S, lambda: difference(settled, before))
    settled.proxy.wait_ready()
    since, turns = len(settled.proxy.log()), settled.proxy.status()[1]
    time.sleep(2.5)
    assert settled.proxy.status()[1] == turns, settled.proxy.log()[since:]
    assert "192.0.2.7" in settled.ipt(what="-save").stdout
    settled.ipt("-D", "INPUT", "-s", "192.0.2.7", "-j", "DROP")
    time.sleep(1.5)


def test_own_writing_is_not_a_disturbance(settled):
    since = len(settled.proxy.log())
    for endpoints in ("a1", "", "a1 b1", "a2", "a1 a2"):
        settled.other(endpoints)
        settled.becomes("served" if endpoints else "rejected")
    time.sleep(1.5)
    assert REPAIRING not in settled.proxy.log()[since:]


def test_others_rules_do_not_disturb(settled):
    """nf_tables says what was changed. The legacy tables do not: there it is compared, and nothing is written."""
    if settled.programs.backend == "legacy":
        pytest.skip("the legacy tables tell sizes alone")
    turns = settled.proxy.status()[1]
    for words in (["INPUT", "-s", "192.0.2.8", "-j", "DROP"], ["FORWARD", "-s", "192.0.2.8", "-j", "ACCEPT"]):
        settled.ipt("-I", *words)
        settled.ipt("-D", *words)
    settled.ipt("-t", "nat", "-N", "KUBE-ROUTER-LIKE")
    settled.ipt("-t", "nat", "-A", "KUBE-ROUTER-LIKE", "-j", "RETURN")
    settled.ipt("-t", "nat", "-F", "KUBE-ROUTER-LIKE")
    settled.ipt("-t", "nat", "-X", "KUBE-ROUTER-LIKE")
    time.sleep(1)
    assert settled.proxy.status()[1] == turns, settled.proxy.log()[-1000:]


def test_no_fight(settled):
    """Who removes a jump again and again is answered twice a second at most."""
    turns, began = settled.proxy.status()[1], time.monotonic()
    while time.monotonic() - began < 3:
        settled.ipt("-t", "nat", "-D", "PREROUTING", "1", check=False)
        time.sleep(0.02)
    took = time.monotonic() - began
    assert 1 <= settled.proxy.status()[1] - turns <= 2 * took + 2


def test_lost_notifications(settled):
    """A socket's buffer that ran over may have lost the one that mattered."""
    if settled.programs.backend != "nft":
        pytest.skip("about netlink")
    before, proxy = settled.rules(), settled.proxy
    elements = ", ".join(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}" for n in range(1 << 16))
    os.kill(proxy.child.pid, signal.SIGSTOP)
    try:
        settled.namespace.run(["nft", "-f", "-"],
                              input="table ip bystander {\n  set many {\n    type ipv4_addr\n  }\n}\n")
        for _ in range(3):
            settled.namespace.run(["nft", "-f", "-"], input=f"add element ip bystander many {{ {elements} }}\n"
                                  "flush set ip bystander many\n", timeout=60)
        delete_jump(settled)
        lost = sum(int(line.split()[8]) for line in settled.namespace.run(["cat", "/proc/net/netlink"]).stdout
                   .splitlines()[1:] if line.split()[1] == "12")
        assert lost > 0, "the buffer ran over"
    finally:
        os.kill(proxy.child.pid, signal.SIGCONT)
    wait_until(lambda: settled.rules() == before, PATIENCE_S, lambda: difference(before, settled.rules(), settled))
    settled.namespace.run(["nft", "delete", "table", "ip", "bystander"])


# --- programs that fail

def test_lock_held_by_another(settled):
    if settled.programs.backend != "legacy":
        pytest.skip("the lock is the legacy backend's")
    since = len(settled.proxy.log())
    with open(settled.lock, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        settled.other("")
        settled.says(since, "iptables-restore failed", "holding the xtables lock", "tried again")
        assert settled.verdict() == "served", "what was in force stays"
    settled.becomes("rejected")


def test_restore_fails_once(settled):
    marker = settled.programs.folder / "failed"
    since = len(settled.proxy.log())
    settled.programs.replace("iptables-restore", f"if [ ! -e {marker} ]; then touch {marker}; cat >{marker}\n"
                             "echo 'iptables-restore: line 3 failed' >&2; exit 1; fi\nexec REAL \"$@\"")
    settled.other("")
    settled.becomes("rejected")
    third = marker.read_text().splitlines()[2]
    settled.says(since, r"iptables-restore failed with exit code 1: iptables-restore: line 3 failed", "tried again")
    if third.startswith("-"):
        settled.says(since, re.escape(f'the line is "{third}'[:120]))
    assert settled.tries(since) == 1
    marker.unlink()


def test_restore_killed_between_two_tables(settled, prober):
    """The first table alone is in force for a moment: that serves, and the other service never notices."""
    marker = settled.programs.folder / "killed"
    since = len(settled.proxy.log())
    settled.programs.replace("iptables-restore", f"if [ ! -e {marker} ]; then touch {marker}\n"
                             "sed '/^COMMIT/q' | REAL \"$@\"; kill -9 $$; fi\nexec REAL \"$@\"")
    with Load(prober, [("d1", STEADY[0], 80)]) as counts:
        settled.other("")
        settled.says(since, "iptables-restore was ended by signal 9", "tried again")
        settled.becomes("rejected")
    assert not counts.lost and not counts.refused, (counts.lost, counts.refused[:3])
    assert settled.tries(since) == 1
    marker.unlink()


@pytest.mark.parametrize("saved", ["hello, this is not iptables", "*nat\n:PREROUTING ACCEPT [0:0]"],
                         ids=["rubbish", "cut"])
def test_save_prints_rubbish(settled, saved):
    since = len(settled.proxy.log())
    settled.programs.replace("iptables-save", f"cat <<'X'\n{saved}\nX")
    delete_jump(settled)
    settled.says(since, "iptables-save", "tried again")
    assert settled.verdict(STEADY[0]) != "leaked"
    time.sleep(1)
    assert 1 <= settled.tries(since) <= 8, "retried with growing pauses"
    settled.programs.heal("iptables-save")
    settled.becomes("served")


def test_program_missing_later(settled):
    since = len(settled.proxy.log())
    settled.programs.remove("iptables-restore")
    settled.other("")
    settled.says(since, "iptables-restore cannot be started: no such file", "tried again")
    assert settled.verdict() == "served"
    settled.programs.heal("iptables-restore")
    settled.becomes("rejected")


def test_extension_missing(settled):
    """A match that the programs or the kernel lack is named, in the programs' own words."""
    library = settled.libraries / f"libxt_{SHAPE.extension}.so"
    since = len(settled.proxy.log())
    library.unlink()
    settled.folder.write("sticky.yaml", manifests.simple(
        "sticky", settled.lab.topology, ["10.96.40.3"], "a1", spec={"sessionAffinity": "ClientIP"}))
    try:
        settled.says(since, "iptables-restore failed", SHAPE.extension, "tried again")
        assert settled.verdict(STEADY[0]) == "served" and settled.verdict() == "served"
        assert settled.verdict("10.96.40.3") != "served"
    finally:
        library.symlink_to(extensions() / library.name)
    settled.becomes("served", "10.96.40.3")
    settled.folder.remove("sticky.yaml")


@pytest.mark.skipif(not modes.is_proxied(), reason="the rules stay where the kernel serves by them")
def test_passes_on_until_its_rules_are_gone(settled, prober):
    """However long iptables takes for that, within reason."""
    node = settled
    node.programs.replace("iptables-restore", 'sleep 3; exec REAL "$@"')
    with contextlib.closing(node.lab.namespace("d1").socket(socket.AF_INET, socket.SOCK_STREAM)) as client:
        client.settimeout(patience.seconds(5))
        client.connect((STEADY[0], 80))
        assert client.recv(200)
        child, began = node.proxy.child, time.monotonic()
        child.terminate()
        echoed = 0
        with contextlib.suppress(OSError):
            while time.monotonic() - began < patience.seconds(20):
                client.sendall(b"more\n")
                if client.recv(200) != b"more\n":
                    break
                echoed += time.monotonic() - began < 2
                time.sleep(0.1)
        assert echoed > 5, "for the two seconds that are over before the rules go"
        child.wait(patience.seconds(20))
    node.proxy.stop()
    assert not [line for line in node.rules() if re.search("PORTAL|NODEPORT", line)]
    node.programs.heal("iptables-restore")
    node.start()
    node.proxy.wait_ready()


@pytest.mark.skipif(not modes.is_proxied(), reason="the rules stay where the kernel serves by them")
def test_ends_though_its_rules_do_not_go(settled):
    node, since = settled, len(settled.proxy.log())
    node.programs.replace("iptables-restore", "sleep 1000")
    began = time.monotonic()
    node.proxy.child.terminate()
    node.proxy.child.wait(patience.seconds(20))
    assert time.monotonic() - began > 5
    node.proxy.stop()
    assert "rules that lead to this process stay: their removal takes too long" in node.proxy.log()[since:]
    node.programs.heal("iptables-restore")
    node.start()
    node.proxy.wait_ready()


def test_program_hangs(node):
    """It is killed with all that it started, and tried again."""
    for name in PROGRAMS:
        node.programs.heal(name)
    node.proxy.stop()
    node.start(FAIRLEAD_FAULT=f"program-timeout:{patience.seconds(1500):.0f}")
    node.proxy.wait_ready()
    node.other("a1 a2")
    node.becomes("served")
    since, note = len(node.proxy.log()), node.programs.folder / "hanging"
    node.programs.replace("iptables-restore", f"sleep 1000 & echo $! >{note}\nwait")
    node.other("")
    node.says(since, "iptables-restore takes too long and was killed", "tried again")
    sleeper = int(note.read_text())
    wait_until(lambda: not alive(sleeper) or int(note.read_text()) != sleeper, PATIENCE_S, "nothing of it is left")
    node.programs.heal("iptables-restore")
    node.becomes("rejected")


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_program_missing_at_start(node):
    node.proxy.stop()
    for name in PROGRAMS:
        node.programs.remove(name)
    try:
        done = node.namespace.run(["env", f"PATH={node.programs.folder}", *node.proxy.argv()], check=False,
                                  timeout=READY_S)
        assert done.returncode == 1
        assert re.search(r"iptables is not available: there is no iptables-restore in \$PATH", done.stderr), done.stderr
    finally:
        for name in PROGRAMS:
            node.programs.heal(name)
