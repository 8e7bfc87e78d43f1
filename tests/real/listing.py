# SPDX-License-Identifier: GPL-2.0-or-later
"""A server that lists objects of a file as a kube-apiserver would, defaulted, and never has news of them."""
import http.server
import json
import threading
import time
import urllib.parse

import yaml

NODE = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "here"},
        "status": {"addresses": [{"type": "InternalIP", "address": "192.0.2.1"}]}}
KINDS = {"/api/v1/services": "Service", "/api/v1/nodes": "Node", "/api/v1/namespaces": "Namespace",
         "/apis/discovery.k8s.io/v1/endpointslices": "EndpointSlice", "/apis/networking.k8s.io/v1/servicecidrs": "ServiceCIDR"}


def defaulted(thing):
    """What an API server would have added, as far as a proxy reads it."""
    meta = thing["metadata"]
    if thing["kind"] in ("Service", "EndpointSlice"):
        meta.setdefault("namespace", "default")
    meta.setdefault("uid", f"{thing['kind']}-{meta.get('namespace')}-{meta['name']}")
    meta["resourceVersion"] = "1"
    meta["labels"] = {key: str(value) for key, value in (meta.get("labels") or {}).items()}
    if thing["kind"] == "Service":
        default_service(thing["spec"])
    if thing["kind"] == "EndpointSlice":
        for port in thing.get("ports") or []:
            port.setdefault("protocol", "TCP")
            port.setdefault("name", "")
    return thing


def default_service(spec):
    spec.setdefault("type", "ClusterIP")
    spec.setdefault("sessionAffinity", "None")
    if spec["type"] != "ExternalName":
        spec.setdefault("internalTrafficPolicy", "Cluster")
    if spec["type"] in ("NodePort", "LoadBalancer") or spec.get("externalIPs"):
        spec.setdefault("externalTrafficPolicy", "Cluster")
    if spec["sessionAffinity"] == "ClientIP":
        spec.setdefault("sessionAffinityConfig", {}).setdefault("clientIP", {}).setdefault("timeoutSeconds", 10800)
    spec.setdefault("clusterIPs", [spec["clusterIP"]] if spec.get("clusterIP") else [])
    if spec["clusterIPs"] and not spec.get("clusterIP"):
        spec["clusterIP"] = spec["clusterIPs"][0]
    spec.setdefault("ipFamilies", ["IPv6" if ":" in address else "IPv4" for address in spec["clusterIPs"] if address != "None"])
    for port in spec.get("ports") or []:
        port.setdefault("protocol", "TCP")
        port.setdefault("targetPort", port["port"])


class Server:
    def __init__(self, path, namespace):
        things = [defaulted(thing) for thing in yaml.safe_load_all(path.read_text()) if thing]
        mine = [thing for thing in things if thing["kind"] == "Node" and thing["metadata"]["name"] == "here"]
        for node in mine:
            node.setdefault("status", {}).setdefault("addresses", NODE["status"]["addresses"])
        if not mine:
            things.append(defaulted(json.loads(json.dumps(NODE))))
        self.things = things
        self.listed = set()
        with namespace.entered():
            self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def is_listed(self):
        return {"Service", "EndpointSlice"} <= self.listed

    def items(self, kind, query):
        field = query.get("fieldSelector", [""])[0]
        labels = query.get("labelSelector", [""])[0]
        for thing in self.things:
            mine = thing["metadata"]["labels"]
            if thing["kind"] != kind or (field.startswith("metadata.name=") and field != f"metadata.name={thing['metadata']['name']}"):
                continue
            if all((part[1:] not in mine) if part.startswith("!") else (part in mine) for part in labels.split(",") if part):
                yield thing

    def handler(self):
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self, status, value):
                body = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                path, _, query = self.path.partition("?")
                query = urllib.parse.parse_qs(query, keep_blank_values=True)
                if query.get("sendInitialEvents"):  # as a server that has no streaming lists: the client lists then
                    self.answer(422, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Invalid",
                                      "code": 422, "message": "sendInitialEvents is not known here"})
                elif query.get("watch"):
                    self.hang()
                else:
                    self.look_up(path, query)

            def look_up(self, path, query):
                if path in KINDS:
                    kind = KINDS[path]
                    group = path.rsplit("/", 1)[0].removeprefix("/apis/").removeprefix("/api/")
                    self.answer(200, {"kind": f"{kind}List", "apiVersion": group, "metadata": {"resourceVersion": "1"},
                                      "items": list(outer.items(kind, query))})
                    outer.listed.add(kind)
                    return
                for listed, kind in KINDS.items():
                    if path.startswith(listed + "/"):
                        found = [t for t in outer.items(kind, {}) if t["metadata"]["name"] == path[len(listed) + 1:]]
                        if found:
                            self.answer(200, found[0])
                            return
                self.answer(404, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound",
                                  "code": 404, "message": f"{path} is not here"})

            def do_POST(self):
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.answer(201, {})

            def hang(self):
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                self.wfile.flush()
                time.sleep(60)

            def log_message(self, *_):
                pass

        return Handler
