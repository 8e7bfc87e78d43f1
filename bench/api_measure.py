# SPDX-License-Identifier: GPL-2.0-or-later
"""The measures of an API server. Each raises Fault when the server did not do the work."""
import json
import os
import statistics
import subprocess
from pathlib import Path

from api_world import Embedded, Peer
from harness import Fault
from harness.measure import idle, memory, scheduled
from harness.world import run, wait_quiet

ENDPOINTS = 10
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
SERVICES, SLICES = "/api/v1/services", "/apis/discovery.k8s.io/v1/endpointslices"
LISTS = [
    ("services, JSON", SERVICES, "application/json", 0),
    ("services, protobuf", SERVICES, "application/vnd.kubernetes.protobuf", 0),
    ("services, Table", SERVICES, TABLE, 0),
    ("slices, JSON", SLICES, "application/json", 0),
    ("slices, protobuf", SLICES, "application/vnd.kubernetes.protobuf", 0),
    ("slices, Table", SLICES, TABLE, 0),
    ("services, JSON, pages of 500", SERVICES, "application/json", 500),
    ("slices, JSON, pages of 500", SLICES, "application/json", 500),
]


def last_service(size):
    return f"/api/v1/namespaces/bench/services/svc-{size - 1}"


def memory_all(world):
    """In KiB: the server's own, and with what it cannot be without."""
    each = [memory(pid) for pid in world.pids()]
    return {"resident_kib": each[0]["resident_kib"], "peak_kib": each[0]["peak_kib"],
            "all_resident_kib": sum(one["resident_kib"] for one in each)}


def line_of(watch, world):
    line = watch.stdout.readline()
    if not line:
        raise Fault(f"bench-api watch: {watch.communicate()[1].strip()}\n{world.log_tail()}")
    return json.loads(line)


def watches(world, size, options, say):
    """Watchers that wait, and then writes that every one of them has to see."""
    result = {"memory_before": memory_all(world)}
    with world.watch(services=size, watchers=options.api_watchers, writes=options.api_writes,
                     space_ms=options.api_space_ms) as watch:
        try:
            result["open"] = line_of(watch, world)
            wait_quiet()
            result["memory_watched"] = memory_all(world)
            say(f"{world.name}: {options.api_watchers} watchers wait for {options.api_idle_s} s")
            result["idle"] = idle(world.pid, options.api_idle_s)
            say(f"{world.name}: {options.api_writes} writes")
            before = [scheduled(pid) for pid in world.pids()]
            watch.stdin.write("go\n")
            watch.stdin.flush()
            result["writes"] = line_of(watch, world)
            after = [scheduled(pid) for pid in world.pids()]
            for i, key in enumerate(("cpu_us_per_write", "waited_us_per_write")):
                result[key] = [(b[i] - a[i]) / 1e3 / options.api_writes for a, b in zip(before, after)]
            result["memory_after"] = memory_all(world)
        finally:
            watch.stdin.close()
            try:
                watch.wait(30)
            except subprocess.TimeoutExpired:
                watch.kill()
    return result


def lists(world, size, options):
    """Each cold (the first of its kind after a start), then warm."""
    result = []
    for name, path, accept, limit in LISTS:
        before = scheduled(world.pid)[0]
        found = world.ask("list", path=path, accept=accept, limit=limit, times=1 + options.api_lists)
        spent = (scheduled(world.pid)[0] - before) / len(found)
        warm = found[1:] or found
        if limit < size and limit and found[0]["pages"] < 2:
            raise Fault(f"{name}: one page alone")
        result.append({"name": name, "bytes": found[0]["bytes"], "pages": found[0]["pages"], "cpu_ns": spent,
                       "cold_ns": found[0]["total_ns"],
                       "warm_ns": statistics.median(one["total_ns"] for one in warm),
                       "first_byte_ns": statistics.median(one["first_byte_ns"] for one in warm)})
    return result


def check_programmed(world, tools, size):
    counted = json.loads(run("ip", "netns", "exec", world.ns, tools.helper("rules"), "count").stdout)
    if counted["elements"] < size * ENDPOINTS:
        raise Fault(f"{counted['elements']} elements in the kernel for {size * ENDPOINTS} endpoints")
    return counted["elements"]


def measure_one(world, tools, size, options, entry, say):
    wait_quiet()
    entry["first_start"] = world.start()
    entry["memory_empty"] = memory_all(world)
    world.be_ahead(False)
    say(f"{world.name}: creating {size} services, {size * ENDPOINTS} endpoints")
    entry["created"] = world.ask("load", is_ahead=False, services=size,
                                 connections=options.api_connections)[0]
    entry["file_bytes"] = world.file_bytes()
    entry["memory_loaded"] = memory_all(world)
    world.be_ahead(True)
    entry["watch"] = watches(world, size, options, say)
    entry["end"] = world.stop()
    say(f"{world.name}: start with everything, lists")
    wait_quiet()
    entry["start"] = world.start(ready=last_service(size))
    if world.programs:
        entry["elements"] = check_programmed(world, tools, size)
    entry["memory_started"] = memory_all(world)
    entry["lists"] = lists(world, size, options)
    entry["memory_listed"] = memory_all(world)
    world.stop()


def servers(tools, work):
    yield Embedded(tools, work)
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if assets:
        yield Peer(tools, work, assets)


def measure_all(tools, work, options, result, attempt, say):
    """`result` gets a list "api" of what is measured at each size and server, as it comes."""
    result["api"] = []
    if not os.environ.get("KUBEBUILDER_ASSETS"):
        say("KUBEBUILDER_ASSETS names no etcd and kube-apiserver: fairlead is measured alone")
    for size in options.api_sizes:
        for server in servers(tools, work):
            entry = {"server": server.name, "size": size, "load": os.getloadavg()[0]}
            result["api"].append(entry)

            def one(server=server, size=size, entry=entry):
                with server as world:
                    measure_one(world, tools, size, options, entry, say)
            attempt(result, f"API of {server.name}, {size} services", one)
