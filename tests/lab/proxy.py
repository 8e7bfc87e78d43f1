# SPDX-License-Identifier: GPL-2.0-or-later
"""fairlead on the lab's nodes: started, watched, stopped; and one folder of manifests for all of them."""
import contextlib
import re
import subprocess
import time

import lab as labs
import patience
from manifests import Folder, service_cidr
from modes import mode
from topology import BACKBONE, POD_CIDR

DEFAULTS = {
    "cluster-cidr": f"{POD_CIDR[4]},{POD_CIDR[6]}",
    "nodeport-addresses": f"{BACKBONE[4]},{BACKBONE[6]}",
    "healthz-bind-address": "0.0.0.0:10256",
    "metrics-bind-address": "127.0.0.1:10249",
}
READY_S = 20


def wait_until(condition, timeout_s, what):
    """Polls until `condition()` is true, and returns its value; fails with `what` after `timeout_s`."""
    timeout_s = patience.seconds(timeout_s)
    end = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {timeout_s} s: {what() if callable(what) else what}")
        time.sleep(0.02)


class Proxy:
    """fairlead on one node. `flags` overrides DEFAULTS; None leaves a flag out."""

    def __init__(self, lab, node, folder, flags=None):
        self.lab = lab
        self.node = node
        self.folder = folder
        self.flags = {**DEFAULTS, **(flags or {})}
        self.socket = lab.directory / node / "control.sock"  # a folder each, as on nodes of their own
        self.log_name = f"{node}.log"
        self.mode = mode()
        self.child = None

    def argv(self):
        argv = [labs.binary(), "standalone", "--manifests", str(self.folder.path), "--hostname-override", self.node,
                "--proxy-mode", self.mode, "--control-socket", str(self.socket)]
        return argv + [f"--{name}={value}" for name, value in self.flags.items() if value is not None]

    def start(self, environment=None):
        """Starts it; `environment` adds variables such as FAIRLEAD_FAULT. Does not wait: see `wait_ready`."""
        argv = self.argv()
        self.socket.parent.mkdir(exist_ok=True)
        if environment:
            argv = ["env", *(f"{name}={value}" for name, value in environment.items()), *argv]
        self.child = self.lab.start(self.node, argv, self.log_name)

    def stop(self):
        """SIGTERM and wait; the kernel keeps what was programmed."""
        if self.child:
            self.lab.end(self.child)
            self.child = None

    def kill(self):
        """SIGKILL, as a crash."""
        self.child.kill()
        self.lab.end(self.child)
        self.child = None

    def log(self):
        with contextlib.suppress(FileNotFoundError):
            return (self.lab.directory / self.log_name).read_text(errors="replace")
        return ""

    def tool(self, *argv, check=True, timeout=10):
        """`fairlead ARGV` inside the node's namespace, as an operator would call it there, of this daemon."""
        socket = [] if argv[0] == "cleanup" else ["--control-socket", str(self.socket)]  # cleanup needs no daemon
        return self.lab.namespace(self.node).run([labs.binary(), *argv, *socket], check=check, timeout=timeout)

    def status(self):
        """(ready, turn, generation) of the running daemon; (False, -1, -1) when it does not answer."""
        done = subprocess.run([labs.binary(), "status", "--control-socket", str(self.socket)], text=True,
                              capture_output=True, timeout=patience.seconds(10))
        numbers = dict(re.findall(r"^(turn|generation): *(\d+)", done.stdout, re.MULTILINE))
        return done.returncode == 0, int(numbers.get("turn", -1)), int(numbers.get("generation", -1))

    def is_ready(self):
        if self.child and self.child.poll() is not None:
            raise AssertionError(f"fairlead on {self.node} ended with {self.child.returncode}:\n{self.log()[-2000:]}")
        return self.status()[0]

    def wait_ready(self):
        wait_until(self.is_ready, READY_S, lambda: f"{self.node} ready; its log ends:\n{self.log()[-2000:]}")


class Cluster:
    """fairlead on every node of a lab, over one folder: an empty one of its own, or `folder`, which is only read."""

    def __init__(self, lab, flags=None, folder=None, with_nodes=True):
        self.lab = lab
        self.folder = folder or Folder(lab.directory / "manifests")
        if not folder:
            self.folder.clear()
        self.proxies = {node: Proxy(lab, node, self.folder, flags) for node in lab.topology.nodes}
        if with_nodes:
            self.folder.write("nodes.yaml", [node.manifest() for node in lab.topology.nodes.values()])
            self.folder.write("servicecidr.yaml", [service_cidr()])

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *_):
        self.end()

    def start(self):
        for proxy in self.proxies.values():
            proxy.start()
        for proxy in self.proxies.values():
            proxy.wait_ready()

    def end(self):
        """Stops all, and gives back the nodes as they were."""
        for proxy in self.proxies.values():
            proxy.stop()
            self.lab.reset_node(proxy.node)

    @contextlib.contextmanager
    def change(self):
        """A change of the folder inside the block is in force on every node after it."""
        before = {name: proxy.status()[2] for name, proxy in self.proxies.items()}
        yield self.folder
        for name, proxy in self.proxies.items():
            def in_force(proxy=proxy, seen=before[name]):
                ready, _, generation = proxy.status()
                return ready and generation > seen
            wait_until(in_force, READY_S, lambda: f"change seen by {proxy.node}; its log ends:\n{proxy.log()[-2000:]}")

    def write(self, name, content):
        with self.change() as folder:
            folder.write(name, content)

    def remove(self, name):
        with self.change() as folder:
            folder.remove(name)
