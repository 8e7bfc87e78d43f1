# SPDX-License-Identifier: GPL-2.0-or-later
"""bench/run.py in the guest, for the mode that needs its kernel; the others run beside it, for under emulation a figure
says nothing alone. The second is kube-proxy in its modes iptables and ipvs ($KUBE_PROXY_BIN), fed by the embedded API
server.

The tables go to the console, the results to the reports as bench.json, bench-large.json and bench-proxy.json.
"""
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

HOME = pathlib.Path(__file__).resolve().parent.parent.parent


def run(name, *words):
    with open("/dev/console", "w") as console:
        done = subprocess.run([sys.executable, HOME / "bench/run.py", "--no-realtime", "--name", name, *words],
                              stdout=console, stderr=console)
    shutil.copy(HOME / f"bench/results/{name}.json", f"/reports/{name}.json")
    assert done.returncode == 0


def test_modes():
    run("bench", "--measures", "modes", "--modes", "nftables,iptables,ipvs", "--mode-sizes", "1000", "--mode-samples", "20",
        "--mode-rounds", "5", "--stream-rounds", "0")


def test_large():
    """Without iptables, which takes minutes for a start at these sizes here."""
    run("bench-large", "--measures", "modes", "--modes", "nftables,ipvs", "--mode-sizes", "5000,10000", "--mode-samples", "20",
        "--mode-rounds", "5", "--stream-rounds", "0")


def test_proxies():
    if "KUBE_PROXY_BIN" not in os.environ:
        pytest.skip("needs KUBE_PROXY_BIN")
    run("bench-proxy", "--measures", "proxy", "--proxy-modes", "iptables,ipvs", "--proxy-paces", "0", "--proxy-sizes", "300",
        "--proxy-rounds", "1", "--proxy-groups", "replace-all", "--proxy-samples", "10", "--proxy-peer-samples", "10",
        "--proxy-burst", "0", "--proxy-idle-s", "0", "--api-work", "/dev/shm")
