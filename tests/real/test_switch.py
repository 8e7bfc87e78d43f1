# SPDX-License-Identifier: GPL-2.0-or-later
"""A node under load goes from a real kube-proxy to fairlead and back. Nothing established is lost, nothing new refused."""
import contextlib
import os
import pathlib
import re
import shutil
import sys
import time

import differential
import embedded
import pytest
import realserver

sys.path.append(str(pathlib.Path(__file__).parent.parent / "proxy"))

import fed           # noqa: E402
import lab as labs   # noqa: E402
import manifests     # noqa: E402
import probe         # noqa: E402
from load import Load          # noqa: E402
from proxy import DEFAULTS, wait_until  # noqa: E402
from rest import Rest          # noqa: E402

NODE = "n1"
CLUSTER_IPS = ["10.96.8.1", "fd00:10:96::801"]
VIP, EXTERNAL_IP, NODE_PORT = "198.51.100.81", "198.51.100.82", 30881
STEADY_S = 0.5
PATIENCE_S = 60  # where the machine has much else to do
SURE = 40  # (2/3)^40: one in ten million that a third of the pods was never met
MODES = ["nftables", "iptables-nft", "iptables-legacy"]


class KubeProxy:
    """A real kube-proxy on a node of the lab. In its iptables mode it uses the backend that `mode` names."""

    def __init__(self, lab, node, mode, kubeconfig):
        self.lab, self.node, self.mode, self.child = lab, node, mode, None
        self.kubeconfig = lab.directory / "kube-proxy.kubeconfig"
        self.kubeconfig.write_text(kubeconfig)
        self.tools = lab.directory / f"tools-{mode}"
        if mode != "nftables" and not self.tools.exists():
            self.tools.mkdir()
            program = shutil.which({"iptables-nft": "xtables-nft-multi", "iptables-legacy": "xtables-legacy-multi"}[mode])
            for name in ("iptables", "ip6tables"):
                for suffix in ("", "-save", "-restore"):
                    (self.tools / (name + suffix)).symlink_to(program)

    def start(self):
        flags = {name: DEFAULTS[name] for name in ("cluster-cidr", "nodeport-addresses")}
        zeros = ("max-per-core", "min", "tcp-timeout-established", "tcp-timeout-close-wait")
        argv = ["env", f"PATH={self.tools}:{os.environ['PATH']}", realserver.kube_proxy(), f"--kubeconfig={self.kubeconfig}",
                f"--hostname-override={self.node}", f"--proxy-mode={self.mode.split('-')[0]}",
                *(f"--{name}={value}" for name, value in flags.items()), *(f"--conntrack-{name}=0" for name in zeros)]
        self.child = self.lab.start(self.node, argv, "kube-proxy.log")
        wait_until(lambda: not self.missing(), PATIENCE_S,
                   lambda: f"kube-proxy has programmed {self.missing()}:\n{self.log()[-2000:]}")

    def missing(self):
        """Addresses that its rules do not have. Seldom asked: to list rules is much work for the kernel that is tested."""
        time.sleep(0.3)
        rules = self.rules()
        return [address for address in CLUSTER_IPS if address not in rules]

    def wait_synced(self):
        """As docs/switching.md lets an operator wait; not while fairlead has the port."""
        def families():
            with contextlib.suppress(OSError):
                page = probe.get(self.lab.namespace(self.node), "127.0.0.1", 10249, "/metrics")[2]
                return re.findall(r"(?m)^kubeproxy_sync_proxy_rules_last_timestamp_seconds\b.* [1-9]", page)
        wait_until(lambda: len(families() or []) == 2, PATIENCE_S, lambda: f"kube-proxy counts both families: {families()}")

    def stop(self):
        if self.child:
            self.lab.end(self.child)
            self.child = None

    def log(self):
        with contextlib.suppress(FileNotFoundError):
            return (self.lab.directory / "kube-proxy.log").read_text(errors="replace")
        return ""

    def rules(self):
        """All of its rules that are in the kernel, as text, whichever mode they are of; without the chain that it shares
        with the kubelet, and leaves to it."""
        run = self.lab.namespace(self.node).run
        text = "".join(run(["nft", "list", "table", family, "kube-proxy"], check=False).stdout for family in ("ip", "ip6"))
        for program in ("xtables-nft-multi", "xtables-legacy-multi"):
            for tool in ("iptables-save", "ip6tables-save"):
                lines = run([program, tool]).stdout.splitlines()
                text += "".join(f"{line}\n" for line in lines if "KUBE-" in line and "KUBE-FIREWALL" not in line)
        return text


@pytest.fixture(scope="module")
def lab():
    reason = realserver.missing() or labs.missing()
    if not reason and not os.access(realserver.kube_proxy(), os.X_OK):
        reason = "neither KUBE_PROXY_BIN nor KUBEBUILDER_ASSETS has a kube-proxy"
    missing = [tool for tool in ("xtables-nft-multi", "xtables-legacy-multi") if not shutil.which(tool)]
    if missing:
        reason = reason or f"needs {', '.join(missing)} (Debian: iptables)"
    if reason:
        pytest.skip(reason)
    with labs.Lab() as made:
        yield made


@pytest.fixture(scope="module")
def real(lab):
    namespaces = embedded.Namespaces()
    namespace = fed.join_backbone(lab, namespaces, fed.API_HOST)
    server = realserver.RealServer(lab.directory / "real", namespace, fed.API_ADDRESS)
    try:
        with namespace.entered():
            server.start()
            server.wait_ready(differential.from_kubeconfig(server.kubeconfig))
        rest = Rest(namespace, server.verified_kubeconfig(realserver.TOKEN))
        create(rest, lab.topology)
        yield server
    finally:
        server.stop()
        namespace.close()
        namespaces.close()


def create(rest, topology):
    nodes = [node.manifest() for node in topology.nodes.values()]
    fed.create(rest, nodes)
    for node in nodes:  # the status is not taken from what creates
        rest.good("PATCH", f"/api/v1/nodes/{node['metadata']['name']}/status", {"status": node["status"]},
                  Content_Type="application/merge-patch+json")
    ports = [{"name": name.lower(), "protocol": name, "port": 80, "targetPort": 8080, "nodePort": NODE_PORT}
             for name in ("TCP", "UDP")]
    spec = {"type": "LoadBalancer", "ports": ports, "externalIPs": [EXTERNAL_IP]}
    fed.create(rest, manifests.simple("switched", topology, CLUSTER_IPS, "a1 a2 a3", protocols=("TCP", "UDP"), spec=spec))
    rest.good("PATCH", "/api/v1/namespaces/default/services/switched/status",
              {"status": {"loadBalancer": {"ingress": [{"ip": VIP, "ipMode": "VIP"}]}}},
              Content_Type="application/merge-patch+json")


@pytest.fixture
def fairlead(lab, real):
    made = fed.FedProxy(lab, NODE, real.verified_kubeconfig(realserver.PROXY_TOKEN))
    yield made
    made.stop()
    print(f"--- log of fairlead\n{made.log()[-2500:]}")
    lab.reset_node(NODE)


@pytest.fixture(params=MODES)
def peer(request, lab, real, fairlead):
    made = KubeProxy(lab, NODE, request.param, real.verified_kubeconfig(realserver.PROXY_TOKEN))
    yield made
    made.stop()
    print(f"--- log of kube-proxy\n{made.log()[-2500:]}")
    for program, tables in (("iptables", "ip_tables_names"), ("ip6tables", "ip6_tables_names")):
        for table in lab.namespace(NODE).run(["cat", f"/proc/net/{tables}"]).stdout.split():
            for flag in ("-F", "-X"):
                lab.namespace(NODE).run(["xtables-legacy-multi", program, "-t", table, flag])
    lab.reset_node(NODE)


@pytest.fixture
def load(lab, fairlead):
    node = lab.topology.nodes[NODE]
    everywhere = [("d1", CLUSTER_IPS[0], 80), ("d1", CLUSTER_IPS[1], 80), (NODE, CLUSTER_IPS[0], 80),
                  ("client", node.address(4), NODE_PORT), ("client", node.address(6), NODE_PORT),
                  ("client", VIP, 80), ("client", EXTERNAL_IP, 80), ("a1", CLUSTER_IPS[0], 80)]
    return Load(probe.Prober(lab), everywhere, established=2, flows=everywhere[:7], patience_s=5.0)


def settle():
    time.sleep(STEADY_S)


def sources(counts):
    return {target: set(seen) for target, seen in list(counts.sources.items())}


def wait_sources(load, counts):
    """What pods see of each client, once all three of them have surely been asked."""
    wait_until(lambda: all(counts.sources[target].total() >= SURE for target in load.targets), 60,
               lambda: f"the sources that the pods see: {counts}, {counts.sources}, {counts.refused[:5]}")
    return sources(counts)


def assert_untouched(counts, before):
    print(counts)
    assert counts.opened and counts.echoed and counts.answered
    assert not counts.lost, counts.lost
    assert not counts.unanswered, counts.unanswered[:5]
    assert not counts.refused, (len(counts.refused), counts.refused[:5])
    assert sources(counts) == before, "somebody's address was translated otherwise in between"


def has_fairlead(lab):
    return "table ip fairlead" in lab.namespace(NODE).run(["nft", "list", "tables"]).stdout


def to_fairlead(peer, fairlead):
    """As an update of a DaemonSet does it: the one ends, the other starts, the rules stay between them."""
    peer.stop()
    settle()
    fairlead.start()
    fairlead.wait_ready()
    wait_until(lambda: not peer.rules(), PATIENCE_S, lambda: f"kube-proxy's rules are removed: {peer.rules()[-1500:]}")


def test_there_and_back(lab, peer, fairlead, load):
    peer.start()
    with load as counts:
        before = wait_sources(load, counts)
        to_fairlead(peer, fairlead)
        settle()
        assert has_fairlead(lab)
        fairlead.stop()
        settle()
        peer.start()
        peer.wait_synced()
        fairlead.tool("cleanup")
        settle()
        assert not has_fairlead(lab) and peer.rules()
    assert_untouched(counts, before)


def test_back_while_fairlead_runs(lab, peer, fairlead, load):
    """Both at once, for a while: whoever translated a connection first decides about all of it."""
    fairlead.start()
    fairlead.wait_ready()
    with load as counts:
        before = wait_sources(load, counts)
        peer.start()
        settle()
        fairlead.stop()
        settle()
        fairlead.tool("cleanup")
        settle()
        assert not has_fairlead(lab) and peer.rules()
        to_fairlead(peer, fairlead)
        settle()
    assert_untouched(counts, before)


def wrote(fairlead):
    """How many rules its start wrote."""
    return int(re.findall(r"services are programmed, (\d+) elements written", fairlead.log())[-1])


@pytest.mark.parametrize("peer", MODES[1:], indirect=True)
def test_turns_on_the_same_chains(lab, peer, fairlead, load):
    """Both in mode iptables, in either backend: each finds the other's chains, and goes on from there."""
    environment = {"PATH": f"{peer.tools}:{os.environ['PATH']}"}
    fairlead.mode = "iptables"
    peer.start()
    kept = set(service_rules(peer))
    with load as counts:
        before = wait_sources(load, counts)
        peer.stop()
        settle()
        fairlead.start(environment)
        fairlead.wait_ready()
        settle()
        assert set(service_rules(peer)) == kept, "the rules of Services are kube-proxy's still"
        assert wrote(fairlead) < len(kept), "few rules are written"
        assert "FAIRLEAD-" in own_rules(lab) and not has_fairlead(lab)
        fairlead.stop()
        settle()
        peer.start()
        peer.wait_synced()
        settle()
        assert "-j FAIRLEAD-" not in own_rules(lab), "what is fairlead's own is not in force any more"
        fairlead.tool("cleanup")
        settle()
        assert "FAIRLEAD-" not in own_rules(lab) and set(service_rules(peer)) == kept
    assert_untouched(counts, before)


def service_rules(peer):
    return [line for line in peer.rules().splitlines() if re.match(r"-A KUBE-(SVC|SVL|EXT|SEP|FW)-", line)]


def own_rules(lab):
    run = lab.namespace(NODE).run
    saved = [run([program, tool]).stdout for program in ("xtables-nft-multi", "xtables-legacy-multi")
             for tool in ("iptables-save", "ip6tables-save")]
    return "".join(saved)


@pytest.mark.parametrize("peer", MODES[1:], indirect=True)
def test_kube_proxy_cleans_up(lab, peer, fairlead):
    """kube-proxy --cleanup takes out what both make, without a fault, and nothing leads to a chain that is gone."""
    environment = {"PATH": f"{peer.tools}:{os.environ['PATH']}"}
    fairlead.mode = "iptables"
    fairlead.start(environment)
    fairlead.wait_ready()
    fairlead.stop()
    assert "KUBE-SVC-" in own_rules(lab)
    done = lab.namespace(NODE).run(["env", f"PATH={environment['PATH']}", realserver.kube_proxy(), "--cleanup"], check=False,
                                   timeout=60)
    assert done.returncode == 0, done.stderr[-2000:]
    left = [line for line in own_rules(lab).splitlines() if "KUBE-" in line and "KUBE-FIREWALL" not in line]
    assert left == []
    fairlead.tool("cleanup")
    assert "FAIRLEAD-" not in own_rules(lab)
