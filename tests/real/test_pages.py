# SPDX-License-Identifier: GPL-2.0-or-later
"""The pages of fairlead proxy beside those of a real kube-proxy in the same mode, which reads the same objects from the
same kube-apiserver on another node: status, headers and bodies, and the shape of the metrics. What differs is listed in
metrics_differences.yaml."""
import contextlib
import datetime
import json
import os
import pathlib
import re

import fed
import manifests
import pages
import pytest
import realserver
import yaml
from fed import location
from proxy import wait_until
from test_proxy import lab, real  # noqa: F401 (fixtures)
from rest import Rest

KNOWN = yaml.safe_load(pathlib.Path(__file__).with_name("metrics_differences.yaml").read_text())
READY_S = 40
CHECKS = 7  # calls of Differences.check in this file's tests
TAINT = {"key": "ToBeDeletedByClusterAutoscaler", "effect": "NoSchedule"}
TRIGGER = "endpoints.kubernetes.io/last-change-trigger-time"
SYNCED = "kubeproxy_sync_proxy_rules_last_timestamp_seconds"
LATENCY = "kubeproxy_network_programming_duration_seconds"
OURS, THEIRS = "n1", "n2"
FLAGS = {"proxy-mode": "nftables", "cluster-cidr": "10.244.0.0/16,fd00:10:244::/56", "nodeport-addresses": "172.18.0.0/24",
         "healthz-bind-address": "0.0.0.0:10256", "metrics-bind-address": "127.0.0.1:10249", "v": "0"}
UNTOUCHED = {"conntrack-max-per-core": "0", "conntrack-min": "0", "conntrack-tcp-timeout-established": "0",
             "conntrack-tcp-timeout-close-wait": "0"}  # what belongs to the whole machine stays as it is

STATUSZ = "application/json;as=Statusz;v={};g=config.k8s.io"
FLAGZ = "application/json;as=Flagz;v={};g=config.k8s.io"
# (method, path, body, headers) on the healthz port.
HEALTH_REQUESTS = [
    *((method, path, None, {}) for path in ("/healthz", "/livez") for method in ("GET", "POST", "DELETE", "OPTIONS", "HEAD")),
    ("PUT", "/healthz", "abc", {}), ("BREW", "/livez", None, {}), ("GET", "/livez?x", None, {}),
    *(("GET", path, None, {}) for path in ("/", "/healthz/", "/livez/", "//livez", "/a/../livez?b=c", "/metrics", "/nope")),
]
METRICS_REQUESTS = [
    *(("GET", path, None, {}) for path in (
        "/healthz", "/healthz?verbose", "/healthz?verbose=false", "/healthz?exclude=ping", "/healthz?exclude=ping&verbose",
        "/healthz?exclude=nope&verbose", "/healthz?exclude=a&verbose&exclude=ping&exclude=b", "/healthz/ping", "/healthz/",
        "/healthz/log", "/livez", "/readyz", "/proxyMode", "/proxyMode/", "/proxymode", "/", "/nope", "/debug",
        "//metrics", "/configz", "/statusz", "/flagz", "/metrics/slis", "/metrics/nope", "/debug/flags", "/debug/flags/",
        "/debug/flags/v", "/debug/flags/nope", "/debug/pprof", "/debug/pprof/", "/debug/pprof/cmdline")),
    *((method, path, None, {}) for path in ("/healthz", "/proxyMode", "/metrics", "/configz", "/statusz", "/flagz", "/nope")
      for method in ("POST", "DELETE", "HEAD")),
    *(("GET", "/statusz", None, {"Accept": accept}) for accept in (
        "text/plain", "*/*", "application/json", STATUSZ.format("v1alpha1"), STATUSZ.format("v1beta1"), STATUSZ.format("v2"),
        STATUSZ.format("v1beta1").replace("json", "yaml"), "application/vnd.kubernetes.protobuf", FLAGZ.format("v1beta1"))),
    *(("GET", "/flagz", None, {"Accept": accept}) for accept in (
        "application/json", FLAGZ.format("v1alpha1"), FLAGZ.format("v1beta1"), FLAGZ.format("v1beta1").replace("json", "yaml"))),
    *(("PUT", "/debug/flags/v", body, {}) for body in ("4", "x", "", "-1", "99999999999999", "0")),
    ("POST", "/debug/flags/v", "4", {}),
    ("DELETE", "/metrics/slis", None, {}), ("GET", "/metrics/slis", None, {}),
]
HEADERS = ("content-type", "x-content-type-options", "location", "warning", "cache-control", "content-encoding")


def now():
    return datetime.datetime.now(datetime.timezone.utc).isoformat().replace("+00:00", "Z")


class Differences:
    """Those that an entry of the list explains are noted in `used`, the others are kept."""
    used, checked = set(), 0

    def __init__(self):
        self.left = []

    def say(self, what, sentence):
        known = [number for number, known in enumerate(KNOWN)
                 if re.search(known["match"], sentence) and re.search(known.get("only", ""), what)]
        Differences.used.update(known[:1])
        if not known:
            self.left.append(f"{what}: {sentence}")

    def check(self):
        Differences.checked += 1
        assert not self.left, f"{len(self.left)} differences\n" + "\n".join(self.left)


class KubeProxy:
    """The real one, on a node of the lab."""

    def __init__(self, lab, node, kubeconfig, flags):  # noqa: F811
        self.lab, self.node, self.flags = lab, node, flags
        self.kubeconfig = lab.directory / f"{node}.kube-proxy.kubeconfig"
        self.kubeconfig.write_text(kubeconfig)
        self.log = f"{node}.kube-proxy.log"

    def __enter__(self):
        given = {"kubeconfig": self.kubeconfig, "hostname-override": self.node, **self.flags}
        self.child = self.lab.start(self.node, [realserver.kube_proxy(),
                                                *(f"--{name}={value}" for name, value in given.items())], self.log)
        return self

    def __exit__(self, *_):
        self.lab.end(self.child)

    def words(self):
        return (self.lab.directory / self.log).read_text()[-3000:]


@pytest.fixture(scope="module")
def rest(real):  # noqa: F811
    return Rest(real.namespace, real.verified_kubeconfig(realserver.TOKEN))


@contextlib.contextmanager
def both(lab, real, more):  # noqa: F811
    """fairlead and kube-proxy with the same flags, each on its node, until the block ends."""
    if not os.access(realserver.kube_proxy(), os.X_OK):
        pytest.skip("needs a kube-proxy: KUBE_PROXY_BIN, or one in KUBEBUILDER_ASSETS")
    kubeconfig, flags = real.verified_kubeconfig(realserver.PROXY_TOKEN), {**FLAGS, **UNTOUCHED, **more}
    ours = fed.FedProxy(lab, OURS, kubeconfig, flags)
    ours.start()
    try:
        with KubeProxy(lab, THEIRS, kubeconfig, flags) as theirs:
            def is_ready():
                with contextlib.suppress(OSError):
                    synced = pages.metrics(lab.namespace(THEIRS)).get(SYNCED)
                    return synced and len(synced.samples) == 2
                return False
            ours.wait_ready()
            wait_until(is_ready, READY_S, theirs.words)
            yield [lab.namespace(OURS), lab.namespace(THEIRS)]
    finally:
        ours.stop()
        lab.reset_node(OURS)
        lab.reset_node(THEIRS)


def settled(text):
    """A body without what is each program's own at this moment."""
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "<time>", text)
    text = re.sub(r'("?uptimeSeconds"?): \d+', r"\1: 0", text)
    text = re.sub(r"[^\"\s=]*/n[12](\.kube-proxy)?\.kubeconfig", "<kubeconfig>", text)
    return re.sub(r"\bn[12]\b", "<node>", text)


def tree_walk(path, ours, theirs):
    """Where two trees differ."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for name in sorted(ours.keys() | theirs.keys()):
            if name not in ours or name not in theirs:
                yield f"{path}.{name} {'missing' if name in theirs else 'extra'}"
            else:
                yield from tree_walk(f"{path}.{name}", ours[name], theirs[name])
    elif ours != theirs:
        yield f"{path}: {ours!r} instead of {theirs!r}"


def compare_bodies(ours, theirs):
    kinds = [re.search("json|yaml|$", page.type or "")[0] for page in (ours, theirs)]
    if kinds[0] and kinds[0] == kinds[1] and theirs.body:
        load = json.loads if kinds[0] == "json" else lambda text: yaml.load(text, yaml.BaseLoader)
        yield from tree_walk("", *(load(settled(page.body)) for page in (ours, theirs)))
    elif settled(ours.body) != settled(theirs.body):
        yield f"body\n      ours   {settled(ours.body)[:2000]!r}\n      theirs {settled(theirs.body)[:2000]!r}"


def compare_pages(differences, nodes, port, requests):
    for method, path, body, headers in requests:
        ours, theirs = (pages.ask(node, port, path, method, body, **headers) for node in nodes)
        what = f"{method} {path} {body or ''} {headers.get('Accept', '')}".strip()
        if ours.status != theirs.status:
            differences.say(what, f"status {ours.status} instead of {theirs.status}")
        for name in HEADERS:
            if ours.headers.get(name) != theirs.headers.get(name):
                differences.say(what, f"{name} {ours.headers.get(name)!r} instead of {theirs.headers.get(name)!r}")
        if path.startswith("/metrics"):
            continue
        for sentence in compare_bodies(ours, theirs):
            differences.say(what, sentence)


def series(family):
    """{labels but le: whether anything was ever counted}"""
    found = {}
    for suffix, labels, value in family.samples:
        key = tuple(sorted((name, text) for name, text in labels.items() if name != "le"))
        found[key] = found.get(key, False) or (suffix != "_bucket" and float(value) != 0)
    return found


def compare_families(differences, ours, theirs):
    """Their shape: names, types, stability, labels, the values of labels, buckets."""
    for name in sorted(ours.keys() | theirs.keys()):
        a, b = ours.get(name), theirs.get(name)
        if not b or not b.samples:
            if a and a.samples:
                differences.say(name, "extra" if any(series(a).values()) else "extra, 0")
        elif not a or not a.samples:
            differences.say(name, "missing")
        else:
            compare_family(differences, name, a, b)


def compare_family(differences, name, a, b):
    stability = [re.match(r"\[[A-Z]+\]|", family.help)[0] for family in (a, b)]
    for what, mine, other in (("type", a.type, b.type), ("stability", *stability), ("labels", a.label_names(), b.label_names()),
                              ("buckets", a.bounds(), b.bounds())):
        if mine != other:
            differences.say(name, f"{what} {mine} instead of {other}")
    mine, other = series(a), series(b)
    for labels in sorted(mine.keys() ^ other.keys()):
        differences.say(name, f"{dict(labels)} " + ("missing" if labels in other else "extra" if mine[labels] else "extra, 0"))


MODES = [{}, {"proxy-mode": "iptables"}]


@pytest.mark.parametrize("more", [*MODES, {"profiling": "true", "feature-gates": "ComponentFlagz=false"}, {"v": "2"}],
                         ids=["nftables", "iptables", "profiling", "verbose"])
def test_pages_are_those_of_kube_proxy(lab, real, rest, more):  # noqa: F811
    differences = Differences()
    with both(lab, real, more) as nodes:
        compare_pages(differences, nodes, pages.HEALTHZ, HEALTH_REQUESTS)
        compare_pages(differences, nodes, pages.METRICS, METRICS_REQUESTS)
    differences.check()


@pytest.mark.parametrize("more", MODES, ids=["nftables", "iptables"])
def test_metrics_are_those_of_kube_proxy(lab, real, rest, more):  # noqa: F811
    """After the same life: objects from before, a Service whose pods change, one without local endpoints, and questions."""
    spec = {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "internalTrafficPolicy": "Local"}
    things = manifests.simple("metered", lab.topology, ["10.96.5.1", "fd00:10:96::501"], "a3", spec=spec)
    things += manifests.simple("names", lab.topology, ["10.96.5.2", "fd00:10:96::502"], "a1", protocols=("UDP",))
    fed.create(rest, things)
    differences = Differences()
    with both(lab, real, more) as nodes:
        for thing in things[1:3] + things[4:6]:
            thing["metadata"].setdefault("annotations", {})[TRIGGER] = now()
            thing["endpoints"] = manifests.simple("x", lab.topology, ["10.96.5.1"], "b3")[1]["endpoints"] \
                if thing["addressType"] == "IPv4" else []
            fed.replace(rest, thing)
        for node in nodes:
            wait_until(lambda node=node: pages.metrics(node).get(LATENCY) and pages.metrics(node)[LATENCY].value("_count") == 4,
                       READY_S, lambda node=node: f"four triggers are counted: {pages.metrics(node).get(LATENCY)}")
            for path in ("/healthz", "/livez"):
                assert pages.ask(node, pages.HEALTHZ, path).status == 200
            pages.ask(node, pages.METRICS, "/healthz")
        compare_families(differences, *(pages.metrics(node) for node in nodes))
        compare_families(differences, *(pages.metrics(node, "/metrics/slis") for node in nodes))
        local = "kubeproxy_sync_proxy_rules_no_local_endpoints_total"
        for ours, theirs in zip(*(sorted(map(str, pages.metrics(node)[local].samples)) for node in nodes)):
            assert ours == theirs
    fed.delete(rest, things)
    differences.check()


def test_nodes_that_go(lab, real, rest):  # noqa: F811
    """503 at /healthz and nowhere else: for a node that the autoscaler is about to remove, and for one that is being
    deleted. (A Node that goes at once, without a deletionTimestamp, stays as it was to kube-proxy, and is gone here.)"""
    differences = Differences()

    def wait_status(status):
        for node in nodes:
            wait_until(lambda node=node: pages.ask(node, pages.HEALTHZ, "/healthz").status == status, READY_S,
                       lambda node=node: f"/healthz answers {status}: {pages.ask(node, pages.HEALTHZ, '/healthz')}")
    names = [location({"kind": "Node", "metadata": {"name": name}}) for name in (OURS, THEIRS)]
    with both(lab, real, {}) as nodes:
        for name in names:
            rest.good("PATCH", name, {"spec": {"taints": [TAINT]}}, Content_Type="application/merge-patch+json")
        wait_status(503)
        compare_pages(differences, nodes, pages.HEALTHZ, HEALTH_REQUESTS)
        for name in names:
            rest.good("PATCH", name, {"spec": {"taints": []}, "metadata": {"finalizers": ["example.com/hold"]}},
                      Content_Type="application/merge-patch+json")
        wait_status(200)
        for name in names:
            rest.good("DELETE", name)
        wait_status(503)
        compare_pages(differences, nodes, pages.HEALTHZ, HEALTH_REQUESTS)
        for name in names:
            rest.good("PATCH", name, {"metadata": {"finalizers": []}}, Content_Type="application/merge-patch+json")
        fed.create(rest, [lab.topology.nodes[name].manifest() for name in (OURS, THEIRS)])
        wait_status(200)
        compare_families(differences, *({name: family for name, family in pages.metrics(node).items()
                                         if name in ("kubeproxy_proxy_healthz_total", "kubeproxy_proxy_livez_total")}
                                        for node in nodes))
    differences.check()


def test_every_difference_is_still_one(lab, real):  # noqa: F811
    """Of the whole file: an entry that explains nothing any more is to go."""
    if Differences.checked < CHECKS:
        pytest.skip("needs every other test of this file to have run")
    assert [known for number, known in enumerate(KNOWN) if number not in Differences.used] == []
