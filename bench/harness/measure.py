# SPDX-License-Identifier: GPL-2.0-or-later
"""The measures. Each proves with connections that the daemon did the work, and raises Fault when not."""
import json
import os
import random
import shutil
import statistics
import time
from pathlib import Path

from . import Fault
from .cluster import ENDPOINTS, GROUPS, Cluster, Plan, plan_group
from .modes import NFTABLES
from .world import POD_PORT, World, run, wait_quiet

# More services checked would only lengthen the run: one that is missing shows in the number of elements.
CHECKED = 100

# Services that must answer before a start counts as whole.
SPREAD = 20

# A change during which daemon or prober waited longer than this for a CPU is called disturbed: others ran.
WAITED_NS = 50_000


def quantile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def check_sample(world, cluster):
    """First, last and random services must be answered by endpoints of their own."""
    plan = Plan(cluster, world)
    everyone = cluster.bulk + cluster.victims + cluster.doors
    some = random.Random(1).sample(everyone, min(CHECKED, len(everyone)))
    plan.steps = [one.step("check", "check", probes=5) for one in [everyone[0], everyone[-1]] + some]
    plan.steps += [one.step("check", "check", node_port=True, probes=5) for one in cluster.doors[:1]]
    world.changes(plan.write("check"), "event", 0)


def scheduled(pid):
    """Nanoseconds on a CPU, and ready without one, over all threads."""
    each = [(task / "schedstat").read_text().split() for task in Path(f"/proc/{pid}/task").iterdir()]
    return [sum(int(words[i]) for words in each) for i in (0, 1)]


def cpu_ns(pid):
    """On a CPU, with the children that it has waited for (those counted in ticks)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return scheduled(pid)[0] + sum(int(word) for word in fields[13:15]) * 10**9 // os.sysconf("SC_CLK_TCK")


def has_children(pid):
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rsplit(")", 1)[1].split()[1]) == pid:
                return True
        except OSError:  # it has ended meanwhile
            pass
    return False


def start_cpu_ns(pid, limit_s=30):
    """Of a start, once the programs have ended that it has started: iptables-restore frees its memory for a
    while after its work is in force."""
    end = time.monotonic() + limit_s
    while has_children(pid) and time.monotonic() < end:
        time.sleep(0.1)
    return cpu_ns(pid)


def start_steps(cluster):
    """The last service, whose answer ends the start, and services all over the cluster: then all is in force."""
    spread = cluster.bulk[::max(1, len(cluster.bulk) // SPREAD)]
    return [one.step("check", "check") for one in [cluster.last] + spread]


def first_programming(world, cluster, timeout_s):
    wait_quiet()
    result = world.start(start_steps(cluster), timeout_s)
    result["whole_cpu_ns"] = start_cpu_ns(world.pid)
    check_sample(world, cluster)
    if world.mode is NFTABLES:
        check_elements(world, cluster, result)
    result["status"] = world.status()
    return result


def check_elements(world, cluster, result):
    if not result["commits"]:
        raise Fault("connections are served though the kernel has seen no commit")
    result |= world.elements()
    if result["elements"] < cluster.endpoint_count:
        raise Fault(f"{result['elements']} elements in the kernel for {cluster.endpoint_count} endpoints")


def restart(world, cluster, timeout_s):
    """The daemon ends, one slice changes meanwhile, and it starts again beside its own rules. Adopted means:
    the change is in force. All the while connections must be answered, by old endpoints or by new ones."""
    world.stop()
    victim = cluster.victims[0]
    victim.endpoints = [(cluster.fresh_address(), node) for _, node in victim.endpoints]
    cluster.write_slice(world.manifests, victim)
    wait_quiet()
    result = world.start([victim.step("check", "check")], timeout_s)
    check_sample(world, cluster)
    return result


def idle(pid, seconds):
    """What the daemon spends while nothing happens."""

    def used():
        ticks = switches = nanoseconds = 0
        for task in Path(f"/proc/{pid}/task").iterdir():
            ticks += sum(int(word) for word in (task / "stat").read_text().rsplit(")", 1)[1].split()[11:13])
            nanoseconds += int((task / "schedstat").read_text().split()[0])
            for line in (task / "status").read_text().splitlines():
                if line.startswith("voluntary_ctxt_switches"):
                    switches += int(line.split()[1])
        return ticks, nanoseconds, switches

    before = used()
    time.sleep(seconds)
    ticks, nanoseconds, switches = (b - a for a, b in zip(before, used()))
    return {"seconds": seconds, "ticks": ticks, "cpu_ns": nanoseconds, "voluntary_switches": switches}


def summarize(kind, samples):
    commits = [one["commit_ns"] for one in samples]
    calm = [one["commit_ns"] for one in samples if one["waited_ns"] < WAITED_NS]
    return {
        "kind": kind, "samples": len(samples),
        "p50_us": quantile(commits, 0.5) / 1e3, "p99_us": quantile(commits, 0.99) / 1e3,
        "max_us": max(commits) / 1e3,
        "disturbed": len(samples) - len(calm), "calm_p99_us": quantile(calm, 0.99) / 1e3 if calm else None,
        "call_p50_us": quantile([one["call_ns"] for one in samples], 0.5) / 1e3,
        "first_packet_p50_us": quantile([one["first_packet_ns"] for one in samples], 0.5) / 1e3,
        "cpu_us": statistics.fmean(one["cpu_ns"] for one in samples) / 1e3,
        "commits": statistics.fmean(one["commits"] for one in samples),
        # Changes whose first commit did not yet bring them into force, and connections that nobody answered.
        "late": sum(one["late"] for one in samples), "lost": sum(one["lost"] for one in samples),
        "lost_how": sorted({one["lost_how"] for one in samples if one["lost"]}),
    }


def one_change(world, cluster, group, samples, options):
    """One summary per kind of the group."""
    plan = plan_group(cluster, world, group, samples)
    wait_quiet()
    turns = world.turns()
    seen = world.changes(plan, options.watch, options.settle_ms)
    after = world.turns()
    result = []
    for kind in GROUPS[group][1]:
        own = [one for one in seen if one["kind"] == kind][:samples]
        summary = summarize(kind, own)
        if turns and after and after[0] > turns[0]:
            summary["daemon_turns"] = after[0] - turns[0]
            summary["daemon_turn_us"] = (after[1] - turns[1]) / (after[0] - turns[0]) * 1e6
        if kind == "add":
            summary["lost"] = None  # before it is there nobody can answer
        result.append(summary)
    return result


def memory(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    return {"peak_kib": int(fields["VmHWM"].split()[0]), "resident_kib": int(fields["VmRSS"].split()[0])}


def program_size(daemon, work):
    copy = Path(work) / "stripped"
    shutil.copy(daemon, copy)
    run("strip", "--strip-all", copy)
    return copy.stat().st_size


def connections(worlds, rounds, round_ms, tools, more_pairs=()):
    """worlds: [(size, world, cluster or None)], all alive. more_pairs: labels whose ratio is wanted, too. Visits
    every target in turns: a pod directly, the first and the last service. Returns medians per target and medians
    of ratios within each round.

    No pod belongs to two targets: TCP's timestamps depend on the address that the client connects to, so the
    TIME_WAIT of a pod left by one target would refuse the same source port from another, for a second."""
    targets, pairs = [], []

    def add(label, world, at, first, count):
        targets.append(f"{label},{world.ns_path('client')},{world.ns_path('node')},{at},{first},{count}")
        return label

    for size, world, cluster in worlds:
        pod = cluster.bulk[len(cluster.bulk) // 2].endpoints[0][0] if cluster else "10.129.0.0"
        direct = add(f"direct@{size}", world, f"{pod}:{POD_PORT}", pod, 1)
        for name, service in (("first", cluster.bulk[0]), ("last", cluster.last)) if cluster else ():
            label = add(f"{name}@{size}", world, f"{service.cluster_ip}:80", service.endpoints[0][0],
                        len(service.endpoints))
            pairs.append((label, direct))
    firsts = [f"first@{size}" for size, _, cluster in worlds if cluster]
    pairs += [(label.replace("first", "last"), firsts[0]) for label in firsts[1:]]
    return visit_targets(targets, [*pairs, *more_pairs], rounds, round_ms, tools)


def connect_beside(world, service, places, rounds, round_ms, tools):
    """places: {label: address} that lead to the endpoints of one service; the first beside each of the others."""
    targets = [f"{label},{world.ns_path('client')},{world.ns_path('node')},{at},{service.endpoints[0][0]},"
               f"{len(service.endpoints)}" for label, at in places.items()]
    own, *others = places
    return visit_targets(targets, [(own, other) for other in others], rounds, round_ms, tools)


def visit_targets(targets, pairs, rounds, round_ms, tools):
    """The targets in turns. Returns medians per target and, for each pair, medians of ratios within each
    round."""
    wait_quiet()
    done = run(tools.helper("connections"), "--rounds", rounds, "--round-ms", round_ms, *targets,
               preexec_fn=tools.ahead)
    visits = [json.loads(line) for line in done.stdout.splitlines()]
    by_target = {}
    for visit in visits:
        by_target.setdefault(visit["target"], {})[visit["round"]] = visit
    medians = {label: {key: statistics.median(visit[key] for visit in own.values())
                       for key in ("per_second", "p50_ns", "p99_ns")} for label, own in by_target.items()}

    def ratio(a, b, key):
        return statistics.median(by_target[a][r][key] / by_target[b][r][key] for r in by_target[a])

    ratios = [{"target": a, "beside": b, "per_second": ratio(a, b, "per_second"),
               "p50": ratio(a, b, "p50_ns")} for a, b in pairs]
    return {"rounds": rounds, "round_ms": round_ms, "targets": medians, "ratios": ratios}


class Sizes:
    """All measures at one size and in one form of manifests, into `result` as they come."""

    def __init__(self, tools, work, options, result, say):
        self.tools, self.work, self.options, self.result, self.say = tools, work, options, result, say

    def run(self, size, form, is_full):
        """is_full: all the measures, not the start alone."""
        options, entry = self.options, {"size": size, "form": form, "endpoints_each": ENDPOINTS, "starts": []}
        self.result["sizes"].append(entry)
        timeout_s = 60 + size // 500
        # All of `repeat` measure the start; the last world goes on to the rest.
        for turn in range(options.repeat):
            victims = max(1, min(50, size // 10, options.samples // 2))
            cluster = Cluster(size, form, victims=victims, doors=min(5, victims))
            with World(self.tools, self.work) as world:
                entry["manifest_bytes"] = cluster.write(world.manifests)
                self.say(f"{size} services, {form}: first programming {turn + 1} of {options.repeat}")
                entry["starts"].append(first_programming(world, cluster, timeout_s))
                if is_full and turn == options.repeat - 1:
                    self.rest(world, cluster, entry, timeout_s)

    def rest(self, world, cluster, entry, timeout_s):
        options = self.options
        if "idle" in options.measures:
            self.say(f"{cluster.size} services: idle for {options.idle_s} s")
            wait_quiet()
            entry["idle"] = idle(world.pid, options.idle_s)
        if "changes" in options.measures:
            entry["changes"] = []
            for group in options.groups:
                self.say(f"{cluster.size} services: {', '.join(GROUPS[group][1])}")
                entry["changes"] += one_change(world, cluster, group, options.samples, options)
        entry["memory"] = memory(world.pid)
        if "restart" in options.measures:
            self.say(f"{cluster.size} services: restart")
            entry["restart"] = restart(world, cluster, timeout_s)
        entry["end"] = world.stop()


def connect_sizes(tools, work, options, say):
    """Nodes of every size at the same time, and one without rules, so that rounds can interleave them."""
    opened = []

    def open_next(sizes):
        if not sizes:
            say("connections: " + ", ".join(str(size) for size, _, _ in opened))
            return connections(opened, options.rounds, options.round_ms, tools)
        with World(tools, work) as world:
            cluster = None
            if sizes[0] != "none":
                cluster = Cluster(sizes[0], "json")
                cluster.write(world.manifests)
                first_programming(world, cluster, 60 + sizes[0] // 500)
            opened.append((sizes[0], world, cluster))
            return open_next(sizes[1:])

    return open_next(["none"] + options.connect_sizes)
