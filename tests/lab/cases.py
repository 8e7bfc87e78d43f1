# SPDX-License-Identifier: GPL-2.0-or-later
"""matrix.yaml as Python values: what to load into the folder, and what to ask. The file's own head explains its words."""
import asyncio
import functools
import pathlib
import random
import string
from dataclasses import dataclass, field

import yaml

import manifests
import modes
from probe import Question
from topology import OUTSIDE, backbone_address

NAMESPACE = "matrix"
PROTOCOLS = ("tcp", "udp", "sctp")
FAMILIES = (4, 6)
UNALLOCATED = {4: "10.96.255.254", 6: "fd00:10:96::fffe"}
KEYS = {"name", "why", "config", "protocols", "families", "service", "endpoints", "objects", "local", "expect",
        "expect4", "expect6"}
SERVICE_KEYS = {"type", "internal", "external", "expose", "ranges", "affinity", "labels", "annotations", "ports", "vips",
                "topology"}


@dataclass(frozen=True)
class Expectation:
    """What a row must come to. `kind` is a verdict's kind, `closed` (nobody there: rejected or noproto), or `sticky`
    (served, twenty times by the same one of `pods`). `source` is whose address the pod must see."""
    kind: str
    pods: frozenset = frozenset()
    source: str = ""
    port: int = 0


def parse_expectation(text):
    """`rejected` | `dropped` | `closed` | `leaked` | `[sticky] POD... source client|node|any [port N]`."""
    words = text.split()
    if words in (["rejected"], ["dropped"], ["closed"], ["leaked"]):
        return Expectation(words[0])
    kind = "served"
    if words[0] == "sticky":
        kind, words = "sticky", words[1:]
    port = 0
    if "port" in words:
        at = words.index("port")
        port, words = int(words[at + 1]), words[:at]
    at = words.index("source")
    source = words[at + 1]
    if source not in ("client", "node", "any") or at == 0:
        raise ValueError(f"expectation {text!r}")
    return Expectation(kind, frozenset(words[:at]), source, port)


@dataclass(frozen=True)
class Row:
    """One question (or several destinations that must share their answer) with its expectation, for one variant.

    `mute` says that an ICMP error cannot be seen: a node that asks itself by SCTP holds the only raw socket there is, so
    to its kernel somebody does speak the protocol.
    """
    label: str
    questions: tuple
    expectation: Expectation
    sources: frozenset
    mute: bool = False


@dataclass
class Case:
    number: int
    name: str
    why: str
    data: dict = field(repr=False)

    @property
    def config(self):
        return self.data.get("config", "default")

    @property
    def protocols(self):
        return tuple(self.data.get("protocols", PROTOCOLS))

    @property
    def families(self):
        return tuple(self.data.get("families", FAMILIES))

    # --- what the runner allocates, distinct for every case

    def address(self, what, family):
        """The case's own cluster IP, external IP or load-balancer address."""
        number = self.number
        if what == "unallocated":
            return UNALLOCATED[family]
        if family == 4:
            return {"clusterip": f"10.96.1.{number}", "external": f"198.51.100.{number}",
                    "lb": f"203.0.113.{number}", "lb2": f"192.0.2.{number}"}[what]
        return {"clusterip": f"fd00:10:96::{0x1000 + number:x}", "external": f"2001:db8:100::{number:x}",
                "lb": f"2001:db8:200::{number:x}", "lb2": f"2001:db8:300::{number:x}"}[what]

    def node_port(self, index=0):
        return 30000 + 300 * index + self.number

    def substitutions(self, topology):
        """The $words that `objects` may use."""
        words = {"name": self.name, "namespace": NAMESPACE, "nodeport": self.node_port(), "nodeport2": self.node_port(1),
                 "health": self.node_port(6)}
        for family in FAMILIES:
            for what in ("clusterip", "external", "lb", "lb2"):
                words[f"{what}{family}"] = self.address(what, family)
            for client in OUTSIDE:
                words[f"{client}{family}"] = backbone_address(OUTSIDE[client], family)
            for role in [*topology.nodes.values(), *topology.pods.values()]:
                words[f"{role.name}_{family}"] = role.address(family)
        return words

    # --- objects

    def objects(self, topology):
        made = self._service_objects(topology) if "service" in self.data else []
        if "objects" in self.data:
            text = string.Template(self.data["objects"]).substitute(self.substitutions(topology))
            made += list(yaml.safe_load_all(text))
        return made

    def _ports(self):
        """(name, service port, target port) of every port, per protocol."""
        for entry in self.data["service"].get("ports", [{"name": "p", "port": 80, "target": 8080}]):
            for protocol in self.protocols:
                yield f"{entry['name']}-{protocol}", entry["port"], entry["target"], protocol.upper()

    def _service_objects(self, topology):
        wanted = self.data["service"]
        unknown = set(wanted) - SERVICE_KEYS
        if unknown:
            raise ValueError(f"case {self.name}: unknown words {unknown} in service")
        kind = wanted.get("type", "ClusterIP")
        exposed = wanted.get("expose", {"ClusterIP": "", "NodePort": "nodeport",
                                        "LoadBalancer": "lb external nodeport"}[kind]).split()
        ports = [{"name": name, "protocol": protocol, "port": port, "targetPort": target}
                 for name, port, target, protocol in self._ports()]
        if "nodeport" in exposed:
            numbers = {}
            for port in ports:
                port["nodePort"] = self.node_port(numbers.setdefault(port["port"], len(numbers)))
        spec = {"type": kind, "clusterIP": self.address("clusterip", 4),
                "clusterIPs": [self.address("clusterip", family) for family in FAMILIES],
                "ipFamilies": ["IPv4", "IPv6"], "ipFamilyPolicy": "RequireDualStack", "ports": ports}
        if "external" in exposed:
            spec["externalIPs"] = [self.address("external", family) for family in FAMILIES]
        if "internal" in wanted:
            spec["internalTrafficPolicy"] = wanted["internal"]
        if "external" in wanted:
            spec["externalTrafficPolicy"] = wanted["external"]
            if kind == "LoadBalancer" and wanted["external"] == "Local":
                spec["healthCheckNodePort"] = self.node_port(6)
        if "topology" in wanted:
            spec["topologyKeys"] = wanted["topology"]
        if kind == "LoadBalancer" and "nodeport" not in exposed:
            spec["allocateLoadBalancerNodePorts"] = False
        if "ranges" in wanted:
            spec["loadBalancerSourceRanges"] = [
                string.Template(text).substitute(self.substitutions(topology)) for text in wanted["ranges"]]
        if "affinity" in wanted:
            spec.update(sessionAffinity="ClientIP",
                        sessionAffinityConfig={"clientIP": {"timeoutSeconds": wanted["affinity"]}})
        vips = [self.address("lb", family) for family in FAMILIES] if "lb" in exposed else []
        vips += [(self.address("lb2", family), mode) for mode in wanted.get("vips", []) for family in FAMILIES]
        made = [manifests.service(self.name, NAMESPACE, spec, wanted.get("labels"), wanted.get("annotations"), vips)]
        slice_ports = [{"name": name, "port": target, "protocol": protocol}
                       for name, _, target, protocol in self._ports()]
        tokens = str(self.data.get("endpoints", "")).split()
        for family in FAMILIES:
            entries = [manifests.endpoint(token, topology, family) for token in tokens]
            made.append(manifests.endpoint_slice(f"{self.name}-{family}", self.name, family, slice_ports, entries,
                                                 NAMESPACE))
        return made

    # --- questions

    def _target(self, destination, topology, family):
        """(address, port, the node addressed or None) of `WHAT[@NODE][:PORT]`."""
        head, _, port = destination.partition(":")
        what, _, node_name = head.partition("@")
        node = topology.nodes[node_name] if node_name else None
        if what in ("nodeport", "nodeport2", "gateway", "loopback", "node"):
            number = self.node_port(1 if what == "nodeport2" else 0)
            address = {"gateway": node.pod_gateway(family),
                       "loopback": "127.0.0.1" if family == 4 else "::1"}.get(what, node.address(family))
            return address, int(port or number), node
        return self.address(what, family), int(port or 80), None

    def rows(self, topology, protocol, family):
        """Everything to ask for one protocol and family."""
        for part in ("expect", f"expect{family}"):
            for destinations, answers in self.data.get(part, {}).items():
                for clients, text in answers.items():
                    for client in clients.split():
                        yield from self._client_rows(topology, protocol, family, destinations.split(), client,
                                                     parse_expectation(text))

    def _client_rows(self, topology, protocol, family, destinations, client, expectation):
        name, _, via = client.partition("/")
        patience = 2.0 if expectation.kind in ("served", "sticky") else 0.6
        asked = []
        for destination in destinations:
            address, port, node = self._target(destination, topology, family)
            question = Question(name, protocol, address, port, via=via, timeout_s=patience)
            handler = node or topology.node_of(name) or topology.nodes[via or next(iter(topology.nodes))]
            asked.append((f"{client} -> {destination} ({address}:{port}/{protocol})", question, handler))
        if expectation.kind == "sticky":
            groups = [asked]
        else:
            groups = [[entry] for entry in asked]
        for group in groups:
            sources = set()
            if expectation.source == "client" and not modes.is_proxied():
                sources = topology.addresses(name, family)
            elif expectation.source in ("client", "node"):
                sources = set().union(*(topology.addresses(entry[2].name, family) for entry in group))
            mute = protocol == "sctp" and any(entry[2].name == name for entry in group)
            yield Row(" and ".join(entry[0] for entry in group), tuple(entry[1] for entry in group), expectation,
                      frozenset(sources), mute)


@functools.cache
def load(path=pathlib.Path(__file__).with_name("matrix.yaml")):
    """All cases, in the file's order."""
    with open(path) as file:
        entries = yaml.safe_load(file)["cases"]
    made, names = [], set()
    for number, entry in enumerate(entries, start=1):
        unknown = set(entry) - KEYS
        if unknown or entry["name"] in names or number > 250:
            raise ValueError(f"case {entry.get('name')}: unknown words {unknown}, a second of this name, or too many")
        names.add(entry["name"])
        made.append(Case(number, entry["name"], entry["why"], entry))
    return made


def variants():
    """(case, protocol, family) for every test, one configuration after the other."""
    configs = list(dict.fromkeys(case.config for case in load()))
    return [(case, protocol, family) for config in configs for case in load() if case.config == config
            for protocol in case.protocols for family in case.families]


async def check(prober, row):
    """Asks until the row's expectation is met or broken; returns what is wrong with it, or "".

    A served row is asked six times at least, and until every expected pod was seen: sixty times at most, which a
    uniform choice between up to four pods fails once in ten million runs. Who takes turns instead of choosing gives two
    that ask in step always the same: so from then on one asks twice at once now and then, which puts them out of step.
    """
    expectation, seen = row.expectation, set()
    tries = {"served": 60, "sticky": 20}.get(expectation.kind, 1)
    for attempt in range(tries):
        question = row.questions[attempt % len(row.questions)]
        at_once = 2 if expectation.kind == "served" and attempt > 6 and random.random() < 0.5 else 1
        for verdict in await asyncio.gather(*(prober.ask(question) for _ in range(at_once))):
            wrong = _mismatch(verdict, row)
            if wrong:
                return f"{row.label}: {wrong}"
            seen.add(verdict.pod)
        if expectation.kind == "sticky" and len(seen) > 1:
            return f"{row.label}: answers by {sorted(seen)} where one was to hold"
        if expectation.kind == "served" and attempt >= 5 and seen == expectation.pods:
            return ""
    if expectation.kind == "served" and seen != expectation.pods:
        return f"{row.label}: {sorted(expectation.pods - seen)} never answered in {tries} tries"
    return ""


def _mismatch(verdict, row):
    expectation = row.expectation
    kinds = {"closed": ("rejected", "noproto"), "sticky": ("served",)}.get(expectation.kind, (expectation.kind,))
    if expectation.kind == "closed" and row.mute:
        kinds += ("dropped",)
    if verdict.kind not in kinds:
        return f"{verdict}, expected {expectation.kind} {' '.join(sorted(expectation.pods))}".strip()
    if verdict.kind != "served":
        return ""
    if verdict.pod not in expectation.pods:
        return f"{verdict}, expected one of {sorted(expectation.pods)}"
    if row.sources and verdict.source not in row.sources:
        return f"{verdict}, expected a source of {expectation.source}: {sorted(row.sources)}"
    if expectation.port and verdict.port != expectation.port:
        return f"{verdict}, expected port {expectation.port}"
    return ""
