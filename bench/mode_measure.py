# SPDX-License-Identifier: GPL-2.0-or-later
"""The measures of each mode: its start, one change, new connections; and the userspace mode's streams beside
haproxy's. The worlds of one size stay until the connections, so that rounds can interleave the modes."""
import json
import os
import shutil
import statistics
import subprocess
import time
from contextlib import ExitStack

from harness import Fault, measure
from harness.cluster import Cluster, plan_group
from harness.modes import MODES, usable
from harness.world import NODE_ADDRESS, POD_PORT, World, run, wait_quiet

VICTIMS = 5
LIMIT_MS = 60000
LOOK_US = 200       # between two looks where connections alone tell of a change
BLIND_MS = 200  # beyond three times what a change usually took
STREAM_PORT = 9090
STREAM_SIZES = [10, 1000]
HAPROXY = shutil.which("haproxy", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
HAPROXY_PORTS = {"answer": 8001, "stream": 8002, "stream-splice": 8003}


def changes_in_force(world, cluster, kind, samples):
    """From the change to its commit, or to the first connection at a new endpoint where there are none."""
    watch = "poll" if world.mode.has_commits else "none"
    words = ["--limit-ms", LIMIT_MS] + (["--pause-us", LOOK_US] if watch == "none" else [])
    plan = plan_group(cluster, world, kind, samples)
    wait_quiet()
    seen = world.changes(plan, watch, 40, words)[:samples]
    return measure.summarize(kind, seen)


def changes_cost(world, cluster, samples, blind_ms):
    """CPU of the daemon and its children, of changes that nobody looks at while they are made: connections of
    the prober's would be work for a proxy in user space."""
    plan = plan_group(cluster, world, "replace", samples)
    wait_quiet()
    seen = world.changes(plan, "none", 40, ["--limit-ms", LIMIT_MS, "--blind-ms", blind_ms])
    return {"count": len(seen), "cpu_us": statistics.fmean(one["cpu_ns"] for one in seen) / 1e3}


def measure_mode(world, cluster, options):
    cluster.write(world.manifests)
    found = {"mode": world.mode.name, "load": os.getloadavg()[0],
             "start": measure.first_programming(world, cluster, options.mode_start_limit_s)}
    # Where no commit tells, one new endpoint of ten takes some connections to be met: of all ten, the first.
    kinds = ["replace-all", "replace"] if world.mode.has_commits else ["replace-all"]
    found["changes"] = [changes_in_force(world, cluster, kind, options.mode_samples) for kind in kinds]
    usual_ms = max(change["p50_us"] for change in found["changes"]) / 1e3
    found["cost"] = changes_cost(world, cluster, max(2, options.mode_samples // 2), int(3 * usual_ms) + BLIND_MS)
    found["memory"] = measure.memory(world.pid)
    return found


def measure_size(tools, work, options, modes, size, entry, attempt, say):
    with ExitStack() as stack:
        opened = []
        for mode in modes:
            cluster = Cluster(size, "json", victims=max(1, min(VICTIMS, size // 10)))
            world = stack.enter_context(World(tools, work, mode))
            say(f"{size} services, mode {mode}: start and changes")
            found = attempt(f"mode {mode}, {size} services",
                            lambda world=world, cluster=cluster: measure_mode(world, cluster, options))
            if found:
                entry["modes"].append(found)
                opened.append((f"{mode}@{size}", world, cluster))
        if opened and options.mode_rounds:
            say(f"{size} services: new connections")
            entry["connections"] = attempt(
                f"connections, {size} services",
                lambda: measure.connections(opened, options.mode_rounds, options.round_ms, tools,
                                            [(f"last@{label}", f"first@{label}") for label, _, _ in opened]))


# Streams.

class Haproxy:
    """haproxy on the node of a world, to the endpoints of a service. Use as a context."""

    def __init__(self, world, answer, stream):
        self.world, self.process = world, None
        self.path = world.folder / "haproxy.cfg"
        self.path.write_text("\n".join(
            ["global", "  maxconn 4096", "defaults", "  mode tcp", "  balance roundrobin",
             "  timeout connect 5s", "  timeout client 1m", "  timeout server 1m"]
            + self.listen("answer", answer, POD_PORT) + self.listen("stream", stream, STREAM_PORT)
            + self.listen("stream-splice", stream, STREAM_PORT, "  option splice-auto")) + "\n")

    @staticmethod
    def listen(name, service, port, *more):
        return [f"listen {name}", f"  bind {NODE_ADDRESS}:{HAPROXY_PORTS[name]}", *more] + [
            f"  server e{k} {ip}:{port}" for k, (ip, _) in enumerate(service.endpoints)]

    def __enter__(self):
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", self.world.ns("node"), HAPROXY, "-db", "-f", str(self.path)],
            preexec_fn=self.world.tools.ahead, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        time.sleep(1)
        if self.process.poll() is not None:
            raise Fault(f"haproxy ends with {self.process.returncode}")
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


def stream_rates(world, targets, options):
    """Bytes a second of one stream from the client to an endpoint, the targets in turns."""
    words = [f"{label},{at}" for label, at in targets.items()]
    done = run(world.tools.helper("stream"), "send", "--client-ns", world.ns_path("client"), "--rounds",
               options.stream_rounds, "--round-ms", options.stream_ms, *words, preexec_fn=world.tools.ahead)
    by_target = {}
    for line in done.stdout.splitlines():
        visit = json.loads(line)
        by_target.setdefault(visit["target"], {})[visit["round"]] = visit["per_second"]
    own = by_target["userspace"]
    return {"targets": {label: statistics.median(seen.values()) for label, seen in by_target.items()},
            "ratios": {label: statistics.median(own[turn] / seen[turn] for turn in own)
                       for label, seen in by_target.items() if label != "userspace"}}


def measure_streams(tools, work, options, size):
    """Beside haproxy, among so many services: both meet the rules of all of them."""
    with World(tools, work, MODES["userspace"]) as world, ExitStack() as stack:
        cluster = Cluster(size, "json")
        stream = cluster.last
        stream.pod_port = STREAM_PORT
        stream.endpoints = stream.endpoints[:1]
        cluster.write(world.manifests)
        sink = subprocess.Popen(
            ["ip", "netns", "exec", world.ns("pods"), tools.helper("stream"), "serve", str(STREAM_PORT)],
            preexec_fn=tools.ahead, stdout=subprocess.PIPE, text=True)
        stack.callback(lambda: (sink.kill(), sink.wait()))
        if sink.stdout.readline() != "ready\n":
            raise Fault("the stream's far end does not start")
        first = cluster.bulk[0]
        world.start([first.step("check", "check")], 60)
        stack.enter_context(Haproxy(world, first, stream))
        wait_quiet()
        found = {"streams": stream_rates(world, {
            "userspace": f"{stream.cluster_ip}:80",
            "haproxy": f"{NODE_ADDRESS}:{HAPROXY_PORTS['stream']}",
            "haproxy, splice": f"{NODE_ADDRESS}:{HAPROXY_PORTS['stream-splice']}",
            "directly": f"{stream.endpoints[0][0]}:{STREAM_PORT}"}, options)}
        found["connections"] = measure.connect_beside(
            world, first, {"userspace": f"{first.cluster_ip}:80",
                           "haproxy": f"{NODE_ADDRESS}:{HAPROXY_PORTS['answer']}"},
            options.mode_rounds, options.round_ms, tools)
        return found


def measure_all(tools, work, options, result, attempt, say):
    """`result` gets a list "modes" of what is measured at each size, as it comes, and "streams"."""
    result["modes"], modes = [], usable(options.modes, tools.daemon, say)
    for size in options.mode_sizes:
        entry = {"size": size, "modes": []}
        result["modes"].append(entry)
        measure_size(tools, work, options, modes, size, entry,
                     lambda where, task: attempt(result, where, task), say)
    result["streams"] = []
    has_streams = MODES["userspace"] in modes and options.stream_rounds
    if has_streams and not HAPROXY:
        say("streams are left out: there is no haproxy")
    for size in STREAM_SIZES if has_streams and HAPROXY else []:
        say(f"{size} services, userspace: streams beside haproxy")
        found = attempt(result, f"streams, {size} services",
                        lambda size=size: measure_streams(tools, work, options, size))
        if found:
            result["streams"].append({"size": size} | found)
