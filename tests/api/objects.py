# SPDX-License-Identifier: GPL-2.0-or-later
"""Objects to send, and where to: as plain dicts and paths."""
CORE, DISCOVERY, COORDINATION = "/api/v1", "/apis/discovery.k8s.io/v1", "/apis/coordination.k8s.io/v1"


def path(resource, name="", namespace="default", root=CORE):
    where = f"/namespaces/{namespace}" if namespace else ""
    return f"{root}{where}/{resource}" + (f"/{name}" if name else "")


def config_map(name, **data):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def service(name, **spec):
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"ports": [{"port": 80}], **spec}}


def lease(name, holder):
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name},
            "spec": {"holderIdentity": holder, "leaseDurationSeconds": 40}}


def node(name):
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}


def event(name, about):
    return {"apiVersion": "v1", "kind": "Event", "metadata": {"name": name}, "reason": "Seen", "type": "Normal",
            "involvedObject": {"apiVersion": "v1", "kind": "Node", "name": about}, "source": {"component": "proxy"}}
