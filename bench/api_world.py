# SPDX-License-Identifier: GPL-2.0-or-later
"""API servers to measure: fairlead's embedded one, and kube-apiserver with etcd out of $KUBEBUILDER_ASSETS.
Each runs in a network namespace of its own, with its data in a new folder on a disk; the measuring program
runs beside it.

Both keep their word: what they acknowledge is on the disk (etcd without --unsafe-no-fsync).
"""
import base64
import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

from harness import Fault
from harness.world import run

LOOPBACK = "127.0.0.1"
PORT = 6443
ETCD_PORT = 2379
SERVICE_RANGE = "10.96.0.0/12"
NODES = "nodes"  # the bridge of those who are attached
KEY_WORDS = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
FILES = {"authority": "certificate-authority-data", "certificate": "client-certificate-data",
         "key": "client-key-data"}


def priority_set(pid, realtime):
    """For all threads of a process, and those they make."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setscheduler(int(task.name), os.SCHED_RR if realtime else os.SCHED_OTHER,
                              os.sched_param(1 if realtime else 0))


class ApiWorld:
    """Use as a context: what it made is gone afterwards, whatever happened."""

    made = 0
    name = ""          # of the server, in the results
    programs = False   # writes rules into the kernel
    ready = "/api/v1/namespaces/default/services/kubernetes"

    def __init__(self, program, realtime, work, host=LOOPBACK, service_range=SERVICE_RANGE):
        """host: the address it serves at, in a /24 of those who are attached unless it is the loopback."""
        ApiWorld.made += 1
        self.program, self.realtime = program, realtime
        self.host, self.address, self.service_range = host, f"{host}:{PORT}", service_range
        self.ns = f"fla{os.getpid()}w{ApiWorld.made}"
        self.folder = Path(work) / self.ns
        self.data = self.folder / "data"
        self.log = self.folder / "server.log"
        self.starter = None
        self.pid = None

    def __enter__(self):
        self.folder.mkdir(parents=True)
        run("ip", "netns", "add", self.ns)
        run("ip", "-n", self.ns, "link", "set", "lo", "up")
        if self.host != LOOPBACK:
            for words in (f"add {NODES} type bridge", f"set {NODES} up"):
                run("ip", "-n", self.ns, "link", *words.split())
            run("ip", "-n", self.ns, "addr", "add", f"{self.host}/24", "dev", NODES)
        return self

    def attach(self, ns, address):
        """Gives another namespace a way to the server. It goes with that namespace."""
        port = "port-" + address.rsplit(".", 1)[1]
        run("ip", "link", "add", "to-api", "netns", ns, "type", "veth", "peer", "name", port, "netns",
            self.ns)
        run("ip", "-n", self.ns, "link", "set", port, "master", NODES, "up")
        run("ip", "-n", ns, "addr", "add", f"{address}/24", "dev", "to-api")
        run("ip", "-n", ns, "link", "set", "to-api", "up")

    def __exit__(self, *_):
        self.kill()
        run("ip", "netns", "del", self.ns, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    # What differs between the servers.

    def prepare(self):
        """Before each start."""

    def command(self):
        raise NotImplementedError

    def pids(self):
        return [self.pid]

    def file_bytes(self):
        raise NotImplementedError

    def proxy_kubeconfig(self):
        """A file that lets the proxy of node n1 in, with the rights of one and nothing more."""
        raise NotImplementedError

    # What does not.

    def ahead(self):
        """For preexec_fn: on a machine busy with other things, ours runs at once."""
        if self.realtime:
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))

    def be_ahead(self, wanted):
        """Measured or only filled: filling does not push others off the machine."""
        for pid in self.pids() if self.realtime else []:
            priority_set(pid, wanted)

    def identity(self):
        """The server and the administrator, in words of the measuring programs."""
        words = ["--address", self.address]
        for name in FILES:
            words += [f"--{name}", self.folder / f"{name}.pem"]
        return words

    def bench(self, command, *words, **options):
        line = ["ip", "netns", "exec", self.ns, self.program, command] + self.identity()
        for name, value in options.items():
            line += [f"--{name}", value]
        return [str(word) for word in line + list(words)]

    def ask(self, command, is_ahead=True, timeout_s=900, **options):
        """Carries a command of bench-api out; one dict per line."""
        done = subprocess.run(self.bench(command, **options), text=True, capture_output=True,
                              timeout=timeout_s, preexec_fn=self.ahead if is_ahead else None)
        if done.returncode != 0:
            raise Fault(f"bench-api {command}: {done.stderr.strip()}\n{self.log_tail()}")
        return [json.loads(line) for line in done.stdout.splitlines()]

    def watch(self, **options):
        return subprocess.Popen(self.bench("watch", **options), text=True, stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=self.ahead)

    def start(self, ready=None, timeout_s=120):
        """Starts the server and waits until it answers with what `ready` names. Returns the figures."""
        self.prepare()
        command = self.bench("start", *self.command(), log=self.log, ready=ready or self.ready,
                             timeout_s=timeout_s)
        self.starter = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                        preexec_fn=self.ahead)
        line = self.starter.stdout.readline()
        if not line:
            complaint = self.starter.communicate()[1].strip()
            self.starter = None
            raise Fault(f"start of {self.name}: {complaint}\n{self.log_tail()}")
        result = json.loads(line)
        self.pid = result["pid"]
        return result

    def stop(self, limit_s=60):
        """Ends the server as an operator does. Returns what it used in all."""
        os.kill(self.pid, signal.SIGTERM)
        try:
            line = self.starter.communicate(timeout=limit_s)[0]
        except subprocess.TimeoutExpired:
            self.kill()
            raise Fault(f"{self.name} still runs {limit_s} s after SIGTERM") from None
        self.starter = self.pid = None
        return json.loads(line)

    def kill(self):
        if self.starter:
            self.starter.terminate()  # takes the server along: its parent-death signal
            self.starter.communicate()
        self.starter = self.pid = None

    def log_tail(self, lines=8):
        text = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join("    | " + line[:300] for line in text[-lines:])


class Embedded(ApiWorld):
    name = "fairlead"
    programs = True

    def __init__(self, tools, work, **place):
        super().__init__(tools.helper("api"), tools.realtime, work, **place)
        self.daemon = tools.daemon

    def prepare(self):
        """A new folder gets its certificates at the first start, so one goes before those measured."""
        self.data.mkdir(exist_ok=True)
        config = self.data / "admin.kubeconfig"
        if not config.exists():
            line = ["ip", "netns", "exec", self.ns] + [str(word) for word in self.command()]
            with open(self.log, "a") as log:
                first = subprocess.Popen(line, stdout=log, stderr=log)
            end = time.monotonic() + 20
            while not config.exists() and first.poll() is None and time.monotonic() < end:
                time.sleep(0.05)
            time.sleep(0.5)
            first.terminate()
            first.wait()
        if not config.exists():
            raise Fault(f"{config.name} is not made\n{self.log_tail()}")
        for name, key in FILES.items():
            found = re.search(rf"{key}: *(\S+)", config.read_text())
            (self.folder / f"{name}.pem").write_bytes(base64.b64decode(found[1]))

    def command(self):
        return [self.daemon, "standalone", "--api", self.address, "--data-dir", self.data,
                "--hostname-override", "n1", "--cluster-cidr", "10.128.0.0/9",
                "--service-cluster-ip-range", self.service_range,
                "--control-socket", self.folder / "control"]

    def proxy_kubeconfig(self):
        path = self.folder / "proxy.kubeconfig"
        path.write_text(run(self.daemon, "kubeconfig", "--node", "n1", "--server", f"https://{self.address}",
                            "--data-dir", self.data).stdout)
        return path

    def file_bytes(self):
        return sum(path.stat().st_size for path in self.data.glob("registry.db*"))


class Peer(ApiWorld):
    """Its flags leave out what cannot be without controllers; the rest is as upstream has it."""
    name = "kube-apiserver"

    def __init__(self, tools, work, assets, **place):
        super().__init__(tools.helper("api"), tools.realtime, work, **place)
        self.assets = Path(assets)
        self.etcd = None
        for name in ("etcd", "kube-apiserver"):
            if not os.access(self.assets / name, os.X_OK):
                raise Fault(f"KUBEBUILDER_ASSETS has no {name}")

    def __exit__(self, *_):
        self.kill()
        self._stop_etcd()
        super().__exit__()

    def pids(self):
        return [self.pid, self.etcd.pid]

    def file_bytes(self):
        """As du says: etcd lays its log out in advance."""
        return sum(path.stat().st_blocks * 512 for path in self.data.rglob("*") if path.is_file())

    def _sign(self, name, subject, *words):
        key, request = (self.folder / f"{name}.{what}" for what in ("key", "csr"))
        run("openssl", "req", *KEY_WORDS, "-keyout", key, "-out", request, "-subj", subject)
        extensions = self.folder / f"{name}.ext"
        extensions.write_text("\n".join(words) + "\n")
        run("openssl", "x509", "-req", "-in", request, "-CA", self.folder / "authority.pem", "-CAkey",
            self.folder / "ca.key", "-CAcreateserial", "-days", "30", "-extfile", extensions, "-out",
            self.folder / f"{name}.crt")

    def _make_certificates(self):
        run("openssl", "req", "-x509", *KEY_WORDS, "-keyout", self.folder / "ca.key", "-out",
            self.folder / "authority.pem", "-days", "30", "-subj", "/CN=bench")
        self._sign("server", "/CN=kube-apiserver", f"subjectAltName=IP:{self.host},IP:127.0.0.1,DNS:localhost",
                   "extendedKeyUsage=serverAuth")
        self._sign("client", "/O=system:masters/CN=bench", "extendedKeyUsage=clientAuth")
        self._sign("proxy", "/CN=system:kube-proxy", "extendedKeyUsage=clientAuth")
        shutil.copy(self.folder / "client.key", self.folder / "key.pem")
        shutil.copy(self.folder / "client.crt", self.folder / "certificate.pem")
        run("openssl", "genrsa", "-out", self.folder / "accounts.key", "2048")

    def _start_etcd(self):
        client, peer = f"http://127.0.0.1:{ETCD_PORT}", f"http://127.0.0.1:{ETCD_PORT + 1}"
        line = ["ip", "netns", "exec", self.ns, self.assets / "etcd", "--name=bench",
                f"--data-dir={self.data}", "--log-level=warn", f"--listen-client-urls={client}",
                f"--advertise-client-urls={client}",
                f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}",
                f"--initial-cluster=bench={peer}"]
        with open(self.folder / "etcd.log", "a") as log:
            self.etcd = subprocess.Popen([str(word) for word in line], stdout=log, stderr=log,
                                         preexec_fn=self.ahead)

    def _stop_etcd(self):
        if self.etcd:
            self.etcd.terminate()
            self.etcd.wait()
        self.etcd = None

    def prepare(self):
        if not (self.folder / "authority.pem").exists():
            self._make_certificates()
        self._start_etcd()

    def command(self):
        return [self.assets / "kube-apiserver", f"--etcd-servers=http://127.0.0.1:{ETCD_PORT}",
                f"--bind-address={self.host}", f"--secure-port={PORT}",
                "--advertise-address=192.0.2.1", f"--service-cluster-ip-range={self.service_range}",
                "--authorization-mode=RBAC", "--anonymous-auth=false",
                f"--client-ca-file={self.folder}/authority.pem", f"--tls-cert-file={self.folder}/server.crt",
                f"--tls-private-key-file={self.folder}/server.key",
                "--service-account-issuer=https://kubernetes.default.svc",
                f"--service-account-key-file={self.folder}/accounts.key",
                f"--service-account-signing-key-file={self.folder}/accounts.key",
                "--disable-admission-plugins=ServiceAccount", "--profiling=false",
                f"--cert-dir={self.folder}"]

    def proxy_kubeconfig(self):
        path = self.folder / "proxy.kubeconfig"
        path.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "bench",
            "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": "proxy"}}],
            "clusters": [{"name": "bench", "cluster": {
                "server": f"https://{self.address}",
                "certificate-authority": str(self.folder / "authority.pem")}}],
            "users": [{"name": "proxy", "user": {"client-certificate": str(self.folder / "proxy.crt"),
                                                 "client-key": str(self.folder / "proxy.key")}}]}))
        return path

    def stop(self, limit_s=90):
        result = super().stop(limit_s)
        self._stop_etcd()
        return result
