# SPDX-License-Identifier: GPL-2.0-or-later
"""The account of dist/kubernetes/rbac.yaml on a real server: made, given a token, its rights and their use compared.

A right is (verb, API group, resource).
"""
import itertools
import pathlib

import yaml

DIST = pathlib.Path(__file__).resolve().parent.parent.parent / "dist" / "kubernetes"
PLURALS = {"ServiceAccount": "serviceaccounts", "ClusterRole": "clusterroles", "ClusterRoleBinding": "clusterrolebindings",
           "ConfigMap": "configmaps", "DaemonSet": "daemonsets"}
TOKEN_S = 3600


def manifests(name):
    return list(yaml.safe_load_all((DIST / name).read_text()))


def location(thing):
    """Where one of its kind is made, as a path."""
    group, _, version = thing["apiVersion"].rpartition("/")
    root = f"/apis/{group}/{version}" if group else f"/api/{version}"
    namespace = thing["metadata"].get("namespace")
    return f"{root}/{f'namespaces/{namespace}/' if namespace else ''}{PLURALS[thing['kind']]}"


def account():
    return next(thing["metadata"] for thing in manifests("rbac.yaml") if thing["kind"] == "ServiceAccount")


def user():
    return f"system:serviceaccount:{account()['namespace']}:{account()['name']}"


def grant(rest):
    """Makes it all, by the admin's `rest`. Returns a token of the account."""
    for thing in manifests("rbac.yaml"):
        rest.good("POST", location(thing), thing)
    path = "/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token".format(**account())
    return rest.good("POST", path, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
                                    "spec": {"expirationSeconds": TOKEN_S}})["status"]["token"]


def granted():
    rules = [rule for thing in manifests("rbac.yaml") if thing["kind"] == "ClusterRole" for rule in thing["rules"]]
    return {right for rule in rules for right in itertools.product(rule["verbs"], rule["apiGroups"], rule["resources"])}


def used(events):
    """The rights that the account's requests in an audit log took."""
    def resource(reference):
        return "/".join(filter(None, (reference["resource"], reference.get("subresource"))))
    return {(event["verb"], event["objectRef"].get("apiGroup", ""), resource(event["objectRef"])) for event in events
            if event["user"]["username"] == user() and "objectRef" in event}


def denied(events):
    return [f"{event['verb']} {event['requestURI']}" for event in events if event["user"]["username"] == user() and
            event["annotations"]["authorization.k8s.io/decision"] != "allow"]
