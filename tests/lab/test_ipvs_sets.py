# SPDX-License-Identifier: GPL-2.0-or-later
"""Every ipset of mode ipvs: the Service that fills it, and the packet that needs it.

A packet needs a member when it fares differently without: all of them are asked about three times, as fairlead left the
sets, with the members taken out by hand, and with them back in. What a packet comes to is a text: the pod that answered with
whose address it saw (`client`, the asking side's own, or `node`), or
`rejected`, `dropped`; `the node` where a server of the node's own takes it.
"""
import asyncio
import os
import signal
import socket
from dataclasses import dataclass

import manifests
import patience
import pytest
from ipvs import SET_PREFIX
from probe import Question
from topology import CLIENT_HOST, backbone_address

FAMILIES = (4, 6)
LENGTH = {4: 32, 6: 128}
HEALTHZ, HEALTH_CHECK = 10256, 32001
STICKY = range(112, 120)  # the numbers of the addresses that clients stick over


def address(what, number, family):
    four, six = {"cluster": ("10.96.41", "fd00:10:96::"), "external": ("198.51.100", "2001:db8:100::"),
                 "lb": ("203.0.113", "2001:db8:200::")}[what]
    return f"{four}.{number}" if family == 4 else f"{six}{0x4100 + number:x}"


def client_address(family):
    return backbone_address(CLIENT_HOST, family)


SERVICES = {  # name: (its number, endpoints, spec, the ranges: of the client or its own address)
    "hairpin": (1, "a1", {}),
    "cluster": (2, "a1", {}),
    "ports": (3, "a1", {}),
    "external": (4, "a1", {"externalIPs": True}),
    "external-local": (5, "a1", {"externalIPs": True, "externalTrafficPolicy": "Local"}),
    "balanced": (6, "a1", {"type": "LoadBalancer"}),
    "balanced-local": (7, "a1", {"type": "LoadBalancer", "externalTrafficPolicy": "Local",
                                 "healthCheckNodePort": HEALTH_CHECK}),
    "elsewhere": (8, "a2", {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": 32002}),
    "nowhere-near": (15, "a2", {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": 32003}),
    "refused": (9, "a1", {"type": "LoadBalancer", "ranges": "client"}),
    "allowed": (10, "a1", {"type": "LoadBalancer", "ranges": "client"}),
    "itself": (11, "a1", {"type": "LoadBalancer", "ranges": "itself"}),
    "sticky": (12, "a1 b1 c1", {"externalIPs": True, "sessionAffinity": "ClientIP"}),
    "node-ports": (13, "a1", {"type": "NodePort"}),
    "node-ports-local": (14, "a1", {"type": "NodePort", "externalTrafficPolicy": "Local"}),
}


def node_port(service):
    return 31000 + SERVICES[service][0]


def objects(name, topology):
    number, endpoints, wanted = SERVICES[name]
    spec = dict(wanted)
    if spec.get("externalIPs"):
        numbers = STICKY if name == "sticky" else (number,)
        spec["externalIPs"] = [address("external", number, family) for number in numbers for family in FAMILIES]
    if ranges := spec.pop("ranges", None):
        spec["loadBalancerSourceRanges"] = [
            f"{client_address(family) if ranges == 'client' else address('lb', number, family)}/{LENGTH[family]}"
            for family in FAMILIES]
    vips = [address("lb", number, family) for family in FAMILIES] if spec.get("type") == "LoadBalancer" else ()
    protocols = ("TCP", "UDP", "SCTP") if spec.get("type") == "NodePort" else ("TCP",)
    made = manifests.simple(name, topology, [address("cluster", number, family) for family in FAMILIES], endpoints,
                            protocols=protocols, spec=spec, vips=vips)
    if spec.get("type") == "NodePort":
        for port in made[0]["spec"]["ports"]:
            port["nodePort"] = node_port(name)
    return made


@dataclass(frozen=True)
class Case:
    """One member, `{vip}` in which is the address asked for: who asks, where, and what comes of it with and without."""
    set: str
    member: str
    service: str
    where: str
    client: str
    with_it: str
    without: str
    protocol: str = "tcp"

    def name(self, family):
        return self.set.replace("KUBE-", SET_PREFIX[family]) if self.set.startswith("KUBE-") else \
            self.set.replace("FAIRLEAD-", "FAIRLEAD-6-" if family == 6 else "FAIRLEAD-")

    def full_name(self, family):
        """As the kernel has it: 31 characters at most."""
        return self.name(family)[:31]

    def address(self, topology, family):
        if self.where in ("node", "health"):
            return topology.nodes["n1"].address(family)
        return address(self.where, SERVICES[self.service][0], family)

    def port(self):
        return node_port(self.service) if self.where == "node" else 80

    def elements(self, topology, family):
        vips = [self.address(topology, family)]
        if self.service == "sticky":
            vips = [address("external", number, family) for number in STICKY]
        return [self._element(topology, family, vip) for vip in vips]

    def _element(self, topology, family, vip):
        return self.member.format(vip=vip, pod=topology.pods["a1"].address(family),
                                  client=client_address(family), port=node_port(self.service))


CASES = [
    Case("KUBE-LOOP-BACK", "{pod},tcp:8080,{pod}", "hairpin", "cluster", "a1", "a1 node", "dropped"),
    Case("KUBE-CLUSTER-IP", "{vip},tcp:80", "cluster", "cluster", "client", "a1 node", "rejected"),
    Case("KUBE-EXTERNAL-IP", "{vip},tcp:80", "external", "external", "client", "a1 node", "rejected"),
    Case("KUBE-EXTERNAL-IP-LOCAL", "{vip},tcp:80", "external-local", "external", "client", "a1 client", "rejected"),
    Case("KUBE-LOAD-BALANCER", "{vip},tcp:80", "balanced", "lb", "client", "a1 node", "rejected"),
    Case("KUBE-LOAD-BALANCER-LOCAL", "{vip},tcp:80", "balanced-local", "lb", "client", "a1 client", "a1 node"),
    Case("KUBE-LOAD-BALANCER-FW", "{vip},tcp:80", "refused", "lb", "stranger", "dropped", "a1 node"),
    Case("KUBE-LOAD-BALANCER-SOURCE-IP", "{vip},tcp:80,{vip}", "itself", "lb", "n1", "a1 node", "dropped"),
    Case("KUBE-LOAD-BALANCER-SOURCE-CIDR", "{vip},tcp:80,{client}", "allowed", "lb", "client", "a1 node", "dropped"),
    Case("KUBE-NODE-PORT-TCP", "{port}", "node-ports", "node", "client", "a1 node", "a1 client"),
    Case("KUBE-NODE-PORT-UDP", "{port}", "node-ports", "node", "client", "a1 node", "a1 client", "udp"),
    Case("KUBE-NODE-PORT-SCTP-HASH", "{vip},sctp:{port}", "node-ports", "node", "client", "a1 node", "a1 client", "sctp"),
    Case("KUBE-NODE-PORT-LOCAL-TCP", "{port}", "node-ports-local", "node", "client", "a1 client", "a1 node"),
    Case("KUBE-NODE-PORT-LOCAL-UDP", "{port}", "node-ports-local", "node", "client", "a1 client", "a1 node", "udp"),
    Case("KUBE-NODE-PORT-LOCAL-SCTP-HASH", "{vip},sctp:{port}", "node-ports-local", "node", "client", "a1 client", "a1 node",
         "sctp"),
    # The node's own firewall drops what nobody accepts before it.
    Case("KUBE-HEALTH-CHECK-NODE-PORT", f"{HEALTH_CHECK}", "balanced-local", "health", "client", "the node", "dropped", "own"),
    # What the node itself has on a port is not to be had at the address of a Service.
    Case("KUBE-IPVS-IPS", "{vip}", "ports", "cluster", "client", "rejected", "the node", "own"),
    Case("FAIRLEAD-INSIDE", "{vip},tcp:80", "elsewhere", "lb", "d1", "a2 client", "dropped"),
    Case("FAIRLEAD-DROP", "{vip},tcp:80", "nowhere-near", "lb", "client", "dropped", "rejected"),
    # The node asks each address from that address: to a virtual server it is another client each time.
    Case("FAIRLEAD-SELF", "{vip},tcp:80", "sticky", "external", "n1", "one endpoint", "several endpoints"),
]


async def endpoints(prober, case, family):
    """Of how many endpoints the client is, over all addresses."""
    asked = [Question(case.client, "tcp", address("external", number, family), 80, timeout_s=2.0) for number in STICKY]
    pods = {(await prober.ask(question)).pod for question in asked}
    return "nobody" if "" in pods else "one endpoint" if len(pods) == 1 else "several endpoints"


async def node_itself(lab, case, family):
    """A server of the node's own: whether it can be connected to."""
    port = HEALTHZ if case.set == "KUBE-IPVS-IPS" else HEALTH_CHECK
    loop = asyncio.get_running_loop()
    with lab.namespace(case.client).socket(socket.AF_INET6 if family == 6 else socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.setblocking(False)
        try:
            async with asyncio.timeout(patience.seconds(0.6)):
                await loop.sock_connect(sock, (case.address(lab.topology, family), port))
            return "the node"
        except ConnectionRefusedError:
            return "rejected"
        except TimeoutError:
            return "dropped"


async def outcome(prober, case, family):
    topology = prober.lab.topology
    if case.protocol == "own":
        return await node_itself(prober.lab, case, family)
    if case.service == "sticky":
        return await endpoints(prober, case, family)
    is_silent = "dropped" in (case.with_it, case.without)
    verdict = await prober.ask(Question(case.client, case.protocol, case.address(topology, family), case.port(),
                                        timeout_s=0.6 if is_silent else 2.0))
    if verdict.kind != "served":
        return verdict.kind
    if case.client != "n1" and verdict.source in topology.addresses(case.client, family):
        return f"{verdict.pod} client"
    return f"{verdict.pod} {'node' if verdict.source in topology.addresses('n1', family) else verdict.source}"


ALL = [(case, family) for case in CASES for family in FAMILIES]


@dataclass
class Rounds:
    before: dict
    outcomes: list  # of three rounds, by place in ALL
    after: dict


@pytest.fixture(scope="module")
def rounds(ipvs_node, prober):
    node, topology = ipvs_node, prober.lab.topology
    with node.change() as folder:
        for name in SERVICES:
            folder.write(f"set-{name}.yaml", objects(name, topology))
    firewall = ["INPUT", "-p", "tcp", "--dport", f"{HEALTH_CHECK}", "-j", "DROP"]
    elements = [(case.full_name(family), element) for case, family in ALL for element in case.elements(topology, family)]
    for family in ("iptables", "ip6tables"):
        node.run(family, "-A", *firewall)
    os.kill(node.proxy.child.pid, signal.SIGSTOP)  # else it counts, and repairs
    try:
        before, outcomes = node.sets(), []
        marks = {(name, member.split()[0]): member for name, members in before.items() for member in members}
        for verb in (None, "del", "add"):
            if verb:
                node.run("ipset", "restore", input="".join(
                    f"{verb} {name} {element if verb == 'del' else marks.get((name, element), element)}\n"
                    for name, element in elements))
            outcomes.append(prober.run(outcome(prober, case, family) for case, family in ALL))
        return Rounds(before, outcomes, node.sets())
    finally:
        os.kill(node.proxy.child.pid, signal.SIGCONT)
        for family in ("iptables", "ip6tables"):
            node.run(family, "-D", *firewall)
        with node.change() as folder:
            for name in SERVICES:
                folder.remove(f"set-{name}.yaml")


@pytest.mark.parametrize("case, family", ALL, ids=lambda value: getattr(value, "set", f"v{value}"))
def test_set(rounds, lab, case, family):
    place = ALL.index((case, family))
    assert set(case.elements(lab.topology, family)) <= {member.split()[0] for member in rounds.before[case.full_name(family)]}
    assert [outcomes[place] for outcomes in rounds.outcomes] == [case.with_it, case.without, case.with_it]


def test_no_set_is_left_out(rounds):
    """Every set that fairlead made is one of the cases."""
    made = {name for name in rounds.before if name.startswith(("KUBE-", "FAIRLEAD-"))}
    assert made == {case.full_name(family) for case, family in ALL}
    assert rounds.after == rounds.before


def test_sets_are_empty_without_services(rounds, ipvs_node):
    """What nobody wants any more is taken out again."""
    assert {member for members in ipvs_node.sets().values() for member in members} == set()
