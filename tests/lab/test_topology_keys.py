# SPDX-License-Identifier: GPL-2.0-or-later
"""spec.topologyKeys while the cluster moves: pods that come and go, nodes whose labels change."""
import manifests
import pytest
from topology import HOSTNAME_LABEL, ZONE_LABEL

DNS, RACKS = "10.96.8.1", "10.96.8.2"


def pods(prober, address, client):
    """Who answers there, or the kind of the verdict. Twenty questions miss one of two pods once in half a million."""
    asked = [prober.connect_once(client, "tcp", address, 80, timeout_s=1.0) for _ in range(20)]
    return {verdict.pod or verdict.kind for verdict in asked}


@pytest.fixture
def nodes(cluster, lab):
    """A function that gives nodes more labels: {name: {key: value}}. They lose them with the test."""
    def label(labels):
        made = [node.manifest() for node in lab.topology.nodes.values()]
        for node in made:
            node["metadata"]["labels"].update(labels.get(node["metadata"]["name"], {}))
        cluster.write("nodes.yaml", made)
    yield label
    label({})


def test_kube_dns(cluster, lab, prober):
    """A node with a pod of the Service leads to that pod alone, one without to its zone's, or to all."""
    def dns(endpoints):
        cluster.write("dns.yaml", manifests.simple("kube-dns", lab.topology, [DNS], endpoints, spec={
            "topologyKeys": [HOSTNAME_LABEL, ZONE_LABEL, "*"]}))
    dns("a1 b3")
    assert [pods(prober, DNS, client) for client in ("d1", "b2", "c3")] == [{"a1"}, {"a1"}, {"b3"}]
    dns("b3 c3")
    assert [pods(prober, DNS, client) for client in ("d1", "b2", "a3")] == [{"b3", "c3"}] * 3
    dns("a2:unready b3")
    assert [pods(prober, DNS, client) for client in ("d1", "b2")] == [{"b3"}] * 2


def test_labels_change(cluster, lab, prober, nodes):
    """Any label may be a key; packets follow it at once, on the nodes that it concerns."""
    cluster.write("racks.yaml", manifests.simple("racks", lab.topology, [RACKS], "a1 a3",
                                                 spec={"topologyKeys": ["example.org/rack"]}))

    def rack(name):
        return {"example.org/rack": name}
    assert pods(prober, RACKS, "d1") == {"rejected"}
    nodes({"n1": rack("one"), "n2": rack("two"), "n3": rack("two")})
    assert [pods(prober, RACKS, client) for client in ("d1", "b2", "b3")] == [{"a1"}, {"a3"}, {"a3"}]
    nodes({"n1": rack("one"), "n2": rack("one"), "n3": rack("two")})
    assert [pods(prober, RACKS, client) for client in ("d1", "b2", "b3")] == [{"a1"}, {"a1"}, {"a3"}]
    nodes({"n2": rack("one"), "n3": rack("one")})
    assert [pods(prober, RACKS, client) for client in ("d1", "b2", "b3")] == [{"rejected"}, {"a3"}, {"a3"}]


def test_explain(cluster, lab, nodes):
    cluster.write("racks.yaml", manifests.simple("racks", lab.topology, [RACKS], "a2 a3", spec={
        "topologyKeys": ["example.org/rack", HOSTNAME_LABEL, ZONE_LABEL]}))
    text = cluster.proxies["n1"].tool("explain", f"{RACKS}:80").stdout
    print(text)
    assert "example.org/rack: this node has no such label" in text
    assert f'{HOSTNAME_LABEL}: no usable endpoint has this node\'s value "n1"' in text
    assert f'{ZONE_LABEL}: endpoints with this node\'s value "us-west-1a" are used' in text
    assert f'out: other topology, its {ZONE_LABEL} is "us-west-1b"' in text and "it agrees" in text
