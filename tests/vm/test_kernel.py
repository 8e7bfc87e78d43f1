# SPDX-License-Identifier: GPL-2.0-or-later
"""What the IPVS dataplane stands on is there in the guest, and works: schedulers, kube-ipvs0, the ipsets, a connection. And
what `fairlead probe` says where it is not: modules can be taken away here.

The names of devices, sets and schedulers are kube-proxy's (pkg/proxy/ipvs of Kubernetes 1.36).
"""
import contextlib
import os
import pathlib
import platform
import socket
import subprocess
import sys
import threading
import time

import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lab"))

import lab as labs  # noqa: E402
import netns        # noqa: E402
import patience     # noqa: E402

SCHEDULERS = ("rr", "wrr", "lc", "wlc", "lblc", "lblcr", "sh", "dh", "sed", "nq", "mh", "fo", "ovf")
# A set's type, with an element of each family: the types of the sets that kube-proxy makes.
SETS = {
    "bitmap:port": ("30080", "30080"),
    "hash:ip": ("10.96.0.10", "fd00:10:96::a"),
    "hash:ip,port": ("10.96.0.10,tcp:80", "fd00:10:96::a,tcp:80"),
    "hash:ip,port,ip": ("10.244.1.11,udp:53,10.244.1.11", "fd00:244:1::b,udp:53,fd00:244:1::b"),
    "hash:ip,port,net": ("192.0.2.7,sctp:7,203.0.113.0/24", "2001:db8::7,sctp:7,2001:db8:1::/48"),
}
FAMILIES = {4: ("inet", "iptables", "10.96.0.10", "10.244.1.1", "10.244.1.11", 32, 24),
            6: ("inet6", "ip6tables", "fd00:10:96::a", "fd00:244:1::1", "fd00:244:1::b", 128, 64)}


@pytest.fixture
def spaces():
    """A node and a pod: two network namespaces of this test."""
    names = [f"vm{os.getpid()}-{role}" for role in ("node", "pod")]
    made = []
    try:
        netns.ip_batch([f"netns add {name}" for name in names])
        made = [netns.Namespace(name) for name in names]
        for space in made:
            space.run(["ip", "link", "set", "lo", "up"])
        yield made
    finally:
        for space in made:
            space.close()
        netns.delete(names)


@pytest.fixture
def node(spaces):
    return spaces[0]


def test_the_kernel_is_debians():
    """Else the rest would speak of this machine's own kernel."""
    assert platform.release().endswith("-cloud-amd64")


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_scheduler(node, scheduler):
    node.run(["ipvsadm", "-A", "-t", "10.96.0.10:80", "-s", scheduler])
    node.run(["ipvsadm", "-a", "-t", "10.96.0.10:80", "-r", "10.244.1.11:8080", "-m", "-w", "1"])
    lines = [line.split() for line in node.run(["ipvsadm", "-Ln"]).stdout.splitlines()]
    assert ["TCP", "10.96.0.10:80", scheduler] in [line[:3] for line in lines]
    assert ["->", "10.244.1.11:8080", "Masq", "1", "0", "0"] in lines


def test_dummy_device(node):
    node.run(["ip", "link", "add", "kube-ipvs0", "type", "dummy"])
    for address in ("10.96.0.10/32", "fd00:10:96::a/128"):
        node.run(["ip", "addr", "add", address, "dev", "kube-ipvs0"])
    shown = node.run(["ip", "-d", "addr", "show", "dev", "kube-ipvs0"]).stdout
    assert "dummy" in shown and "10.96.0.10/32" in shown and "fd00:10:96::a/128" in shown


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", SETS)
def test_set(node, kind, family):
    """The set takes an element, tells it from another, and a rule can ask for it."""
    inet, iptables, *_ = FAMILIES[family]
    element, other = SETS[kind][family == 6], SETS[kind][family == 6].replace("30080", "30081").replace("10", "11")
    options = ["range", "0-65535"] if kind == "bitmap:port" else ["family", inet, "hashsize", "1024"]
    node.run(["ipset", "create", "KUBE-TEST", kind, *options])
    node.run(["ipset", "add", "KUBE-TEST", element])
    assert node.run(["ipset", "test", "KUBE-TEST", element], check=False).returncode == 0
    if other != element:
        assert node.run(["ipset", "test", "KUBE-TEST", other], check=False).returncode == 1
    ways = ",".join(["dst"] * len(kind.split(":")[1].split(",")))
    node.run([iptables, "-A", "INPUT", "-m", "set", "--match-set", "KUBE-TEST", ways, "-j", "ACCEPT"])
    assert f"--match-set KUBE-TEST {ways}" in node.run([f"{iptables}-save"]).stdout


@pytest.mark.parametrize("family", FAMILIES)
def test_connection_through_a_virtual_server(spaces, family):
    """A client on the node reaches the pod by an address that only IPVS serves."""
    node, pod = spaces
    _, _, vip, gateway, address, full, length = FAMILIES[family]
    netns.ip_batch([f"link add pod0 netns {node.name} type veth peer name eth0 netns {pod.name}"])
    netns.ip_batch([f"addr add {gateway}/{length} dev pod0 {'nodad' if family == 6 else ''}", "link set pod0 up",
                    "link add kube-ipvs0 type dummy",
                    f"addr add {vip}/{full} dev kube-ipvs0 {'nodad' if family == 6 else ''}"], node.name)
    netns.ip_batch([f"addr add {address}/{length} dev eth0 {'nodad' if family == 6 else ''}", "link set eth0 up",
                    f"route add default via {gateway}"], pod.name)
    node.sysctl({"net/ipv4/vs/conntrack": 1, "net/ipv4/ip_forward": 1, "net/ipv6/conf/all/forwarding": 1})
    inet = socket.AF_INET6 if family == 6 else socket.AF_INET
    with pod.socket(inet, socket.SOCK_STREAM) as server:
        server.bind((address, 8080))
        server.listen()
        assert ask(node, inet, vip) == "refused", "something else than IPVS serves the address"
        bracketed = (f"[{vip}]", f"[{address}]") if family == 6 else (vip, address)
        node.run(["ipvsadm", "-A", "-t", f"{bracketed[0]}:80", "-s", "rr"])
        node.run(["ipvsadm", "-a", "-t", f"{bracketed[0]}:80", "-r", f"{bracketed[1]}:8080", "-m"])
        threading.Thread(target=answer_once, args=(server,), daemon=True).start()
        assert ask(node, inet, vip) == "pod"


@pytest.mark.parametrize("side", ("bound", "ipset", "servers"))
def test_ipvs_side(side):
    """tests/property/ipvs_SIDE_cases.c, here where all the kernel's sides of the mode are there."""
    subprocess.run(["modprobe", "-a", "ip_vs", "dummy"], check=True)
    ran = subprocess.run([REPOSITORY / f"build/tests/property/ipvs_{side}_cases"], stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, text=True)
    print(ran.stdout)
    assert ran.returncode == 0


def answer_once(server):
    client, _ = server.accept()
    with client:
        client.sendall(b"pod")


def ask(space, inet, address):
    """What the server behind `address` says; "refused" when there is none."""
    with space.socket(inet, socket.SOCK_STREAM) as sock:
        sock.settimeout(patience.seconds(2))
        try:
            sock.connect((address, 80))
        except ConnectionRefusedError:
            return "refused"
        return sock.recv(16).decode()


def probe(node, *before, path="/usr/sbin:/usr/bin"):
    """What `fairlead probe` says of each mode."""
    lines = node.run([*before, "env", f"PATH={path}", labs.binary(), "probe"]).stdout.splitlines()
    return dict(line.split(maxsplit=1) for line in lines)


def unload(module):
    """With those that hold it; a namespace that is deleted lets go of what it used some time after."""
    folder = pathlib.Path("/sys/module") / module
    end = time.monotonic() + patience.seconds(5)
    while folder.exists():
        for holder in (folder / "holders").iterdir():
            unload(holder.name)
        done = subprocess.run(["modprobe", "-r", module], capture_output=True, text=True, check=False)
        assert done.returncode == 0 or time.monotonic() < end, done.stderr
        time.sleep(0.1 * (done.returncode != 0))


@contextlib.contextmanager
def hidden(module):
    """In the block that module is not there."""
    note = pathlib.Path("/etc/modprobe.d/hidden.conf")
    unload(module)
    note.parent.mkdir(exist_ok=True)
    note.write_text(f"install {module} /usr/bin/false\n")
    try:
        yield
    finally:
        note.unlink()


def test_probe_names_a_match(node):
    """It is missing, and then it is there."""
    missing = "the kernel has no match statistic (module xt_statistic)"
    with hidden("xt_statistic"):
        said = probe(node)
    assert said["nftables"] == "yes" and said["(none)"].startswith("nftables: ")
    assert said["iptables"] == said["userspace"] == f"no: iptables is not available: {missing}; nothing serves instead"
    assert probe(node)["iptables"] == "yes"


def test_probe_names_a_rule(node):
    """What nf_tables lacks shows in a rule that it refuses; nothing of the trial stays."""
    with hidden("nft_masq"):
        said = probe(node)
    refused = said["nftables"].removeprefix('no: nftables is not available: the kernel refuses the rule "')
    assert "masquerade" in refused.split('"')[0] and '" for IPv4: No such file' in refused, said
    assert said["auto"].startswith("iptables: the first of nftables, iptables that can serve here; nftables is not available")
    assert "fairlead" not in node.run(["nft", "list", "ruleset"]).stdout
    assert probe(node)["nftables"] == "yes"


@pytest.mark.parametrize("module, reason", [
    ("ip_set", "this kernel has no ipsets (the module ip_set)"), ("ip_vs", "this kernel has no IPVS, or its module ip_vs is"),
    ("dummy", "this kernel has no dummy interfaces (the module dummy)")])
def test_probe_of_ipvs(node, module, reason):
    """What mode ipvs lacks beside iptables; that serves instead, and nothing of the trial stays."""
    with hidden(module):
        said = probe(node)["ipvs"]
    assert said.startswith(f"no: {reason}") and said.endswith("; iptables serves instead")
    assert probe(node)["ipvs"] == "yes"
    assert "kube-ipvs0" not in node.run(["ip", "link"]).stdout


def test_probe_of_the_legacy_backend(node, tmp_path):
    """Who may load modules has them loaded by iptables itself; who may not has to find them."""
    for name in ("iptables-save", "iptables-restore"):
        (tmp_path / name).symlink_to("/usr/sbin/xtables-legacy-multi")
    subprocess.run(["modprobe", "-r", "-a", "ip6table_filter", "iptable_filter", "ip6_tables", "ip_tables"], check=False)
    path, few = f"{tmp_path}:/usr/bin", ["setpriv", "--bounding-set=-sys_module"]
    assert probe(node, path=path)["iptables"] == "yes"
    assert "the kernel has no ip_tables" in probe(node, *few, path=path)["iptables"]
    subprocess.run(["modprobe", "ip_tables"], check=True)
    assert probe(node, *few, path=path)["iptables"] == "yes"
