# SPDX-License-Identifier: GPL-2.0-or-later
"""The measures of a proxy that an API server feeds: its start with everything there, single changes, a burst.
fairlead and kube-proxy take turns at one server with the same objects."""
import os
import time
from pathlib import Path

from api_world import Embedded, Peer
from harness.cluster import GROUPS
from harness.measure import check_elements, check_sample, cpu_ns, idle, memory, start_cpu_ns, start_steps
from harness.modes import NFTABLES, usable
from harness.world import SERVICE_CIDR, wait_quiet
from proxy_world import (API_HOST, ApiPlan, Fairlead, ProxyCluster, contenders, plan_changes, variant_name,
                         write_requests)

VICTIMS, DOORS = 50, 5
BURST_CONNECTIONS = 8
BURST_PROVEN = 40


def send(api, path, connections):
    return api.ask("send", is_ahead=False, path=path, connections=connections)[0]


def fill(api, cluster, work, options, say):
    """Not ahead of others on the machine, for it takes long."""
    path = Path(work) / f"{api.ns}.requests"
    count, size = write_requests(path, "POST", cluster.everything())
    say(f"{api.name}: creating {count} objects")
    api.be_ahead(False)
    found = send(api, path, options.api_connections)
    api.be_ahead(True)
    path.unlink()
    return {"objects": count, "body_bytes": size, "seconds": (found["end_ns"] - found["begin_ns"]) / 1e9}


def start(world, cluster, limit_s):
    wait_quiet()
    result = world.start(start_steps(cluster), limit_s)
    world.wait_synced(limit_s)
    result["whole_cpu_ns"] = start_cpu_ns(world.pid)
    check_sample(world, cluster)
    if world.program == "fairlead" and world.mode is NFTABLES:  # kube-proxy has a chain for each endpoint
        check_elements(world, cluster, result)
    return result


def changes(world, cluster, samples, options):
    """Single changes, each begun when the one before is in force and all is quiet."""
    groups = [group for group in options.proxy_groups if group != "add-remove"]
    plan = plan_changes(cluster, world, groups, samples)
    wait_quiet()
    before = cpu_ns(world.pid)
    seen = world.make_changes(plan, options.proxy_pause_us)
    spent = cpu_ns(world.pid) - before
    kinds = [kind for group in groups for kind in GROUPS[group][1]]
    return {"kinds": {kind: [one for one in seen if one["kind"] == kind] for kind in kinds},
            "count": len(seen), "cpu_us": spent / 1e3 / len(seen)}


def burst(world, cluster, count, options):
    """As many changes as the server takes; then every one of some that are far apart has to be in force."""
    chosen = cluster.bulk[:count]
    for service in chosen:
        service.endpoints = [(cluster.fresh_address(), node) for _, node in service.endpoints]
    path = world.folder / "burst.requests"
    write_requests(path, "PUT", (cluster.slice_of(service) for service in chosen))
    plan = ApiPlan(cluster, world)
    plan.steps = [service.step("await", "await", probes=3)
                  for service in chosen[-BURST_CONNECTIONS:] + chosen[::max(1, count // BURST_PROVEN)]]
    proof = plan.write("burst")
    wait_quiet()
    before = cpu_ns(world.pid)
    sent = world.api.ask("send", path=path, connections=BURST_CONNECTIONS)[0]
    seen = world.make_changes(proof, options.proxy_pause_us)
    last_ns = max(one["begin_ns"] + one["commit_ns"] for one in seen)
    time.sleep(0.5)
    return {"count": count, "seconds": (sent["end_ns"] - sent["begin_ns"]) / 1e9,
            "after_last_answer_ms": (last_ns - sent["end_ns"]) / 1e6,
            "cpu_us": (cpu_ns(world.pid) - before) / 1e3 / count}


def round_of(world, cluster, samples, options):
    found = {"load": os.getloadavg()[0], "start": start(world, cluster, options.proxy_start_limit_s)}
    if options.proxy_idle_s:
        found["idle"] = idle(world.pid, options.proxy_idle_s)
    if samples:
        found["changes"] = changes(world, cluster, samples, options)
    if options.proxy_burst:
        found["burst"] = burst(world, cluster, options.proxy_burst, options)
    found["memory"] = memory(world.pid)
    world.stop()
    return found


def measure_one(api, cluster, tools, work, options, entry, attempt, say):
    wait_quiet()
    api.start()
    entry["fill"] = fill(api, cluster, work, options, say)
    modes = usable(options.proxy_modes, tools.daemon, say)
    given_up = set()  # a start that takes too long would take as long again
    for turn in range(options.proxy_rounds):
        for kind in contenders(modes, options.proxy_paces):
            if kind in given_up:
                continue
            program, mode, is_hasty = kind
            samples = options.proxy_samples if program is Fairlead else options.proxy_peer_samples
            world = program(tools, work, api, mode, is_hasty)
            say(f"{api.name}, {cluster.size} services: {world}, round {turn + 1} of {options.proxy_rounds}")

            def one(world=world, samples=samples):
                with world:
                    return round_of(world, cluster, samples, options)
            found = attempt(f"{world} at {api.name}, {cluster.size} services", one)
            if found:
                entry["rounds"].append({"program": world.program, "mode": mode.name, "is_hasty": is_hasty,
                                        "variant": variant_name(mode, is_hasty), "round": turn} | found)
            else:
                given_up.add(kind)


def servers(tools, disk):
    place = {"host": API_HOST, "service_range": SERVICE_CIDR}
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    return [Peer(tools, disk, assets, **place)] if assets else [Embedded(tools, disk, **place)]


def measure_all(tools, work, disk, options, result, attempt, say):
    """`result` gets a list "proxy" of what is measured at each size, as it comes."""
    result["proxy"] = []
    for size in options.proxy_sizes:
        for server in servers(tools, disk):
            victims = max(1, min(VICTIMS, size // 10))
            cluster = ProxyCluster(size, victims, min(DOORS, victims))
            entry = {"server": server.name, "size": size, "rounds": []}
            result["proxy"].append(entry)

            def one(server=server, cluster=cluster, entry=entry):
                with server as api:
                    measure_one(api, cluster, tools, work, options, entry,
                                lambda where, task: attempt(result, where, task), say)
            attempt(result, f"proxies at {server.name}, {size} services", one)
