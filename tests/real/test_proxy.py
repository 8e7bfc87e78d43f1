# SPDX-License-Identifier: GPL-2.0-or-later
"""fairlead proxy fed by a real kube-apiserver, as the account of dist/kubernetes/rbac.yaml with the rights that it has
there: the tests that tests/proxy has for the embedded one."""
import differential
import embedded
import fed
import lab as labs
import probe
import pytest
import rbac
import realserver
import walk
from rest import Rest


@pytest.fixture(scope="module")
def lab():
    reason = realserver.missing() or labs.missing()
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
        fed.create(Rest(namespace, server.verified_kubeconfig(realserver.TOKEN)),
                   [node.manifest() for node in lab.topology.nodes.values()])
        yield server
    finally:
        server.stop()
        namespace.close()
        namespaces.close()


@pytest.fixture(scope="module")
def new_rest(real):
    """A function that makes another Rest of the admin."""
    return lambda: Rest(real.namespace, real.verified_kubeconfig(realserver.TOKEN))


@pytest.fixture(scope="module")
def token(new_rest):
    return rbac.grant(new_rest())


@pytest.fixture(scope="module")
def fleet(lab, real, token):
    with fed.Fleet(lab, lambda _: real.verified_kubeconfig(token)) as made:
        yield made
        for proxy in made.proxies.values():
            print(f"--- log of {proxy.node}\n{proxy.log()[-1500:]}")


@pytest.fixture(scope="module")
def prober(lab):
    return probe.Prober(lab)


def test_rights_are_those_of_a_proxy(real, token):
    mine = Rest(real.namespace, real.verified_kubeconfig(token))
    assert mine.get("/api/v1/services").status == 200
    for path in ("/api/v1/pods", "/api/v1/secrets", "/api/v1/namespaces/kube-system/configmaps", "/api/v1/nodes/n1"):
        assert mine.get(path).status == 403, path
    assert mine.ask("DELETE", "/api/v1/nodes/n1").status == 403


def test_cluster_ip(lab, prober, new_rest, fleet):
    walk.cluster_ip(lab, prober, new_rest())


def test_node_port_and_zones(lab, prober, new_rest, fleet):
    walk.node_port(lab, prober, new_rest())


def test_events(lab, new_rest, fleet):
    walk.events(lab, new_rest(), fleet)


def test_thousand_changes(lab, prober, new_rest, fleet):
    walk.burst(lab, prober, [new_rest() for _ in range(4)], fleet)


def test_nothing_was_denied(real, fleet):
    """Nor would more rights than these be asked for in a day of work."""
    mine = [event for event in real.audited() if event.get("userAgent", "").startswith("fairlead/")]
    assert mine and not rbac.denied(mine)
    assert rbac.used(mine) <= rbac.granted()
