# SPDX-License-Identifier: GPL-2.0-or-later
"""The lab's wiring as text: which lines `ip -batch` runs in which namespace, and which sysctls. Pure; lab.py applies it.

A pod's link is routed, not bridged (a /32 on each side, as Calico and the ptp plug-in do): with a bridge the answer of
a pod to its neighbour would pass below IP and never be translated back.
The backbone namespace is also everybody's default gateway, and answers what reaches it with an ICMP error: so a packet
that a node let through untranslated is seen as `leaked`, and a check for `dropped` can fail.
"""
from topology import BACKBONE, FULL_LENGTH, GATEWAY_HOST, OUTSIDE, backbone_address

FAMILIES = (4, 6)
EVERYWHERE = {4: "0.0.0.0/0", 6: "::/0"}
GATEWAY_RULES = """
table inet gateway {
  chain forward {
    type filter hook forward priority 0
    reject with icmpx type host-unreachable
  }
}
"""


def sysctls(kind):
    """What every namespace needs before it gets links, and what a router needs on top. All of it is per namespace."""
    values = {
        "net/ipv6/conf/all/accept_dad": 0, "net/ipv6/conf/default/accept_dad": 0,
        "net/ipv6/conf/all/accept_ra": 0, "net/ipv6/conf/default/accept_ra": 0,
        "net/ipv4/conf/all/rp_filter": 2, "net/ipv4/conf/default/rp_filter": 2,
        "net/ipv4/conf/all/accept_redirects": 0, "net/ipv4/conf/default/accept_redirects": 0,
        "net/ipv6/conf/all/accept_redirects": 0, "net/ipv6/conf/default/accept_redirects": 0,
        # Verdicts are read from ICMP errors: none may be lost to a rate limit.
        "net/ipv4/icmp_ratemask": 0, "net/ipv6/icmp/ratelimit": 0, "net/ipv6/icmp/ratemask": "",
    }
    if kind in ("node", "backbone"):
        values.update({
            "net/ipv4/ip_forward": 1, "net/ipv6/conf/all/forwarding": 1,
            "net/ipv4/conf/all/send_redirects": 0, "net/ipv4/conf/default/send_redirects": 0,
        })
    if kind == "backbone":
        # Else the host's br_netfilter would show bridged traffic to the gateway's rules.
        values.update({"net/bridge/bridge-nf-call-iptables": 0, "net/bridge/bridge-nf-call-ip6tables": 0})
    return values


def link_lines(topology, name_of):
    """Every veth pair of the lab, made straight in the two namespaces. `name_of` maps a role to a namespace's name."""
    pair = "link add {} netns {} type veth peer name {} netns {}".format
    backbone = name_of("backbone")
    lines = [pair("uplink", name_of(node), f"port-{node}", backbone) for node in topology.nodes]
    lines.append(pair("uplink", name_of("client"), "port-client", backbone))
    lines += [pair("eth0", name_of(pod.name), f"pod{pod.host}", name_of(pod.node.name))
              for pod in topology.pods.values()]
    return lines


def _address(address, length, device):
    return f"addr add {address}/{length} dev {device}" + (" nodad" if ":" in address else "")


def _route(destination, rest):
    return f"route add {destination} {rest}"


def backbone_lines(topology):
    lines = ["link set lo up", "link add br0 type bridge mcast_snooping 0", "link set br0 up"]
    for name in [*topology.nodes, "client"]:
        lines += [f"link set port-{name} master br0", f"link set port-{name} up"]
    for family in FAMILIES:
        length = BACKBONE[family].split("/")[1]
        lines.append(_address(backbone_address(GATEWAY_HOST, family), length, "br0"))
        lines += [_route(node.pod_cidr(family), f"via {node.address(family)}")
                  for node in topology.nodes.values()]
        # Nobody is there: the route is for the packet to get as far as GATEWAY_RULES. The kernel's own ICMP error for
        # a missing route is limited to one a second.
        lines.append(_route(EVERYWHERE[family], f"via {backbone_address(GATEWAY_HOST - 1, family)}"))
    return lines


def node_lines(topology, node):
    pods = [pod for pod in topology.pods.values() if pod.node == node]
    lines = ["link set lo up", "link set uplink up"] + [f"link set pod{pod.host} up" for pod in pods]
    for family in FAMILIES:
        full = FULL_LENGTH[family]
        length = BACKBONE[family].split("/")[1]
        lines.append(_address(node.address(family), length, "uplink"))
        for pod in pods:
            lines.append(_address(node.pod_gateway(family), full, f"pod{pod.host}"))
            lines.append(_route(f"{pod.address(family)}/{full}", f"dev pod{pod.host}"))
        lines += [_route(other.pod_cidr(family), f"via {other.address(family)}")
                  for other in topology.nodes.values() if other != node]
        lines.append(_route(EVERYWHERE[family], f"via {backbone_address(GATEWAY_HOST, family)}"))
    return lines


def pod_lines(pod):
    lines = ["link set lo up", "link set eth0 up"]
    for family in FAMILIES:
        gateway, full = pod.node.pod_gateway(family), FULL_LENGTH[family]
        lines += [_address(pod.address(family), full, "eth0"),
                  _route(f"{gateway}/{full}", "dev eth0"),
                  _route(EVERYWHERE[family], f"via {gateway} dev eth0")]
    return lines


def client_lines(topology):
    """The outside client sends everything that is not on the backbone through a node: the first one, or the one whose
    number its socket carries as its mark (`ip rule fwmark`)."""
    lines = ["link set lo up", "link set uplink up"]
    for family in FAMILIES:
        length = BACKBONE[family].split("/")[1]
        lines += [_address(backbone_address(host, family), length, "uplink") for host in OUTSIDE.values()]
        for node in topology.nodes.values():
            via, source = f"via {node.address(family)}", f"src {backbone_address(OUTSIDE['client'], family)}"
            if node.number == 1:
                lines.append(_route(EVERYWHERE[family], f"{via} {source}"))
            lines.append(_route(EVERYWHERE[family], f"{via} {source} table {100 + node.number}"))
    return lines


def client_rules(topology):
    """Lines for the client, to run once per family (`ip -4`, `ip -6`)."""
    return [f"rule add fwmark {node.number} lookup {100 + node.number}" for node in topology.nodes.values()]


def all_lines(topology):
    """{role: lines} for every namespace; to run after `link_lines`."""
    plan = {"backbone": backbone_lines(topology), "client": client_lines(topology)}
    plan.update({name: node_lines(topology, node) for name, node in topology.nodes.items()})
    plan.update({pod.name: pod_lines(pod) for pod in topology.pods.values()})
    return plan
