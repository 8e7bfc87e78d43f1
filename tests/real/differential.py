# SPDX-License-Identifier: GPL-2.0-or-later
"""The same random requests to two API servers; what they answer is compared.

A request is a value (method, path, headers, body), made by a seeded generator over names that collide often, so that
conflicts, immutable fields, allocation errors and deletions happen. Both servers see the same sequence; what a server
makes up by itself (uids, times, resourceVersions, allocated addresses and ports) is mapped to tokens by first appearance.
"""
import http.client
import json
import random
import re
import ssl

GROUPS = {"services": "/api/v1", "endpoints": "/api/v1", "configmaps": "/api/v1", "pods": "/api/v1",
          "events": "/api/v1", "endpointslices": "/apis/discovery.k8s.io/v1", "leases": "/apis/coordination.k8s.io/v1",
          "namespaces": "/api/v1", "nodes": "/api/v1"}
CLUSTER_SCOPED = {"namespaces", "nodes"}
KINDS = {"services": "Service", "endpoints": "Endpoints", "configmaps": "ConfigMap", "pods": "Pod", "events": "Event",
         "endpointslices": "EndpointSlice", "leases": "Lease", "namespaces": "Namespace", "nodes": "Node"}
VERSIONS = {"endpointslices": "discovery.k8s.io/v1", "leases": "coordination.k8s.io/v1"}


class Server:
    """One API server by URL, with a bearer token or a client certificate."""

    def __init__(self, host, port, context=None, token=None, plain=False):
        self.host, self.port, self.context, self.token, self.plain = host, port, context, token, plain
        self.connection = None

    def request(self, method, path, headers=None, body=None):
        headers = dict(headers or {})
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        headers.setdefault("User-Agent", "differential/1")
        for attempt in (0, 1):
            if not self.connection:
                self.connection = (http.client.HTTPConnection(self.host, self.port, timeout=20) if self.plain else
                                   http.client.HTTPSConnection(self.host, self.port, timeout=20, context=self.context))
            try:
                self.connection.request(method, path, body=body, headers=headers)
                answer = self.connection.getresponse()
                data = answer.read()
                if answer.getheader("Connection", "") == "close":
                    self.connection.close()
                    self.connection = None
                return answer.status, dict(answer.getheaders()), data
            except (http.client.HTTPException, OSError):
                self.connection.close()
                self.connection = None
                if attempt:
                    raise
        return None


def from_kubeconfig(path):
    """The server of a kubeconfig with everything inside, or with a token."""
    import base64
    import os
    import tempfile
    import urllib.parse

    import yaml
    config = yaml.safe_load(open(path))
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    url = urllib.parse.urlsplit(cluster["server"])
    context = None
    if url.scheme == "https":
        context = ssl.create_default_context()
        if "certificate-authority-data" in cluster:
            context.load_verify_locations(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
        elif "certificate-authority" in cluster:
            context.load_verify_locations(cafile=cluster["certificate-authority"])
        else:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if "client-certificate-data" in user:
            with tempfile.NamedTemporaryFile("wb", suffix=".pem", delete=False) as pem:
                pem.write(base64.b64decode(user["client-certificate-data"]) + b"\n" +
                          base64.b64decode(user["client-key-data"]))
            context.load_cert_chain(pem.name)
            os.unlink(pem.name)
    return Server(url.hostname, url.port, context, user.get("token"), url.scheme == "http")


class Generator:
    """Requests from a seed. `world` is what the first server has, so that some requests carry a live object."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.live = {}

    def pick(self, *choices):
        return self.random.choice(choices)

    def chance(self, probability):
        return self.random.random() < probability

    # --- objects ---

    def metadata(self, name, namespace):
        metadata = {"name": name}
        if namespace and self.chance(0.8):
            metadata["namespace"] = namespace
        if self.chance(0.3):
            metadata["labels"] = {self.pick("app", "tier", "bad key!", "example.com/x"): self.pick("web", "db", "-bad-")}
        if self.chance(0.15):
            metadata["annotations"] = {self.pick("note", "example.com/y"): "text"}
        if self.chance(0.05):
            metadata["finalizers"] = [self.pick("example.com/hold", "bad")]
        if self.chance(0.03):  # of a kind that neither server knows, so that nobody collects it
            metadata["ownerReferences"] = [{"apiVersion": "example.com/v1", "kind": "Odd", "name": "a", "uid": "nope"}]
        if self.chance(0.03):
            metadata["resourceVersion"] = "1"
        return metadata

    def services(self):
        spec = {}
        kind = self.pick(None, "ClusterIP", "ClusterIP", "NodePort", "LoadBalancer", "ExternalName", "Bogus" if self.chance(0.2)
                         else "NodePort")
        if kind:
            spec["type"] = kind
        ports = []
        for i in range(self.pick(0, 1, 1, 1, 2, 2, 3)):
            port = {"port": self.pick(80, 443, 8080, 0 if self.chance(0.2) else 53)}
            if self.chance(0.7):
                port["name"] = self.pick("http", "https", f"p{i}", f"p{i}", "Bad_Name" if self.chance(0.2) else f"q{i}")
            if self.chance(0.4):
                port["protocol"] = self.pick("TCP", "UDP", "SCTP", "ICMP" if self.chance(0.2) else "TCP")
            if self.chance(0.4):
                port["targetPort"] = self.pick(8080, "http", "-bad-" if self.chance(0.2) else 9090, 70000 if
                                               self.chance(0.2) else 81)
            if self.chance(0.15):
                port["nodePort"] = self.pick(30001, 30002, 29000, 32767)
            if self.chance(0.1):
                port["appProtocol"] = self.pick("http", "example.com/foo", "b@d")
            ports.append(port)
        if ports:
            spec["ports"] = ports
        if self.chance(0.6):
            spec["selector"] = {"app": self.pick("web", "db")}
        options = {
            "clusterIP": lambda: self.pick("None", "10.96.0.10", "10.96.0.11", "10.97.0.1", "bogus", "", "fd00:10:96::10"),
            "clusterIPs": lambda: self.pick(["10.96.0.10"], ["10.96.0.12", "fd00:10:96::12"], ["None"], []),
            "ipFamilyPolicy": lambda: self.pick("SingleStack", "PreferDualStack", "RequireDualStack", "Bogus"),
            "ipFamilies": lambda: self.pick(["IPv4"], ["IPv6"], ["IPv4", "IPv6"], ["IPv6", "IPv4"], ["IPv5"]),
            "sessionAffinity": lambda: self.pick("ClientIP", "None", "Cookie"),
            "sessionAffinityConfig": lambda: {"clientIP": {"timeoutSeconds": self.pick(10, 0, 86401)}},
            "externalTrafficPolicy": lambda: self.pick("Local", "Cluster", "Bogus"),
            "internalTrafficPolicy": lambda: self.pick("Local", "Cluster", "Bogus"),
            "healthCheckNodePort": lambda: self.pick(30100, 30101, 0),
            "externalIPs": lambda: self.pick(["192.0.2.1"], ["127.0.0.1"], ["bogus"], ["192.0.2.1", "2001:db8::1"]),
            "loadBalancerIP": lambda: self.pick("192.0.2.9", "bogus"),
            "loadBalancerSourceRanges": lambda: self.pick(["10.0.0.0/8"], ["bogus"], [" 10.0.0.0/8 "]),
            "loadBalancerClass": lambda: self.pick("example.com/lb", "Bad Class"),
            "allocateLoadBalancerNodePorts": lambda: self.pick(True, False),
            "externalName": lambda: self.pick("www.example.com", "bad_name", "example.com."),
            "publishNotReadyAddresses": lambda: self.pick(True, False),
            "trafficDistribution": lambda: self.pick("PreferClose", "PreferSameZone", "PreferSameNode", "Far"),
        }
        for name, make in options.items():
            if self.chance(0.5 if name == "externalName" and kind == "ExternalName" else 0.07):
                spec[name] = make()
        if self.chance(0.02):
            spec["unknownField"] = 1
        return {"spec": spec} if spec or self.chance(0.5) else {}

    def endpoints(self):
        subsets = []
        for _ in range(self.pick(0, 1, 1, 2)):
            subset = {"addresses": [{"ip": self.pick("10.1.0.1", "10.1.0.2", "127.0.0.1", "bogus")} for _ in
                                    range(self.pick(0, 1, 2))]}
            if self.chance(0.3):
                subset["notReadyAddresses"] = [{"ip": "10.1.0.9", "nodeName": "n1"}]
            if self.chance(0.8):
                subset["ports"] = [{"port": self.pick(80, 0, 8080), **({"name": "http"} if self.chance(0.4) else {})}]
            subsets.append(subset)
        return {"subsets": subsets} if subsets else {}

    def endpointslices(self):
        endpoints = []
        for _ in range(self.pick(0, 1, 1, 2)):
            endpoint = {"addresses": [self.pick("10.1.0.1", "10.1.0.2", "fd00::1", "bogus", "host.example.com")]}
            if self.chance(0.5):
                endpoint["conditions"] = {self.pick("ready", "serving", "terminating"): self.pick(True, False)}
            if self.chance(0.2):
                endpoint["zone"] = self.pick("a", "b c")
            if self.chance(0.2):
                endpoint["nodeName"] = self.pick("n1", "Bad Node")
            if self.chance(0.1):
                endpoint["hints"] = {"forZones": [{"name": "a"}]}
            endpoints.append(endpoint)
        slice_ = {"addressType": self.pick("IPv4", "IPv4", "IPv4", "IPv6", "FQDN", "Bogus"), "endpoints": endpoints}
        if self.chance(0.8):
            slice_["ports"] = [{"name": self.pick("", "http", "Bad_"), "port": self.pick(80, 0, 8080),
                                "protocol": self.pick("TCP", "UDP", "ICMP")}]
        return slice_

    def configmaps(self):
        result = {}
        if self.chance(0.8):
            result["data"] = {self.pick("key", "a.txt", "bad key"): self.pick("value", "line\nline\n", "")}
        if self.chance(0.2):
            result["binaryData"] = {self.pick("bin", "key"): self.pick("AAEC", "!!!")}
        if self.chance(0.1):
            result["immutable"] = self.pick(True, False)
        return result

    def container(self, i):
        container = {"name": self.pick(f"c{i}", f"c{i}", "Bad_"), "image": self.pick("nginx", "nginx:1.15", "")}
        if self.chance(0.4):
            container["ports"] = [{"containerPort": self.pick(80, 0, 443)}]
        if self.chance(0.2):
            container["env"] = [{"name": self.pick("A", "B", ""), "value": "x"}]
        if self.chance(0.2):
            container["resources"] = {"requests": {"cpu": self.pick("100m", "0.5", "bogus", "1000m")},
                                      "limits": {"cpu": self.pick("1", "50m"), "memory": self.pick("64Mi", "1024Ki")}}
        if self.chance(0.2):
            container["readinessProbe"] = self.pick({"httpGet": {"path": "/", "port": 80}}, {"tcpSocket": {"port": "http"}},
                                                    {}, {"exec": {"command": ["true"]}, "periodSeconds": -1})
        if self.chance(0.2):
            container["volumeMounts"] = [{"name": self.pick("v", "w"), "mountPath": self.pick("/a", "")}]
        return container

    def pods(self):
        spec = {"containers": [self.container(i) for i in range(self.pick(0, 1, 1, 1, 2))]}
        options = {
            "restartPolicy": lambda: self.pick("Always", "Never", "Sometimes"),
            "nodeName": lambda: self.pick("n1", "Bad Node"),
            "hostNetwork": lambda: True,
            "volumes": lambda: [self.pick({"name": "v", "emptyDir": {}}, {"name": "v", "configMap": {"name": "a"}},
                                          {"name": "v"}, {"name": "w", "hostPath": {"path": "/tmp"}})],
            "terminationGracePeriodSeconds": lambda: self.pick(0, 5, -1),
            "dnsPolicy": lambda: self.pick("ClusterFirst", "Default", "Bogus"),
            "tolerations": lambda: [{"key": "a", "operator": self.pick("Exists", "Equal", "Like")}],
            "hostname": lambda: self.pick("h1", "Bad_"),
            "securityContext": lambda: {"runAsUser": self.pick(0, 1000, -1)},
            "nodeSelector": lambda: {"disk": "ssd"},
        }
        for name, make in options.items():
            if self.chance(0.12):
                spec[name] = make()
        return {"spec": spec}

    def events(self):
        return {"involvedObject": {"kind": "Pod", "name": "a", "namespace": self.pick("default", "default", "ns1")},
                "reason": self.pick("Started", ""), "message": "m", "type": self.pick("Normal", "Warning", "Odd"),
                "source": {"component": "test"}}

    def leases(self):
        return {"spec": self.pick({"holderIdentity": "me", "leaseDurationSeconds": 40}, {"leaseDurationSeconds": 0},
                                  {"leaseDurationSeconds": -1, "holderIdentity": ""}, {"leaseTransitions": -1}, {})}

    def namespaces(self):
        return self.pick({}, {"spec": {"finalizers": ["kubernetes"]}}, {"spec": {"finalizers": ["bad"]}})

    def nodes(self):
        return self.pick({}, {"spec": {"podCIDR": "10.1.0.0/24", "podCIDRs": ["10.1.0.0/24"]}},
                         {"spec": {"podCIDR": "bogus"}}, {"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]}},
                         {"spec": {"taints": [{"key": "a", "effect": "Odd"}]}}, {"spec": {"unschedulable": True}})

    # --- requests ---

    def object(self, resource, name, namespace):
        return {"apiVersion": VERSIONS.get(resource, "v1"), "kind": KINDS[resource],
                "metadata": self.metadata(name, namespace), **getattr(self, resource)()}

    def path(self, resource, namespace, name=None, subresource=None):
        path = GROUPS[resource]
        if resource not in CLUSTER_SCOPED:
            path += f"/namespaces/{namespace}"
        path += f"/{resource}"
        if name:
            path += f"/{name}"
        return path + (f"/{subresource}" if subresource else "")

    def query(self, *options):
        chosen = [option for option in options if self.chance(0.12)]
        return "?" + "&".join(chosen) if chosen else ""

    def patch(self, resource, target):
        kind = self.pick("merge", "merge", "json", "strategic", "strategic", "apply", "apply", "unknown" if self.chance(0.1)
                         else "merge")
        part = getattr(self, resource)()
        part.setdefault("metadata", {})["labels"] = {"app": self.pick("web", "db", None)}
        if kind == "json":
            part = [self.pick({"op": "replace", "path": "/metadata/labels", "value": {"app": "x"}},
                              {"op": "add", "path": "/metadata/labels/tier", "value": "y"},
                              {"op": "remove", "path": "/metadata/labels/app"},
                              {"op": "test", "path": "/metadata/name", "value": "a"},
                              {"op": "replace", "path": "/spec/type", "value": "NodePort"},
                              {"op": "add", "path": "/spec/ports/-", "value": {"port": 9999, "name": "more"}},
                              {"op": "frobnicate", "path": "/spec"}, {"op": "copy", "from": "/metadata/name",
                                                                      "path": "/metadata/labels/name"})
                    for _ in range(self.pick(1, 1, 2))]
        types = {"merge": "application/merge-patch+json", "json": "application/json-patch+json",
                 "strategic": "application/strategic-merge-patch+json", "apply": "application/apply-patch+yaml",
                 "unknown": "application/odd-patch"}
        query = self.query("dryRun=All", "fieldManager=alice", "fieldValidation=Strict")
        if kind == "apply":
            part = {"apiVersion": VERSIONS.get(resource, "v1"), "kind": KINDS[resource], **part}
            part["metadata"] = {**part["metadata"], "name": target}
            part["metadata"]["labels"] = {"app": self.pick("web", "db")}
            query = "?fieldManager=" + self.pick("alice", "bob") + ("&force=true" if self.chance(0.4) else "")
            if self.chance(0.05):
                query = ""
        return types[kind], part, query

    def broken(self, text):
        return self.pick(text[:len(text) // 2], text.replace('"', "'"), "", "[]", "null", '{"a":' * 60 + "1" + "}" * 60,
                         text + "x", '{"kind":"Service"}', '{"apiVersion":"v2","kind":"Odd"}')

    def next(self):
        """One request: (method, path, headers, body or None, resource)."""
        resource = self.pick("services", "services", "services", "services", "endpoints", "endpointslices", "endpointslices",
                             "configmaps", "pods", "pods", "events", "leases", "namespaces", "nodes")
        namespace = self.pick("default", "default", "default", "ns1", "nowhere")
        if resource == "namespaces":
            name = self.pick("ns1", "ns1", "ns2", "Bad_Name", "default")
        elif resource == "nodes":
            name = self.pick("n1", "n2")
        else:
            name = self.pick("a", "a", "b", "c", "Bad_Name" if self.chance(0.2) else "d")
        verb = self.pick("create", "create", "create", "update", "update", "patch", "patch", "get", "list", "delete",
                         "status", "collection" if self.chance(0.2) else "patch")
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if verb == "create":
            body = self.object(resource, name, namespace)
            if self.chance(0.03):
                body["metadata"] = {"generateName": "gen-"}
            text = json.dumps(body)
            if self.chance(0.05):
                text = self.broken(text)
            return ("POST", self.path(resource, namespace) +
                    self.query("dryRun=All", "fieldValidation=Strict", "fieldManager=alice"), headers, text, resource)
        if verb in ("update", "status"):
            body = self.object(resource, name, namespace)
            if self.chance(0.75):
                body = self.update_of(resource, namespace, name, body)
            subresource = "status" if verb == "status" and resource in ("services", "pods", "nodes", "namespaces") else None
            if subresource and resource == "services":
                body["status"] = self.pick({"loadBalancer": {"ingress": [{"ip": "192.0.2.77"}]}},
                                           {"loadBalancer": {"ingress": [{"ip": "bogus"}]}},
                                           {"loadBalancer": {"ingress": [{"hostname": "lb.example.com"}]}}, {})
            return ("PUT", self.path(resource, namespace, name, subresource), headers, body, resource)
        if verb == "patch":
            content_type, body, query = self.patch(resource, name)
            return ("PATCH", self.path(resource, namespace, name) + query, {**headers, "Content-Type": content_type},
                    json.dumps(body), resource)
        if verb == "get":
            return ("GET", self.path(resource, namespace, name), headers, None, resource)
        if verb == "list":
            query = self.pick("", "?labelSelector=app%3Dweb", "?labelSelector=app+in+(web,db)", "?labelSelector=%21app",
                              "?labelSelector=a%3D%3D%3Db", "?fieldSelector=metadata.name%3Da", "?fieldSelector=spec.odd%3D1",
                              "?limit=1", "?resourceVersion=0", "?resourceVersion=odd", "?limit=odd", "?continue=odd")
            return ("GET", self.path(resource, namespace) + query, headers, None, resource)
        if verb == "delete" and resource == "namespaces":
            name = "default"  # others would go by themselves here, and stay without a controller there
        if verb == "delete":
            options = self.pick(None, {"propagationPolicy": "Background"}, {"gracePeriodSeconds": 0},
                                {"preconditions": {"uid": "nope"}}, {"propagationPolicy": "Odd"})
            return ("DELETE", self.path(resource, namespace, name), headers,
                    json.dumps({"kind": "DeleteOptions", "apiVersion": "v1", **options}) if options else None, resource)
        return ("DELETE", self.path("configmaps", namespace), headers, None, "configmaps")

    def update_of(self, resource, namespace, name, body):
        """A PUT that starts from what is there: the caller fills each server's own object in."""
        return {"from-live": True, "set": {key: value for key, value in body.items() if key not in ("metadata",)},
                "labels": body["metadata"].get("labels"), "keep-version": self.chance(0.8)}


VOLATILE = re.compile(r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")


def fill(server, request):
    """The body for one server: a live update starts from that server's own object."""
    method, path, headers, body, _ = request
    if not isinstance(body, dict):
        return body
    if "from-live" not in body:
        return json.dumps(body)
    status, _, data = server.request("GET", path.split("?")[0].removesuffix("/status"), {"Accept": "application/json"})
    if status != 200:
        return json.dumps({"metadata": {"name": path.rsplit("/", 1)[-1]}, **body["set"]})
    live = json.loads(data)
    for key, value in body["set"].items():
        if isinstance(value, dict) and isinstance(live.get(key), dict):
            live[key].update(value)
        else:
            live[key] = value
    if body["labels"] is not None:
        live["metadata"]["labels"] = body["labels"]
    if not body["keep-version"]:
        live["metadata"].pop("resourceVersion", None)
    return json.dumps(live)


class Normal:
    """What one server makes up becomes a token of its own, numbered by first appearance."""

    def __init__(self):
        self.tokens = {}

    def token(self, kind, value):
        known = self.tokens.setdefault(kind, {})
        return known.setdefault(value, f"<{kind}>")

    def value(self, key, value, given):
        if isinstance(value, dict):
            return {name: self.value(name, item, given) for name, item in sorted(value.items())}
        if isinstance(value, list):
            return [self.value(key, item, given) for item in value]
        if key in ("uid", "resourceVersion", "creationTimestamp", "deletionTimestamp", "time", "continue", "eventTime"):
            return f"<{key}>" if value else value
        was_asked_for = all(str(value) in body for body in given)
        if key in ("clusterIP", "clusterIPs") and not was_asked_for and value != "None":
            return "<address6>" if ":" in str(value) else "<address>"
        if key in ("nodePort", "healthCheckNodePort") and not was_asked_for and value:
            return "<port>"
        if isinstance(value, str) and VOLATILE.match(value):
            return "<uid>"
        if key == "name" and re.fullmatch("gen-[a-z0-9]{5}", str(value)):
            return "gen-<name>"
        return value


def message_of(text):
    """Messages are compared without what a server makes up in them."""
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<uid>", text or "")
    text = re.sub(r"\bfd00:10:96::[0-9a-f:]+", "<address6>", text)
    text = re.sub(r"\bgen-[a-z0-9]{5}\b", "gen-<name>", text)
    text = re.sub(r"\b10\.96\.\d{1,3}\.\d{1,3}\b", "<address>", text)
    return re.sub(r"\b\d{4}-\d\d-\d\dT[0-9:.]+Z", "<time>", text)


def compare(ours, theirs, bodies):
    """Differences of two answers, as a list of sentences. What only one of the bodies names was allocated before."""
    differences = []
    if ours[0] != theirs[0]:
        differences.append(f"code {ours[0]} instead of {theirs[0]}")
    try:
        a, b = json.loads(ours[2] or b"null"), json.loads(theirs[2] or b"null")
    except ValueError:
        return differences + ["not JSON"]
    if isinstance(b, dict) and b.get("kind") == "Status" and isinstance(a, dict):
        if a.get("reason") != b.get("reason"):
            differences.append(f"reason {a.get('reason')} instead of {b.get('reason')}")
        if message_of(a.get("message")) != message_of(b.get("message")):
            differences.append(f"message\n      ours   {a.get('message')}\n      theirs {b.get('message')}")
        if a.get("details") != b.get("details") and not differences:
            x, y = json.dumps(a.get("details"), sort_keys=True), json.dumps(b.get("details"), sort_keys=True)
            if message_of(x) != message_of(y):
                differences.append(f"details\n      ours   {x}\n      theirs {y}")
        return differences
    x, y = Normal().value("", a, bodies), Normal().value("", b, bodies)
    if x != y:
        differences.extend(walk("", x, y))
    return differences


def walk(path, a, b):
    """Where two trees differ."""
    if isinstance(a, dict) and isinstance(b, dict):
        out = []
        for key in sorted(set(a) | set(b)):
            if key not in a:
                out.append(f"{path}.{key} missing, theirs {json.dumps(b[key])[:120]}")
            elif key not in b:
                out.append(f"{path}.{key} extra: {json.dumps(a[key])[:120]}")
            else:
                out.extend(walk(f"{path}.{key}", a[key], b[key]))
        return out
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return [line for i, (x, y) in enumerate(zip(a, b)) for line in walk(f"{path}[{i}]", x, y)]
    return [] if a == b else [f"{path}: {json.dumps(a)[:160]} instead of {json.dumps(b)[:160]}"]
