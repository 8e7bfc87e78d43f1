# SPDX-License-Identifier: GPL-2.0-or-later
"""What others do to the kernel's state: our table comes back, theirs stays, and stale UDP connections move on."""
import collections
import json
import re

import manifests
import modes
import proxy
import pytest
from probe import Question
from proxy import wait_until

RESTORED_S = 2.0
FOREIGN = """
table ip bystander {
  set friends {
    type ipv4_addr
    elements = { 192.0.2.1, 192.0.2.2 }
  }
  chain watch {
    type filter hook forward priority 50
    ip saddr @friends accept
  }
}
table inet fairleads {
  chain like_ours {
    tcp dport 80 accept
  }
}
"""
only_nftables = pytest.mark.skipif(proxy.mode() != "nftables", reason="about the nftables dataplane's own table")


class Node:
    """n1, as its administrator sees it through nft."""

    def __init__(self, lab):
        self.namespace = lab.namespace("n1")

    def nft(self, *words, check=True):
        return self.namespace.run(["nft", *words], check=check)

    def table(self, family="ip"):
        """Our table as a sorted list of its pieces (order in a listing means nothing), [] when it is gone."""
        done = self.nft("-s", "list", "table", family, "fairlead", check=False)
        if done.returncode:
            return []
        return sorted(filter(None, map(str.strip, re.split(r"[,\n{}=]|\belements\b", done.stdout))))

    def handle(self, family="ip"):
        """The number that tells our table from one that was there before by the same name; "" when it is gone."""
        found = re.match(r"table .*# handle (\d+)", self.nft("-a", "list", "table", family, "fairlead", check=False).stdout)
        return found[1] if found else ""

    def foreign(self):
        return self.nft("list", "table", "ip", "bystander").stdout + self.nft("list", "table", "inet", "fairleads").stdout

    def blocks(self):
        """(`chain`|`map`|`set`, name, text) of the IPv4 table's parts, with rule handles."""
        text = self.nft("-a", "list", "table", "ip", "fairlead").stdout
        return re.findall(r"^\t(chain|map|set) (\S+) \{[^\n]*\n(.*?)^\t\}", text, re.MULTILINE | re.DOTALL)

    def elements(self, kind, name):
        """The keys of a set or map, as nft would take them back."""
        text = self.nft("list", kind, "ip", "fairlead", name).stdout
        found = re.search(r"elements = \{(.*?)\}", text, re.DOTALL)
        if not found or "timeout" in text or "dynamic" in text:
            return []
        return [" ".join(entry.split(" : ")[0].split()) for entry in found.group(1).split(",")]


@pytest.fixture(scope="module")
def served(cluster, lab, prober):
    """A service with all there is, and a check that it works; foreign tables beside it."""
    address = "10.96.4.1"
    cluster.write("held.yaml", manifests.simple(
        "held", lab.topology, [address], "a1 a2 a3", spec={
            "type": "LoadBalancer", "externalIPs": ["198.51.100.210"], "loadBalancerSourceRanges": ["172.18.0.0/24"],
            "ports": [{"name": "tcp", "port": 80, "targetPort": 8080, "protocol": "TCP", "nodePort": 32101}]},
        vips=["203.0.113.210"]) + manifests.simple("empty", lab.topology, ["10.96.4.2"], ""))
    node = Node(lab)
    node.namespace.run(["nft", "-f", "-"], input=FOREIGN)

    def works():
        return all(prober.connect_once(*question).kind == kind for question, kind in (
            (("d1", "tcp", address, 80), "served"), (("client", "tcp", "172.18.0.11", 32101), "served"),
            (("client", "tcp", "203.0.113.210", 80), "served"), (("d1", "tcp", "10.96.4.2", 80), "rejected")))
    assert works()
    return works


@pytest.fixture
def node(lab, served):
    """n1 with the whole table in place, before and after each test; the foreign tables stay as they are."""
    made = Node(lab)
    before, foreign = (made.table("ip"), made.table("ip6")), made.foreign()
    assert before[0] and before[1]
    yield made
    for family, pieces in zip(("ip", "ip6"), before):
        restored(made, pieces, "the test", family)
    assert served()
    assert made.foreign() == foreign


def restored(node, before, what, family="ip"):
    """Waits until the table is as `before` again; says which pieces are missing or new when it does not become so."""
    def difference():
        now = node.table(family)
        missing = list((collections.Counter(before) - collections.Counter(now)).elements())
        added = list((collections.Counter(now) - collections.Counter(before)).elements())
        return f"restored after {what}; missing {missing[:8]}, new {added[:8]}"
    wait_until(lambda: node.table(family) == before, RESTORED_S, difference)


@only_nftables
@pytest.mark.parametrize("family", ["ip", "ip6"])
def test_deleted_table(node, family):
    before, handle = node.table(family), node.handle(family)
    node.nft("delete", "table", family, "fairlead")
    wait_until(lambda: node.handle(family) not in ("", handle), RESTORED_S, "another table of the name")
    restored(node, before, "deletion of the table", family)


@only_nftables
def test_flushed_maps(node, tell):
    """Every map and set that holds something, one after the other."""
    before, count = node.table(), 0
    for kind, name, _ in node.blocks():
        if kind != "chain" and node.elements(kind, name):
            node.nft("flush", kind, "ip", "fairlead", name)
            restored(node, before, f"flush of {name}")
            count += 1
    tell(f"{count} maps and sets flushed and restored")
    assert count > 0


@only_nftables
def test_deleted_elements(node, tell):
    """One element of every map and set."""
    before, count = node.table(), 0
    for kind, name, _ in node.blocks():
        keys = node.elements(kind, name) if kind != "chain" else []
        if keys:
            node.nft("delete", "element", "ip", "fairlead", name, "{", keys[0], "}")
            restored(node, before, f"deletion of {keys[0]} from {name}")
            count += 1
    tell(f"{count} elements deleted and restored")
    assert count > 0


@only_nftables
def test_deleted_rules(node, tell):
    """The first rule of every chain."""
    before, count = node.table(), 0
    chains = [name for kind, name, _ in node.blocks() if kind == "chain"]
    for name in chains[:16]:
        text = next((text for kind, found, text in node.blocks() if kind == "chain" and found == name), "")
        handles = re.findall(r"# handle (\d+)$", text, re.MULTILINE)
        if handles:
            # As JSON, because a chain may have a name that is a word of nft's own language.
            rule = {"family": "ip", "table": "fairlead", "chain": name, "handle": int(handles[0])}
            node.namespace.run(["nft", "-j", "-f", "-"], input=json.dumps({"nftables": [{"delete": {"rule": rule}}]}))
            restored(node, before, f"deletion of a rule of {name}")
            count += 1
    tell(f"{count} rules deleted and restored")
    assert count > 0


@only_nftables
def test_listing(node):
    """Anybody may list the whole rule set, ours in it, without an error."""
    done = node.nft("list", "ruleset")
    assert "table ip fairlead" in done.stdout and "table ip6 fairlead" in done.stdout
    assert "10.96.4.1" in done.stdout
    node.nft("-j", "list", "ruleset")


@only_nftables
def test_every_name_can_be_typed(node):
    """Each chain, set and map can be listed by its name with nft: none of the names is one of nft's own words."""
    asked = 0
    for family in ("ip", "ip6"):
        text = node.nft("list", "table", family, "fairlead").stdout
        for kind, name in re.findall(r"^\t(chain|set|map) (\S+) {$", text, re.MULTILINE):
            listed = node.nft("list", kind, family, "fairlead", name).stdout
            assert f"{kind} {name} {{" in listed
            asked += 1
    assert asked > 40


@only_nftables
def test_dormant_table(node, lab):
    """A table that somebody puts to sleep is woken."""
    def is_dormant():
        return "dormant" in node.nft("list", "table", "ip", "fairlead").stdout
    before = node.table()
    node.namespace.run(["nft", "-f", "-"], input="add table ip fairlead { flags dormant; }")
    wait_until(lambda: not is_dormant(), RESTORED_S, "awake again")
    restored(node, before, "a dormant table")


@only_nftables
def test_flushed_ruleset(node, lab):
    """`nft flush ruleset` takes everything; ours comes back."""
    before = node.table()
    node.nft("flush", "ruleset")
    node.namespace.run(["nft", "-f", "-"], input=FOREIGN)
    restored(node, before, "flush ruleset")


# --- UDP and connection tracking

UDP_IP = "10.96.4.10"
UDP_EXTERNAL = "198.51.100.211"
NODE_PORT = 32102
WAYS = [("d1", UDP_IP, 80), ("n1", UDP_IP, 80), ("client", UDP_EXTERNAL, 80), ("client", "172.18.0.11", NODE_PORT)]


def udp_service(lab, endpoints, name="talk"):
    spec = {"type": "NodePort", "externalIPs": [UDP_EXTERNAL], "ports": [
        {"name": "udp", "port": 80, "targetPort": 8080, "protocol": "UDP", "nodePort": NODE_PORT}]}
    return manifests.simple(name, lab.topology, [UDP_IP], endpoints, protocols=("UDP",), spec=spec)


class Talkers:
    """UDP clients that each keep their source port, so that each stays one connection to the kernel."""

    def __init__(self, prober, first_port):
        self.prober = prober
        self.questions = [Question(client, "udp", address, port, source_port=first_port + index, timeout_s=0.4)
                          for index, (client, address, port) in enumerate(WAYS)]

    def ask(self):
        return [verdict.pod or verdict.kind for verdict in self.prober.run(map(self.prober.ask, self.questions))]

    def settle(self, pod):
        wait_until(lambda: self.ask() == [pod] * len(WAYS), RESTORED_S, lambda: f"{pod} everywhere: {self.ask()}")


def test_udp_moves_to_the_new_endpoint(cluster, lab, prober):
    talkers = Talkers(prober, 61000)
    for pod in ("a1", "a2", "b1", "a3"):
        cluster.write("talk.yaml", udp_service(lab, pod))
        talkers.settle(pod)


def test_udp_comes_back_after_no_endpoints(cluster, lab, prober):
    """[1.37] fix #139629: with zero endpoints the old connections go too, and do not outlive the empty time."""
    talkers = Talkers(prober, 61100)
    cluster.write("talk.yaml", udp_service(lab, "a1"))
    talkers.settle("a1")
    cluster.write("talk.yaml", udp_service(lab, ""))
    talkers.settle("rejected")
    cluster.write("talk.yaml", udp_service(lab, "a2"))
    talkers.settle("a2")


def test_udp_of_a_deleted_service(cluster, lab, prober):
    """[1.37] fix #141371: a deleted service takes its connections with it; its successor gets them."""
    talkers = Talkers(prober, 61200)
    cluster.write("talk.yaml", udp_service(lab, "a1"))
    talkers.settle("a1")
    cluster.remove("talk.yaml")
    wait_until(lambda: "a1" not in talkers.ask(), RESTORED_S, lambda: f"a1 gone: {talkers.ask()}")
    cluster.write("talk.yaml", udp_service(lab, "b1", name="talk-again"))
    talkers.settle("b1")


def test_udp_of_live_endpoints_stays(cluster, lab, prober):
    """What still has its endpoint keeps it, through other endpoints' comings and goings and a restart of the proxy."""
    cluster.write("talk.yaml", udp_service(lab, "a1 a2 a3"))
    questions = [Question("d1", "udp", UDP_IP, 80, source_port=61300 + index) for index in range(24)]

    def ask():
        return [verdict.pod for verdict in prober.run(map(prober.ask, questions))]
    first = ask()
    assert set(first) == {"a1", "a2", "a3"}, first
    cluster.write("talk.yaml", udp_service(lab, "a1 a2 a3 b1 b2"))
    assert ask() == first
    cluster.write("talk.yaml", udp_service(lab, "a1 a2 a3:terminating b1"))
    assert ask() == first
    if not modes.is_proxied():  # there flows end with the process
        proxy_n1 = cluster.proxies["n1"]
        proxy_n1.stop()
        proxy_n1.start()
        proxy_n1.wait_ready()
        assert ask() == first
    cluster.write("talk.yaml", udp_service(lab, "a1 a2 b1"))
    wait_until(lambda: "a3" not in ask(), RESTORED_S, "a3's connections moved")
    assert [new for new, old in zip(ask(), first) if old != "a3"] == [old for old in first if old != "a3"]


# --- cleanup: last, because it ends what the tests above need

@only_nftables
def test_cleanup(cluster, lab, served):
    """`fairlead cleanup` removes our tables and nothing else."""
    node = Node(lab)
    foreign = node.foreign()
    cluster.proxies["n1"].stop()
    assert node.table("ip") and node.table("ip6"), "a stop leaves the rules"
    cluster.proxies["n1"].tool("cleanup")
    assert not node.table("ip") and not node.table("ip6")
    assert node.foreign() == foreign
    tables = node.nft("list", "tables").stdout.split("\n")
    assert sorted(filter(None, tables)) == ["table inet fairleads", "table ip bystander"]
    cluster.proxies["n1"].tool("cleanup")  # nothing to do is no error
    cluster.proxies["n1"].start()
    cluster.proxies["n1"].wait_ready()
    assert served()
