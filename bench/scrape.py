#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What it costs to ask for connections by zone (docs/metrics.md), and that packets do not notice. As root, after a build.

    bench/scrape.py                                10,000 services of ten endpoints; 0, 10,000 and 100,000 connections
    bench/scrape.py --services 1000 --connections 0,200000

For each number of connections: how long a page took in which a count began, how long the count was in the daemon's
loop (its own figure), how long it took to end, what CPU all of it cost, and the longest answer of /healthz meanwhile
(the loop's other work waits as long), beside the longest without a count. Then new connections through the first
service while counts of the last number go on, beside the same time right before each; the rules are the same.
The exit status is 1 when the counts are not the connections that were put there.
"""
import argparse
import http.client
import json
import os
import re
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from ipaddress import IPv4Address
from pathlib import Path

sys.dont_write_bytecode = True  # nothing but results is left in the source tree

from harness import Fault  # noqa: E402
from harness.cluster import BULK_ENDPOINTS, CLUSTER_IPS, ENDPOINTS  # noqa: E402
from harness.world import METRICS, POD_PORT, Tools, World, run  # noqa: E402

HERE = Path(__file__).resolve().parent
HEALTHZ = "127.0.0.1:10256"
KEPT_S = 10  # TRAFFIC_KEEP_MS
ZONES = ("east", "west")


def address(number):
    return str(IPv4Address(number))


def write_manifests(folder, services):
    """Endpoint I of each service is in zone I modulo 2; this node is in the first."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "node.json").write_text(json.dumps({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": "n1", "labels": {"topology.kubernetes.io/zone": ZONES[0]}}}))
    for first in range(0, services, 500):
        documents = []
        for index in range(first, min(first + 500, services)):
            name, ip = f"s{index}", address(CLUSTER_IPS + index)
            documents.append({
                "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"},
                "spec": {"clusterIP": ip, "clusterIPs": [ip], "ports": [{"port": 80, "targetPort": POD_PORT}]}})
            documents.append({
                "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
                "metadata": {"name": name, "namespace": "default", "labels": {"kubernetes.io/service-name": name}},
                "ports": [{"port": POD_PORT, "protocol": "TCP"}],
                "endpoints": [{"addresses": [address(BULK_ENDPOINTS + index * ENDPOINTS + i)], "zone": ZONES[i % 2]}
                              for i in range(ENDPOINTS)]})
        (folder / f"services-{first}.json").write_text("\n---\n".join(json.dumps(one) for one in documents))


# --- inside the node's namespace, as a child: one JSON line

def get(at, path):
    """(seconds, body)"""
    host, port = at.split(":")
    begin = time.monotonic()
    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    connection.request("GET", path)
    body = connection.getresponse().read().decode()
    connection.close()
    return time.monotonic() - begin, body


def figure(body, name):
    found = re.search(rf"^{name} (\S+)$", body, re.MULTILINE)
    return float(found[1]) if found else 0.0


def cpu_s(pid):
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def longest_answer(seconds, until=None):
    """The longest answer of /healthz, asked without a pause for so long, and until `until` is set."""
    end, longest = time.monotonic() + seconds, 0.0
    while time.monotonic() < end or (until and not until.is_set()):
        longest = max(longest, get(HEALTHZ, "/healthz")[0])
        time.sleep(0.0005)
    return longest


def inside(pid, times):
    rows = []
    for _ in range(times):
        time.sleep(KEPT_S + 0.5)
        quiet = longest_answer(1)
        ended = threading.Event()
        box = {}
        watcher = threading.Thread(target=lambda: box.update(longest=longest_answer(0.2, ended)))
        begun_s = time.time()
        first_s, body = get(METRICS, "/metrics")
        watcher.start()
        begin = time.monotonic()
        stamp = "fairlead_connections_count_timestamp_seconds"
        while figure(body, stamp) < begun_s:
            time.sleep(0.01)
            body = get(METRICS, "/metrics")[1]
        took_s = time.monotonic() - begin + first_s
        ended.set()
        watcher.join()
        pairs = re.findall(r'^fairlead_connections\{source_zone="(\w*)",destination_zone="(\w*)"\} (\d+)$', body,
                           re.MULTILINE)
        rows.append({"page_ms": first_s * 1e3, "ended_ms": took_s * 1e3,
                     "loop_ms": figure(body, "fairlead_connections_count_seconds") * 1e3,
                     "quiet_ms": quiet * 1e3, "longest_ms": box["longest"] * 1e3,
                     "pairs": {f"{a}>{b}": int(count) for a, b, count in pairs}})
        # The processor's time, apart from /healthz: a count with its two pages, and a page without a count.
        time.sleep(KEPT_S + 0.5)
        before_s, begun_s = cpu_s(pid), time.time()
        get(METRICS, "/metrics")
        time.sleep(4 * took_s)
        if figure(get(METRICS, "/metrics")[1], stamp) < begun_s:
            raise SystemExit("the count takes too long for its processor's time to be told")
        with_s = cpu_s(pid) - before_s
        before_s = cpu_s(pid)
        get(METRICS, "/metrics")
        rows[-1].update(cpu_ms=with_s * 1e3, cpu_without_ms=(cpu_s(pid) - before_s) * 1e3)
        begin_cpu_s = cpu_s(pid)
        services_s, body = get(METRICS, "/metrics/services")
        rows[-1].update(services_ms=services_s * 1e3, services_kib=len(body) / 1024,
                        services_cpu_ms=(cpu_s(pid) - begin_cpu_s) * 1e3)
    print(json.dumps(rows))


def count_often(times):
    """The span of each count on the monotonic clock, which all namespaces share."""
    spans = []
    for _ in range(times):
        time.sleep(KEPT_S + 0.5)
        begin, begun_s = time.monotonic(), time.time()
        body = get(METRICS, "/metrics")[1]
        while figure(body, "fairlead_connections_count_timestamp_seconds") < begun_s:
            time.sleep(0.01)
            body = get(METRICS, "/metrics")[1]
        spans.append((begin, time.monotonic()))
    print(json.dumps(spans))


def connect_until_told(host, port):
    """One connection after the other with a pause of a millisecond, until standard input ends: [(begin, seconds)]."""
    rows = []
    told = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), told.set()), daemon=True).start()
    print("ready", flush=True)
    while not told.is_set():
        begin = time.monotonic()
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.settimeout(5)
            client.connect((host, port))
            if not client.recv(16):
                raise SystemExit("a connection was closed without an answer")
        rows.append((begin, time.monotonic() - begin))
        time.sleep(0.001)
    print(json.dumps(rows))


# --- outside

def count_cost(world, connections, services, times):
    run(world.tools.helper("flows"), world.ns_path("node"), connections, f"{address(CLUSTER_IPS)}:80", services,
        f"{address(BULK_ENDPOINTS)}:{POD_PORT}", ENDPOINTS)
    rows = json.loads(world.inside("node", sys.executable, HERE / "scrape.py", "--inside", world.pid, "--times", times,
                                   preexec_fn=world.tools.ahead).stdout)
    for row in rows:
        if sum(row["pairs"].values()) != connections:
            raise Fault(f"{connections} connections are there, counted are {row['pairs']}")
    return {key: statistics.median(row[key] for row in rows) for key in rows[0] if key.endswith(("_ms", "_kib"))} | {
        "worst_longest_ms": max(row["longest_ms"] for row in rows), "pairs": rows[-1]["pairs"]}


def quantiles(values):
    values = sorted(values)
    return {"connections": len(values), "p50_us": values[len(values) // 2] * 1e6,
            "p99_us": values[len(values) * 99 // 100] * 1e6, "max_us": values[-1] * 1e6}


def packets(world, times):
    """New connections through a service while counts go on, beside the same time right before each of them."""
    script = HERE / "scrape.py"
    client = subprocess.Popen(["ip", "netns", "exec", world.ns("client"), sys.executable, script, "--connect",
                               f"{address(CLUSTER_IPS)}:80"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                              preexec_fn=world.tools.ahead)
    try:
        client.stdout.readline()
        spans = json.loads(world.inside("node", sys.executable, script, "--count-often", times,
                                        preexec_fn=world.tools.ahead).stdout)
    finally:
        rows = json.loads(client.communicate()[0] or "[]")
    if client.returncode != 0 or not rows:
        raise Fault("the connections failed")
    during = [took for at, took in rows for begin, end in spans if begin <= at < end]
    before = [took for at, took in rows for begin, end in spans if begin - (end - begin) <= at < begin]
    return {"before": quantiles(before), "during": quantiles(during)}


def measure(options):
    result = {"services": options.services, "counts": {}}
    tools = Tools(options.build / "fairlead", options.build / "bench", realtime=options.realtime)
    with tempfile.TemporaryDirectory(prefix="fairlead-bench-", dir="/dev/shm") as work, World(tools, work) as world:
        write_manifests(world.manifests, options.services)
        last = options.services - 1
        allowed = ",".join(address(BULK_ENDPOINTS + last * ENDPOINTS + i) for i in range(ENDPOINTS))
        world.start([f"kind=start at={address(CLUSTER_IPS + last)}:80 allowed={allowed}"], 120)
        for connections in options.connections:
            row = result["counts"][connections] = count_cost(world, connections, options.services, options.times)
            print(f"{connections:7} connections: page {row['page_ms']:.1f} ms, count in the loop {row['loop_ms']:.1f} ms, "
                  f"ended after {row['ended_ms']:.0f} ms; CPU {row['cpu_ms']:.1f} ms, of a page without a count "
                  f"{row['cpu_without_ms']:.1f} ms; longest /healthz {row['longest_ms']:.1f} ms "
                  f"(worst {row['worst_longest_ms']:.1f}), without a count {row['quiet_ms']:.1f} ms; /metrics/services "
                  f"{row['services_ms']:.0f} ms, CPU {row['services_cpu_ms']:.0f} ms, {row['services_kib']:.0f} KiB",
                  flush=True)
        result["packets"] = packets(world, options.packet_counts)
        for name, row in result["packets"].items():
            print(f"connections {name} a count: {row['connections']}, connect and first byte p50 {row['p50_us']:.0f} us, "
                  f"p99 {row['p99_us']:.0f} us, longest {row['max_us']:.0f} us")
        world.stop()
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--services", type=int, default=10000)
    parser.add_argument("--connections", type=lambda text: [int(word) for word in text.split(",")],
                        default=[0, 10000, 100000])
    parser.add_argument("--times", type=int, default=3, help="counts for each number of connections")
    parser.add_argument("--packet-counts", type=int, default=8, help="counts during which connections are made")
    parser.add_argument("--no-realtime", dest="realtime", action="store_false",
                        help="share the CPUs fairly with whatever else runs on this machine")
    parser.add_argument("--build", type=Path, default=HERE.parent / "build", help="the build folder")
    parser.add_argument("--output", type=Path, help="write the figures as JSON")
    parser.add_argument("--inside", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--count-often", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--connect", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        return inside(options.inside, options.times)
    if options.count_often:
        return count_often(options.count_often)
    if options.connect:
        host, port = options.connect.split(":")
        return connect_until_told(host, int(port))
    if os.geteuid() != 0:
        sys.exit("network namespaces are made: run it as root")
    try:
        result = measure(options)
    except Fault as fault:
        sys.exit(f"scrape: {fault}")
    if options.output:
        options.output.write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
