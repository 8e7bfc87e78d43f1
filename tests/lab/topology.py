# SPDX-License-Identifier: GPL-2.0-or-later
"""What a lab consists of, as values: nodes with zones, pods with addresses, outside clients. No I/O here.

Addresses follow from small numbers, and carry the same digits in both families:
  node n1    172.18.0.11      fd00:18::11             on the backbone
  pod 21/n1  10.244.1.21      fd00:10:244:1::21       behind its node, whose end of the link is .1 and ::1
  client     172.18.0.100     fd00:18::100            outside the cluster, on the backbone
  stranger   172.18.0.200     fd00:18::200            the same namespace, another address
"""
from dataclasses import dataclass, field

BACKBONE = {4: "172.18.0.0/24", 6: "fd00:18::/64"}
POD_CIDR = {4: "10.244.0.0/16", 6: "fd00:10:244::/48"}
SERVICE_CIDR = {4: "10.96.0.0/16", 6: "fd00:10:96::/112"}
GATEWAY_HOST = 254
CLIENT_HOST, STRANGER_HOST = 100, 200
ZONE_LABEL = "topology.kubernetes.io/zone"
HOSTNAME_LABEL = "kubernetes.io/hostname"
FULL_LENGTH = {4: 32, 6: 128}


def backbone_address(host, family):
    return f"172.18.0.{host}" if family == 4 else f"fd00:18::{host}"


@dataclass(frozen=True)
class Node:
    name: str
    number: int
    zone: str

    def address(self, family):
        return backbone_address(10 + self.number, family)

    def pod_gateway(self, family):
        """The node's end of every pod link: a second local address, outside of --nodeport-addresses."""
        return f"10.244.{self.number}.1" if family == 4 else f"fd00:10:244:{self.number}::1"

    def pod_cidr(self, family):
        return f"10.244.{self.number}.0/24" if family == 4 else f"fd00:10:244:{self.number}::/64"

    def manifest(self, zone=None):
        """The Node object, as the kubelet and the node controller would leave it."""
        return {
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": self.name, "labels": {HOSTNAME_LABEL: self.name, ZONE_LABEL: zone or self.zone}},
            "spec": {"podCIDR": self.pod_cidr(4), "podCIDRs": [self.pod_cidr(4), self.pod_cidr(6)]},
            "status": {"addresses": [{"type": "InternalIP", "address": self.address(4)},
                                     {"type": "InternalIP", "address": self.address(6)},
                                     {"type": "Hostname", "address": self.name}],
                       "conditions": [{"type": "Ready", "status": "True"}]},
        }


@dataclass(frozen=True)
class Pod:
    name: str
    node: Node
    host: int
    page: str = ""

    def address(self, family):
        return f"10.244.{self.node.number}.{self.host}" if family == 4 else f"fd00:10:244:{self.node.number}::{self.host}"


@dataclass
class Topology:
    nodes: dict = field(default_factory=dict)
    pods: dict = field(default_factory=dict)

    def node_of(self, client):
        """The node that handles what `client` (a pod's or a node's name) sends; None for an outside client."""
        if client in self.nodes:
            return self.nodes[client]
        pod = self.pods.get(client)
        return pod.node if pod else None

    def addresses(self, client, family):
        """Every address that `client` may be seen with when nobody rewrote its source."""
        if client in self.nodes:
            node = self.nodes[client]
            return {node.address(family), node.pod_gateway(family)}
        if client in self.pods:
            return {self.pods[client].address(family)}
        return {backbone_address(OUTSIDE[client], family)}


OUTSIDE = {"client": CLIENT_HOST, "stranger": STRANGER_HOST}


def build(nodes, pods):
    """A Topology from plain data: [{name, zone}], [{name, node, host, page?}]; the form of examples/lab.yaml."""
    topology = Topology()
    for number, entry in enumerate(nodes, start=1):
        topology.nodes[entry["name"]] = Node(entry["name"], number, entry["zone"])
    for entry in pods:
        pod = Pod(entry["name"], topology.nodes[entry["node"]], int(entry["host"]), entry.get("page", ""))
        topology.pods[pod.name] = pod
    used = [(pod.node.name, pod.host) for pod in topology.pods.values()]
    if len(set(used)) != len(used):
        raise ValueError("two pods of one node have the same host number")
    return topology


def standard():
    """The lab of the tests: n1 and n2 in one zone, n3 in another; ten pods, named by letter and node (a1 .. c3)."""
    nodes = [{"name": "n1", "zone": "us-west-1a"}, {"name": "n2", "zone": "us-west-1a"},
             {"name": "n3", "zone": "us-west-1b"}]
    letters = {"n1": "abcd", "n2": "abc", "n3": "abc"}
    pods = [{"name": f"{letter}{node[1]}", "node": node, "host": 11 + index}
            for node, row in letters.items() for index, letter in enumerate(row)]
    return build(nodes, pods)
