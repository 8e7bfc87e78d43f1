# SPDX-License-Identifier: GPL-2.0-or-later
"""The two ports of a proxy that an API server feeds. tests/real/test_pages.py compares them with kube-proxy's."""
import contextlib
import datetime
import socket
import subprocess
import time

import fed
import manifests
import pages
import patience
import pytest
from objects import path
from proxy import wait_until
from test_reload import NODE, configured  # noqa: F401 (a fixture)

TAINT = {"key": "ToBeDeletedByClusterAutoscaler", "effect": "NoSchedule"}
TRIGGER = "endpoints.kubernetes.io/last-change-trigger-time"
SLICES = 40
TURN = " transactions, "  # what is logged of each turn at -v2
COUNTED_S = 25  # a count is kept for ten
LATENCY = "kubeproxy_network_programming_duration_seconds"


def now():
    return datetime.datetime.now(datetime.timezone.utc).isoformat().replace("+00:00", "Z")


def latencies(namespace, family="IPv4"):
    return pages.metrics(namespace)[LATENCY].value("_count", ip_family=family)


def test_node_that_goes(lab, rest, fleet):
    """Load balancers hear of it at /healthz, and nobody restarts the proxy for it."""
    client, host = lab.namespace("client"), lab.topology.nodes["n3"].address(4)

    def answers(healthz):
        return (pages.ask(client, pages.HEALTHZ, "/healthz", host=host).status == healthz and
                pages.ask(client, pages.HEALTHZ, "/livez", host=host).status == 200)
    wait_until(lambda: answers(200), fed.CAUGHT_UP_S, "the node is eligible")
    node = rest.good("GET", path("nodes", "n3", ""))
    rest.good("PATCH", path("nodes", "n3", ""), {"spec": {"taints": [TAINT]}}, Content_Type="application/merge-patch+json")
    wait_until(lambda: answers(503), fed.CAUGHT_UP_S, "/healthz says that the node is tainted")
    page = pages.ask(client, pages.HEALTHZ, "/healthz", host=host)
    assert page.type == "application/json" and page.json["nodeEligible"] is False and page.json["healthy"] is True
    assert set(page.json) == {"lastUpdated", "currentTime", "nodeEligible", "healthy", "status"}
    assert "nodeEligible" not in pages.ask(client, pages.HEALTHZ, "/livez", host=host).json
    rest.good("DELETE", path("nodes", "n3", ""))
    node["metadata"].pop("resourceVersion")
    node["metadata"].pop("uid")
    proxy = fleet.proxies["n3"]
    wait_until(lambda: "node: n3 (the apiserver has no Node of this name)\n" in proxy.tool("status").stdout, fed.CAUGHT_UP_S,
               "the node is missed")
    assert proxy.log().count("the apiserver has no Node n3: ") == 1
    assert answers(503)
    fed.create(rest, [node])
    wait_until(lambda: answers(200), fed.CAUGHT_UP_S, "the node is back")
    assert "the apiserver has Node n3 now" in proxy.log()


def test_configuration_in_force(lab, configured):  # noqa: F811
    """/configz shows what the file says now; another metrics port is served at once."""
    node = lab.namespace(NODE)

    def shown(port=pages.METRICS):
        return pages.ask(node, port, "/configz").json["kubeproxy.config.k8s.io"]
    first = shown()
    assert first["kind"] == "KubeProxyConfiguration" and first["mode"] == "nftables" and first["hostnameOverride"] == NODE
    assert first["nodePortAddresses"] == configured.config["nodePortAddresses"]
    configured.write({**configured.config, "nodePortAddresses": ["198.51.100.0/24"]})
    configured.wait_log("changed: nodePortAddresses; in force from now on")
    assert shown()["nodePortAddresses"] == ["198.51.100.0/24"]
    assert pages.ask(node, pages.METRICS, "/debug/pprof/").body == "404 page not found\n"
    configured.write({**configured.config, "metricsBindAddress": "127.0.0.1:11249", "enableProfiling": True,
                      "featureGates": {"ComponentFlagz": False}})
    configured.wait_log("everything is opened anew")
    configured.wait_ready()
    assert shown(11249)["metricsBindAddress"] == "127.0.0.1:11249"
    assert pages.ask(node, 11249, "/flagz").status == 404
    assert "no Go profiler" in pages.ask(node, 11249, "/debug/pprof/").body
    feature = pages.families(pages.ask(node, 11249, "/metrics").body)["kubernetes_feature_enabled"]
    assert feature.value(name="ComponentFlagz") == 0 and feature.value(name="ComponentStatusz") == 1
    with pytest.raises(OSError):
        pages.ask(node, pages.METRICS, "/configz")


def test_verbosity(lab, rest, configured):  # noqa: F811
    node = lab.namespace(NODE)
    configured.write({**configured.config, "enableProfiling": True})
    configured.wait_log("everything is opened anew")
    configured.wait_ready()
    assert pages.ask(node, pages.METRICS, "/debug/flags/v").status == 406
    assert pages.ask(node, pages.METRICS, "/debug/flags/v", "PUT", "high").status == 400
    assert TURN not in configured.log()
    assert pages.ask(node, pages.METRICS, "/debug/flags/v", "PUT", "4").status == 200
    things = manifests.simple("noisy", lab.topology, ["10.96.4.21"], "a1")
    fed.create(rest, things)
    try:
        configured.wait_log(TURN)
    finally:
        fed.delete(rest, things)


def test_flags(lab, fleet):
    node = lab.namespace("n1")
    answer = pages.ask(node, pages.METRICS, "/flagz", Accept="application/json;as=Flagz;v=v1beta1;g=config.k8s.io")
    assert answer.status == 200 and answer.json["apiVersion"] == "config.k8s.io/v1beta1"
    flags = answer.json["flags"]
    assert flags["hostname-override"] == "n1" and flags["proxy-mode"] == "nftables" and flags["config"] == ""
    assert flags["nodeport-addresses"] == f"[{fleet.proxies['n1'].flags['nodeport-addresses']}]"
    assert "proxy-mode=nftables\n" in pages.ask(node, pages.METRICS, "/flagz").body


def test_status(lab, fleet):
    node = lab.namespace("n1")
    status = pages.ask(node, pages.METRICS, "/statusz", Accept="application/json;as=Statusz;v=v1beta1;g=config.k8s.io").json
    assert status["paths"] == ["/configz", "/flagz", "/healthz", "/metrics", "/proxyMode"]
    started = datetime.datetime.fromisoformat(status["startTime"].replace("Z", "+00:00"))
    age = (datetime.datetime.now(datetime.timezone.utc) - started).total_seconds()
    assert abs(age - status["uptimeSeconds"]) < 5
    page = pages.ask(node, pages.METRICS, "/statusz", Accept="application/json;as=Statusz;v=v1alpha1;g=config.k8s.io")
    assert page.headers["warning"].startswith("299 - ")
    assert pages.ask(node, pages.METRICS, "/statusz", Accept="application/json").status == 406


def test_calls_to_the_server(lab, rest, fleet):
    """They are counted by code, method and host; watches are calls, and in no histogram."""
    found = pages.metrics(lab.namespace("n1"))
    calls = found["rest_client_requests_total"]
    hosts = {labels["host"] for _, labels, _ in calls.samples}
    assert hosts == {f"{fed.API_ADDRESS}:{fed.embedded.PORT}"} and calls.label_names() == {"code", "host", "method"}
    assert calls.value(code="200", method="GET") >= 4, "a list or a watch for each kind"
    durations, throttled = (found[f"rest_client_{what}_duration_seconds"] for what in ("request", "rate_limiter"))
    assert durations.value("_count") < calls.value()
    # Not of every method: the pulses of a quiet connection are calls that nothing holds back.
    assert throttled.value("_count", verb="POST") == durations.value("_count", verb="POST") > 0


def test_traffic(lab, rest, fleet):
    """Connections by zone and endpoints by Service (docs/metrics.md), though a proxy hears of its own Node alone."""
    proxy, node = fleet.proxies["n1"], lab.namespace("n1")
    here, there = (lab.topology.nodes[name].zone for name in ("n1", "n3"))
    things = manifests.simple("crossing", lab.topology, ["10.96.4.22"], "c3 c2:unready")
    fed.create(rest, things)

    def services():
        return pages.families(pages.ask(node, pages.METRICS, "/metrics/services").body)
    with contextlib.ExitStack() as stack:
        stack.callback(fed.delete, rest, things)
        # The Service alone, without its slices, would refuse.
        wait_until(lambda: proxy.programmed().get(("default/crossing", "10.96.4.22", 80)), fed.CAUGHT_UP_S, "programmed")
        for _ in range(5):
            sock = stack.enter_context(lab.namespace("d1").socket(socket.AF_INET, socket.SOCK_STREAM))
            sock.settimeout(patience.seconds(5))
            sock.connect(("10.96.4.22", 80))
            assert sock.recv(256).startswith(b"c3 ")
        found = wait_until(lambda: (page := services())["fairlead_service_connections"].value(service="crossing") and page,
                           COUNTED_S, "a new count")
        crossing = {"namespace": "default", "service": "crossing"}
        assert found["fairlead_service_connections"].value(source_zone=here, destination_zone=there, **crossing) == 5
        counts = {state: found["fairlead_service_endpoints"].value(ip_family="IPv4", state=state, **crossing)
                  for state in ("all", "ready", "local", "used")}
        assert counts == {"all": 2, "ready": 1, "local": 0, "used": 1}
        main = pages.metrics(node)
        assert main["fairlead_connections"].value(source_zone=here, destination_zone=there) >= 5
        assert main["fairlead_connections_by_locality"].value(locality="cross_zone") >= 5
        assert main["fairlead_connections_count_failures_total"].value() == 0


def test_programming_latency(lab, rest, fleet):
    """One sample for each slice that changed, be there many in one turn; none for what was there before the start."""
    proxy, node = fleet.proxies["n1"], lab.namespace("n1")
    ports = [{"name": "tcp", "protocol": "TCP", "port": 8080}]
    things = [manifests.service("late", spec={"clusterIP": "10.96.4.20", "ports": [
        {"name": "tcp", "protocol": "TCP", "port": 80, "targetPort": 8080}]})]
    fed.create(rest, things)

    def one(number):
        made = manifests.endpoint_slice(f"late-{number}", "late", 4, ports, [
            {"addresses": [f"10.244.9.{number + 50}"], "nodeName": "n1", "conditions": {"ready": True}}])
        made["metadata"]["annotations"] = {TRIGGER: now()}
        return made
    slices = [one(number) for number in range(SLICES)]
    try:
        before, sixth = latencies(node), latencies(node, "IPv6")
        fed.create(rest, slices)
        wait_until(lambda: latencies(node) == before + SLICES, fed.CAUGHT_UP_S,
                   lambda: f"{SLICES} samples more than {before}, not {latencies(node)}")
        assert latencies(node, "IPv6") == sixth
        assert pages.metrics(node)[LATENCY].value("_sum", ip_family="IPv4") < (before + SLICES) * fed.CAUGHT_UP_S
        # What goes has no trigger of its own.
        fed.delete(rest, slices[:1])
        wait_until(lambda: "10.244.9.50" not in proxy.text_of("dump", "forwarding"), fed.CAUGHT_UP_S, "the slice is gone")
        assert latencies(node) == before + SLICES
        proxy.stop()
        proxy.start()
        proxy.wait_ready()
        wait_until(lambda: "10.244.9.51" in proxy.text_of("dump", "forwarding"), fed.CAUGHT_UP_S, "all is listed again")
        assert latencies(node) == 0, "triggers from before the start are nobody's latency"
    finally:
        fed.delete(rest, things + slices[1:])
    fed.wait_equal([proxy], rest)


def test_health_checks_of_the_metrics_port(lab, fleet):
    node = lab.namespace("n1")
    assert pages.ask(node, pages.METRICS, "/healthz").body == "ok"
    checks = pages.metrics(node, "/metrics/slis")
    assert checks["kubernetes_healthchecks_total"].value(name="ping", status="success", type="healthz") >= 1
    assert pages.ask(node, pages.METRICS, "/metrics/slis", "DELETE").body == "metrics reset\n"
    assert "kubernetes_healthchecks_total" not in pages.metrics(node, "/metrics/slis")


def test_kernel_that_refuses_from_the_start(lab, rest, fleet):
    """Somebody owns a table of our name, so nothing can be programmed: that is no way of starting up. Then he goes."""
    proxy, node = fleet.proxies["n1"], lab.namespace("n1")
    usual = proxy.flags
    proxy.stop()
    proxy.tool("cleanup")
    owner = node.popen(["nft", "-i"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    try:
        owner.stdin.write("add table ip fairlead { flags owner; }\n")
        owner.stdin.flush()
        wait_until(lambda: "fairlead" in node.run(["nft", "list", "tables"]).stdout, fed.CAUGHT_UP_S, "the table is owned")
        proxy.flags = {**usual, "iptables-sync-period": "1s"}
        proxy.start()

        def both(status):
            with contextlib.suppress(OSError):
                return all(pages.ask(node, pages.HEALTHZ, path).status == status for path in ("/healthz", "/livez"))
            return False
        wait_until(lambda: both(503), fed.CAUGHT_UP_S, lambda: f"503 after two periods; {proxy.log()[-2000:]}")
        assert pages.ask(node, pages.HEALTHZ, "/healthz").json["nodeEligible"] is True
        found = pages.metrics(node)
        assert found["kubeproxy_sync_proxy_rules_nftables_sync_failures_total"].value(ip_family="IPv4") >= 1
        for name in ("service", "endpoint"):
            pending = found[f"kubeproxy_sync_proxy_rules_{name}_changes_pending"].value()
            assert 0 < pending == found[f"kubeproxy_sync_proxy_rules_{name}_changes_total"].value()
        owner.stdin.close()
        owner.wait(patience.seconds(5))
        wait_until(lambda: both(200), 40, lambda: f"200 when the table is free; {proxy.log()[-2000:]}")
        found = pages.metrics(node)
        assert found["kubeproxy_sync_proxy_rules_service_changes_pending"].value() == 0
        assert found["kubeproxy_sync_proxy_rules_endpoint_changes_pending"].value() == 0
        assert found["kubeproxy_sync_proxy_rules_service_changes_total"].value() > 0
    finally:
        owner.kill()
        owner.wait()
        proxy.stop()
        proxy.flags = usual
        proxy.start()
        proxy.wait_ready()
    fed.wait_equal([proxy], rest)
