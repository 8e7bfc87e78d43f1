# SPDX-License-Identifier: GPL-2.0-or-later
"""The fault tests of tests/proxy/answers.py with a real kube-apiserver; and what only it shows: over HTTP/2 all watches and
the pulse share one connection."""
import subprocess
import time

import differential
import pytest
import realserver
from test_proxy import fleet, lab, new_rest, prober, real, token  # noqa: F401  pylint: disable=unused-import

import fed
import manifests
import middle
from load import Load
from proxy import wait_until
from rest import Rest

pytest.register_assert_rewrite("answers")

from answers import *  # noqa: E402,F401,F403  pylint: disable=wildcard-import,unused-wildcard-import
from answers import HANG_S, PATIENCE_S, PULSE_MS, Health, Writer, assert_untouched  # noqa: E402

STEADY_IPS = ["10.96.3.1", "fd00:10:96::301"]


@pytest.fixture(scope="module")
def targets(lab, new_rest, fleet):
    fed.create(new_rest(), manifests.simple("steady", lab.topology, STEADY_IPS, "a1 a2 a3"))
    fed.wait_equal(fleet.proxies.values(), new_rest())
    return [("d1", STEADY_IPS[0], 80), ("d1", STEADY_IPS[1], 80), ("n1", STEADY_IPS[0], 80)]


@pytest.fixture(scope="module")
def upstream(real, token):
    return lambda _node: Rest(real.namespace, real.verified_kubeconfig(token))


@pytest.fixture(scope="module")
def server_namespace(real):
    return real.namespace


class Restarted:
    """The kube-apiserver alone; etcd goes on."""

    def __init__(self, real):
        self.real = real

    def kill(self):
        self.real.children[-1].kill()
        self.real.children[-1].wait()

    def start(self):
        argv = self.real.children[-1].args
        with open(self.real.directory / "kube-apiserver.log", "ab") as output:
            self.real.children[-1] = subprocess.Popen(argv, start_new_session=True, stdin=subprocess.DEVNULL,
                                                      stdout=output, stderr=output)
        with self.real.namespace.entered():
            self.real.wait_ready(differential.from_kubeconfig(self.real.kubeconfig))


@pytest.fixture(scope="module")
def server(real):
    return Restarted(real)


def test_hangs_over_http2(lab, prober, real, fleet, targets, new_rest, busy_slices):
    """The connection of all watches passes nothing any more, and stays open: a pulse finds it out, a new one takes over."""
    proxy = fleet.proxies["n2"]
    usual = proxy.kubeconfig.read_text()
    man = middle.Middle(real.namespace, (fed.API_ADDRESS, fed.MIDDLE_PORT), (fed.API_ADDRESS, realserver.PORT))
    proxy.stop()
    proxy.use(usual.replace(f":{realserver.PORT}", f":{fed.MIDDLE_PORT}"))
    try:
        proxy.start({"FAIRLEAD_PULSE_MS": PULSE_MS})
        proxy.wait_ready()
        fed.wait_equal([proxy], new_rest(), PATIENCE_S)
        assert len(man.living()) == 1, "all watches over one connection"
        health = Health(proxy)
        with Load(prober, targets, established=1) as counts, health:
            rest = new_rest()
            with rest.one_connection(), Writer(lab, rest, busy_slices) as writer:
                writer.wait_more(10)
                man.plan_after(1, "stall")
                wait_until(lambda: man.stalls, 10, "a stall")
                began = time.monotonic()
                wait_until(lambda: man.given_up, PATIENCE_S, lambda: f"the connection given up\n{proxy.log()[-2000:]}")
                seconds = time.monotonic() - began
                writer.wait_more(10)
            fed.wait_equal([proxy], new_rest(), PATIENCE_S)
        assert_untouched(counts)
        assert set(health.answers) == {200}, health.answers
        assert PULSE_MS / 1000 <= seconds <= HANG_S, f"given up after {seconds:.1f} s"
    finally:
        proxy.stop()
        proxy.use(usual)
        man.close()
        proxy.start()
        proxy.wait_ready()
