# SPDX-License-Identifier: GPL-2.0-or-later
"""A cluster as a folder of manifests, and the changes made to it as plans (see bench/plan.h).

Most services lie in files of a hundred. Those that will change ("victims") have small files of their own, one
for the Service and one for its EndpointSlice. Slot 0 of each service is on node n1, the node measured, slot k
on n(k+1).
"""
import json
from ipaddress import IPv4Address
from pathlib import Path

from .world import NODE_ADDRESS, POD_PORT

SERVICES_PER_FILE = 100
ENDPOINTS = 10
CLUSTER_IPS = int(IPv4Address("172.20.1.0"))
BULK_ENDPOINTS = int(IPv4Address("10.129.0.0"))
FRESH_ENDPOINTS = int(IPv4Address("10.200.0.0"))
NODE_PORTS = 30000
# Services of eleven endpoints, so that growing from ten to eleven meets a count which is in use.
ELEVENS = 3


def address(number):
    return str(IPv4Address(number))


class Service:
    def __init__(self, name, index, endpoints):
        self.name = name
        self.cluster_ip = address(CLUSTER_IPS + index)
        self.endpoints = endpoints  # [(address, node)]
        self.node_port = None
        self.pod_port = POD_PORT
        self.internal = self.external = "Cluster"
        self.affinity = "None"

    def service(self):
        port = {"name": "http", "protocol": "TCP", "port": 80, "targetPort": self.pod_port}
        spec = {"type": "ClusterIP", "clusterIP": self.cluster_ip, "clusterIPs": [self.cluster_ip],
                "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack",
                "internalTrafficPolicy": self.internal, "sessionAffinity": self.affinity, "ports": [port]}
        if self.affinity == "ClientIP":
            spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": 10800}}
        if self.node_port:
            spec.update(type="NodePort", externalTrafficPolicy=self.external)
            port["nodePort"] = self.node_port
        return {"apiVersion": "v1", "kind": "Service",
                "metadata": {"name": self.name, "namespace": "default", "labels": {"app": self.name}},
                "spec": spec}

    def slice(self):
        return {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
                "metadata": {"name": self.name + "-1", "namespace": "default",
                             "labels": {"kubernetes.io/service-name": self.name}},
                "addressType": "IPv4", "ports": [{"name": "http", "protocol": "TCP", "port": self.pod_port}],
                "endpoints": [{"addresses": [ip], "conditions": {"ready": True}, "nodeName": node}
                              for ip, node in self.endpoints]}

    def local(self):
        return [ip for ip, node in self.endpoints if node == "n1"]

    def step(self, kind, op, node_port=False, **words):
        """A line of a plan: what connections must meet once the service is as it is now."""
        policy = self.external if node_port else self.internal
        allowed = self.local() if policy == "Local" else [ip for ip, _ in self.endpoints]
        at = f"{NODE_ADDRESS}:{self.node_port}" if node_port else f"{self.cluster_ip}:80"
        words = {"kind": kind, "op": op, "at": at, "allowed": ",".join(allowed)} | words
        return " ".join(f"{key}={value}" for key, value in words.items() if value)


def to_yaml(value, indent=""):
    """Block YAML of objects, lists, strings that need no quotes, numbers and booleans."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if isinstance(inner, (dict, list)):
                yield f"{indent}{key}:"
                yield from to_yaml(inner, indent + "  " if isinstance(inner, dict) else indent)
            else:
                yield f"{indent}{key}: {str(inner).lower() if isinstance(inner, bool) else inner}"
    else:
        for inner in value:
            if isinstance(inner, dict):
                lines = list(to_yaml(inner, indent + "  "))
                yield f"{indent}- {lines[0].lstrip()}"
                yield from lines[1:]
            else:
                yield f"{indent}- {inner}"


def render(objects, form):
    if form == "yaml":
        return "".join("---\n" + "\n".join(to_yaml(one)) + "\n" for one in objects)
    if len(objects) == 1:
        return json.dumps(objects[0]) + "\n"
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}) + "\n"


class Cluster:
    """`size` services in all, of them `victims` plain ones and `doors` with a node port that will change."""

    def __init__(self, size, form, victims=0, doors=0):
        self.size, self.form = size, form
        self.fresh = FRESH_ENDPOINTS
        bulk = size - victims - doors
        elevens = ELEVENS if victims else 0
        self.bulk = [self._make(f"s{index:06d}", index, ENDPOINTS + (index < elevens))
                     for index in range(bulk)]
        self.victims = [self._make(f"victim-{k:03d}", bulk + k) for k in range(victims)]
        self.doors = [self._make(f"door-{k:03d}", bulk + victims + k) for k in range(doors)]
        for k, door in enumerate(self.doors):
            door.node_port = NODE_PORTS + k

    def _make(self, name, index, count=ENDPOINTS):
        # Sixteen addresses apart, so that a service's endpoints follow each other.
        first = BULK_ENDPOINTS + index * 16
        return Service(name, index, [(address(first + k), f"n{k + 1}") for k in range(count)])

    def fresh_address(self):
        self.fresh += 1
        return address(self.fresh)

    @property
    def endpoint_count(self):
        return sum(len(service.endpoints) for service in self.bulk + self.victims + self.doors)

    @property
    def last(self):
        return self.bulk[-1]

    def path(self, folder, name):
        return Path(folder) / f"{name}.{self.form}"

    def write(self, folder):
        """Returns the bytes written."""
        folder.mkdir(parents=True, exist_ok=True)
        total = 0
        for start in range(0, len(self.bulk), SERVICES_PER_FILE):
            objects = [one for service in self.bulk[start:start + SERVICES_PER_FILE]
                       for one in (service.service(), service.slice())]
            path = self.path(folder, f"bulk-{start // SERVICES_PER_FILE:05d}")
            total += path.write_text(render(objects, self.form))
        for service in self.victims + self.doors:
            total += self.write_service(folder, service) + self.write_slice(folder, service)
        return total

    def write_service(self, folder, service):
        return self.path(folder, service.name + "-service").write_text(render([service.service()], self.form))

    def write_slice(self, folder, service):
        return self.path(folder, service.name + "-slice").write_text(render([service.slice()], self.form))


class Plan:
    """Gathers steps; the files that they will move into the folder are written beside it beforehand."""

    def __init__(self, cluster, world):
        self.cluster, self.world = cluster, world
        self.steps = []

    def change(self, service, kind, objects, name, **words):
        staged = self.cluster.path(self.world.stage, f"{len(self.steps):06d}")
        staged.write_text(render(objects, self.cluster.form))
        target = self.cluster.path(self.world.manifests, name)
        self.steps.append(service.step(kind, "rename", **{"from": staged, "to": target}, **words))

    def slice(self, service, kind, **words):
        self.change(service, kind, [service.slice()], service.name + "-slice", **words)

    def service(self, service, kind, **words):
        self.change(service, kind, [service.service()], service.name + "-service", **words)

    def write(self, name):
        path = self.world.folder / f"{name}.plan"
        path.write_text("\n".join(self.steps) + "\n")
        return path


def replace(plan, service, turn):
    """One endpoint of ten gives way to a new one."""
    slot = turn % len(service.endpoints)
    fresh = plan.cluster.fresh_address()
    service.endpoints[slot] = (fresh, service.endpoints[slot][1])
    plan.slice(service, "replace", must=fresh, probes=10)


def replace_all(plan, service, turn):
    """All endpoints give way to new ones."""
    service.endpoints = [(plan.cluster.fresh_address(), node) for _, node in service.endpoints]
    plan.slice(service, "replace-all", probes=10, spread="many")


def _resize(plan, service, turn, by, kinds):
    if turn % 2 == 0:
        service.endpoints += [(plan.cluster.fresh_address(), f"n{11 + k}") for k in range(by)]
        plan.slice(service, kinds[0], must=service.endpoints[-1][0], probes=10)
    else:
        del service.endpoints[-by:]
        plan.slice(service, kinds[1], probes=40)


def resize(plan, service, turn):
    """From ten endpoints to eleven, a count that other services have, and back."""
    _resize(plan, service, turn, 1, ("grow", "shrink"))


def resize_new(plan, service, turn):
    """From ten endpoints to twelve, a count that no other service has, and back."""
    _resize(plan, service, turn, 2, ("grow-new", "shrink-last"))


def add_remove(plan, service, turn):
    """A Service and its EndpointSlice come in one file, which is then removed."""
    index = plan.cluster.size + plan.cluster.victims.index(service)
    extra = plan.cluster._make(f"added-{service.name}", index)
    path = plan.cluster.path(plan.world.manifests, extra.name)
    if turn % 2 == 0:
        plan.change(extra, "add", [extra.service(), extra.slice()], extra.name, probes=10, spread="many")
    else:
        plan.steps.append(extra.step("remove", "unlink", to=path, allowed=None))


def policy(plan, service, turn):
    """internalTrafficPolicy between Cluster and Local."""
    service.internal = "Local" if service.internal == "Cluster" else "Cluster"
    plan.service(service, "policy", probes=15, spread="many" if service.internal == "Cluster" else "one")


def affinity(plan, service, turn):
    """sessionAffinity between None and ClientIP."""
    service.affinity = "ClientIP" if service.affinity == "None" else "None"
    plan.service(service, "affinity", probes=15, spread="many" if service.affinity == "None" else "one")


def external(plan, service, turn):
    """externalTrafficPolicy of a NodePort service between Cluster and Local, seen at its node port."""
    service.external = "Local" if service.external == "Cluster" else "Cluster"
    plan.service(service, "external", node_port=True, probes=15,
                 spread="many" if service.external == "Cluster" else "one")


# group: (its function, the kinds of change that it makes)
GROUPS = {
    "replace": (replace, ["replace"]),
    "replace-all": (replace_all, ["replace-all"]),
    "resize": (resize, ["grow", "shrink"]),
    "resize-new": (resize_new, ["grow-new", "shrink-last"]),
    "add-remove": (add_remove, ["add", "remove"]),
    "policy": (policy, ["policy"]),
    "affinity": (affinity, ["affinity"]),
    "external": (external, ["external"]),
}


def plan_group(cluster, world, group, samples):
    """A plan with `samples` changes of each kind of the group, going round the victims; each is visited an
    even number of times, so that what was toggled is as before."""
    function, kinds = GROUPS[group]
    services = cluster.doors if group == "external" else cluster.victims
    plan = Plan(cluster, world)
    turns = -(-samples * len(kinds) // (2 * len(services))) * 2
    for turn in range(turns):
        for service in services:
            function(plan, service, turn)
    return plan.write(group)
