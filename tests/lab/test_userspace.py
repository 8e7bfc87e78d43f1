# SPDX-License-Identifier: GPL-2.0-or-later
"""What the mode userspace alone does: sockets and portals that an operator sees, endpoints tried one after the other,
and the end of the process."""
import contextlib
import re

import manifests
import patience
import proxy
import pytest

CLUSTER_IPS = ["10.96.3.40", "fd00:10:96::340"]
NODE_PORT = 30740
NOBODY = {4: "10.244.1.99", 6: "fd00:10:244:1::99"}  # no pod has it: nobody answers, or the node says so after seconds


@pytest.fixture(scope="module")
def cluster(lab):
    with proxy.Cluster(lab) as made:
        made.write("shown.yaml", objects(lab))
        yield made


def objects(lab, endpoints="a1 a2", spec=None, dead=False):
    made = manifests.simple("shown", lab.topology, CLUSTER_IPS, endpoints, protocols=("TCP", "UDP"),
                            spec={"type": "NodePort", **(spec or {})})
    for port in made[0]["spec"]["ports"]:
        port["nodePort"] = NODE_PORT
    for entry in made if dead else []:
        if entry["kind"] == "EndpointSlice":
            family = int(entry["addressType"][-1])
            entry["endpoints"].append({"addresses": [NOBODY[family]], "nodeName": "n1", "conditions": {"ready": True}})
    return made


def saved(lab, node="n1"):
    return "".join(lab.namespace(node).run([f"{program}-save"]).stdout for program in ("iptables", "ip6tables"))


def portals(lab):
    return [line for line in saved(lab).splitlines() if re.search("KUBE-(PORTALS|NODEPORT)|FAIRLEAD-PORTALS", line)]


def test_operators_see_it(cluster, lab):
    listening = lab.namespace("n1").run(["ss", "-Hlntp"]).stdout
    assert len(re.findall(rf"LISTEN.*:{NODE_PORT} .*fairlead", listening)) == 2, listening
    rules = saved(lab)
    for chain in ("CONTAINER", "HOST"):
        ports = re.findall(rf"-A KUBE-PORTALS-{chain} -d 10.96.3.40/32 .*default/shown.* --to-ports (\d+)", rules)
        assert len(ports) == 2, rules  # TCP and UDP
        assert any(re.search(rf"LISTEN.*:{port} .*fairlead", listening) for port in ports), listening


def test_socket_takes_only_what_was_led_to_it(cluster, lab, prober):
    port = int(re.search(r"-A KUBE-PORTALS-CONTAINER -d 10.96.3.40/32 -p tcp .* --to-ports (\d+)", saved(lab))[1])
    node = lab.topology.nodes["n1"].address(4)
    assert prober.connect_once("client", "tcp", node, port).kind == "rejected"
    assert prober.connect_once("client", "tcp", node, NODE_PORT).kind == "served"


def test_dead_endpoints_are_passed_over(cluster, lab, prober):
    cluster.write("shown.yaml", objects(lab, "a1", dead=True))
    try:
        for address in CLUSTER_IPS:
            seen = {prober.connect_once("d1", "tcp", address, 80, timeout_s=5).pod for _ in range(6)}
            assert seen == {"a1"}, address
    finally:
        cluster.write("shown.yaml", objects(lab))


def test_affinity_leaves_a_dead_endpoint(cluster, lab, prober):
    cluster.write("shown.yaml", objects(lab, "a1 a2", {"sessionAffinity": "ClientIP"}, dead=True))
    try:
        seen = {prober.connect_once("d1", "tcp", CLUSTER_IPS[0], 80, timeout_s=5).pod for _ in range(8)}
        assert len(seen) == 1 and seen < {"a1", "a2"}
    finally:
        cluster.write("shown.yaml", objects(lab))


def test_connection_survives_changes(cluster, lab, prober):
    """Of endpoints, and of the service itself."""
    with contextlib.closing(lab.namespace("d1").socket(2, 1)) as sock:
        sock.settimeout(patience.seconds(5))
        sock.connect((CLUSTER_IPS[0], 80))
        first = sock.recv(200)
        cluster.write("shown.yaml", objects(lab, "a3"))
        cluster.remove("shown.yaml")
        sock.sendall(b"still there\n")
        assert first and sock.recv(200) == b"still there\n"
    assert prober.connect_once("d1", "tcp", CLUSTER_IPS[0], 80).kind == "dropped"
    listening = lab.namespace("n1").run(["ss", "-Hlnt"]).stdout
    assert f":{NODE_PORT} " not in listening
    cluster.write("shown.yaml", objects(lab))


@pytest.mark.parametrize("family", [4, 6])
def test_restart_after_a_kill(cluster, prober, family):
    address = CLUSTER_IPS[family == 6]
    one = cluster.proxies["n1"]
    one.kill()
    for protocol in ("tcp", "udp"):
        assert prober.connect_once("d1", protocol, address, 80).kind == "rejected"
    one.start()
    one.wait_ready()
    for protocol in ("tcp", "udp"):
        assert prober.connect_once("d1", protocol, address, 80).kind == "served"


def test_portals_go_with_an_orderly_end(cluster, lab, prober):
    one = cluster.proxies["n1"]
    assert portals(lab)
    one.stop()
    assert portals(lab) == []
    one.start()
    one.wait_ready()
    assert prober.connect_once("d1", "tcp", CLUSTER_IPS[0], 80).kind == "served"


def test_cleanup_after_a_kill(cluster, lab):
    one = cluster.proxies["n1"]
    one.kill()
    assert portals(lab)
    one.tool("cleanup")
    assert portals(lab) == []
    one.start()
    one.wait_ready()
