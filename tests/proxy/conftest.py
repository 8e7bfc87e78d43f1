# SPDX-License-Identifier: GPL-2.0-or-later
"""One lab, one API server on its backbone, and a proxy on every node that it feeds; for the whole session."""
import os
import pathlib
import signal
import sys
import time

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "api"), str(HERE.parent / "lab")]

import embedded      # noqa: E402
import fed           # noqa: E402
import lab as labs   # noqa: E402
import manifests     # noqa: E402
import middle        # noqa: E402
import probe         # noqa: E402
import topology      # noqa: E402
from proxy import wait_until  # noqa: E402
from rest import Rest  # noqa: E402

STEADY_IPS = ["10.96.3.1", "fd00:10:96::301"]


def pytest_configure(config):
    """SIGTERM ends a run as Ctrl-C does, so that the fixtures still take their namespaces down."""
    def interrupt(_number, _frame):
        raise KeyboardInterrupt("SIGTERM")
    signal.signal(signal.SIGTERM, interrupt)
    signal.signal(signal.SIGHUP, interrupt)


@pytest.fixture(scope="session")
def lab():
    reason = labs.missing()
    if reason:
        pytest.skip(reason)
    if not os.access(labs.binary(), os.X_OK):
        pytest.fail(f"no fairlead at {labs.binary()}: build it first, or name one in $FAIRLEAD")
    with labs.Lab() as made:
        yield made


@pytest.fixture(scope="session")
def prober(lab):
    return probe.Prober(lab)


@pytest.fixture(scope="session")
def namespaces(lab):
    made = embedded.Namespaces()
    yield made
    made.close()


@pytest.fixture(scope="session")
def api(lab, namespaces):
    """The API server, with the lab's nodes and the Service `steady` in it."""
    server = fed.Api(lab.directory / "api", fed.join_backbone(lab, namespaces, fed.API_HOST))
    try:
        server.start()
        fed.create(server.rest(), [node.manifest() for node in lab.topology.nodes.values()])
        fed.create(server.rest(), manifests.simple("steady", lab.topology, STEADY_IPS, "a1 a2 a3"))
        yield server
    finally:
        server.kill()
        server.namespace.close()


@pytest.fixture(scope="session")
def rest(api):
    return api.rest()


@pytest.fixture(scope="session")
def new_rest(api):
    """A function that makes another Rest of the administrator."""
    return api.rest


@pytest.fixture(scope="session")
def upstream(api):
    """A function that makes a Rest with the rights of a node's proxy."""
    return lambda node: Rest(api.namespace, api.node_kubeconfig(node))


@pytest.fixture(scope="session")
def server_namespace(api):
    return api.namespace


@pytest.fixture(scope="session")
def fleet(lab, api):
    with fed.Fleet(lab, api.node_kubeconfig) as made:
        yield made


@pytest.fixture(scope="session")
def many(lab, rest):
    """Slices that are there all the time, so that lists are long. A test leaves as many as it found."""
    services, slices = fed.many_slices(lab)
    with rest.one_connection():
        fed.create(rest, services + slices)
    return slices


@pytest.fixture(scope="session", autouse=True)
def stalled(lab, api, many, namespaces):
    """A further node, whose first list stalls in its middle; it is found out beside the other tests, because it takes
    half a minute. (proxy, the man in the middle, when it began)"""
    node = topology.Node("n4", 4, "us-west-1b")
    fed.create(api.rest(), [node.manifest()])
    lab.namespaces[node.name] = fed.join_backbone(lab, namespaces, 10 + node.number)
    man = middle.Middle(api.namespace, (fed.API_ADDRESS, fed.STALLING_PORT), (fed.API_ADDRESS, embedded.PORT))
    proxy = fed.FedProxy(lab, node.name, api.node_kubeconfig(node.name, fed.STALLING_PORT))
    try:
        man.plan = [(fed.IN_LIST, "stall")]
        proxy.start()
        wait_until(lambda: man.stalls, 10, lambda: f"a list stalled; {proxy.log()[-2000:]}")
        yield proxy, man, time.monotonic()
    finally:
        proxy.stop()
        man.close()
        lab.namespaces.pop(node.name).close()


@pytest.fixture(scope="session")
def targets(fleet):
    """What a Load asks: the Service that no test touches, from a pod in both families, and from a node."""
    return [("d1", STEADY_IPS[0], 80), ("d1", STEADY_IPS[1], 80), ("n1", STEADY_IPS[0], 80)]


@pytest.fixture(autouse=True)
def logs(request):
    """With a failure come the ends of the logs."""
    yield
    if "fleet" in request.fixturenames:
        for proxy in request.getfixturevalue("fleet").proxies.values():
            print(f"--- log of {proxy.node}\n{proxy.log()[-1500:]}")
        print(f"--- log of the server\n{request.getfixturevalue('api').log()[-1500:]}")
