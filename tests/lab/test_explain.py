# SPDX-License-Identifier: GPL-2.0-or-later
"""`fairlead explain` says what would become of a packet, and why: service, policy, endpoints in and out."""
import manifests
import pytest

HEALTHY, PORT = "10.96.7.1", 32401


@pytest.fixture(scope="module")
def explained(cluster, lab):
    """A function from arguments of `explain` on n1 to its output; over services that have something to explain."""
    ports = [{"name": "tcp", "port": 80, "targetPort": 8080, "protocol": "TCP", "nodePort": PORT}]
    cluster.write("told.yaml", [
        *manifests.simple("mixed", lab.topology, [HEALTHY], "a1 a2:unready b2:terminating a3"),
        *manifests.simple("zoned", lab.topology, ["10.96.7.2"], "a1@us-west-1a a3@us-west-1b"),
        *manifests.simple("local", lab.topology, ["10.96.7.3"], "a1 a2", spec={
            "type": "NodePort", "externalTrafficPolicy": "Local", "ports": ports}),
        *manifests.simple("inside", lab.topology, ["10.96.7.4"], "a2", spec={"internalTrafficPolicy": "Local"}),
        *manifests.simple("empty", lab.topology, ["10.96.7.5"], ""),
        *manifests.simple("six", lab.topology, ["fd00:10:96::701"], "a1"),
    ])

    def explain(*argv, check=True):
        done = cluster.proxies["n1"].tool("explain", *argv, check=check)
        print(done.stdout)
        return done.stdout
    return explain


def line_with(text, word):
    """The lines of `text` that speak of `word`, as one string in lower case."""
    found = "\n".join(line for line in text.splitlines() if word in line).lower()
    assert found, f"nothing about {word} in:\n{text}"
    return found


def test_cluster_ip(explained):
    text = explained(f"{HEALTHY}:80/tcp")
    assert "default/mixed" in text
    assert "not ready" in line_with(text, "10.244.2.11:8080")
    assert "terminating" in line_with(text, "10.244.2.12:8080")
    for chosen in ("10.244.1.11:8080", "10.244.3.11:8080"):
        assert not any(reason in line_with(text, chosen) for reason in ("not ready", "terminating", "other zone"))


def test_zones(explained):
    text = explained("10.96.7.2:80/tcp")
    assert "default/zoned" in text
    assert "other zone" in line_with(text, "10.244.3.11:8080")
    assert "other zone" not in line_with(text, "10.244.1.11:8080")


def test_node_port(explained):
    text = explained(f"172.18.0.11:{PORT}/tcp", "--from", "172.18.0.100")
    assert "default/local" in text and "Local" in text
    assert "not local" in line_with(text, "10.244.2.11:8080")
    assert "not local" not in line_with(text, "10.244.1.11:8080")


def test_node_port_from_a_pod(explained):
    """A pod is short-circuited past the policy Local: for it the other node's endpoint is in."""
    text = explained(f"172.18.0.11:{PORT}/tcp", "--from", "10.244.1.14")
    assert "default/local" in text
    assert "not local" not in line_with(text, "10.244.2.11:8080")


def test_internal_policy_local(explained):
    text = explained("10.96.7.4:80/tcp")
    assert "default/inside" in text
    assert "not local" in line_with(text, "10.244.2.11:8080")
    assert "drop" in text.lower()


def test_no_endpoints(explained):
    text = explained("10.96.7.5:80/tcp")
    assert "default/empty" in text and "reject" in text.lower()


def test_ipv6(explained):
    text = explained("[fd00:10:96::701]:80/tcp")
    assert "default/six" in text and "fd00:10:244:1::11" in text


def test_unknown_address(explained):
    text = explained("192.0.2.77:80/tcp", check=False)
    assert "no service" in text.lower()
    assert "default/" not in text


def test_dump(cluster, lab, explained):
    """`fairlead dump` prints the rule set as text, with what was asked for in it."""
    text = cluster.proxies["n1"].tool("dump").stdout
    assert HEALTHY in text and "10.244.1.11" in text
