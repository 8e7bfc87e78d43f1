# SPDX-License-Identifier: GPL-2.0-or-later
"""A proxy that restarts, crashes or fails to write leaves no moment without rules."""
import re
import time

import manifests
import pytest
from load import Load
from proxy import wait_until

CLUSTER_IPS = ["10.96.3.1", "fd00:10:96::301"]
EXTERNAL_IP = "198.51.100.201"


def objects(lab, endpoints="a1 a2 a3", port=80):
    return manifests.simple("steady", lab.topology, CLUSTER_IPS, endpoints, port=port,
                            spec={"externalIPs": [EXTERNAL_IP]})


@pytest.fixture(scope="module")
def targets(cluster, lab):
    cluster.write("steady.yaml", objects(lab))
    return [("d1", CLUSTER_IPS[0], 80), ("d1", CLUSTER_IPS[1], 80), ("n1", CLUSTER_IPS[0], 80),
            ("client", EXTERNAL_IP, 80)]


def assert_untouched(counts, tell):
    tell(counts)
    assert counts.opened > 0 and counts.echoed > 0
    assert not counts.refused, counts.refused[:5]
    assert not counts.lost, counts.lost


def restart(proxy, end):
    end()
    time.sleep(0.3)
    proxy.start()
    proxy.wait_ready()
    time.sleep(0.3)


def test_stop_and_start(cluster, prober, targets, tell):
    proxy = cluster.proxies["n1"]
    with Load(prober, targets) as counts:
        for _ in range(3):
            restart(proxy, proxy.stop)
    assert_untouched(counts, tell)


def test_kill_and_start(cluster, prober, targets, tell):
    proxy = cluster.proxies["n1"]
    with Load(prober, targets) as counts:
        for _ in range(3):
            restart(proxy, proxy.kill)
    assert_untouched(counts, tell)


def test_stopped_proxy_keeps_serving(cluster, prober, targets, tell):
    """Between a stop and the next start the kernel goes on by itself."""
    proxy = cluster.proxies["n1"]
    with Load(prober, targets) as counts:
        proxy.stop()
        time.sleep(1.0)
    proxy.start()
    proxy.wait_ready()
    assert_untouched(counts, tell)


def test_change_while_down(cluster, lab, prober, targets, tell):
    """A change made while the proxy was down is in force once it is back, and what did not change is not disturbed."""
    proxy = cluster.proxies["n1"]
    other = ["10.96.3.2"]
    with Load(prober, targets) as counts:
        proxy.stop()
        cluster.folder.write("late.yaml", manifests.simple("late", lab.topology, other, "b1"))
        proxy.start()
        proxy.wait_ready()
        assert prober.connect_once("d1", "tcp", other[0], 80).pod == "b1"
        proxy.stop()
        cluster.folder.remove("late.yaml")
        proxy.start()
        proxy.wait_ready()
        assert prober.connect_once("d1", "tcp", other[0], 80).kind == "dropped"
    assert_untouched(counts, tell)


@pytest.mark.parametrize("failing", [1, 2, 3])
def test_failing_transaction(cluster, lab, prober, targets, failing, tell):
    """The Nth transaction fails: nothing is lost, the daemon says so, tries again, and the change gets through.

    The first transaction belongs to the start-up, which finds the rules of the daemon before it.
    """
    proxy = cluster.proxies["n1"]
    address = ["10.96.3.3"]
    with Load(prober, targets) as counts:
        proxy.stop()
        since = len(proxy.log())
        proxy.start({"FAIRLEAD_FAULT": f"transaction:{failing}"})
        proxy.wait_ready()
        for round_number in range(4):
            pods = "b1" if round_number % 2 else "b2"
            cluster.write("faulty.yaml", manifests.simple("faulty", lab.topology, address, pods))
            assert prober.connect_once("d1", "tcp", address[0], 80, timeout_s=2.0).pod == pods
        wait_until(lambda: re.search("(?i)inject|refused the transaction", proxy.log()[since:]), 5,
                   lambda: f"no failed transaction in the log:\n{proxy.log()[since:]}")
        cluster.remove("faulty.yaml")
        proxy.stop()
        proxy.start()
        proxy.wait_ready()
    assert_untouched(counts, tell)
