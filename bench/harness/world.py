# SPDX-License-Identifier: GPL-2.0-or-later
"""One node with its client and its pods, as three network namespaces, and the daemon that runs on it.

    client 10.255.0.2, 192.0.2.2  --  node (the daemon)  --  pods: the whole of 10.128.0.0/9 on one loopback

A connection to a ClusterIP leaves with 10.255.0.2, which is inside --cluster-cidr, so it is not masqueraded
and pays what a pod's connection pays; one to a node port leaves with 192.0.2.2, from outside. Addresses of
services are routed to the pods' namespace too, where nobody listens at their ports: as long as the node has
no rule for a service a connection is refused at once. (A node without a route would answer by ICMP, of which
the kernel sends one a second.)
"""
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from . import Fault
from .modes import NFTABLES

CLUSTER_CIDR = "10.128.0.0/9"
SERVICE_CIDR = "172.20.0.0/14"
NODE_ADDRESS = "192.0.2.1"
POD_PORT = 8080
METRICS = "127.0.0.1:10249"
NODE_FLAGS = ["--hostname-override", "n1", "--cluster-cidr", CLUSTER_CIDR, "--nodeport-addresses",
              "192.0.2.0/24", "--healthz-bind-address", "127.0.0.1:10256", "--metrics-bind-address", METRICS]


class Tools:
    """Where the programs are."""

    def __init__(self, daemon, helpers, realtime):
        self.realtime = realtime
        self.daemon = Path(daemon).resolve()
        self.helpers = Path(helpers).resolve()
        names = ("startup", "changes", "connections", "pods", "rules", "stream")
        for path in [self.daemon] + [self.helper(name) for name in names]:
            if not os.access(path, os.X_OK):
                raise Fault(f"{path} is missing: build first")

    def helper(self, name):
        return self.helpers / f"bench-{name}"

    def ahead(self):
        """For preexec_fn, inherited by the daemon: on a machine busy with other things, ours runs at once.
        Niceness alone would let the others finish their time slices of some milliseconds first."""
        if self.realtime:
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))


def run(*command, check=True, **options):
    done = subprocess.run([str(word) for word in command], text=True, capture_output=True, **options)
    if check and done.returncode != 0:
        words = done.stderr.strip() or done.stdout.strip() or f"exit status {done.returncode}"
        raise Fault(f"{Path(str(command[0])).name}: {words}")
    return done


def wait_quiet(limit_s=5):
    """Waits until the machine does nothing else: builds, or the kernel's own tidying after a big rule set."""

    def busy():
        fields = [int(word) for word in Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
        return sum(fields) - fields[3] - fields[4], sum(fields)

    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        before = busy()
        time.sleep(0.3)
        after = busy()
        if after[0] - before[0] <= 0.05 * (after[1] - before[1]):
            return True
    return False


class World:
    """Use as a context: what it made is gone afterwards, whatever happened."""

    made = 0

    def __init__(self, tools, work, mode=NFTABLES):
        World.made += 1
        self.tools, self.mode = tools, mode
        self.name = f"flb{os.getpid()}w{World.made}"
        self.folder = Path(work) / self.name
        self.manifests = self.folder / "manifests"
        self.stage = self.folder / "stage"
        self.socket = self.folder / "control"
        self.log = self.folder / "daemon.log"
        self.pods = None
        self.starter = None
        self.pid = None

    def ns(self, part):
        return f"{self.name}-{part}"

    def ns_path(self, part):
        return f"/run/netns/{self.ns(part)}"

    def __enter__(self):
        self.stage.mkdir(parents=True)
        try:
            self._lay()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.kill()
        if self.pods:
            self.pods.kill()
            self.pods.wait()
        for part in ("client", "node", "pods"):
            run("ip", "netns", "del", self.ns(part), check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def inside(self, part, *command, **options):
        return run("ip", "netns", "exec", self.ns(part), *command, **options)

    def _lay(self):
        node, client, pods = (self.ns(part) for part in ("node", "client", "pods"))
        for name in (node, client, pods):
            run("ip", "netns", "add", name)
        for peer, link in ((client, "to-client"), (pods, "to-pods")):
            run("ip", "link", "add", link, "netns", node, "type", "veth",
                "peer", "name", "eth0", "netns", peer)
        for name, words in [
            (node, "addr add 192.0.2.1/24 dev to-client"), (node, "addr add 10.255.0.1/24 dev to-client"),
            (node, "addr add 10.254.0.1/24 dev to-pods"), (node, "link set lo up"),
            (node, "link set to-client up"), (node, "link set to-pods up"),
            (node, f"route add {CLUSTER_CIDR} via 10.254.0.2"),
            (node, f"route add {SERVICE_CIDR} via 10.254.0.2"),
            (client, "addr add 192.0.2.2/24 dev eth0"), (client, "addr add 10.255.0.2/24 dev eth0"),
            (client, "link set lo up"), (client, "link set eth0 up"),
            (client, "route add default via 10.255.0.1 src 10.255.0.2"),
            (pods, "addr add 10.254.0.2/24 dev eth0"), (pods, "link set lo up"), (pods, "link set eth0 up"),
            (pods, "route add default via 10.254.0.1"), (pods, "route add 10.255.0.0/24 via 10.254.0.1"),
            # In the main table, or it would win over the longer prefixes of the client and of the link.
            (pods, f"route add local {CLUSTER_CIDR} dev lo table main"),
            (pods, f"route add local {SERVICE_CIDR} dev lo table main"),
        ]:
            run("ip", "-n", name, *words.split())
        for part, setting in [
            ("node", "net/ipv4/ip_forward=1"), ("node", "net/ipv4/conf/all/rp_filter=0"),
            ("pods", "net/ipv4/conf/all/rp_filter=0"),
            ("client", "net/ipv4/ip_local_port_range=2048 65000"),
        ]:
            path, value = setting.split("=")
            self.inside(part, "sh", "-c", f"echo {value} >/proc/sys/{path}")
        self.pods = subprocess.Popen(["ip", "netns", "exec", pods, self.tools.helper("pods"), str(POD_PORT)],
                                     stdout=subprocess.PIPE, text=True, preexec_fn=self.tools.ahead)
        if self.pods.stdout.readline() != "ready\n":
            raise Fault("the pods do not start")

    def command(self):
        """What is measured, as it is started."""
        return [self.tools.daemon, "standalone", "--manifests", self.manifests, "--proxy-mode", self.mode.word,
                "--control-socket", self.socket] + NODE_FLAGS

    def start(self, steps, timeout_s):
        """Starts the daemon, waits until each of `steps` (lines of a plan) holds. Returns bench-startup's
        figures."""
        plan = self.folder / "start.plan"
        plan.write_text("\n".join(steps) + "\n")
        command = [self.tools.helper("startup"), "--node-ns", self.ns_path("node"), "--client-ns",
                   self.ns_path("client"), "--log", self.log, "--plan", plan, "--timeout",
                   timeout_s] + self.command()
        self.starter = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, preexec_fn=self.tools.ahead,
                                        env=self.mode.environment(self.folder))
        line = self.starter.stdout.readline()
        if not line:
            complaint = self.starter.communicate()[1].strip()
            self.starter = None
            raise Fault(f"start: {complaint}\n{self.log_tail()}")
        result = json.loads(line)
        self.pid = result["pid"]
        return result

    def stop(self, limit_s=30):
        """Ends the daemon as an operator does. Returns what it used in all."""
        os.kill(self.pid, signal.SIGTERM)
        try:
            line = self.starter.communicate(timeout=limit_s)[0]
        except subprocess.TimeoutExpired:
            self.kill()
            raise Fault(f"the daemon still runs {limit_s} s after SIGTERM") from None
        self.starter = self.pid = None
        result = json.loads(line)
        if result["exit"] != 0:
            raise Fault(f"the daemon ended with {result}\n{self.log_tail()}")
        return result

    def kill(self):
        """SIGTERM of bench-startup takes the daemon along (its parent-death signal)."""
        if self.starter:
            self.starter.terminate()
            self.starter.communicate()
        self.starter = self.pid = None

    def log_tail(self, lines=8):
        text = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join("    | " + line[:300] for line in text[-lines:])

    def elements(self):
        return json.loads(self.inside("node", self.tools.helper("rules"), "count").stdout)

    def status(self):
        """What the daemon says of itself; it must soon say that it is ready."""
        end = time.monotonic() + 5
        done = None
        while not done or (done.returncode != 0 and time.monotonic() < end):
            done = self.inside("node", self.tools.daemon, "status", "--control-socket", self.socket,
                               check=False)
        if done.returncode != 0:
            raise Fault(f"`fairlead status` ends with {done.returncode} though connections are served: "
                        f"{done.stderr.strip()}")
        return dict(line.split(": ", 1) for line in done.stdout.splitlines() if ": " in line)

    def metrics(self):
        """The page; "" where there is none."""
        return self.inside("node", sys.executable, "-c", "import sys, urllib.request; sys.stdout.write("
                           f"urllib.request.urlopen('http://{METRICS}/metrics', timeout=5).read().decode())",
                           check=False).stdout

    def turns(self):
        """(count, seconds) of the daemon's own turns, from its metrics; None where it has none."""
        values = {}
        for line in self.metrics().splitlines():
            words = line.split()
            if line.startswith("fairlead_turn_duration_seconds_") and len(words) == 2:
                values[words[0].split("{")[0].rsplit("_", 1)[1]] = float(words[1])
        return (values["count"], values["sum"]) if {"count", "sum"} <= values.keys() else None

    def changes(self, plan, watch, settle_ms, more=(), timeout_s=1800):
        """Carries a plan out; one dict per change. more: further words for bench-changes."""
        done = run(self.tools.helper("changes"), "--node-ns", self.ns_path("node"), "--client-ns",
                   self.ns_path("client"), "--pid", self.pid, "--watch", watch, "--settle-ms", settle_ms,
                   *more, plan, check=False, timeout=timeout_s, preexec_fn=self.tools.ahead)
        samples = [json.loads(line) for line in done.stdout.splitlines()]
        if done.returncode != 0:
            raise Fault(f"{done.stderr.strip()}\n{self.log_tail()}")
        return samples
