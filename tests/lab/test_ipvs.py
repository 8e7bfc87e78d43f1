# SPDX-License-Identifier: GPL-2.0-or-later
"""The mode ipvs as its operator sees it: ipvsadm, `fairlead explain`, `fairlead dump`, the metrics, a KubeProxyConfiguration."""
import re

import lab as labs
import manifests
import pytest
import yaml
from ipvs import SET_PREFIX, Node, parse_servers
from probe import Question
from proxy import DEFAULTS, Proxy
from topology import HOSTNAME_LABEL, POD_CIDR, ZONE_LABEL

ADDRESS, SIX = "10.96.44.1", "fd00:10:96::4401"
EXTERNAL, BALANCED = "198.51.100.145", "203.0.113.145"
SYSCTLS = {"vs/conntrack": 1, "vs/expire_nodest_conn": 1, "vs/expire_quiescent_template": 1, "vs/conn_reuse_mode": 1,
           "ip_forward": 1}
STRICT = {"conf/all/arp_ignore": 1, "conf/all/arp_announce": 2}


def sysctls(node, names):
    return {name: int(node.run("cat", f"/proc/sys/net/ipv4/{name}")) for name in names}


def turns(log):
    """(services that changed, elements in, elements out) of every turn in the log."""
    return [tuple(map(int, match)) for match in re.findall(r"turn \d+: (\d+) services, (\d+) elements in, (\d+) out", log)]


# --- ipvsadm

DNS = "10.66.0.2"


def dns_lines(text):
    """The lines of `ipvsadm -Ln` about port 53, and what is below them."""
    lines = text.splitlines()[3:]
    begins = [at for at, line in enumerate(lines) if f"{DNS}:53 " in line]
    return [[lines[begin], *_reals(lines[begin + 1:])] for begin in begins]


def _reals(lines):
    for line in lines:
        if not line.startswith("  ->"):
            return
        yield line


def test_topology_keys(ipvs_node, lab):
    """A node with an endpoint of its own has that one alone, the others have all; line by line as operators know it."""
    ipvs_node.write("dns.yaml", manifests.simple(
        "kube-dns", lab.topology, [DNS], "a1 a2", port=53, target=53, protocols=("UDP", "TCP"),
        spec={"topologyKeys": [HOSTNAME_LABEL, ZONE_LABEL, "*"]}))
    own = "  -> 10.244.1.11:53               Masq    1      0          0         "
    other = "  -> 10.244.2.11:53               Masq    1      0          0         "
    assert dns_lines(ipvs_node.run("ipvsadm", "-Ln")) == [[f"TCP  {DNS}:53 rr", own], [f"UDP  {DNS}:53 rr", own]]
    with Node(lab, "n3", ipvs_node.folder) as elsewhere:
        assert dns_lines(elsewhere.run("ipvsadm", "-Ln")) == [[f"TCP  {DNS}:53 rr", own, other],
                                                              [f"UDP  {DNS}:53 rr", own, other]]
    ipvs_node.remove("dns.yaml")


def test_sysctls(ipvs_node):
    """As kube-proxy on a kernel of 5.9 and later, where the reuse of ports is mended: that one stays as it was. A
    stand-alone node is strict by itself."""
    assert sysctls(ipvs_node, SYSCTLS | STRICT) == SYSCTLS | STRICT


@pytest.fixture(scope="module")
def shop(ipvs_node, lab):
    """A Service with every kind of frontend, in both families, with affinity."""
    spec = {"type": "LoadBalancer", "sessionAffinity": "ClientIP", "externalIPs": [EXTERNAL],
            "externalTrafficPolicy": "Local", "healthCheckNodePort": 32451, "loadBalancerSourceRanges": ["172.18.0.0/24"],
            "ports": [{"name": "tcp", "protocol": "TCP", "port": 80, "targetPort": 8080, "nodePort": 31451}]}
    ipvs_node.write("shop.yaml", manifests.simple("shop", lab.topology, [ADDRESS, SIX], "a1 b1 a2", spec=spec,
                                                  vips=[BALANCED]))
    ipvs_node.settle()
    yield ipvs_node
    ipvs_node.remove("shop.yaml")


def test_persistence(shop):
    """The endpoint that a client had, and at several addresses the one that its address leads to."""
    shop.simple("sticky", "10.96.44.3", "a1 b1", spec={"sessionAffinity": "ClientIP"})
    servers = shop.servers()
    shop.remove("sticky.yaml")
    assert (servers["TCP 10.96.44.3:80"].scheduler, servers["TCP 10.96.44.3:80"].words) == ("rr", "persistent 10800")
    for name in (f"TCP {ADDRESS}:80", f"TCP [{SIX}]:80", f"TCP {EXTERNAL}:80", "TCP 172.18.0.11:31451"):
        assert (servers[name].scheduler, servers[name].words) == ("mh", "persistent 10800"), name


@pytest.mark.parametrize("question", [f"{ADDRESS}:80/tcp", f"[{SIX}]:80/tcp", f"{BALANCED}:80/tcp", "172.18.0.11:31451/tcp"])
def test_explain_agrees(shop, question):
    text = shop.proxy.tool("explain", question).stdout
    assert "it agrees" in text and "set KUBE-" in text and "weight 1, 0 connections" in text, text


@pytest.mark.parametrize("damage, mend, words", [
    (["ipvsadm", "-d", "-t", f"{ADDRESS}:80", "-r", "10.244.1.11:8080"],
     ["ipvsadm", "-a", "-t", f"{ADDRESS}:80", "-r", "10.244.1.11:8080", "-m", "-w", "1"], "1 real servers are MISSING"),
    (["ipvsadm", "-e", "-t", f"{ADDRESS}:80", "-r", "10.244.1.11:8080", "-m", "-w", "3"],
     ["ipvsadm", "-e", "-t", f"{ADDRESS}:80", "-r", "10.244.1.11:8080", "-m", "-w", "1"], "the weight DIFFERS"),
    (["ipset", "del", "KUBE-CLUSTER-IP", f"{ADDRESS},tcp:80"], ["ipset", "add", "KUBE-CLUSTER-IP", f"{ADDRESS},tcp:80"],
     f"set KUBE-CLUSTER-IP: {ADDRESS},tcp:80 MISSING"),
], ids=["real server", "weight", "member"])
def test_explain_sees_damage(shop, damage, mend, words):
    """It asks the kernel at that moment. Where the daemon has mended it already, once more."""
    before = shop.holds()
    for _ in range(5):
        shop.run(*damage)
        text = shop.proxy.tool("explain", f"{ADDRESS}:80/tcp").stdout
        shop.run(*mend, check=False)
        if "it does NOT agree" in text:
            break
    assert shop.holds() == before
    assert "it does NOT agree" in text and words in text, text


def test_dump(shop):
    """`fairlead dump` is what the kernel has: servers, members, rules."""
    text = shop.proxy.tool("dump").stdout
    said = [line.split() for line in text.splitlines()]
    assert {tuple(words[1:3]) for words in said if words[:1] == ["add"]} == \
        {(name, member.split()[0]) for name, members in shop.sets().items() for member in members}
    header = "IP Virtual Server\nProt\n  ->\n"
    dumped = parse_servers(header + "\n".join(line for line in text.splitlines()
                                              if re.match("(TCP|UDP|SCTP|FWM|  ->) ", line)))
    assert dumped == shop.servers()
    assert sorted(line for line in text.splitlines() if line.startswith("-A ")) == shop.rules()


def test_counts(shop):
    """The numbers in the metrics are the kernel's, both families together."""
    page = shop.run("curl", "-sf", "http://127.0.0.1:10249/metrics")
    counted = {name: int(float(value)) for name, value in
               re.findall(r'^fairlead_kernel_elements\{map="([^"]+)"\} (\S+)$', page, re.MULTILINE)}
    servers, sets = shop.servers(), shop.sets()
    assert counted.pop("virtual-servers") == len(servers)
    assert counted.pop("real-servers") == sum(len(server.reals) for server in servers.values())
    assert counted["KUBE-CLUSTER-IP"] == 2
    for name, count in counted.items():
        six = name.replace("KUBE-", SET_PREFIX[6]).replace("FAIRLEAD-", "FAIRLEAD-6-")[:31]
        assert count == len(sets[name]) + len(sets[six]), name


def test_change_touches_its_own(shop):
    """One endpoint more is one real server and one member more at each place that is its own; others keep what they
    counted, which what was made anew would not."""
    shop.simple("beside", "10.96.44.2", "a1 b1")
    before, since = shop.holds(), len(shop.proxy.log())
    counted = shop.run("ipvsadm", "-Ln", "--stats")
    shop.simple("beside", "10.96.44.2", "a1 b1 c1")
    after = shop.holds()
    assert turns(shop.proxy.log()[since:]) == [(1, 2, 0)]  # the real server, and that it may meet itself
    assert after[0].pop("TCP 10.96.44.2:80") != before[0].pop("TCP 10.96.44.2:80")
    assert after[1]["KUBE-LOOP-BACK"] - before[1].pop("KUBE-LOOP-BACK") == {"10.244.1.13,tcp:8080,10.244.1.13"}
    after[1].pop("KUBE-LOOP-BACK")
    assert after == before
    assert [line for line in shop.run("ipvsadm", "-Ln", "--stats").splitlines() if "10.244.1.13" not in line] == \
        counted.splitlines()
    since = len(shop.proxy.log())
    shop.remove("beside.yaml")
    assert turns(shop.proxy.log()[since:])[0][:2] == (1, 0)


# --- whose answer it is

@pytest.mark.parametrize("protocol", ["tcp", "udp", "sctp"])
@pytest.mark.parametrize("family", [4, 6])
def test_masquerading_keeps_off_the_ports_of_sockets(ipvs_node, lab, prober, protocol, family):
    """Sockets have theirs from 32768 on (ip_local_port_range). IPVS does not ask conntrack whose answer it sees: a node
    that a socket of ours came through would take a masqueraded one for it, were the ports and the endpoint the same."""
    port = {"name": protocol, "protocol": protocol.upper(), "port": 80, "targetPort": 8080, "nodePort": 31452}
    ipvs_node.write("ports.yaml", manifests.simple("ports", lab.topology, ["10.96.44.9", "fd00:10:96::4409"], "a2",
                                                   protocols=(protocol.upper(),), spec={"type": "NodePort", "ports": [port]}))
    ipvs_node.settle()
    node = lab.topology.nodes["n1"].address(family)
    asked = prober.run(prober.ask(Question("client", protocol, node, 31452, via="n1", timeout_s=2)) for _ in range(30))
    ipvs_node.remove("ports.yaml")
    assert {verdict.source for verdict in asked} == {node}
    assert all(1024 <= verdict.source_port < 32768 for verdict in asked), sorted(verdict.source_port for verdict in asked)


# --- a KubeProxyConfiguration

SCHEDULERS = ("rr", "wrr", "lc", "wlc", "lblc", "lblcr", "sh", "dh", "sed", "nq", "mh", "fo", "ovf")


class Configured(Proxy):
    """`fairlead proxy` on n3 by a file, which is read again when it changes."""

    def __init__(self, lab, kubeconfig):
        super().__init__(lab, "n3", None)
        self.file = lab.directory / "configured.yaml"
        self.kubeconfig = kubeconfig
        self.log_name = "configured.log"

    def argv(self):
        return [labs.binary(), "proxy", "--config", str(self.file), "--control-socket", str(self.socket)]

    def write(self, **ipvs):
        beside = self.file.with_suffix(".new")
        beside.write_text(yaml.safe_dump({
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration", "mode": "ipvs", "ipvs": ipvs,
            "clientConnection": {"kubeconfig": str(self.kubeconfig)}, "hostnameOverride": "n3", "clusterCIDR": POD_CIDR[4],
            "nodePortAddresses": DEFAULTS["nodeport-addresses"].split(",")}))
        beside.rename(self.file)


@pytest.fixture(scope="module")
def configured(lab):
    """n3 by a configuration, fed by the API server on n2."""
    data, address = lab.directory / "api", lab.topology.nodes["n2"].address(4)
    server = Proxy(lab, "n2", None, {"api": f"{address}:6443", "data-dir": str(data), "cluster-cidr": POD_CIDR[4],
                                     "service-cluster-ip-range": "10.96.0.0/16", "manifests": None})
    server.argv = lambda: [labs.binary(), "standalone", "--hostname-override", "n2", "--control-socket", str(server.socket),
                           *(f"--{name}={value}" for name, value in server.flags.items() if value)]
    node = Node(lab, "n3", manifests.Folder(lab.directory / "unused"))
    try:
        server.start()
        server.wait_ready()
        kubeconfig = lab.directory / "n3.kubeconfig"
        kubeconfig.touch(0o600)
        kubeconfig.write_text(node.run(labs.binary(), "kubeconfig", "--node", "n3", "--server", f"https://{address}:6443",
                                       "--data-dir", str(data)))
        node.namespace.sysctl({f"net/ipv4/{name}": 0 for name in STRICT})
        node.proxy = Configured(lab, kubeconfig)
        node.proxy.write(tcpTimeout="901s", tcpFinTimeout="31s", udpTimeout="61s", excludeCIDRs=["10.96.55.0/24"])
        node.run("ipvsadm", "-A", "-t", "10.96.55.7:80", "-s", "wlc")
        node.run("ipvsadm", "-A", "-t", "10.96.56.7:80", "-s", "wlc")
        with node:
            yield node
    finally:
        server.stop()
        lab.reset_node("n2")


KUBERNETES = "TCP 10.96.0.1:443"


def test_timeouts(configured):
    assert "Timeout (tcp tcpfin udp): 901 31 61" in configured.run("ipvsadm", "-L", "--timeout")


def test_excluded_ranges(configured):
    """What somebody else has in them stays as it is; what is outside is taken for ours, and is not wanted."""
    servers = configured.servers()
    assert servers["TCP 10.96.55.7:80"].scheduler == "wlc" and "TCP 10.96.56.7:80" not in servers


def test_schedulers(configured):
    """The file changes, the daemon goes on: each of the kernel's is taken, and real servers stay."""
    reals = configured.reals(KUBERNETES)
    assert reals
    for name in SCHEDULERS[1:]:
        configured.proxy.write(scheduler=name)
        configured.becomes(name, lambda name=name: configured.servers()[KUBERNETES].scheduler == name)
        assert configured.servers()[KUBERNETES].words == ("(mh-port)" if name == "mh" else ""), name
        assert configured.reals(KUBERNETES) == reals
    configured.proxy.write()
    configured.becomes("rr", lambda: configured.servers()[KUBERNETES].scheduler == "rr")


def test_strict_arp(configured):
    """Asked for, it is set; not asked for, it is nobody's."""
    assert sysctls(configured, STRICT) == {name: 0 for name in STRICT}
    configured.proxy.write(strictARP=True)
    configured.becomes("strict", lambda: sysctls(configured, STRICT) == STRICT)
