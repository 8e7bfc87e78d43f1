# SPDX-License-Identifier: GPL-2.0-or-later
"""What holds against any API server: packets follow the API. Each function is one test, for ours and for a real one."""
import contextlib
import signal
import socket
import time

import fed
import manifests
from proxy import wait_until
from topology import ZONE_LABEL

CHANGES, SERVICES = 1000, 100
TURNS_MAX = CHANGES * 3 // 4  # while they come one by one, a change that meets an idle proxy is programmed at once
BACKLOG_TURNS_MAX = 50        # all of them at hand at once


def ask(prober, client, address, port=80, **options):
    return prober.connect_once(client, "tcp", address, port, **options)


def wait_pod(prober, pod, client, address, port=80, **options):
    """Waits until `pod` answers; "" is until nobody does."""
    options.setdefault("timeout_s", 0.2)
    wait_until(lambda: ask(prober, client, address, port, **options).pod == pod, fed.CAUGHT_UP_S,
               lambda: f"{client} gets {pod or 'nobody'} at {address}:{port}; "
                       f"now {ask(prober, client, address, port, **options)}")


def cluster_ip(lab, prober, rest):
    """A Service is made, its slice changes, it goes: from a pod on every node."""
    ips = ["10.96.4.1", "fd00:10:96::401"]
    clients = ["d1", "c2", "c3"]
    things = manifests.simple("walk", lab.topology, ips, "a2")
    assert ask(prober, "d1", ips[0]).kind != "served"
    fed.create(rest, things)
    for client in clients:
        for ip in ips:
            wait_pod(prober, "a2", client, ip)
    for thing in manifests.simple("walk", lab.topology, ips, "b3")[1:]:
        fed.replace(rest, thing)
    for client in clients:
        for ip in ips:
            wait_pod(prober, "b3", client, ip)
    fed.delete(rest, things)
    for client in clients:
        for ip in ips:
            wait_pod(prober, "", client, ip)


def node_port(lab, prober, rest):
    """The zone of a node is what its Node object says, and follows its label."""
    port = 30741
    spec = {"type": "NodePort", "trafficDistribution": "PreferClose",
            "ports": [{"name": "tcp", "protocol": "TCP", "port": 80, "targetPort": 8080, "nodePort": port}]}
    things = manifests.simple("zoned", lab.topology, ["10.96.4.2"], "a1@us-west-1a a3@us-west-1b", spec=spec)
    fed.create(rest, things)
    n3 = lab.topology.nodes["n3"]

    def label(zone):
        rest.good("PATCH", f"/api/v1/nodes/{n3.name}", {"metadata": {"labels": {ZONE_LABEL: zone}}},
                  Content_Type="application/merge-patch+json")

    def only(pod, node):
        wait_pod(prober, pod, "client", node.address(4), port)
        answers = set(prober.many(20, "client", "tcp", node.address(4), port))
        assert answers == {pod}, f"node port of {node.name}: {answers}"
    for name in ("n1", "n2"):
        only("a1", lab.topology.nodes[name])
    only("a3", n3)
    label("us-west-1a")
    only("a1", n3)
    label(n3.zone)
    only("a3", n3)
    fed.delete(rest, things)
    wait_pod(prober, "", "client", n3.address(4), port)


@contextlib.contextmanager
def stopped(child):
    """A process that does not run within the block, so that all that comes meanwhile waits for it."""
    child.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        child.send_signal(signal.SIGCONT)


def burst_address(number):
    return f"10.96.5.{number + 1}"


def burst(lab, prober, rests, fleet):
    """1,000 changes of slices in a row; one proxy gets them all at once. Returns the seconds of writing, and turns."""
    rest = rests[0]
    services = [manifests.simple(f"burst{number}", lab.topology, [burst_address(number)], "a1")
                for number in range(SERVICES)]
    for things in services:
        fed.create(rest, things)
    fed.wait_equal(fleet.proxies.values(), rest)
    turns = {name: proxy.turns() for name, proxy in fleet.proxies.items()}
    rounds = [manifests.endpoint_slice(f"burst{number}-ipv4", f"burst{number}", 4,
                                       [{"name": "tcp", "protocol": "TCP", "port": 8080}],
                                       [manifests.endpoint(pod, lab.topology, 4)])
              for pod in "a2 a3 b1 b2 b3 c1 c2 c3 d1 a1".split() for number in range(SERVICES)]
    # The last word on every other Service is another pod, so that neither the first nor a common state will do.
    for number in range(0, SERVICES, 2):
        rounds[-SERVICES + number]["endpoints"] = [manifests.endpoint("b2", lab.topology, 4)]
    # Each connection has Services of its own, so that the changes of one Service stay in their order.
    assert SERVICES % len(rests) == 0
    late = fleet.proxies["n2"]
    began = time.monotonic()
    with stopped(late.child):
        fed.replace_all(rests, rounds)
    seconds = time.monotonic() - began
    fed.wait_equal(fleet.proxies.values(), rest)
    used = {name: proxy.turns() - turns[name] for name, proxy in fleet.proxies.items()}
    for number in (0, 1, SERVICES - 2, SERVICES - 1):
        for client in ("d1", "c2"):
            assert ask(prober, client, burst_address(number)).pod == ("a1" if number % 2 else "b2")
    assert all(0 < count < TURNS_MAX for count in used.values()), f"{CHANGES} changes took turns {used}"
    assert used[late.node] < BACKLOG_TURNS_MAX, f"a backlog of {CHANGES} changes took {used[late.node]} turns"
    for things in services:
        fed.delete(rest, things)
    fed.wait_equal(fleet.proxies.values(), rest)
    return seconds, used


def told(rest, kind, name, reason, namespace="default"):
    """The events of that reason about an object."""
    items = rest.good("GET", f"/apis/events.k8s.io/v1/namespaces/{namespace}/events")["items"]
    return [event for event in items
            if event["reason"] == reason and (event["regarding"]["kind"], event["regarding"]["name"]) == (kind, name)]


def events(lab, rest, fleet):
    """The API server hears of each start, and of a health check port that somebody else has on one node."""
    for node in fleet.proxies:
        wait_until(lambda node=node: told(rest, "Node", node, "Starting"), fed.CAUGHT_UP_S, lambda node=node: f"Starting of {node}")
        event = told(rest, "Node", node, "Starting")[0]
        assert (event["type"], event["action"], event["reportingController"]) == ("Normal", "StartKubeProxy", "kube-proxy")
        assert event["reportingInstance"].startswith("kube-proxy-") and not event.get("note")
        assert event["metadata"]["name"].startswith(f"{node}.")
    spec = {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": 30799,
            "ports": [{"name": "tcp", "protocol": "TCP", "port": 80, "targetPort": 8080}]}
    things = manifests.simple("blocked", lab.topology, ["10.96.4.8"], "a1", spec=spec)
    with lab.namespace("n2").socket(socket.AF_INET, socket.SOCK_STREAM) as other:
        other.bind(("0.0.0.0", 30799))
        other.listen()
        fed.create(rest, things)
        wait_until(lambda: told(rest, "Service", "blocked", "FailedToStartServiceHealthcheck"), fed.CAUGHT_UP_S,
                   lambda: "FailedToStartServiceHealthcheck of blocked")
    event, = told(rest, "Service", "blocked", "FailedToStartServiceHealthcheck")
    assert (event["type"], event["action"]) == ("Warning", "Listen")
    assert event["regarding"]["namespace"] == "default" and event["regarding"]["apiVersion"] == "v1"
    assert "n2" in event["note"] and "30799" in event["note"] and "default/blocked" in event["note"]
    fed.delete(rest, things)
