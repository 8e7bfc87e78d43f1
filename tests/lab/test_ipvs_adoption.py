# SPDX-License-Identifier: GPL-2.0-or-later
"""A node under load goes from a real kube-proxy in mode ipvs ($KUBE_PROXY_BIN) to fairlead in mode ipvs, and back. Both have
virtual servers, ipsets, kube-ipvs0 and chains by the same names: who comes finds what who went has left.

The API server of both is fairlead's, on another node of the lab; objects come to it by its folder.
"""
import contextlib
import os
import re
import subprocess
import time

import lab as labs
import manifests
import network
import patience
import pytest
from ipvs import Connection, Node
from load import Load
from proxy import DEFAULTS, Proxy, wait_until

KUBE_PROXY = os.environ.get("KUBE_PROXY_BIN", "")
pytestmark = pytest.mark.skipif(not os.access(KUBE_PROXY, os.X_OK), reason="needs a kube-proxy: KUBE_PROXY_BIN names none")

SYNC_S = 30  # of kube-proxy: some sixty programs, one after another, for each family
STEADY_S = 0.5
SURE = 40  # (2/3)^40: one in ten million that a third of the pods was never met
CLUSTER_IPS = ["10.96.8.1", "fd00:10:96::801"]
VIP, EXTERNAL_IP, NODE_PORT = "198.51.100.81", "198.51.100.82", 30881
LOCAL_IP, LOCAL_VIP, LOCAL_NODE_PORT = "10.96.8.2", "198.51.100.83", 30882
STICKY_IP, STICKY_EXTERNAL_IP = "10.96.8.3", "198.51.100.84"
BRIEF_IP, BRIEF_EXTERNAL_IP = "10.96.8.4", "198.51.100.85"
SHRINKING_IP = "10.96.8.5"
ZEROS = ("max-per-core", "min", "tcp-timeout-established", "tcp-timeout-close-wait")


def ports(*node_ports, protocols=("TCP",)):
    return [{"name": name.lower(), "protocol": name, "port": 80, "targetPort": 8080, **({"nodePort": port} if port else {})}
            for name, port in zip(protocols, node_ports or (0,) * len(protocols))]


def shrinking(topology, endpoints):
    return manifests.simple("shrinking", topology, [SHRINKING_IP], endpoints, protocols=("TCP", "UDP"))


def brief(topology):
    return manifests.simple("brief", topology, [BRIEF_IP], "a1 a2", spec={"externalIPs": [BRIEF_EXTERNAL_IP]})


def objects(topology):
    """{file: objects}, of every kind of frontend that the two programs lay out in their own ways, too."""
    both = ("TCP", "UDP")
    return {
        "switched": manifests.simple("switched", topology, CLUSTER_IPS, "a1 a2 a3", protocols=both, vips=[VIP], spec={
            "type": "LoadBalancer", "externalIPs": [EXTERNAL_IP], "ports": ports(NODE_PORT, NODE_PORT, protocols=both)}),
        "local": manifests.simple("local", topology, [LOCAL_IP], "a1 b1 a2", vips=[LOCAL_VIP], spec={
            "type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": 32381,
            "loadBalancerSourceRanges": ["172.18.0.0/24", "10.244.0.0/16"], "ports": ports(LOCAL_NODE_PORT)}),
        "sticky": manifests.simple("sticky", topology, [STICKY_IP], "a1 a2 a3", spec={
            "sessionAffinity": "ClientIP", "externalIPs": [STICKY_EXTERNAL_IP]}),
        "shrinking": shrinking(topology, "a1 a2"),
        "brief": brief(topology),
    }


def one_address(node):
    """A server-side apply, which a folder beside an API is, knows a node's addresses by their types."""
    node["status"]["addresses"] = [one for one in node["status"]["addresses"] if ":" not in one["address"]]
    return node


class Server(Proxy):
    """The API server: a daemon on n2 whose folder is what the cluster has."""

    def __init__(self, lab):
        self.address = lab.topology.nodes["n2"].address(4)
        super().__init__(lab, "n2", manifests.Folder(lab.directory / "adoption"), {
            "api": f"{self.address}:6443", "data-dir": str(lab.directory / "adoption-api"),
            "service-cluster-ip-range": ",".join(manifests.service_cidr()["spec"]["cidrs"])})
        self.mode = "nftables"
        self.folder.clear()
        self.folder.write("nodes.yaml", [one_address(node.manifest()) for node in lab.topology.nodes.values()])
        self.restore()

    def restore(self):
        for name, content in objects(self.lab.topology).items():
            self.folder.write(f"{name}.yaml", content)

    def kubeconfig(self):
        return self.lab.namespace("n1").run([labs.binary(), "kubeconfig", "--node", "n1", "--server",
                                             f"https://{self.address}:6443", "--data-dir", self.flags["data-dir"]]).stdout


class Fed(Proxy):
    """One of the two programs on n1, by the kubeconfig of a file."""

    def __init__(self, lab, kubeconfig):
        super().__init__(lab, "n1", None)
        self.kubeconfig = kubeconfig
        self.mode = "ipvs"
        self.log_name = f"{type(self).__name__}.log"

    def arguments(self):
        return [f"--kubeconfig={self.kubeconfig}", "--hostname-override=n1", "--proxy-mode=ipvs",
                *(f"--{name}={value}" for name, value in self.flags.items())]


class Fairlead(Fed):
    def argv(self):
        return [labs.binary(), "proxy", "--control-socket", str(self.socket), *self.arguments()]


class KubeProxy(Fed):
    def __init__(self, lab, kubeconfig):
        super().__init__(lab, kubeconfig)
        self.flags = {name: DEFAULTS[name] for name in ("cluster-cidr", "nodeport-addresses")}
        self.flags.update({f"conntrack-{name}": 0 for name in ZEROS}, v=2)

    def argv(self):
        return [KUBE_PROXY, *self.arguments()]

    def synced(self):
        """When each family was programmed last: none before it was once."""
        page = self.lab.namespace("n1").run(["curl", "-s", "http://127.0.0.1:10249/metrics"], check=False).stdout
        return re.findall(r"(?m)^kubeproxy_sync_proxy_rules_last_timestamp_seconds\b.* ([1-9]\S+)", page)

    def wait_ready(self):
        wait_until(lambda: len(self.synced()) == 2, SYNC_S, lambda: f"kube-proxy has programmed; its log ends:\n"
                   f"{self.log()[-3000:]}")


@pytest.fixture(scope="module")
def world(lab):
    """(n1 as a Node, its KubeProxy, its Fairlead, the Server)."""
    # Its rules ask for physdev, and that loads what shows bridged packets to everybody's rules, unless told not to.
    subprocess.run(["modprobe", "br_netfilter"], check=False)
    lab.namespace("backbone").sysctl(network.sysctls("backbone"))
    server, node = Server(lab), Node(lab, folder=manifests.Folder(lab.directory / "unused"))
    programs = []
    try:
        server.start()
        server.wait_ready()
        kubeconfig = lab.directory / "adoption.kubeconfig"
        kubeconfig.touch(0o600)
        kubeconfig.write_text(server.kubeconfig())
        programs = [KubeProxy(lab, kubeconfig), Fairlead(lab, kubeconfig)]
        yield node, *programs, server
    finally:
        for program in [*programs, server]:
            program.stop()
        for name in ("n1", "n2"):
            lab.reset_node(name)


@pytest.fixture(autouse=True)
def last_words(world):
    """Of a test that fails."""
    yield
    for program in world[1:]:
        print(f"--- {program.log_name}\n{program.log()[-3000:]}")
    for argv in (["ipvsadm", "-Ln"], ["ip", "-o", "addr", "show", "dev", "kube-ipvs0"]):
        print(world[0].run(*argv, check=False))


def state(node):
    """All that the node's kernel holds for services, but who leaves; the rules of a chain in their order."""
    servers, sets, bound, _ = node.holds()
    rules = [line for family in ("iptables", "ip6tables") for line in node.run(f"{family}-save").splitlines()
             if re.search("^-A .*(KUBE-|FAIRLEAD-)", line)]
    own = re.compile("-A (KUBE|FAIRLEAD)-")
    return ({name: (scheduler, words, {real for real, weight in reals.items() if weight})
             for name, (scheduler, words, reals) in servers.items()}, sets, bound,
            sorted(rules, key=lambda line: (line.split()[1], "" if own.match(line) else line)))


def differences(have, want):
    """What tells two states apart, in few lines."""
    found = []
    for one, other in zip(have[:2], want[:2]):
        found += [(key, one.get(key), other.get(key)) for key in sorted(one.keys() | other.keys())
                  if one.get(key) != other.get(key)]
    found.append(sorted(have[2] ^ want[2]))
    found += [f"{'+' if line in have[3] else '-'} {line}" for line in sorted(set(have[3]) ^ set(want[3]))]
    return found


def assert_same(have, want):
    assert have == want, differences(have, want)


def connections(node):
    """{virtual server: how many connections it has scheduled since it was made}."""
    lines = [line.split() for line in node.run("ipvsadm", "-Ln", "--stats", "--exact").splitlines()[3:]]
    return {" ".join(words[:2]): int(words[2]) for words in lines if words[0] in ("TCP", "UDP")}


@pytest.fixture
def load(lab, prober):
    one = lab.topology.nodes["n1"]
    everywhere = [("d1", CLUSTER_IPS[0], 80), ("d1", CLUSTER_IPS[1], 80), ("n1", CLUSTER_IPS[0], 80),
                  ("client", one.address(4), NODE_PORT), ("client", one.address(6), NODE_PORT), ("client", VIP, 80),
                  ("client", EXTERNAL_IP, 80)]
    others = [("d1", LOCAL_IP, 80), ("client", LOCAL_VIP, 80), ("client", one.address(4), LOCAL_NODE_PORT),
              ("d1", STICKY_IP, 80), ("client", STICKY_EXTERNAL_IP, 80)]
    return Load(prober, everywhere + others, established=1, flows=everywhere, patience_s=5.0)


def wait_sources(load, counts):
    """What pods see of each client, once all of them have surely been asked."""
    wait_until(lambda: all(counts.sources[target].total() >= SURE for target in load.targets), 30,
               lambda: f"the sources that the pods see: {counts}, {counts.sources}, {counts.refused[:5]}")
    return sources(counts)


def sources(counts):
    return {target: set(seen) for target, seen in list(counts.sources.items())}


def assert_untouched(counts, before):
    assert counts.opened and counts.echoed and counts.answered
    assert not counts.lost, counts.lost[:5]
    assert not counts.unanswered, (len(counts.unanswered), counts.unanswered[:5])
    assert not counts.refused, (len(counts.refused), counts.refused[:5])
    assert sources(counts) == before, "somebody's address was translated otherwise in between"


def settle():
    time.sleep(patience.seconds(STEADY_S))


def empty(world):
    """Nothing runs, and nothing is there of anybody. The kernel lets go of a deleted rule's set some time after."""
    node, *programs, _ = world
    for program in programs:
        program.stop()
    node.lab.reset_node("n1")
    wait_until(lambda: node.namespace.run(["ipset", "destroy"], check=False).returncode == 0, 5, "the sets are gone")


def left_alone(world, program):
    """The state that a program makes on a node where nothing was."""
    empty(world)
    program.start()
    program.wait_ready()
    settle()
    made = state(world[0])
    empty(world)
    return made


def test_to_fairlead(lab, world, load, tell):
    """What is there afterwards is what fairlead makes where nothing was, and what is wanted by both was not made anew."""
    node, peer, fairlead, server = world
    server.folder.write("shrinking.yaml", shrinking(lab.topology, "a1"))
    server.folder.remove("brief.yaml")
    want = left_alone(world, fairlead)
    server.restore()
    peer.start()
    peer.wait_ready()
    with contextlib.ExitStack() as held:
        kept = [held.enter_context(Connection(lab, "d1", SHRINKING_IP, 80)) for _ in range(2)]
        kept.append(held.enter_context(Connection(lab, "d1", BRIEF_EXTERNAL_IP, 80)))
        assert {one.pod for one in kept[:2]} == {"a1", "a2"}
        with load as counts:
            before = wait_sources(load, counts)
            peer.stop()
            served = connections(node)
            server.folder.write("shrinking.yaml", shrinking(lab.topology, "a1"))  # while nobody is there
            server.folder.remove("brief.yaml")
            settle()
            fairlead.start()
            fairlead.wait_ready()
            settle()
            after = connections(node)
            assert all(after[name] >= served[name] for name in want[0] if name in served), (served, after)
            assert node.reals(f"TCP {SHRINKING_IP}:80")["10.244.2.11:8080"] == 0, "it leaves"
            assert all(one.is_alive() for one in kept)
        tell(counts)
        assert_untouched(counts, before)
    node.becomes("nothing is left of what nobody wants", lambda: f"TCP {BRIEF_EXTERNAL_IP}:80" not in node.servers())
    node.settle()
    assert_same(state(node), want)
    fairlead.stop()


def test_back_to_kube_proxy(world, load, tell):
    """kube-proxy programs, then `fairlead cleanup` takes away what is fairlead's alone."""
    node, peer, fairlead, server = world
    server.restore()
    want = left_alone(world, peer)
    fairlead.start()
    fairlead.wait_ready()
    with load as counts:
        before = wait_sources(load, counts)
        fairlead.stop()
        settle()
        peer.start()
        peer.wait_ready()
        settle()
        fairlead.tool("cleanup", timeout=60)
        cleaned = state(node)
        settle()
    tell(counts)
    assert_same(cleaned, want)
    assert_untouched(counts, before)
    peer.stop()
