#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Measures fairlead against its targets, in network namespaces of its own. Needs root, and a build.

    bench/run.py                             everything: 1,000, 10,000 and 100,000 services
    bench/run.py --quick --sizes 1000        a few minutes less
    bench/run.py --kinds replace,policy      these changes only
    bench/run.py --measures connections      one measure only
    bench/run.py --measures modes            each --proxy-mode; userspace beside haproxy
    bench/run.py --measures api              the embedded API server (and kube-apiserver: KUBEBUILDER_ASSETS)
    bench/run.py --measures proxy            fairlead proxy at an API server (and kube-proxy: KUBE_PROXY_BIN)

Prints a table and writes bench/results/NAME.json. The exit status is 1 when the daemon failed to do what
was measured; a target that is missed is only said.
"""
import argparse
import fcntl
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True  # nothing but results is left in the source tree

import api_measure  # noqa: E402
import api_report  # noqa: E402
import mode_measure  # noqa: E402
import mode_report  # noqa: E402
import proxy_measure  # noqa: E402
import proxy_report  # noqa: E402
import proxy_world  # noqa: E402
from harness import Fault, measure, report  # noqa: E402
from harness.cluster import GROUPS  # noqa: E402
from harness.modes import MODES  # noqa: E402
from harness.world import Tools  # noqa: E402

HERE = Path(__file__).resolve().parent
MEASURES = ["start", "idle", "changes", "restart", "connections", "size", "modes", "api", "proxy"]


def options_parse():
    def words(allowed):
        def parse(text):
            wrong = set(text.split(",")) - set(allowed)
            if wrong:
                raise argparse.ArgumentTypeError(f"{', '.join(wrong)}: choose from {', '.join(allowed)}")
            return text.split(",")
        return parse

    def numbers(text):
        return [int(word.replace("_", "")) for word in text.split(",") if word]

    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=numbers, default=[1000, 10000, 100000], help="numbers of services")
    parser.add_argument("--forms", type=words(["json", "yaml"]), default=["json", "yaml"],
                        help="forms of manifests; changes are measured with the first")
    parser.add_argument("--kinds", dest="groups", type=words(list(GROUPS)), default=list(GROUPS),
                        help=f"kinds of change: {', '.join(GROUPS)}")
    parser.add_argument("--measures", type=words(MEASURES), default=MEASURES, help=", ".join(MEASURES))
    parser.add_argument("--connect-sizes", type=numbers, default=[10, 10000])
    parser.add_argument("--samples", type=int, help="changes of each kind (500)")
    parser.add_argument("--repeat", type=int, help="first programmings of each size (3)")
    parser.add_argument("--rounds", type=int, help="rounds over the connection targets (25)")
    parser.add_argument("--round-ms", type=int, help="length of a visit to one target (250)")
    parser.add_argument("--idle-s", type=int, help="length of the idle measure (30)")
    parser.add_argument("--settle-ms", type=int, default=40, help="quiet time wanted after each change")
    parser.add_argument("--watch", choices=["poll", "event"], default="poll",
                        help="how commits are seen: polling the generation from another CPU, or listening")
    parser.add_argument("--no-realtime", dest="realtime", action="store_false",
                        help="share the CPUs fairly with whatever else runs on this machine")
    parser.add_argument("--mode-sizes", type=numbers, default=[1000, 5000, 10000],
                        help="numbers of services, each with ten endpoints, for each mode")
    parser.add_argument("--modes", type=words(list(MODES)), default=list(MODES),
                        help=f"{', '.join(MODES)}: those that this machine cannot run are left out")
    parser.add_argument("--mode-samples", type=int, help="changes of each kind in each mode (60)")
    parser.add_argument("--mode-rounds", type=int, help="rounds over the connection targets; 0: none (15)")
    parser.add_argument("--mode-start-limit-s", type=int, default=300, help="for a start in any mode")
    parser.add_argument("--stream-rounds", type=int, help="streams beside haproxy's; 0: none (15)")
    parser.add_argument("--stream-ms", type=int, default=1000, help="length of a stream")
    parser.add_argument("--api-sizes", type=numbers, default=[10000],
                        help="numbers of services, each with ten endpoints, for the API server")
    parser.add_argument("--api-watchers", type=int, default=200, help="watches that are open at the same time")
    parser.add_argument("--api-writes", type=int, help="writes that all of them see (1000)")
    parser.add_argument("--api-space-ms", type=int, default=40, help="from one write to the next, at least")
    parser.add_argument("--api-idle-s", type=int, help="length of the watchers' idle measure (10)")
    parser.add_argument("--api-lists", type=int, default=5, help="warm lists of each kind")
    parser.add_argument("--api-connections", type=int, default=8, help="connections that create in parallel")
    parser.add_argument("--api-work", default="/var/tmp", help="where the servers' data lies: on a disk")
    parser.add_argument("--proxy-sizes", type=numbers, default=[10000],
                        help="numbers of services, each with ten endpoints, for the proxies")
    parser.add_argument("--proxy-groups", type=words([group for group in GROUPS if group != "add-remove"]),
                        default=["replace", "replace-all", "resize", "policy", "external"],
                        help="kinds of change made at the API server")
    parser.add_argument("--proxy-modes", type=words([name for name in MODES if name != "userspace"]),
                        default=["nftables", "iptables"], help="of both programs")
    parser.add_argument("--proxy-paces", type=words(["default", "0"]), default=["default"],
                        help="minSyncPeriod, where a mode has one: a second, or none")
    parser.add_argument("--proxy-start-limit-s", type=int, default=300, help="then a start is given up")
    parser.add_argument("--proxy-rounds", type=int, help="in which the proxies take turns (3)")
    parser.add_argument("--proxy-samples", type=int, help="changes of each kind in each round, fairlead (60)")
    parser.add_argument("--proxy-peer-samples", type=int, default=2, help="and kube-proxy")
    parser.add_argument("--proxy-burst", type=int, default=1000, help="changes at once; 0: none")
    parser.add_argument("--proxy-idle-s", type=int, default=5, help="length of the idle measure; 0: none")
    parser.add_argument("--proxy-pause-us", type=int, default=50,
                        help="between two looks for a commit: the API server needs the other CPU")
    parser.add_argument("--quick", action="store_true", help="fewer samples, shorter rounds")
    parser.add_argument("--build", type=Path, default=HERE.parent / "build", help="the build folder")
    parser.add_argument("--daemon", type=Path, help="the program (BUILD/fairlead)")
    parser.add_argument("--helpers", type=Path, help="the measuring programs (BUILD/bench)")
    parser.add_argument("--work", default="/dev/shm" if os.path.isdir("/dev/shm") else None,
                        help="where the manifests lie during the run (/dev/shm: a rename costs little there)")
    parser.add_argument("--name", default=time.strftime("%Y-%m-%d-%H%M%S"), help="of the result file")
    options = parser.parse_args()
    for key, full, quick in [("samples", 500, 100), ("repeat", 3, 1), ("rounds", 25, 8),
                             ("round_ms", 250, 150), ("idle_s", 30, 5), ("api_writes", 1000, 200),
                             ("api_idle_s", 10, 5), ("proxy_rounds", 3, 1), ("proxy_samples", 60, 20),
                             ("mode_samples", 60, 12), ("mode_rounds", 15, 5), ("stream_rounds", 15, 5)]:
        if getattr(options, key) is None:
            setattr(options, key, quick if options.quick else full)
    return options


def daemon_find(options):
    places = [options.build / "fairlead", options.build / "src/daemon/fairlead"]
    return options.daemon or next((place for place in places if place.exists()), places[0])


def machine():
    cpu = [line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
           if line.startswith("model name")]
    commit = ""
    if shutil.which("git"):
        commit = subprocess.run(["git", "-C", str(HERE), "describe", "--always", "--dirty"], text=True,
                                capture_output=True).stdout.strip()
    return {"date": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "kernel": platform.release(),
            "cpu": cpu[0] if cpu else "", "cpus": os.cpu_count(), "load": os.getloadavg(),
            "commit": commit}


def say(text):
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


def wait_alone():
    """Two runs with real-time priority at once would measure each other. The lock goes with the process."""
    lock = open(Path(tempfile.gettempdir()) / "fairlead-bench.lock", "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say("another run is going on: waiting for its end")
        fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def attempt(result, where, work):
    """A fault ends the measure that met it, not the run."""
    try:
        return work()
    except (Fault, subprocess.TimeoutExpired) as fault:
        result["faults"].append({"where": where, "fault": str(fault)})
        say(f"{where}: FAILED: {fault}")
        return None


def measure_all(options, tools, work, result):
    sizes = measure.Sizes(tools, work, options, result, say)
    for size in options.sizes:
        for form in options.forms:
            if set(options.measures) & {"start", "idle", "changes", "restart"}:
                attempt(result, f"{size} {form}",
                        lambda: sizes.run(size, form, is_full=form == options.forms[0]))
    if "connections" in options.measures:
        found = attempt(result, "connections", lambda: measure.connect_sizes(tools, work, options, say))
        if found:
            result["connections"] = found
    if "size" in options.measures:
        found = attempt(result, "program size", lambda: measure.program_size(tools.daemon, work))
        if found:
            result["program_bytes"] = found
    if "modes" in options.measures:
        mode_measure.measure_all(tools, work, options, result, attempt, say)
    if "api" in options.measures:
        with tempfile.TemporaryDirectory(prefix="fairlead-bench-", dir=options.api_work) as disk:
            api_measure.measure_all(tools, disk, options, result, attempt, say)
    if "proxy" in options.measures:
        with tempfile.TemporaryDirectory(prefix="fairlead-bench-", dir=options.api_work) as disk:
            proxy_measure.measure_all(tools, work, disk, options, result, attempt, say)


def main():
    options = options_parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if os.geteuid() != 0:
        sys.exit("bench: network namespaces need root")
    result = {"name": options.name, "machine": machine(), "sizes": [], "faults": [],
              "options": {key: value for key, value in vars(options).items()
                          if key not in ("build", "daemon", "helpers", "work", "api_work", "name")}}
    try:
        tools = Tools(daemon_find(options), options.helpers or options.build / "bench", options.realtime)
    except Fault as fault:
        sys.exit(f"bench: {fault}")
    with wait_alone(), tempfile.TemporaryDirectory(prefix="fairlead-bench-", dir=options.work) as work:
        measure_all(options, tools, work, result)
    result["rows"] = [*report.rows(result), *mode_report.rows(result), *api_report.rows(result),
                      *proxy_report.rows(result)]
    path = HERE / "results" / f"{options.name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(report.table(result["rows"]))
    for fault in result["faults"]:
        print(f"\n{fault['where']} FAILED: {fault['fault']}")
    return 1 if any(not fault["where"].startswith(proxy_world.KubeProxy.program) for fault in result["faults"]) else 0


if __name__ == "__main__":
    sys.exit(main())
