# SPDX-License-Identifier: GPL-2.0-or-later
"""Kubernetes objects as plain dicts, and the folder that fairlead reads them from."""
import ipaddress
import os
import pathlib

import yaml

from topology import SERVICE_CIDR


def service(name, namespace="default", spec=None, labels=None, annotations=None, vips=()):
    """A v1 Service. `vips` go to status.loadBalancer.ingress: addresses, or (address, ipMode) pairs."""
    metadata = {"name": name, "namespace": namespace}
    if labels:
        metadata["labels"] = labels
    if annotations:
        metadata["annotations"] = annotations
    document = {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec or {}}
    if vips:
        pairs = [(vip, "VIP") if isinstance(vip, str) else vip for vip in vips]
        document["status"] = {"loadBalancer": {"ingress": [{"ip": ip, "ipMode": mode} for ip, mode in pairs]}}
    return document


def endpoint_slice(name, service_name, family, ports, endpoints, namespace="default"):
    """A discovery.k8s.io/v1 EndpointSlice; `ports` are {name, port, protocol}."""
    return {
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": name, "namespace": namespace, "labels": {"kubernetes.io/service-name": service_name}},
        "addressType": f"IPv{family}", "ports": ports, "endpoints": endpoints,
    }


CONDITIONS = {
    "ready": {"ready": True, "serving": True, "terminating": False},
    "unready": {"ready": False, "serving": False, "terminating": False},
    "terminating": {"ready": False, "serving": True, "terminating": True},
    "dying": {"ready": False, "serving": False, "terminating": True},
    "published": {"ready": True, "serving": False, "terminating": False},  # publishNotReadyAddresses, as slices show it
    "unknown": None,                                                       # no conditions at all: counts as ready
}


def endpoint(token, topology, family):
    """One endpoint from a word `POD[:STATE][@HINT,HINT]`; a hint is a node's name or a zone's.

    a1            ready on its pod's node
    a1:dying      a state of CONDITIONS
    a1@n1         hinted for node n1;  a3@us-west-1a,us-west-1b  for two zones
    """
    head, _, hints = token.partition("@")
    name, _, state = head.partition(":")
    pod = topology.pods[name]
    entry = {"addresses": [pod.address(family)], "nodeName": pod.node.name, "zone": pod.node.zone}
    conditions = CONDITIONS[state or "ready"]
    if conditions:
        entry["conditions"] = dict(conditions)
    for hint in filter(None, hints.split(",")):
        kind = "forNodes" if hint in topology.nodes else "forZones"
        entry.setdefault("hints", {}).setdefault(kind, []).append({"name": hint})
    return entry


def service_cidr():
    return {"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": {"name": "kubernetes"},
            "spec": {"cidrs": [SERVICE_CIDR[4], SERVICE_CIDR[6]]}}


def simple(name, topology, cluster_ips, endpoints, port=80, target=8080, protocols=("TCP",), spec=None, **options):
    """A Service with its slices, one per family of `cluster_ips`; for tests that need nothing special."""
    ports = [{"name": protocol.lower(), "protocol": protocol, "port": port, "targetPort": target}
             for protocol in protocols]
    families = [ipaddress.ip_address(ip).version for ip in cluster_ips]
    whole = {"type": "ClusterIP", "clusterIP": cluster_ips[0], "clusterIPs": list(cluster_ips),
             "ipFamilies": [f"IPv{family}" for family in families],
             "ipFamilyPolicy": "RequireDualStack" if len(families) > 1 else "SingleStack", "ports": ports}
    whole.update(spec or {})
    objects = [service(name, spec=whole, **options)]
    slice_ports = [{"name": p["name"], "protocol": p["protocol"], "port": target} for p in ports]
    for family in families:
        objects.append(endpoint_slice(f"{name}-ipv{family}", name, family, [dict(port) for port in slice_ports],
                                      [endpoint(token, topology, family) for token in endpoints.split()]))
    return objects


class Folder:
    """The folder of manifests. Every change is one rename, so that a reader never meets half a file."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.path.mkdir(exist_ok=True)

    def write(self, name, content):
        """Replaces file `name` with objects (a list of dicts) or with text as it is."""
        text = content if isinstance(content, str) else yaml.safe_dump_all(content, sort_keys=False)
        beside = self.path.parent / f".{self.path.name}-{name}.new"
        beside.write_text(text)
        os.rename(beside, self.path / name)

    def remove(self, name):
        os.unlink(self.path / name)

    def clear(self):
        for path in self.path.iterdir():
            path.unlink()
