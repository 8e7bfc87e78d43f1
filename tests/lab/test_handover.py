# SPDX-License-Identifier: GPL-2.0-or-later
"""fairlead comes to a node and leaves it, while another proxy serves the same address: no new connection meets a moment
in which neither does. Asked as fast as one program can, because such moments are parts of a millisecond."""
import contextlib
import itertools
import re
import shutil
import signal
import subprocess
import sys
import time

import manifests
import patience
import proxy as proxies
import pytest
from load import Load
from modes import can
from proxy import wait_until

CLUSTER_IP = "10.96.3.9"
ROUNDS = 8
HAMMER = """
import signal, socket, struct
ended = []
signal.signal(signal.SIGTERM, lambda *_: ended.append(1))
print("begins", flush=True)
count, failures = 0, []
while not ended:
    with socket.socket() as sock:
        sock.settimeout(%g)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        try:
            sock.connect(("%s", 80))
        except OSError as error:
            failures.append(repr(error))
        count += 1
print(count, len(failures), *failures[:3])
""" % (patience.seconds(2), CLUSTER_IP)


def other_proxy(lab):
    """What serves the address beside fairlead: it comes behind fairlead's chains, being there first."""
    pod = lab.topology.pods["a1"].address(4)
    return (f"table ip other {{\n chain other {{\n type nat hook prerouting priority -100\n"
            f"ip daddr {CLUSTER_IP} tcp dport 80 dnat to {pod}:8080\n }}\n }}\n")


@contextlib.contextmanager
def hammered(lab, clients):
    """Gives a list, which after the block holds what each client's hammer says."""
    answers = []
    running = [lab.namespace(client).popen([sys.executable, "-c", HAMMER], stdout=subprocess.PIPE, text=True)
               for client in clients]
    try:
        for child in running:
            child.stdout.readline()
        yield answers
    finally:
        for child in running:
            child.send_signal(signal.SIGTERM)
        answers += [child.communicate(timeout=patience.seconds(20))[0] for child in running]


@pytest.mark.skipif(proxies.mode() != "nftables", reason="iptables' own chains are there before and after: who comes first stays")
def test_come_and_go(cluster, lab, prober):
    cluster.write("handed.yaml", manifests.simple("handed", lab.topology, [CLUSTER_IP], "a1 a2 a3"))
    proxy = cluster.proxies["n1"]
    proxy.stop()
    proxy.tool("cleanup")
    lab.namespace("n1").run(["nft", "-f", "-"], input=other_proxy(lab))
    assert prober.connect_once("d1", "tcp", CLUSTER_IP, 80).pod == "a1"
    with hammered(lab, ["b1", "d1"]) as answers:
        for _ in range(ROUNDS):
            proxy.start()
            proxy.wait_ready()
            time.sleep(0.05)
            assert prober.many(12, "d1", "tcp", CLUSTER_IP, 80).keys() - {"a1"}, "fairlead comes first"
            proxy.stop()
            proxy.tool("cleanup")
            time.sleep(0.05)
    lab.namespace("n1").run(["nft", "delete", "table", "ip", "other"])
    proxy.start()
    proxy.wait_ready()
    cluster.remove("handed.yaml")
    for answer in answers:
        count, failed, *which = answer.split(maxsplit=2)
        assert int(count) > 1000 and int(failed) == 0, f"{failed} of {count} new connections failed: {which}"


MODES = ["nftables", "iptables", *["ipvs"] * can("ipvs"), "userspace"]
SWITCHED_S = 20
OWN_CHAINS = {"userspace": r"KUBE-PORTALS-|KUBE-NODEPORT-|FAIRLEAD-PORTALS",
              "iptables": r"KUBE-S(VC|VL|EP)-|KUBE-EXT(-|ERNAL-S)|KUBE-NODEPORTS|kubernetes load balancer firewall|FAIRLEAD-CL",
              "ipvs": r"KUBE-IPVS|KUBE-NODE-PORT\b|KUBE-LOAD-B|FAIRLEAD-(IPVS|SOURCES|UNMARK)"}
SHARED_CHAINS = r"KUBE-(SERVICES|FORWARD|POSTROUTING|MARK-MASQ|PROXY-FIREWALL)"
needs_iptables = pytest.mark.skipif(not shutil.which("iptables-restore"), reason="needs iptables-restore (Debian: iptables)")


def made_by(lab):
    """The modes of fairlead's that have rules on the node."""
    run = lab.namespace("n1").run
    tables = run(["nft", "list", "tables"]).stdout
    saved = run(["iptables-save"]).stdout + run(["ip6tables-save"]).stdout
    made = ["nftables"] * ("fairlead" in tables) + [mode for mode, chains in OWN_CHAINS.items() if re.search(chains, saved)]
    return made + ["somebody"] * bool(re.search(SHARED_CHAINS, saved) and not {"iptables", "ipvs"} & set(made))


def wait_alone(lab, proxy, mode):
    wait_until(lambda: made_by(lab) == [mode], SWITCHED_S,
               lambda: f"{mode} alone has rules: {made_by(lab)}\n{proxy.log()[-2000:]}")


def start_as(lab, proxy, mode, end=None):
    """Another process by another mode, in place of the one that is there."""
    (end or proxy.stop)()
    proxy.mode = mode
    proxy.start()
    proxy.wait_ready()
    wait_alone(lab, proxy, mode)


@pytest.fixture
def switched(cluster, lab):
    """(proxy, targets of a load) of a Service that both families and protocols reach."""
    ips = [CLUSTER_IP, "fd00:10:96::309"]
    cluster.write("turns.yaml", manifests.simple("turns", lab.topology, ips, "a1 a2 a3", protocols=("TCP", "UDP")))
    proxy, usual = cluster.proxies["n1"], cluster.proxies["n1"].mode
    yield proxy, [("b1", ips[0], 80), ("d1", ips[0], 80), ("d1", ips[1], 80), ("n1", ips[0], 80)]
    proxy.stop()
    proxy.mode = usual
    proxy.start()
    proxy.wait_ready()


@needs_iptables
@pytest.mark.parametrize("before, after", itertools.permutations(MODES, 2))
def test_modes_take_turns(lab, prober, switched, tell, before, after):
    """From each mode to each other one: nothing of the mode before is left, and nothing is lost but what a process held."""
    proxy, targets = switched
    start_as(lab, proxy, before)
    with Load(prober, targets, established=2, flows=targets, patience_s=5.0) as counts:
        with hammered(lab, ["b1", "d1"]) as answers:
            time.sleep(0.2)
            start_as(lab, proxy, after)
            served = time.monotonic()
            time.sleep(0.2)
    tell(counts)
    assert counts.opened and counts.echoed and counts.answered
    if before == "userspace":  # its connections end with it, and there is a pause in which nobody serves
        assert not [one for one in counts.refused if one[0] > served + patience.seconds(5.0)], counts
        assert prober.connect_once("d1", "tcp", CLUSTER_IP, 80).kind == "served"
        return
    assert not counts.lost and not counts.unanswered and not counts.refused, counts
    for answer in answers:
        count, failed, *which = answer.split(maxsplit=2)
        assert int(count) > 100 and int(failed) == 0, f"{failed} of {count} new connections failed: {which}"


@needs_iptables
@pytest.mark.parametrize("after", MODES[:2])
def test_portals_of_the_dead_are_removed(lab, prober, switched, after):
    """A process of the mode userspace that was killed leaves rules that lead to nobody."""
    proxy, _ = switched
    start_as(lab, proxy, "userspace")
    start_as(lab, proxy, after, end=proxy.kill)
    wait_until(lambda: prober.connect_once("d1", "tcp", CLUSTER_IP, 80).kind == "served", SWITCHED_S, proxy.log)


@needs_iptables
def test_cleanup_of_any_mode(lab, switched):
    proxy, _ = switched
    for mode in MODES:
        start_as(lab, proxy, mode)
        (proxy.kill if mode == "userspace" else proxy.stop)()
        assert mode in made_by(lab), "the rules stay"
        proxy.tool("cleanup")
        assert made_by(lab) == []
