# SPDX-License-Identifier: GPL-2.0-or-later
"""dist/kubernetes against a real kube-apiserver: it takes every object, and the account has the rights that it uses and no
other. Servers that stream lists and such that do not (before 1.32) are asked in different verbs."""
import socket
import subprocess

import differential
import embedded
import lab as labs
import pytest
import rbac
import realserver
from proxy import wait_until
from rest import Rest

SYNCED_S = 20
SERVERS = {"streaming": "--feature-gates=WatchList=true", "paging": "--feature-gates=WatchList=false"}


@pytest.fixture(scope="module")
def namespaces():
    made = embedded.Namespaces()
    yield made
    made.close()


@pytest.fixture(scope="module", params=SERVERS)
def real(request, tmp_path_factory, namespaces):
    if reason := realserver.missing():
        pytest.skip(reason)
    namespace = namespaces.new()
    server = realserver.RealServer(tmp_path_factory.mktemp(request.param) / "real", namespace,
                                   flags=[SERVERS[request.param]])
    try:
        with namespace.entered():
            server.start()
            server.wait_ready(differential.from_kubeconfig(server.kubeconfig))
        yield server
    finally:
        server.stop()
        namespace.close()


@pytest.fixture(scope="module")
def admin(real):
    return Rest(real.namespace, real.verified_kubeconfig(realserver.TOKEN))


@pytest.fixture(scope="module")
def token(admin):
    return rbac.grant(admin)


class Daemon:
    """fairlead proxy beside the server."""

    def __init__(self, real, token, directory):
        self.real, self.directory = real, directory
        (directory / "kubeconfig").write_text(real.verified_kubeconfig(token))
        self.socket = directory / "control.sock"

    def __enter__(self):
        argv = [labs.binary(), "proxy", f"--kubeconfig={self.directory}/kubeconfig", "--hostname-override=n1",
                "--proxy-mode=nftables", f"--control-socket={self.socket}"]
        with open(self.directory / "log", "wb") as output:
            self.child = self.real.namespace.popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        return self

    def __exit__(self, *_):
        self.child.terminate()
        assert self.child.wait(20) == 0

    def log(self):
        return (self.directory / "log").read_text(errors="replace")

    def tool(self, *argv):
        return self.real.namespace.run([labs.binary(), *argv, "--control-socket", str(self.socket)], check=False)


NODE = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}}
HEALTH_PORT = 30799
SERVICE = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "blocked"},
           "spec": {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": HEALTH_PORT,
                    "ports": [{"port": 80}]}}
SERVICES = "/api/v1/namespaces/default/services"


def make_events(real, admin, daemon):
    """A Service whose health check port somebody else has, twice: an event, and a series of it."""
    with real.namespace.socket(socket.AF_INET, socket.SOCK_STREAM) as other:
        other.bind(("0.0.0.0", HEALTH_PORT))
        other.listen()
        for is_series in (False, True):
            admin.good("POST", SERVICES, SERVICE)
            wait_until(lambda is_series=is_series: has_event(admin, is_series), SYNCED_S, daemon.log)
            admin.good("DELETE", SERVICES + "/blocked")
            wait_until(lambda: "default/blocked" not in daemon.tool("dump", "forwarding").stdout, SYNCED_S, daemon.log)


def has_event(admin, is_series):
    events = admin.good("GET", "/apis/events.k8s.io/v1/namespaces/default/events")["items"]
    return [event for event in events if event["reason"] == "FailedToStartServiceHealthcheck" and
            event["regarding"]["name"] == "blocked" and bool(event.get("series")) >= is_series]


def test_server_takes_every_object(real, admin):
    """Strictly: a misspelt field is refused. Of the DaemonSet and the ConfigMap nothing is made."""
    for name in ("rbac.yaml", "configmap.yaml", "daemonset.yaml"):
        for thing in rbac.manifests(name):
            answer = admin.ask("POST", rbac.location(thing) + "?dryRun=All&fieldValidation=Strict", thing)
            assert answer.status == 201, f"{name}: {answer}"
            assert not [value for key, value in answer.headers.items() if key.lower() == "warning"], f"{name}: {answer.headers}"


def test_every_right_is_used_and_no_other(real, admin, token, tmp_path):
    admin.good("POST", "/api/v1/nodes", NODE)
    with Daemon(real, token, tmp_path) as daemon:
        wait_until(lambda: daemon.tool("status").returncode == 0, SYNCED_S, daemon.log)
        # The server's own Service, 10.96.0.1, and the range of its ServiceCIDR are in.
        table = daemon.tool("dump", "dataplane").stdout
        assert "10.96.0.1 . tcp . 443" in table and "10.96.0.0 - 10.96.255.255" in table, table
        make_events(real, admin, daemon)
        # A verb is in the log when its answer begins, in a paging server's case after the whole list.
        want = {right for right in rbac.granted() if right[0] != "list" or "WatchList=false" in real.flags[0]}
        wait_until(lambda: rbac.used(real.audited()) >= want, SYNCED_S,
                   lambda: f"rights that nothing uses: {want - rbac.used(real.audited())}\n{daemon.log()}")
    assert not rbac.denied(real.audited())
    assert rbac.used(real.audited()) == want
