# SPDX-License-Identifier: GPL-2.0-or-later
"""How endpoints are chosen: uniformly at random, or by affinity to the client's address."""
import math
import time

import manifests
import modes
import pytest
from probe import Question

CONNECTIONS = 10_000
SIGNIFICANCE = 0.001


def chi_squared_p(statistic, freedom):
    """P(X >= statistic) for a chi-squared X: the regularised upper incomplete gamma function Q(k/2, x/2), by its series
    below a + 1 and its continued fraction above (Abramowitz and Stegun 6.5.29, 6.5.31)."""
    a, x = freedom / 2, statistic / 2
    if x <= 0:
        return 1.0
    scale = math.exp(-x + a * math.log(x) - math.lgamma(a))
    if x < a + 1:
        term = total = 1 / a
        n = a
        while term > total * 1e-15:
            n += 1
            term *= x / n
            total += term
        return 1 - total * scale
    b, c = x + 1 - a, 1e300
    d = h = 1 / b
    for i in range(1, 500):
        an = -i * (i - a)
        b += 2
        d = 1 / (an * d + b)
        c = b + an / c
        h *= d * c
        if abs(d * c - 1) < 1e-15:
            break
    return scale * h


def test_chi_squared_p():
    """Against printed tables: 2 degrees of freedom are exp(-x/2); 16.919 and 27.877 are the 5 % and 0.1 % points of 9."""
    assert chi_squared_p(3.0, 2) == pytest.approx(math.exp(-1.5))
    assert chi_squared_p(16.919, 9) == pytest.approx(0.05, abs=1e-4)
    assert chi_squared_p(27.877, 9) == pytest.approx(0.001, abs=1e-5)
    assert chi_squared_p(13.816, 2) == pytest.approx(0.001, abs=1e-5)


@pytest.mark.parametrize("count", [3, 7, 10])
def test_uniform(cluster, prober, lab, tell, count):
    """10,000 connections over `count` endpoints: chi-squared finds nothing at p = 0.001."""
    pods = list(lab.topology.pods)[:count]
    address = f"10.96.2.{count}"
    cluster.write("uniform.yaml", manifests.simple("uniform", lab.topology, [address], " ".join(pods)))
    answers = prober.many(CONNECTIONS, "client", "tcp", address, 80, timeout_s=3.0)
    assert set(answers) == set(pods)
    expected = CONNECTIONS / count
    statistic = sum((answers[pod] - expected) ** 2 / expected for pod in pods)
    p = chi_squared_p(statistic, count - 1)
    tell(f"{dict(sorted(answers.items()))}, chi-squared {statistic:.2f}, p {p:.4f}")
    assert p > SIGNIFICANCE


def sticky(name, lab, address, endpoints, timeout_s):
    spec = {"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": timeout_s}}}
    return manifests.simple(name, lab.topology, [address], endpoints, spec=spec, protocols=("TCP", "UDP"))


def who(prober, client, address, protocol="tcp"):
    verdict = prober.connect_once(client, protocol, address, 80, timeout_s=2.0)
    assert verdict.kind == "served", verdict
    return verdict.pod


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_affinity_holds(cluster, prober, lab, protocol):
    """Every client stays with one endpoint, and the clients do not all have the same one."""
    address = "10.96.2.20"
    cluster.write("sticky.yaml", sticky("sticky", lab, address, "a1 a2 a3 b1 b2 b3", 600))
    clients = ["c1", "d1", "c2", "c3", "client", "stranger", "n1", "n2", "n3"]
    chosen = {}
    for client in clients:
        answers = prober.many(50, client, protocol, address, 80, timeout_s=2.0)
        # The first questions are asked at once: until one of them has come through, each is free to choose.
        assert sum(answers.values()) == 50
        chosen[client] = {who(prober, client, address, protocol) for _ in range(20)}
    print(chosen)
    assert all(len(pods) == 1 for pods in chosen.values()), chosen
    assert len(set.union(*chosen.values())) > 1, chosen


def test_affinity_expires(cluster, prober, lab):
    """After timeoutSeconds without a connection the choice is free again: in 12 rounds over 6 endpoints it moves."""
    address = "10.96.2.21"
    cluster.write("sticky.yaml", sticky("sticky", lab, address, "a1 a2 a3 b1 b2 b3", 1))
    # 12 rounds that all find the same endpoint by chance: 6 to the minus 11.
    seen = []
    for _ in range(12):
        seen.append(who(prober, "client", address))
        assert who(prober, "client", address) == seen[-1]
        time.sleep(1.3)
        if len(set(seen)) > 1:
            break
    assert len(set(seen)) > 1, f"still {seen} long after its time"


def test_affinity_is_refreshed(cluster, prober, lab):
    """Each new connection starts the time again: asked every 0.7 s, an affinity of 2 s holds for 7 s."""
    address = "10.96.2.22"
    cluster.write("sticky.yaml", sticky("sticky", lab, address, "a1 a2 a3 b1 b2 b3", 2))
    first = who(prober, "client", address)
    for _ in range(10):
        time.sleep(0.7)
        assert who(prober, "client", address) == first


def test_affinity_and_a_lost_endpoint(cluster, prober, lab):
    """The clients of a removed endpoint move to a live one, and stick to that; all others keep theirs."""
    address = "10.96.2.23"
    endpoints = ["a1", "a2", "a3", "b1"]
    cluster.write("sticky.yaml", sticky("sticky", lab, address, " ".join(endpoints), 600))
    clients = ["c1", "d1", "b2", "c2", "b3", "c3", "client", "stranger", "n1", "n2", "n3"]
    before = {client: who(prober, client, address) for client in clients}
    lost = before["client"]
    left = [pod for pod in endpoints if pod != lost]
    cluster.write("sticky.yaml", sticky("sticky", lab, address, " ".join(left), 600))
    after = {client: {who(prober, client, address) for _ in range(8)} for client in clients}
    print(f"before {before}\nwithout {lost} {after}")
    for client in clients:
        assert len(after[client]) == 1
        assert after[client] <= set(left)
        if before[client] != lost:
            assert after[client] == {before[client]}
    cluster.write("sticky.yaml", sticky("sticky", lab, address, " ".join(endpoints), 600))
    again = {client: who(prober, client, address) for client in clients}
    assert {client: {pod} for client, pod in again.items()} == after, "the endpoint's return moved somebody"


def test_no_affinity_between_ports(cluster, prober, lab):
    """Affinity is per service port: two ports of one service choose on their own (8 clients, 6 endpoints)."""
    ports = [{"name": "one", "port": 80, "protocol": "TCP", "targetPort": 8080},
             {"name": "two", "port": 81, "protocol": "TCP", "targetPort": 8081}]
    address = "10.96.2.24"
    objects = sticky("sticky", lab, address, "a1 a2 a3 b1 b2 b3", 600)
    objects[0]["spec"]["ports"] = ports
    objects[1]["ports"] = [{"name": "one", "port": 8080, "protocol": "TCP"},
                           {"name": "two", "port": 8081, "protocol": "TCP"}]
    cluster.write("sticky.yaml", objects)
    pairs = []
    for client in ["c1", "d1", "c2", "c3", "client", "stranger", "n2", "n3"]:
        asked = [Question(client, "tcp", address, port, timeout_s=2.0) for port in (80, 81)]
        pairs.append(tuple(prober.run([prober.ask(question)])[0].pod for question in asked))
    assert any(one != two for one, two in pairs), pairs


def test_affinity_keeps_to_the_set_of_the_policy(cluster, prober, lab):
    """A client remembered for an endpoint elsewhere is nobody to a policy of Local, and the other way round."""
    spec = {"sessionAffinity": "ClientIP", "internalTrafficPolicy": "Local", "externalIPs": ["198.51.100.77"]}
    cluster.write("inside.yaml", manifests.simple("inside", lab.topology, ["10.96.2.25"], "a1 a2 b2 a3", spec=spec))
    local = {pod for pod in ("a1", "b2") if lab.topology.pods[pod].node is lab.topology.pods["d1"].node}
    assert local, "d1 has a neighbour among the endpoints"
    for _ in range(5):
        who(prober, "d1", "198.51.100.77")
        assert who(prober, "d1", "10.96.2.25") in local


def test_affinity_and_external_traffic_policy_local(cluster, prober, lab):
    """An outside client that uses the cluster IP first still reaches the load-balancer address through n1's endpoint."""
    spec = {"type": "LoadBalancer", "sessionAffinity": "ClientIP", "externalTrafficPolicy": "Local",
            "healthCheckNodePort": 32133}
    def write(**more):
        cluster.write("outside.yaml", manifests.simple("outside", lab.topology, ["10.96.2.26"], "a1 a2 a3",
                                                       spec={**spec, **more}, vips=["198.51.100.78"]))
    write()
    for _ in range(5):
        for _ in range(3):
            asked = Question("client", "tcp", "10.96.2.26", 80, via="n1", timeout_s=2.0)
            assert prober.run([prober.ask(asked)])[0].kind == "served"
        asked = Question("client", "tcp", "198.51.100.78", 80, via="n1", timeout_s=2.0)
        answer = prober.run([prober.ask(asked)])[0]
        assert (answer.kind, answer.pod) == ("served", "a1"), answer
        pod = who(prober, "d1", "198.51.100.78")
        assert {who(prober, "d1", "198.51.100.78") for _ in range(5)} == {pod}
        if modes.is_proxied():  # it is the program that remembers
            write(sessionAffinity="None")
            write()
            continue
        for node in lab.topology.nodes:
            modes.forget_clients(lab.namespace(node))
