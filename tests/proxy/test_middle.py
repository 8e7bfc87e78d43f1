# SPDX-License-Identifier: GPL-2.0-or-later
"""A man in the middle cuts and stalls the connections of one proxy; afterwards it has what the server has."""
import time

import embedded
import fed
import manifests
import middle
import pytest
from load import Load
from proxy import wait_until
from test_faults import assert_untouched

CONNECT_S = 5  # as the client has it: http_client.h
SILENCE_S = 30  # as a list has it: reflector.c
PATIENCE_S = 30


@pytest.fixture
def man(api, fleet):
    """The middle, with the proxy of n1 behind it, stopped."""
    proxy = fleet.proxies["n1"]
    made = middle.Middle(api.namespace, (fed.API_ADDRESS, fed.MIDDLE_PORT), (fed.API_ADDRESS, embedded.PORT))
    proxy.stop()
    proxy.use(api.node_kubeconfig("n1", fed.MIDDLE_PORT))
    try:
        yield made
    finally:
        proxy.stop()
        proxy.use(api.node_kubeconfig("n1"))
        made.close()
        proxy.start()
        proxy.wait_ready()


def moved(slices, lab, pod):
    """The same slices, each with one other endpoint."""
    return [{**one, "endpoints": [manifests.endpoint(pod, lab.topology, 4)]} for one in slices]


def test_cut_in_list(prober, api, fleet, targets, man):
    proxy = fleet.proxies["n1"]
    man.plan = [(fed.IN_LIST, "cut"), (fed.IN_LIST + 20000, "cut"), (fed.IN_LIST + 40001, "cut")]
    with Load(prober, targets, established=1) as counts:
        proxy.start()
        fed.wait_equal([proxy], api.rest(), PATIENCE_S)
    assert man.cuts == 3 and not man.plan, f"{man.cuts} cuts of {man.accepted} connections"
    assert_untouched(counts)


def test_cut_in_watch(lab, prober, api, fleet, targets, many, man):
    """While slices change all the time, connections are cut after odd numbers of bytes, mostly inside an event."""
    proxy = fleet.proxies["n1"]
    proxy.start()
    fed.wait_equal([proxy], api.rest(), PATIENCE_S)
    rest = api.rest()
    with Load(prober, targets, established=1) as counts, rest.one_connection():
        for number, pod in enumerate(["b1", "b2", "b3"]):
            cuts = man.cuts
            man.plan_after(1000 + 777 * number, "cut")
            for one in moved(many[number * 50:number * 50 + 100], lab, pod):
                fed.replace(rest, one)
            wait_until(lambda cuts=cuts: man.cuts > cuts, 5, "a cut")
            fed.delete(rest, many[500 + number:501 + number])
            fed.wait_equal([proxy], api.rest(), PATIENCE_S)
        fed.create(rest, many[500:503])
    fed.wait_equal([proxy], api.rest(), PATIENCE_S)
    assert man.cuts >= 3
    assert_untouched(counts)


def test_stall_in_handshake(lab, prober, api, fleet, targets, many, man):
    """Who accepts and says nothing is given up, and what is written meanwhile is caught up."""
    proxy = fleet.proxies["n1"]
    proxy.start()
    fed.wait_equal([proxy], api.rest(), PATIENCE_S)
    with Load(prober, targets, established=1) as counts:
        man.stalls_new = True
        man.cut_all()
        fed.replace(api.rest(), moved(many[:1], lab, "c1")[0])
        wait_until(lambda: man.given_up, 2 * CONNECT_S + 3, lambda: f"one of {man.stalls} stalled connections given up")
        proxy.wait_ready()
        man.stalls_new = False
        fed.wait_equal([proxy], api.rest(), PATIENCE_S)
    assert_untouched(counts)


def test_stall_in_list(rest, stalled):
    """A list that stops in its middle is given up while the connection still stands, and begun anew."""
    proxy, man, began = stalled
    wait_until(lambda: man.given_up, max(0, began + SILENCE_S - time.monotonic()) + 8,
               lambda: f"a stalled list given up; {man.stalls} stalled\n{proxy.log()[-2000:]}")
    assert man.stalls == 1 and not man.plan
    fed.wait_equal([proxy], rest, PATIENCE_S)
