# SPDX-License-Identifier: GPL-2.0-or-later
"""The packets follow what is written to the embedded API server."""
import walk
from load import Load
from rest import Rest
from test_faults import assert_untouched


def test_cluster_ip(lab, prober, rest, fleet):
    walk.cluster_ip(lab, prober, rest)


def test_node_port_and_zones(lab, prober, rest, fleet):
    walk.node_port(lab, prober, rest)


def test_events(lab, rest, fleet):
    walk.events(lab, rest, fleet)


def test_thousand_changes(lab, prober, api, fleet, targets):
    with Load(prober, targets, established=1) as counts:
        seconds, turns = walk.burst(lab, prober, [api.rest() for _ in range(4)], fleet)
    print(f"{walk.CHANGES} changes written in {seconds:.2f} s, turns {turns}")
    assert_untouched(counts)


def test_token_is_of_its_node(api):
    """It reads, but deletes no other's Node; and nothing is read without one."""
    config = api.node_kubeconfig("n1")
    assert Rest(api.namespace, config).get("/api/v1/services").status == 200
    assert Rest(api.namespace, config).ask("DELETE", "/api/v1/nodes/n2").status == 403
    assert Rest(api.namespace, config, anonymous=True).get("/api/v1/services").status in (401, 403)
