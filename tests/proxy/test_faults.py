# SPDX-License-Identifier: GPL-2.0-or-later
"""The API server or the proxy goes away and comes back, under a load that must not notice."""
import time

import fed
import manifests
import pytest
from load import Load
from proxy import wait_until
from walk import ask

LATE, GONE = "10.96.6.1", "10.96.6.2"


def assert_untouched(counts):
    assert counts.opened > 0 and counts.echoed > 0, counts
    assert not counts.refused, counts.refused[:5]
    assert not counts.lost, counts.lost


@pytest.fixture
def before_and_after(lab, api, fleet):
    """What is there before a fault, and what shall be there after it: one Service more, one less, one changed.

    The proxies begin anew, because who has just been refused waits longer before it asks again.
    """
    for proxy in fleet.proxies.values():
        proxy.stop()
    fleet.start()
    gone = manifests.simple("gone", lab.topology, [GONE], "b1")
    late = manifests.simple("late", lab.topology, [LATE], "b1")
    late_changed = manifests.simple("late", lab.topology, [LATE], "b2")
    fed.create(api.rest(), gone)
    fed.wait_equal(fleet.proxies.values(), api.rest())

    def change(rest):
        fed.delete(rest, gone)
        fed.create(rest, late)
        fed.replace(rest, late_changed[1])
    yield change
    fed.delete(api.rest(), late)
    fed.wait_equal(fleet.proxies.values(), api.rest())


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_server_goes_and_comes(end, prober, api, fleet, targets, before_and_after):
    """Without a server nothing is taken back and all is in sync; what was written meanwhile comes with it."""
    turns = {name: proxy.turns() for name, proxy in fleet.proxies.items()}
    with Load(prober, targets, established=1) as counts:
        getattr(api, end)()
        time.sleep(1)
        fleet.wait_in_sync()
        with api.unreachable() as behind:
            before_and_after(behind)
        fleet.wait_in_sync()
        assert turns == {name: proxy.turns() for name, proxy in fleet.proxies.items()}, "a turn without any news"
        assert ask(prober, "d1", GONE).pod == "b1" and ask(prober, "d1", LATE).kind != "served"
        api.start()
        fed.wait_equal(fleet.proxies.values(), api.rest())
        assert ask(prober, "d1", LATE).pod == "b2" and ask(prober, "d1", GONE).kind != "served"
    assert_untouched(counts)


def test_proxy_restarts_without_server(prober, api, fleet, targets, before_and_after):
    """It waits for the server, and until then the kernel goes on by what the proxy before it has programmed."""
    proxy = fleet.proxies["n1"]
    with Load(prober, targets, established=1) as counts:
        api.stop()
        proxy.kill()
        with api.unreachable() as behind:
            before_and_after(behind)
        proxy.start()
        wait_until(lambda: "state: not programmed yet" in proxy.text_of("status"), fed.CAUGHT_UP_S, proxy.log)
        time.sleep(1)
        assert proxy.child.poll() is None, proxy.log()[-2000:]
        assert "state: not programmed yet" in proxy.text_of("status")
        assert ask(prober, "d1", GONE).pod == "b1"
        api.start()
        fed.wait_equal(fleet.proxies.values(), api.rest())
        assert ask(prober, "d1", LATE).pod == "b2" and ask(prober, "d1", GONE).kind != "served"
    assert_untouched(counts)
