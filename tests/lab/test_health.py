# SPDX-License-Identifier: GPL-2.0-or-later
"""The HTTP servers that load balancers, operators and Prometheus ask (reference A5)."""
import json
import socket

import manifests
import pytest
from probe import get
from proxy import mode, wait_until

HEALTH_PORT = 32301
TAINT = {"key": "ToBeDeletedByClusterAutoscaler", "effect": "NoSchedule"}


def ask_health(lab, path, node="n1", family=4):
    return get(lab.namespace("client"), lab.topology.nodes[node].address(family), 10256, path)


def test_healthz(cluster, lab):
    status, headers, body = ask_health(lab, "/healthz")
    answer = json.loads(body)
    assert status == 200
    assert headers["content-type"].startswith("application/json")
    assert headers["x-content-type-options"] == "nosniff"
    assert answer["healthy"] is True and answer["nodeEligible"] is True
    assert answer["lastUpdated"] and answer["currentTime"]
    assert {family: answer["status"][family]["healthy"] for family in answer["status"]} == {"IPv4": True, "IPv6": True}


def test_livez(cluster, lab):
    status, _, body = ask_health(lab, "/livez")
    answer = json.loads(body)
    assert status == 200 and answer["healthy"] is True and "nodeEligible" not in answer


def test_draining_node(cluster, lab):
    """A node about to be deleted by the autoscaler is not eligible, but alive; its services go on."""
    nodes = [node.manifest() for node in lab.topology.nodes.values()]
    nodes[0]["spec"]["taints"] = [TAINT]
    cluster.write("nodes.yaml", nodes)
    status, _, body = ask_health(lab, "/healthz")
    assert status == 503
    assert json.loads(body)["nodeEligible"] is False and json.loads(body)["healthy"] is True
    assert ask_health(lab, "/livez")[0] == 200
    assert ask_health(lab, "/healthz", "n2")[0] == 200
    del nodes[0]["spec"]["taints"]
    cluster.write("nodes.yaml", nodes)
    assert ask_health(lab, "/healthz")[0] == 200


def test_proxy_mode(cluster, lab):
    status, headers, body = get(lab.namespace("n1"), "127.0.0.1", 10249, "/proxyMode")
    assert (status, body) == (200, mode())
    assert headers["content-type"] == "text/plain; charset=utf-8"
    assert get(lab.namespace("n1"), "127.0.0.1", 10249, "/healthz")[0] == 200


def test_metrics(cluster, lab):
    status, headers, body = get(lab.namespace("n1"), "127.0.0.1", 10249, "/metrics")
    assert status == 200 and headers["content-type"].startswith("text/plain")
    names = {line.split("{")[0].split(" ")[0] for line in body.splitlines() if line and not line.startswith("#")}
    for name in ("kubeproxy_sync_proxy_rules_duration_seconds_count", "kubeproxy_sync_proxy_rules_last_timestamp_seconds",
                 "kubeproxy_network_programming_duration_seconds_count"):
        assert name in names, f"{name} in {sorted(names)}"


def test_metrics_stay_inside(cluster, lab):
    """--metrics-bind-address 127.0.0.1 means it."""
    with pytest.raises(ConnectionRefusedError):
        get(lab.namespace("client"), lab.topology.nodes["n1"].address(4), 10249, "/metrics")


# --- healthCheckNodePort

def local_service(lab, endpoints, port=HEALTH_PORT):
    spec = {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": port,
            "ports": [{"name": name, "protocol": "TCP", "port": number, "targetPort": 8080, "nodePort": 32310 + number}
                      for name, number in (("tcp", 80), ("more", 81))]}
    objects = manifests.simple("checked", lab.topology, ["10.96.6.1", "fd00:10:96::601"], endpoints, spec=spec)
    for piece in objects[1:]:
        piece["ports"].append({"name": "more", "protocol": "TCP", "port": 8081})
    return objects


@pytest.fixture
def checked(cluster, lab):
    """A function that (re)writes the service; the service is gone after the test, and its listeners with it."""
    yield lambda endpoints, port=HEALTH_PORT: cluster.write("checked.yaml", local_service(lab, endpoints, port))
    if (cluster.folder.path / "checked.yaml").exists():
        cluster.remove("checked.yaml")


def check(lab, node, port=HEALTH_PORT, family=4):
    status, headers, body = get(lab.namespace("client"), lab.topology.nodes[node].address(family), port, "/any/path")
    return status, headers, body


def expected_body(count):
    return ('{\n\t"service": {\n\t\t"namespace": "default",\n\t\t"name": "checked"\n\t},\n'
            f'\t"localEndpoints": {count},\n\t"serviceProxyHealthy": true\n}}')


def test_health_check_node_port(checked, lab):
    """200 where there are local endpoints and 503 where not; an endpoint counts once, whatever its ports."""
    checked("a1 b1 a2 c2:unready")
    for node, count in (("n1", 2), ("n2", 1), ("n3", 0)):
        for family in (4, 6):
            status, headers, body = check(lab, node, family=family)
            assert status == (200 if count else 503), (node, family)
            assert headers["x-load-balancing-endpoint-weight"] == str(count)
            assert headers["content-type"].startswith("application/json")
            assert headers["x-content-type-options"] == "nosniff"
            assert body.rstrip("\n") == expected_body(count)


def test_health_check_follows(checked, lab):
    """Terminating endpoints still serve but no longer count; the answer changes without a pause in listening."""
    checked("a1 a2")
    assert check(lab, "n1")[0] == 200
    checked("a1:terminating a2")
    assert check(lab, "n1")[0] == 503
    checked("a1 b1 c1 a2")
    assert check(lab, "n1")[1]["x-load-balancing-endpoint-weight"] == "3"


def test_health_check_port_moves_and_goes(cluster, checked, lab):
    checked("a1")
    checked("a1", HEALTH_PORT + 1)
    assert check(lab, "n1", HEALTH_PORT + 1)[0] == 200
    with pytest.raises(ConnectionRefusedError):
        check(lab, "n1", HEALTH_PORT)
    cluster.remove("checked.yaml")
    with pytest.raises(ConnectionRefusedError):
        check(lab, "n1", HEALTH_PORT + 1)


def test_health_check_keeps_to_node_port_addresses(checked, lab):
    """With --nodeport-addresses the server listens on those addresses only."""
    checked("a1")
    assert check(lab, "n1")[0] == 200
    with pytest.raises(ConnectionRefusedError):
        get(lab.namespace("d1"), lab.topology.nodes["n1"].pod_gateway(4), HEALTH_PORT)


def test_health_check_port_in_use(cluster, checked, lab):
    """Somebody else's listener on the port is no end of the world: once it is gone, ours is there."""
    namespace = lab.namespace("n1")
    with namespace.socket(socket.AF_INET, socket.SOCK_STREAM) as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind((lab.topology.nodes["n1"].address(4), HEALTH_PORT))
        squatter.listen()
        checked("a1")
        cluster.proxies["n1"].wait_ready()
    checked("a1 b1")  # tried again at each sync

    def listens():
        try:
            return check(lab, "n1")[0] == 200
        except OSError:
            return False
    wait_until(listens, 10, "listening once the port is free")
