# SPDX-License-Identifier: GPL-2.0-or-later
"""fairlead with its embedded API server, in a network namespace of its own, because it claims the one it is in."""
import contextlib
import itertools
import os
import pathlib
import re
import subprocess

import lab as labs
import netns
import patience
from proxy import wait_until

PORT = 6443
SERVICE_RANGE = "10.96.0.0/16,fd00:10:96::/108"
READY_S = 20
DEFAULTS = {
    "api": f"127.0.0.1:{PORT}",
    "service-cluster-ip-range": SERVICE_RANGE,
    "hostname-override": "n1",
    "cluster-cidr": "10.244.0.0/16,fd00:10:244::/48",
    "healthz-bind-address": "127.0.0.1:10256",
    "metrics-bind-address": "127.0.0.1:10249",
}


class Server:
    """One fairlead. `directory` holds all it has: its data, its log, its socket. `flags` overrides DEFAULTS."""

    def __init__(self, directory, namespace, flags=None):
        self.directory = pathlib.Path(directory)
        self.namespace = namespace
        self.data = self.directory / "data"
        self.kubeconfig = self.data / "admin.kubeconfig"
        self.socket = self.directory / "control.sock"
        self.flags = {**DEFAULTS, "data-dir": str(self.data), "control-socket": str(self.socket), **(flags or {})}
        self.port = PORT
        self.child = None

    def start(self):
        """Starts it and waits until it serves. What was stored before is there again."""
        self.directory.mkdir(parents=True, exist_ok=True)
        argv = [labs.binary(), "standalone", *(f"--{name}={value}" for name, value in self.flags.items() if value)]
        with open(self.directory / "log", "ab") as output:
            self.child = self.namespace.popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        wait_until(self.is_ready, READY_S, lambda: f"fairlead ready; its log ends:\n{self.log()[-3000:]}")
        return self

    def is_ready(self):
        if self.child.poll() is not None:
            raise AssertionError(f"fairlead ended with {self.child.returncode}:\n{self.log()[-3000:]}")
        return self.tool("status", check=False).returncode == 0

    def stop(self):
        """SIGTERM; it has to end by itself, and well."""
        if self.child:
            self.child.terminate()
            try:
                code = self.child.wait(patience.seconds(10))
            except subprocess.TimeoutExpired:
                code = "nothing for 10 s, so SIGKILL"
                self.kill()
            self.child = None
            assert code == 0, f"fairlead answered SIGTERM with {code}; its log ends:\n{self.log()[-3000:]}"

    def kill(self):
        """SIGKILL, as a crash."""
        if self.child:
            self.child.kill()
            self.child.wait()
            self.child = None

    def log(self):
        with contextlib.suppress(FileNotFoundError):
            return (self.directory / "log").read_text(errors="replace")
        return ""

    def tool(self, *argv, check=True):
        """`fairlead ARGV` beside the daemon, as an operator calls it there."""
        return self.namespace.run([labs.binary(), *argv, "--control-socket", str(self.socket)], check=check)

    def watches(self):
        """How many watches are open."""
        return int(re.search(r"(\d+) watches", self.tool("status").stdout)[1])

    def node_kubeconfig(self, node):
        """A kubeconfig for that node's proxy, as text."""
        argv = [labs.binary(), "kubeconfig", "--node", node, "--server", f"https://127.0.0.1:{self.port}", "--data-dir",
                str(self.data)]
        return self.namespace.run(argv).stdout

    def resident_kib(self):
        with open(f"/proc/{self.child.pid}/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmRSS:"))


class Namespaces:
    """Makes network namespaces with nothing but a loopback, and takes them down. Several threads may ask at once."""

    def __init__(self):
        self.made = []
        self.numbers = itertools.count()

    def new(self):
        name = f"flapi{os.getpid()}-{next(self.numbers)}"
        self.made.append(name)
        netns.ip_batch([f"netns add {name}"])
        netns.ip_batch(["link set lo up"], name)
        return netns.Namespace(name)

    def close(self):
        netns.delete(self.made)
