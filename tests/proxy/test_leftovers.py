# SPDX-License-Identifier: GPL-2.0-or-later
"""What a kube-proxy left on a node goes once fairlead has programmed it; what others made stays."""
import os
import pathlib
import re
import shutil
import signal

import fed
import lab as labs
import netns
import patience
import pytest
import topology
from proxy import wait_until

NODE = topology.Node("n5", 5, "us-west-1b")
BACKENDS = ["nft", "legacy"]
FAMILIES = {4: "iptables", 6: "ip6tables"}
DONE = "nothing of kube-proxy is left on this node"

# A CNI plug-in, the kubelet and an operator.
FOREIGN = """*nat
:CNI-HOSTPORT-DNAT - [0:0]
:KUBE-KUBELET-CANARY - [0:0]
:KUBE-OF-MINE - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
-A CNI-HOSTPORT-DNAT -p tcp -m tcp --dport 8080 -m comment --comment "dnat name: \\"cbr0\\" -j KUBE-SERVICES" -j RETURN
-A OUTPUT -m comment --comment "kubernetes service portals" -j CNI-HOSTPORT-DNAT
-A POSTROUTING -o uplink -j MASQUERADE
COMMIT
*filter
:FORWARD DROP [0:0]
:KUBE-FIREWALL - [0:0]
-A INPUT -j KUBE-FIREWALL
-A FORWARD -m comment --comment "kubernetes forwarding rules" -j ACCEPT
-A KUBE-FIREWALL -m mark --mark 0x8000/0x8000 -j DROP
COMMIT
*mangle
:KUBE-KUBELET-CANARY - [0:0]
:KUBE-IPTABLES-HINT - [0:0]
COMMIT
"""

# As modes iptables and ipvs make it.
PROXY = """*nat
:KUBE-EXT-ABCDEFGHIJKLMNOP - [0:0]
:KUBE-LOAD-BALANCER - [0:0]
:KUBE-MARK-MASQ - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-NODE-PORT - [0:0]
:KUBE-POSTROUTING - [0:0]
:KUBE-PROXY-CANARY - [0:0]
:KUBE-SEP-ABCDEFGHIJKLMNOP - [0:0]
:KUBE-SERVICES - [0:0]
:KUBE-SVC-ABCDEFGHIJKLMNOP - [0:0]
-I PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-I OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-I POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
-A KUBE-SERVICES -m set --match-set {set} dst,dst -j ACCEPT
-A KUBE-SERVICES -d {vip} -p tcp -m tcp --dport 80 -m comment --comment "default/web cluster IP" -j KUBE-SVC-ABCDEFGHIJKLMNOP
-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
-A KUBE-NODEPORTS -p tcp -m tcp --dport 30080 -j KUBE-EXT-ABCDEFGHIJKLMNOP
-A KUBE-EXT-ABCDEFGHIJKLMNOP -j KUBE-MARK-MASQ
-A KUBE-EXT-ABCDEFGHIJKLMNOP -j KUBE-SVC-ABCDEFGHIJKLMNOP
-A KUBE-SVC-ABCDEFGHIJKLMNOP -j KUBE-SEP-ABCDEFGHIJKLMNOP
-A KUBE-SEP-ABCDEFGHIJKLMNOP -p tcp -j DNAT --to-destination {pod}
-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
-A KUBE-POSTROUTING -m mark --mark 0x4000/0x4000 -j MASQUERADE --random-fully
COMMIT
*filter
:KUBE-EXTERNAL-SERVICES - [0:0]
:KUBE-FORWARD - [0:0]
:KUBE-IPVS-FILTER - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-PROXY-CANARY - [0:0]
:KUBE-PROXY-FIREWALL - [0:0]
:KUBE-SERVICES - [0:0]
-I INPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL
-I INPUT -m comment --comment "kubernetes health check service ports" -j KUBE-NODEPORTS
-I INPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes externally-visible service portals" -j KUBE-EXTERNAL-SERVICES
-I INPUT -m comment --comment "kubernetes ipvs access filter" -j KUBE-IPVS-FILTER
-I FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-I FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
-A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT
COMMIT
*mangle
:KUBE-PROXY-CANARY - [0:0]
COMMIT
"""
VALUES = {4: {"set": "KUBE-CLUSTER-IP", "vip": "10.96.9.9", "pod": "10.244.1.11:8080"},
          6: {"set": "KUBE-6-CLUSTER-IP", "vip": "fd00:10:96::909", "pod": "[fd00:10:244:1::11]:8080"}}
TABLES = """
table {0} kube-proxy {{
  map service-ips {{ type {1} . inet_proto . inet_service : verdict; }}
  chain services {{ {0} daddr . meta l4proto . th dport vmap @service-ips; }}
  chain nat-prerouting {{ type nat hook prerouting priority -100; jump services; }}
}}
"""
MINE = "table ip mine {\n chain kube-proxy {\n type filter hook input priority 0\n counter\n }\n }\n"


class Left:
    """A node's namespace with what a kube-proxy left in it."""

    def __init__(self, namespace):
        self.namespace = namespace

    def tool(self, backend, family, kind, *more, **options):
        return self.namespace.run([f"xtables-{backend}-multi", FAMILIES[family] + kind, *more], **options).stdout

    def lines(self, backend):
        """{family: what iptables-save says, without counters and dates}"""
        return {family: re.sub(r"\[\d+:\d+\]|#.*\n", "", self.tool(backend, family, "-save")) for family in FAMILIES}

    def fill(self, backend, text):
        for family in FAMILIES:
            self.tool(backend, family, "-restore", "--noflush", input=text.format(**VALUES[family]))

    def make_sets(self):
        for family, values in VALUES.items():
            self.namespace.run(["ipset", "create", values["set"], "hash:ip,port", "family", "inet6" if family == 6 else "inet"])
        self.namespace.run(["ipset", "create", "KUBE-OF-MINE", "hash:ip"])

    def sets(self):
        return self.namespace.run(["ipset", "list", "-n"]).stdout.split()

    def make_tables(self):
        text = TABLES.format("ip", "ipv4_addr") + TABLES.format("ip6", "ipv6_addr") + MINE
        self.namespace.run(["nft", "-f", "-"], input=text)

    def tables(self):
        """The nft tables that are no backend of iptables."""
        listed = self.namespace.run(["nft", "list", "tables"]).stdout.splitlines()
        return {line.removeprefix("table ") for line in listed} - {
            f"{family} {table}" for family in ("ip", "ip6") for table in ("nat", "filter", "mangle")}


KUBE_PROXYS = {"ip kube-proxy", "ip6 kube-proxy"}
OURS = {"ip fairlead", "ip6 fairlead"}


@pytest.fixture(scope="module", autouse=True)
def programs():
    missing = [tool for tool in ("xtables-nft-multi", "xtables-legacy-multi", "ipset") if not shutil.which(tool)]
    if missing:
        pytest.skip(f"needs {', '.join(missing)} (Debian: iptables ipset)")


@pytest.fixture(scope="module")
def kubeconfig(api):
    fed.create(api.rest(), [NODE.manifest()])
    return api.node_kubeconfig(NODE.name)


@pytest.fixture
def left(request, lab, namespaces):
    """A new namespace for each test: the legacy backend's tables, once made, stay."""
    if not hasattr(request.module, "hosts"):
        request.module.hosts = iter(range(60, 100))
    lab.namespaces[NODE.name] = fed.join_backbone(lab, namespaces, next(request.module.hosts))
    yield Left(lab.namespaces[NODE.name])
    made = lab.namespaces.pop(NODE.name)
    made.close()
    netns.delete([made.name])


@pytest.fixture
def proxy(lab, left, kubeconfig):
    made = fed.FedProxy(lab, NODE.name, kubeconfig, {"v": "2"})
    (lab.directory / made.log_name).unlink(missing_ok=True)
    yield made
    made.stop()
    print(f"--- log of {made.node}\n{made.log()[-3000:]}")


def wait_log(proxy, words):
    wait_until(lambda: words in proxy.log(), 20, lambda: f"`{words}` in the log:\n{proxy.log()[-3000:]}")


def clean_up(left, path=None):
    """`fairlead proxy --cleanup`, with that $PATH."""
    argv = ["env", f"PATH={path}"] if path is not None else []
    return left.namespace.run([*argv, os.path.abspath(labs.binary()), "proxy", "--cleanup"], check=False, timeout=60)


@pytest.mark.parametrize("backend", BACKENDS)
def test_only_kube_proxys_are_removed(left, proxy, backend):
    left.fill(backend, FOREIGN)
    want = left.lines(backend)
    left.make_sets()
    left.make_tables()
    left.fill(backend, PROXY)
    assert left.lines(backend) != want
    proxy.start()
    wait_log(proxy, DONE)
    assert left.lines(backend) == want
    assert left.tables() == OURS | {"ip mine"}
    assert left.sets() == ["KUBE-OF-MINE"]
    # Of the kernel's settings some are the machine's, not the node's.
    warnings = [words for words in re.findall(r"(?m)^W \S+ (.*)", proxy.log()) if "cannot be set to" not in words]
    assert len(warnings) == 2 and all("FORWARD" in words and "policy DROP" in words for words in warnings)


def test_looking_makes_nothing(left, proxy):
    proxy.start()
    wait_log(proxy, DONE)
    assert left.namespace.run(["nft", "list", "tables"]).stdout.split() == "table ip fairlead table ip6 fairlead".split()
    for name in ("ip_tables_names", "ip6_tables_names"):
        assert left.namespace.run(["cat", f"/proc/net/{name}"]).stdout == ""
    assert "removed" not in proxy.log()


def test_lent_masquerading_stays(left, proxy):
    """A CNI plug-in that marks by kube-proxy's chain goes on being masqueraded."""
    left.fill("nft", FOREIGN)
    left.make_sets()
    left.fill("nft", PROXY)
    left.namespace.run(["xtables-nft-multi", "iptables", "-t", "nat", "-A", "CNI-HOSTPORT-DNAT", "-p", "tcp", "-j",
                        "KUBE-MARK-MASQ"])
    proxy.start()
    wait_log(proxy, DONE)
    wait_log(proxy, "KUBE-MARK-MASQ, KUBE-POSTROUTING of iptables-nft for IPv4 stay")
    rules = left.lines("nft")[4]
    for kept in ("-A CNI-HOSTPORT-DNAT -p tcp -j KUBE-MARK-MASQ", "-A KUBE-MARK-MASQ -j MARK", "-A KUBE-POSTROUTING -m mark",
                 '--comment "kubernetes postrouting rules" -j KUBE-POSTROUTING'):
        assert kept in rules
    assert "KUBE-SVC-ABC" not in rules and "KUBE-SERVICES " not in rules.replace('-j KUBE-SERVICES" -j RETURN', "")


def test_interface_of_another_kind_stays(left, proxy):
    left.namespace.run(["ip", "link", "add", "kube-ipvs0", "type", "bridge"])
    proxy.start()
    wait_log(proxy, DONE)
    assert "kube-ipvs0" in left.namespace.run(["ip", "link"]).stdout


def test_set_that_is_let_go_late(left, proxy):
    rule = "OUTPUT -m set --match-set KUBE-6-CLUSTER-IP dst,dst -j ACCEPT".split()
    left.make_sets()
    left.tool("nft", 6, "", "-A", *rule)
    proxy.start()
    wait_until(lambda: "KUBE-CLUSTER-IP" not in left.sets(), 20, lambda: f"the first set goes: {left.sets()}")
    assert "KUBE-6-CLUSTER-IP" in left.sets()
    left.tool("nft", 6, "", "-D", *rule)
    wait_log(proxy, DONE)
    assert left.sets() == ["KUBE-OF-MINE"]


def test_set_in_use_stays(left):
    left.make_sets()
    left.tool("nft", 4, "", *"-A OUTPUT -m set --match-set KUBE-CLUSTER-IP dst,dst -j ACCEPT".split())
    done = clean_up(left)
    assert done.returncode == 1 and "the ipset KUBE-CLUSTER-IP cannot be destroyed: Device or resource busy" in done.stderr
    assert left.sets() == ["KUBE-CLUSTER-IP", "KUBE-OF-MINE"]


def test_nothing_is_removed_before_it_is_programmed(lab, left, proxy, api):
    left.make_tables()
    left.make_sets()
    left.fill("nft", PROXY)
    before = left.lines("nft")
    good = proxy.kubeconfig.read_text()
    proxy.use(good.replace(f":{fed.embedded.PORT}", ":9"))  # nobody is there
    proxy.start()
    wait_log(proxy, "Failed to connect")
    assert not proxy.is_ready()
    assert left.tables() >= KUBE_PROXYS and left.lines("nft") == before
    proxy.stop()
    proxy.use(good)
    proxy.start({"FAIRLEAD_FAULT": "transaction:1"})
    wait_log(proxy, DONE)
    log = proxy.log()
    assert log.index("services are programmed") < log.index("kube-proxy's nftables table for IPv4 is removed")
    assert not left.tables() & KUBE_PROXYS


def test_without_programs(left, proxy):
    """The rest is removed all the same; what stays is said, and an exit status."""
    left.make_tables()
    left.make_sets()
    left.fill("nft", PROXY)
    before = left.lines("nft")
    proxy.start({"PATH": "/nowhere"})
    wait_log(proxy, "not all that kube-proxy left could be removed")
    assert "there is no program xtables-nft-multi here" in proxy.log()
    proxy.wait_ready()
    assert left.tables() == OURS | {"ip mine"} and left.lines("nft") == before
    proxy.stop()
    done = clean_up(left, "/nowhere")
    assert done.returncode == 1 and "there is no program xtables-nft-multi here" in done.stderr
    assert left.tables() == {"ip mine"}
    assert clean_up(left).returncode == 0 and "KUBE" not in left.lines("nft")[4]


def test_nothing_to_remove_needs_no_program(left):
    done = clean_up(left, "/nowhere")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("words", [["proxy", "--cleanup"], ["cleanup"]])
def test_without_rights_nothing_is_tried(lab, words):
    """One sentence, not one for each thing that may be left."""
    bare = ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"]
    done = lab.namespace("client").run([*bare, os.path.abspath(labs.binary()), *words], check=False)
    assert done.returncode == 1
    told = (done.stdout + done.stderr).splitlines()
    assert len(told) == 1 and "that takes root, or CAP_NET_ADMIN" in told[0], told


@pytest.mark.parametrize("backend", BACKENDS)
def test_cleanup_removes_both(left, proxy, backend):
    left.fill(backend, FOREIGN)
    want = left.lines(backend)
    proxy.start()
    wait_log(proxy, DONE)
    proxy.stop()
    left.make_sets()
    left.fill(backend, PROXY)
    left.make_tables()
    done = clean_up(left)
    assert done.returncode == 0, done.stderr
    assert left.lines(backend) == want and left.tables() == {"ip mine"} and left.sets() == ["KUBE-OF-MINE"]
    assert clean_up(left).returncode == 0


def test_failing_program(tmp_path, left, proxy):
    left.make_sets()
    left.fill("nft", PROXY)
    before = left.lines("nft")
    fake_program(tmp_path, "echo first word >&2; echo second >&2; exit 4")
    done = clean_up(left, f"{tmp_path}:{os.environ['PATH']}")
    assert done.returncode == 1
    assert "iptables-save failed with exit code 4: first word; second: what kube-proxy may have left" in done.stderr
    assert left.lines("nft") == before


def test_hanging_program(tmp_path, left, proxy, prober, lab):
    """It does not keep the daemon from working, nor from ending, and goes with it."""
    left.make_sets()
    left.fill("nft", PROXY)
    fake_program(tmp_path, f"echo $$ > {tmp_path}/pid; sleep 1000; exit 0")
    proxy.start({"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip(), 20, "the program runs")
    pid = int((tmp_path / "pid").read_text())
    try:
        proxy.wait_ready()
        child = proxy.child
        child.terminate()
        assert child.wait(patience.seconds(5)) == 0
        assert not pathlib.Path(f"/proc/{pid}").exists()
    finally:
        if pathlib.Path(f"/proc/{pid}").exists():
            os.killpg(pid, signal.SIGKILL)


def fake_program(folder, script):
    program = folder / "xtables-nft-multi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
