# SPDX-License-Identifier: GPL-2.0-or-later
"""A real etcd and kube-apiserver out of $KUBEBUILDER_ASSETS, on the loopback of a network namespace."""
import base64
import json
import os
import pathlib
import subprocess
import time

PORT, ETCD_PORT = 16443, 12379
TOKEN, PROXY_TOKEN = "differential", "proxy"
READY_S = 60

# What accounts of the cluster ask for is written down, with what became of it.
AUDIT_POLICY = """
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  userGroups: ["system:serviceaccounts"]
- level: None
"""


def missing():
    """Why there is no real server here, or None."""
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if not assets:
        return "KUBEBUILDER_ASSETS names no folder with etcd and kube-apiserver"
    for name in ("etcd", "kube-apiserver"):
        if not os.access(f"{assets}/{name}", os.X_OK):
            return f"{assets} has no {name}"
    return None


def kube_proxy():
    """Where a real kube-proxy is: $KUBE_PROXY_BIN, or beside the real kube-apiserver. It need not be there."""
    return os.environ.get("KUBE_PROXY_BIN") or os.environ.get("KUBEBUILDER_ASSETS", "") + "/kube-proxy"


class RealServer:
    """RBAC decides who may do what: the admin everything, PROXY_TOKEN what kube-proxy may in every cluster, others what
    was granted to them (rbac.py). `flags` are further ones of kube-apiserver."""

    def __init__(self, directory, namespace, address="127.0.0.1", flags=()):
        self.directory = pathlib.Path(directory)
        self.namespace = namespace
        self.address = address
        self.flags = flags
        self.assets = os.environ["KUBEBUILDER_ASSETS"]
        self.children = []
        self.kubeconfig = self.directory / "kubeconfig"

    def _start(self, log, *argv):
        with open(self.directory / log, "wb") as output:
            self.children.append(self.namespace.popen(list(argv), stdin=subprocess.DEVNULL, stdout=output,
                                                      stderr=output))

    def start(self):
        self.directory.mkdir(parents=True)
        key, public, tokens = (self.directory / name for name in ("sa.key", "sa.pub", "tokens.csv"))
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
        subprocess.run(["openssl", "rsa", "-in", key, "-pubout", "-out", public], check=True, capture_output=True)
        tokens.write_text(f'{TOKEN},admin,admin,"system:masters"\n{PROXY_TOKEN},system:kube-proxy,proxy\n')
        (self.directory / "audit-policy.yaml").write_text(AUDIT_POLICY)
        etcd, peer = f"http://127.0.0.1:{ETCD_PORT}", f"http://127.0.0.1:{ETCD_PORT + 1}"
        self._start("etcd.log", f"{self.assets}/etcd", "--name=one", f"--data-dir={self.directory}/etcd",
                    "--unsafe-no-fsync", f"--listen-client-urls={etcd}", f"--advertise-client-urls={etcd}",
                    f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=one={peer}")
        self._start("kube-apiserver.log", f"{self.assets}/kube-apiserver", f"--etcd-servers={etcd}",
                    f"--bind-address={self.address}", f"--secure-port={PORT}", "--advertise-address=192.0.2.1",
                    "--service-cluster-ip-range=10.96.0.0/16,fd00:10:96::/108", "--authorization-mode=RBAC",
                    "--anonymous-auth=false", f"--token-auth-file={tokens}", f"--cert-dir={self.directory}/certificates",
                    "--service-account-issuer=https://kubernetes.default.svc",
                    f"--service-account-key-file={public}", f"--service-account-signing-key-file={key}",
                    "--disable-admission-plugins=ServiceAccount", "--allow-privileged",
                    f"--audit-policy-file={self.directory}/audit-policy.yaml",
                    f"--audit-log-path={self.directory}/audit.log", *self.flags)
        self.kubeconfig.write_text(json.dumps({
            "clusters": [{"name": "real", "cluster": {"server": f"https://{self.address}:{PORT}",
                                                      "insecure-skip-tls-verify": True}}],
            "users": [{"name": "admin", "user": {"token": TOKEN}}]}))
        return self

    def verified_kubeconfig(self, token):
        """A kubeconfig, as text, that trusts the certificate which the server made itself; once it is ready."""
        authority = base64.b64encode((self.directory / "certificates" / "apiserver.crt").read_bytes()).decode()
        return json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "real",
            "clusters": [{"name": "real", "cluster": {"server": f"https://{self.address}:{PORT}",
                                                      "certificate-authority-data": authority}}],
            "users": [{"name": "user", "user": {"token": token}}],
            "contexts": [{"name": "real", "context": {"cluster": "real", "user": "user"}}]})

    def audited(self):
        """What accounts of the cluster asked for so far: events of the API group audit.k8s.io."""
        log = self.directory / "audit.log"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def wait_ready(self, server):
        """`server` is a differential.Server on it."""
        end = time.monotonic() + READY_S
        while True:
            try:
                if server.request("GET", "/readyz")[0] == 200 and \
                        server.request("GET", "/api/v1/namespaces/default/services/kubernetes")[0] == 200:
                    return
            except OSError:
                pass
            if time.monotonic() > end:
                raise AssertionError(f"kube-apiserver is not ready: {(self.directory / 'kube-apiserver.log').read_text()[-2000:]}")
            time.sleep(0.2)

    def stop(self):
        for child in reversed(self.children):
            child.terminate()
        for child in self.children:
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
