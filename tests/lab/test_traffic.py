# SPDX-License-Identifier: GPL-2.0-or-later
"""Connections by zone and endpoints by Service, as /metrics and /metrics/services tell them (docs/metrics.md)."""
import collections
import pathlib
import re
import socket

import lab as labs
import manifests
import patience
import pytest
from probe import get
from proxy import wait_until

EAST, WEST = "us-west-1a", "us-west-1b"  # of n1 and n2; of n3
SPREAD = {4: "10.96.9.1", 6: "fd00:10:96::901"}
THERE = {4: "10.96.9.2", 6: "fd00:10:96::902"}
NODE_PORT = 32391
KEPT_S = 10
COUNTED = "fairlead_connections_count_timestamp_seconds"


def samples(body, name):
    """{frozenset of (label, value): number} of one metric of a page."""
    found = {}
    for labels, value in re.findall(rf"^{name}(?:{{(.*)}})? (\S+)$", body, re.MULTILINE):
        found[frozenset(re.findall(r'(\w+)="([^"]*)"', labels))] = float(value)
    return found


def page(lab, node, path="/metrics"):
    status, headers, body = get(lab.namespace(node), "127.0.0.1", 10249, path, timeout_s=10)
    assert status == 200 and headers["content-type"].startswith("text/plain")
    return body


def counted_page(lab, node):
    """/metrics with a count in it. A page waits for a count some milliseconds; a longer one is in a later page."""
    found = wait_until(lambda: (body := page(lab, node)) and samples(body, COUNTED) and body, 10, "a count that has ended")
    assert samples(found, "fairlead_connections_count_failures_total") == {frozenset(): 0}
    return found


def by_zone(body, name="fairlead_connections", **others):
    """Counter of (source zone, destination zone)."""
    counts = collections.Counter()
    for labels, value in samples(body, name).items():
        labels = dict(labels)
        if all(labels.get(key) == wanted for key, wanted in others.items()):
            counts[labels["source_zone"], labels["destination_zone"]] += int(value)
    return counts


def by_locality(counts):
    """What the pairs of zones add up to, as the page tells it."""
    sums = dict.fromkeys(("same_zone", "cross_zone", "unknown_zone"), 0)
    for (source, destination), count in counts.items():
        known = source and destination
        sums["unknown_zone" if not known else "same_zone" if source == destination else "cross_zone"] += count
    return {frozenset([("locality", name)]): count for name, count in sums.items()}


class Connections:
    """Connections that stay open, counted by where they came from (as the node should see it) and who answered."""

    def __init__(self, lab):
        self.lab = lab
        self.sockets = []
        self.expected = collections.defaultdict(collections.Counter)

    def open(self, count, client, address, port, node=None, source_zone=None, kind=socket.SOCK_STREAM):
        """`count` connections; the node that carries them and the source's zone default to the client's own."""
        home = self.lab.topology.node_of(client)
        for _ in range(count):
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            sock = self.lab.namespace(client).socket(family, kind)
            self.sockets.append(sock)
            sock.settimeout(patience.seconds(10))
            sock.connect((address, port))
            if kind == socket.SOCK_DGRAM:
                sock.send(b"who?\n")
            pod = sock.recv(256).split()[0].decode()
            zone = home.zone if source_zone is None else source_zone
            self.expected[node or home.name][zone, self.lab.topology.pods[pod].node.zone] += 1

    def close(self):
        for sock in self.sockets:
            sock.close()


@pytest.fixture
def connections(lab):
    made = Connections(lab)
    yield made
    made.close()


@pytest.fixture
def services(cluster, lab):
    """A Service with endpoints in both zones, by TCP, UDP, both families and node port, and one with them in WEST alone."""
    spec = {"type": "NodePort", "ports": [
        {"name": name, "protocol": name.upper(), "port": 80, "targetPort": 8080, "nodePort": NODE_PORT}
        for name in ("tcp", "udp")]}
    cluster.write("traffic.yaml",
                  manifests.simple("spread", lab.topology, [SPREAD[4], SPREAD[6]], "b1 b2 c2:unready c3 b3:terminating",
                                   protocols=("TCP", "UDP"), spec=spec)
                  + manifests.simple("there", lab.topology, [THERE[4], THERE[6]], "c3"))
    yield
    cluster.remove("traffic.yaml")


@pytest.mark.usefixtures("services")
def test_connections_by_zone(lab, connections):
    """Every node tells exactly the connections that it sent somewhere, by the zones of client and endpoint."""
    nodes = lab.topology.nodes
    for node in nodes:
        lab.forget_connections(node)
    udp = socket.SOCK_DGRAM
    connections.open(12, "d1", SPREAD[4], 80)
    connections.open(9, "d1", SPREAD[6], 80)
    connections.open(7, "d1", SPREAD[4], 80, kind=udp)
    connections.open(5, "d1", SPREAD[6], 80, kind=udp)
    connections.open(6, "d1", THERE[4], 80)
    connections.open(4, "n1", SPREAD[4], 80)
    connections.open(3, "b3", THERE[6], 80)
    connections.open(2, "a2", THERE[4], 80)
    # Through a node port: from outside, whose zone nobody knows, and from another node's pod, whose zone is known.
    connections.open(8, "client", nodes["n1"].address(4), NODE_PORT, node="n1", source_zone="")
    connections.open(6, "client", nodes["n1"].address(6), NODE_PORT, node="n1", source_zone="", kind=udp)
    connections.open(5, "a3", nodes["n1"].address(4), NODE_PORT, node="n1")
    # Without a Service: nobody's.
    direct = Connections(lab)
    try:
        direct.open(3, "d1", lab.topology.pods["b2"].address(4), 8080)
        expected = connections.expected
        assert expected["n1"][EAST, WEST] >= 6 and expected["n3"] == {(WEST, WEST): 3} and expected["n2"] == {(EAST, WEST): 2}
        for node in nodes:
            body = counted_page(lab, node)
            assert by_zone(body) == expected[node], node
            assert samples(body, "fairlead_connections_by_locality") == by_locality(expected[node])
            assert samples(body, "fairlead_connections_left_out") == {frozenset(): 0}
            assert samples(body, "fairlead_connections_cut") == {frozenset(): 0}
    finally:
        direct.close()

    # The other page tells the same connections by Service.
    body = page(lab, "n1", "/metrics/services")
    there = by_zone(body, "fairlead_service_connections", namespace="default", service="there")
    spread = by_zone(body, "fairlead_service_connections", namespace="default", service="spread")
    assert there == {(EAST, WEST): 6}
    assert there + spread == expected["n1"]

    # A count is kept for a while, and then made anew.
    ended = samples(page(lab, "n2"), COUNTED)
    connections.open(3, "a2", THERE[4], 80)
    body = page(lab, "n2")
    if samples(body, COUNTED) == ended:
        assert by_zone(body) == {(EAST, WEST): 2}
    wait_until(lambda: by_zone(page(lab, "n2")) == {(EAST, WEST): 5}, KEPT_S + 10, "a new count")
    assert samples(page(lab, "n2"), COUNTED) != ended


@pytest.mark.usefixtures("services")
def test_many_connections(lab):
    """More than a page waits for: counted from the loop, in pieces, and exact all the same."""
    program = pathlib.Path(labs.binary()).parent / "bench" / "bench-flows"
    if not program.exists():
        pytest.skip(f"needs {program}, which puts entries into conntrack")
    count, pod = 30_000, lab.topology.pods["c3"]
    lab.namespace("n1").run([program, f"/run/netns/{lab.namespace_name('n1')}", str(count), f"{THERE[4]}:80", "1",
                             f"{pod.address(4)}:8080", "1"])
    try:
        wait_until(lambda: by_zone(page(lab, "n1")) == {(EAST, WEST): count}, KEPT_S + 20, "all of them counted")
        body = page(lab, "n1")
        assert samples(body, "fairlead_connections_entries_read")[frozenset()] >= count
        assert samples(body, "fairlead_connections_count_failures_total") == {frozenset(): 0}
    finally:
        lab.forget_connections("n1")


@pytest.mark.usefixtures("services")
def test_endpoints_by_service(lab):
    """How many endpoints a Service has, in each state, and how many of them a node uses; equal to what is written."""
    expected = {"all": 5, "ready": 3, "serving": 4, "terminating": 1, "used": 3}
    for node, local in (("n1", 1), ("n2", 1), ("n3", 1)):
        found = samples(page(lab, node, "/metrics/services"), "fairlead_service_endpoints")
        for family in ("IPv4", "IPv6"):
            for state, count in {**expected, "local": local}.items():
                labels = {"namespace": "default", "service": "spread", "ip_family": family, "state": state}
                assert found[frozenset(labels.items())] == count, (node, labels)
        assert len(found) == 2 * 2 * 6


def test_used_follows_policies(cluster, lab):
    """`used` is what is left of the endpoints on this node after its policy; zone hints narrow it too."""
    def used(node):
        found = samples(page(lab, node, "/metrics/services"), "fairlead_service_endpoints")
        return next(value for labels, value in found.items() if {("service", "narrow"), ("state", "used")} <= labels)
    cluster.write("narrow.yaml", manifests.simple("narrow", lab.topology, ["10.96.9.3"], "a1 b1 a2",
                                                  spec={"internalTrafficPolicy": "Local"}))
    assert [used(node) for node in lab.topology.nodes] == [2, 1, 0]
    cluster.write("narrow.yaml", manifests.simple("narrow", lab.topology, ["10.96.9.3"],
                                                  f"a1@{EAST} a2@{EAST} a3@{WEST}"))
    assert [used(node) for node in lab.topology.nodes] == [2, 2, 1]
    cluster.remove("narrow.yaml")


def test_main_page_has_no_services(cluster, lab):
    """/metrics does not grow with the number of Services."""
    assert "fairlead_service_" not in page(lab, "n1")
