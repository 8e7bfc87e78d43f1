# SPDX-License-Identifier: GPL-2.0-or-later
"""The packets follow what kubectl writes: node n1 of the lab has the API server, and pods and an outside client ask."""
import json

import embedded
import kubectl as kubectls
import lab as labs
import manifests
import probe
import pytest
from conftest import NEEDS_KUBECTL
from proxy import DEFAULTS, wait_until

N1, EXTERNAL = "172.18.0.11", "198.51.100.40"
SERVICE = """
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec:
  type: {type}
  ports: [{{name: tcp, protocol: TCP, port: {port}, targetPort: 8080{more}}}]
  selector: {{app: nginx}}
"""


@pytest.fixture(scope="module")
def lab():
    if labs.missing():
        pytest.skip(labs.missing())
    with labs.Lab() as made:
        yield made


@pytest.fixture(scope="module")
def node(lab):
    """fairlead with its API on n1, and the lab's nodes as objects in it."""
    server = embedded.Server(lab.directory / "api", lab.namespace("n1"), {**DEFAULTS, "hostname-override": "n1"})
    try:
        yield server.start()
    finally:
        print(server.log()[-4000:])
        server.kill()


@pytest.fixture(scope="module")
def kubectl(node, lab):
    found = kubectls.programs()
    if not found:
        pytest.skip(NEEDS_KUBECTL)
    made = kubectls.Kubectl(found[-1], node.kubeconfig, lab.directory / "kubectl", node.namespace.command([]))
    made("apply -f -", json.dumps({"apiVersion": "v1", "kind": "List",
                                   "items": [one.manifest() for one in lab.topology.nodes.values()]}))
    return made


@pytest.fixture(scope="module")
def prober(lab):
    return probe.Prober(lab)


@pytest.fixture(autouse=True)
def emptied(kubectl):
    yield
    for kind in ("services", "endpoints", "endpointslices"):
        kubectl(f"delete {kind} --all --wait=true")


def slice_of(lab, service, tokens, family=4, ports=(("tcp", "TCP", 8080),)):
    """An EndpointSlice as a controller would leave it, as JSON for kubectl."""
    return json.dumps(manifests.endpoint_slice(
        f"{service}-ipv{family}", service, family,
        [{"name": name, "protocol": protocol, "port": port} for name, protocol, port in ports],
        [manifests.endpoint(token, lab.topology, family) for token in tokens.split()]))


def expect(prober, want, client, protocol, address, port, count=30):
    """Waits until all of `count` questions are answered by exactly the pods (or verdicts) in `want`."""
    last = []

    def is_so():
        last[:] = [prober.many(count, client, protocol, address, port, timeout_s=2.0)]
        return set(last[0]) == set(want.split())
    wait_until(is_so, 8, lambda: f"{client} to {address}:{port} answered by {want}, but by {dict(last[0])}")


def cluster_ip(kubectl, name):
    return kubectl(f"get svc {name} -o jsonpath='{{.spec.clusterIP}}'")


def test_cluster_ip_and_its_affinity(kubectl, prober, lab):
    """The tutorial's nginx-svc: both pods answer; with ClientIP one of them; set back, both again."""
    kubectl("apply -f -", SERVICE.format(name="nginx-svc", type="ClusterIP", port=80, more=""))
    address = cluster_ip(kubectl, "nginx-svc")
    expect(prober, "rejected", "d1", "tcp", address, 80, count=3)
    kubectl("apply -f -", slice_of(lab, "nginx-svc", "a1 a2"))
    expect(prober, "a1 a2", "d1", "tcp", address, 80)
    assert kubectl("patch svc nginx-svc -p '{\"spec\":{\"sessionAffinity\":\"ClientIP\"}}'") == "service/nginx-svc patched\n"
    # The first of them are asked at once and may choose each for itself: so one is asked alone before.
    wait_until(lambda: len({prober.connect_once("d1", "tcp", address, 80).pod for _ in range(12)}) == 1, 8, "one pod alone")
    chosen = {prober.connect_once("d1", "tcp", address, 80).pod for _ in range(20)}
    assert len(chosen) == 1 and chosen < {"a1", "a2"}
    kubectl("patch svc nginx-svc -p '{\"spec\":{\"sessionAffinity\":\"None\"}}'")
    expect(prober, "a1 a2", "d1", "tcp", address, 80)
    kubectl("delete svc nginx-svc")
    expect(prober, "dropped", "d1", "tcp", address, 80, count=3)


def test_edit_moves_the_port(kubectl, prober, lab):
    kubectl("apply -f -", SERVICE.format(name="web", type="ClusterIP", port=80, more=""))
    kubectl("apply -f -", slice_of(lab, "web", "b1"))
    address = cluster_ip(kubectl, "web")
    expect(prober, "b1", "c1", "tcp", address, 80, count=3)
    done = kubectl.shell("KUBE_EDITOR='sed -i s/port..80$/port:\\ 8060/' kubectl edit svc web")
    assert done.stdout == "service/web edited\n", done
    expect(prober, "b1", "c1", "tcp", address, 8060, count=3)
    expect(prober, "rejected", "c1", "tcp", address, 80, count=3)


def test_endpoints_of_a_service_without_a_selector(kubectl, prober, lab):
    """Nobody selects them: they are written by hand, mirrored into a slice, and packets follow them until they go."""
    kubectl("create service clusterip outside --tcp=80:8081")
    kubectl("patch svc outside --type=merge -p '{\"spec\":{\"selector\":null}}'")
    address = cluster_ip(kubectl, "outside")
    kubectl("apply -f -", json.dumps({
        "apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "outside"},
        "subsets": [{"addresses": [{"ip": lab.topology.pods[pod].address(4)} for pod in ("a1", "c3")],
                     "ports": [{"name": "80-8081", "port": 8081}]}]}))
    expect(prober, "a1 c3", "d1", "tcp", address, 80)
    labels = kubectl("get endpointslices -l kubernetes.io/service-name=outside "
                     "-o jsonpath='{.items[*].metadata.labels.endpointslice\\.kubernetes\\.io/managed-by}'")
    assert labels == "endpointslicemirroring-controller.k8s.io"
    kubectl("delete endpoints outside")
    expect(prober, "rejected", "d1", "tcp", address, 80, count=3)


def test_node_port(kubectl, prober, lab):
    """The tutorial's nginx-app: 8060:30001, from outside of the cluster, in turn by the one pod and by the other."""
    kubectl("apply -f -", SERVICE.format(name="nginx-app", type="NodePort", port=8060, more=", nodePort: 30001"))
    kubectl("apply -f -", slice_of(lab, "nginx-app", "a1 a2"))
    expect(prober, "a1 a2", "client", "tcp", N1, 30001)
    expect(prober, "a1 a2", "d1", "tcp", cluster_ip(kubectl, "nginx-app"), 8060)
    kubectl("patch svc nginx-app -p '{\"spec\":{\"externalTrafficPolicy\":\"Local\"}}'")
    expect(prober, "a1", "client", "tcp", N1, 30001)
    kubectl("patch svc nginx-app -p '{\"spec\":{\"type\":\"ClusterIP\"}}'")
    expect(prober, "rejected", "client", "tcp", N1, 30001, count=3)
    expect(prober, "a1 a2", "d1", "tcp", cluster_ip(kubectl, "nginx-app"), 8060)


def test_load_balancer_and_external_ip(kubectl, prober, lab):
    """The address that somebody writes into the status is served from then on, and so is an external IP."""
    kubectl("apply -f -", SERVICE.format(name="nginx-metallb", type="LoadBalancer", port=8090, more=""))
    kubectl("apply -f -", slice_of(lab, "nginx-metallb", "b1 b3"))
    expect(prober, "leaked", "client", "tcp", EXTERNAL, 8090, count=3)
    service = json.loads(kubectl("get svc nginx-metallb -o json"))
    service["status"] = {"loadBalancer": {"ingress": [{"ip": EXTERNAL}]}}
    kubectl("replace --raw /api/v1/namespaces/default/services/nginx-metallb/status -f -", json.dumps(service))
    assert EXTERNAL in kubectl("get svc nginx-metallb")
    expect(prober, "b1 b3", "client", "tcp", EXTERNAL, 8090)
    kubectl("patch svc nginx-metallb -p '{\"spec\":{\"externalIPs\":[\"198.51.100.41\"]}}'")
    expect(prober, "b1 b3", "client", "tcp", "198.51.100.41", 8090)


def test_two_protocols_and_a_policy(kubectl, prober, lab):
    """The tutorial's kube-dns, over UDP and TCP; a patch keeps clients to their own node's pods, another lets them out."""
    kubectl("apply -f -", """
apiVersion: v1
kind: Service
metadata: {name: kube-dns}
spec:
  ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53, protocol: TCP}]
""")
    kubectl("apply -f -", slice_of(lab, "kube-dns", "a1 a3", ports=(("dns", "UDP", 8080), ("dns-tcp", "TCP", 8080))))
    address = cluster_ip(kubectl, "kube-dns")
    for policy, want in (("Cluster", "a1 a3"), ("Local", "a1"), ("Cluster", "a1 a3")):
        kubectl(f"patch svc kube-dns -p '{{\"spec\":{{\"internalTrafficPolicy\":\"{policy}\"}}}}'")
        for protocol in ("udp", "tcp"):
            expect(prober, want, "d1", protocol, address, 53)


def test_topology_keys(kubectl, prober, lab):
    """The tutorial's kube-dns: a node that has a pod uses its own; when that goes, its zone's; and then anybody's."""
    kubectl("apply -f -", """
apiVersion: v1
kind: Service
metadata: {name: kube-dns}
spec:
  topologyKeys: ["kubernetes.io/hostname", "topology.kubernetes.io/zone", "*"]
  ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53, protocol: TCP}]
""")
    address = cluster_ip(kubectl, "kube-dns")
    for tokens, want in (("a1 a2 a3", "a1"), ("a2 a3", "a2"), ("a3 b3", "a3 b3")):
        ports = (("dns", "UDP", 8080), ("dns-tcp", "TCP", 8080))
        kubectl("apply -f -", slice_of(lab, "kube-dns", tokens, ports=ports))
        for protocol in ("udp", "tcp"):
            expect(prober, want, "d1", protocol, address, 53)


def test_dual_stack(kubectl, prober, lab):
    kubectl("apply -f -", SERVICE.format(name="both", type="ClusterIP", port=80, more="")
            + "  ipFamilyPolicy: RequireDualStack\n")
    kubectl("apply -f -", slice_of(lab, "both", "a1"))
    kubectl("apply -f -", slice_of(lab, "both", "b1", family=6))
    four, six = kubectl("get svc both -o jsonpath='{.spec.clusterIPs[*]}'").split()
    expect(prober, "a1", "d1", "tcp", four, 80, count=5)
    expect(prober, "b1", "d1", "tcp", six, 80, count=5)


def test_type_changes(kubectl, prober, lab):
    """From a name to an address and on to a node port: the packets follow each."""
    kubectl("create service externalname named --external-name=example.com")
    kubectl("patch svc named -p "
            "'{\"spec\":{\"type\":\"ClusterIP\",\"externalName\":null,\"ports\":[{\"name\":\"tcp\",\"port\":80}]}}'")
    kubectl("apply -f -", slice_of(lab, "named", "c1"))
    address = cluster_ip(kubectl, "named")
    expect(prober, "c1", "d1", "tcp", address, 80, count=3)
    kubectl("patch svc named -p '{\"spec\":{\"type\":\"NodePort\"}}'")
    port = int(kubectl("get svc named -o jsonpath='{.spec.ports[0].nodePort}'"))
    assert 30000 <= port <= 32767 and cluster_ip(kubectl, "named") == address
    expect(prober, "c1", "client", "tcp", N1, port, count=3)


def test_a_kill_changes_nothing_for_packets(kubectl, prober, lab, node):
    """Killed, the kernel goes on; started again, the objects are there, with their addresses, and change again."""
    kubectl("apply -f -", SERVICE.format(name="stays", type="ClusterIP", port=80, more=""))
    kubectl("apply -f -", slice_of(lab, "stays", "a1 a2"))
    address = cluster_ip(kubectl, "stays")
    expect(prober, "a1 a2", "d1", "tcp", address, 80)
    node.kill()
    expect(prober, "a1 a2", "d1", "tcp", address, 80)
    node.start()
    assert cluster_ip(kubectl, "stays") == address
    assert set(prober.many(30, "d1", "tcp", address, 80)) == {"a1", "a2"}
    kubectl("apply -f -", slice_of(lab, "stays", "c1"))
    expect(prober, "c1", "d1", "tcp", address, 80)
