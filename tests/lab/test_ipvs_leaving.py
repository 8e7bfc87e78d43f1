# SPDX-License-Identifier: GPL-2.0-or-later
"""Mode ipvs while endpoints come and go, and fairlead itself: what is established goes on."""
import re
import socket

import patience
import pytest
from ipvs import Connection
from proxy import wait_until

ADDRESS, SIX = "10.96.42.1", "fd00:10:96::4201"
SERVER = f"TCP {ADDRESS}:80"
PODS = ("a1", "b1")


@pytest.fixture
def web(ipvs_node):
    """The Service `web` with both endpoints."""
    ipvs_node.simple("web", ADDRESS, " ".join(PODS))
    yield ipvs_node
    ipvs_node.remove("web.yaml")


def socket_of(lab, pod, port=8080):
    return f"{lab.topology.pods[pod].address(4)}:{port}"


def pods(prober, count=6):
    return {prober.connect_once("d1", "tcp", ADDRESS, 80, timeout_s=2.0).pod for _ in range(count)}


def test_leaves_with_its_last_connection(web, lab, prober):
    """No new connection, nothing lost, and it is gone when nobody is left; the other endpoint serves all that is new."""
    with Connection(lab, "d1", ADDRESS, 80) as held:
        other = next(name for name in PODS if name != held.pod)
        web.simple("web", ADDRESS, other)
        assert web.reals(SERVER) == {socket_of(lab, held.pod): 0, socket_of(lab, other): 1}
        assert pods(prober) == {other}
        assert held.is_alive()
    web.becomes(f"{held.pod} is gone", lambda: web.reals(SERVER) == {socket_of(lab, other): 1})


def test_a_service_leaves_with_its_last_connection(web, lab, prober):
    """Who is connected stays so, who comes is refused; the address goes with the virtual server."""
    def addresses():
        return web.namespace.run(["ip", "addr", "show", "dev", "kube-ipvs0"]).stdout

    with Connection(lab, "d1", ADDRESS, 80) as held:
        web.remove("web.yaml")
        assert set(web.reals(SERVER).values()) == {0}
        assert held.is_alive()
        assert prober.connect_once("d1", "tcp", ADDRESS, 80, timeout_s=2.0).kind == "rejected"
    web.becomes(f"{SERVER} is gone", lambda: SERVER not in web.servers())
    web.becomes(f"{ADDRESS} is gone", lambda: f"{ADDRESS}/32" not in addresses())
    web.simple("web", ADDRESS, " ".join(PODS))


def test_comes_back_while_it_leaves(web, lab, prober):
    with Connection(lab, "d1", ADDRESS, 80) as held:
        other = next(name for name in PODS if name != held.pod)
        web.simple("web", ADDRESS, other)
        assert web.reals(SERVER)[socket_of(lab, held.pod)] == 0
        web.simple("web", ADDRESS, " ".join(PODS))
        assert web.reals(SERVER) == {socket_of(lab, name): 1 for name in PODS}
        assert pods(prober, 20) == set(PODS)
        assert held.is_alive()


def test_idle_endpoints_go_at_once(web, lab):
    """Nobody holds them."""
    name = "TCP 10.96.42.2:80"
    web.simple("idle", "10.96.42.2", "a1 b1")
    web.simple("idle", "10.96.42.2", "c1")
    assert web.reals(name) == {socket_of(lab, "c1"): 1}
    web.remove("idle.yaml")
    assert name not in web.servers()


def test_datagrams_hold_nobody(web, lab):
    """A flow has no end that anybody could wait for: it goes on with another endpoint."""
    web.simple("web", ADDRESS, "a1 b1", protocols=("UDP",))
    with lab.namespace("d1").socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((ADDRESS, 80))

        def who():
            sock.settimeout(patience.seconds(0.5))
            try:
                sock.send(b"who?\n")
                return sock.recv(512).decode().split()[0]
            except OSError:
                return ""
        first = wait_until(who, 5, "an answer")
        assert who() == first
        other = next(name for name in PODS if name != first)
        web.simple("web", ADDRESS, other, protocols=("UDP",))
        assert web.reals(f"UDP {ADDRESS}:80") == {socket_of(lab, other): 1}
        assert wait_until(who, 5, "an answer") == other


def written(log):
    return int(re.search(r"(\d+) elements written", log).group(1))


def test_restart_rewrites_nothing(web, lab):
    """And an endpoint that leaves goes on leaving."""
    with Connection(lab, "d1", ADDRESS, 80) as held:
        other = next(name for name in PODS if name != held.pod)
        web.simple("web", ADDRESS, other)
        before = web.holds()
        assert written(web.restart()) == 0
        assert web.holds() == before
        assert web.reals(SERVER)[socket_of(lab, held.pod)] == 0
        assert held.is_alive()
    web.becomes(f"{held.pod} is gone", lambda: web.reals(SERVER) == {socket_of(lab, other): 1})


def test_adopts_what_is_there(web, lab):
    """As another proxy of this mode leaves it, with the same names: what is wanted is kept, or set right where it is; the
    rest goes. No connection is lost."""
    before = web.holds()
    with Connection(lab, "d1", ADDRESS, 80) as held:
        other = next(name for name in PODS if name != held.pod)
        web.proxy.stop()
        web.run("ipvsadm", "-R", input=f"-E -t {ADDRESS}:80 -s wlc -p 300\n"
                f"-e -t {ADDRESS}:80 -r {socket_of(lab, held.pod)} -m -w 7\n"
                f"-d -t {ADDRESS}:80 -r {socket_of(lab, other)}\n"
                f"-a -t {ADDRESS}:80 -r 10.244.1.99:8080 -m -w 1\n"
                "-A -t 10.96.77.7:80 -s rr\n-a -t 10.96.77.7:80 -r 10.244.1.98:8080 -m -w 1\n"
                f"-A -t [{SIX}]:80 -s rr\n-A -u 10.96.77.7:53 -s sh -b sh-port\n")
        web.run("ipset", "restore", input="add KUBE-CLUSTER-IP 10.96.77.7,tcp:80\nadd KUBE-LOOP-BACK "
                "10.244.1.99,tcp:8080,10.244.1.99\nadd KUBE-6-CLUSTER-IP fd00:10:96::4201,tcp:80\n"
                "add KUBE-NODE-PORT-TCP 30000\nadd KUBE-LOAD-BALANCER-SOURCE-CIDR 10.96.77.7,tcp:80,10.0.0.0/8\n"
                f"del KUBE-CLUSTER-IP {ADDRESS},tcp:80\n")
        web.run("ip", "addr", "add", "10.96.77.7/32", "dev", "kube-ipvs0")
        web.run("iptables", "-t", "nat", "-A", "KUBE-SERVICES", "-s", "192.0.2.77", "-j", "RETURN")
        web.proxy.start()
        web.proxy.wait_ready()
        assert web.holds() == before
        assert held.is_alive()
