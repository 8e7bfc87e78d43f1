# SPDX-License-Identifier: GPL-2.0-or-later
"""The configuration file changes under a proxy that goes on: what it says is in force, and nothing is lost."""
import contextlib
import os
import pathlib
import signal
import tempfile
import threading
import time

import fed
import manifests
import patience
import pytest
import yaml
from load import Load
from proxy import wait_until
from walk import ask, wait_pod

NODE = "n2"
PORT = 30761


class ConfiguredProxy(fed.FedProxy):
    """A proxy by a configuration file alone, that lies behind two links as a mounted ConfigMap's does."""

    def __init__(self, lab, node, kubeconfig):
        super().__init__(lab, node, kubeconfig, {})
        self.folder = pathlib.Path(tempfile.mkdtemp(dir=lab.directory))
        self.versions = 0
        self.config = {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration", "mode": "nftables",
            "clientConnection": {"kubeconfig": str(self.kubeconfig)}, "hostnameOverride": node,
            "clusterCIDR": self.flags["cluster-cidr"],
            "nodePortAddresses": self.flags["nodeport-addresses"].split(",")}
        self.write(self.config)

    def argv(self):
        return [fed.labs.binary(), "proxy", "--config", str(self.folder / "config.conf"), "--control-socket", str(self.socket)]

    def write(self, config):
        """A version of the folder beside the old one; then one link is exchanged."""
        self.config = config
        self.versions += 1
        version = self.folder / f"..{self.versions}"
        version.mkdir(parents=True)
        (version / "config.conf").write_text(config if isinstance(config, str) else yaml.safe_dump(config))
        fresh = self.folder / "..data_tmp"
        fresh.symlink_to(version.name)
        fresh.rename(self.folder / "..data")
        with contextlib.suppress(FileExistsError):
            (self.folder / "config.conf").symlink_to("..data/config.conf")

    def wait_log(self, words, count=1):
        wait_until(lambda: self.log().count(words) >= count, fed.CAUGHT_UP_S,
                   lambda: f"{words!r} in the log:\n{self.log()[-2000:]}")


@pytest.fixture
def configured(lab, api, fleet):
    """One node's proxy goes by a file; afterwards the usual one is back."""
    usual = fleet.proxies[NODE]
    usual.stop()
    proxy = ConfiguredProxy(lab, NODE, api.node_kubeconfig(NODE))
    proxy.log_name = f"{proxy.folder.name}.log"
    try:
        proxy.start()
        proxy.wait_ready()
        yield proxy
    finally:
        proxy.stop()
        usual.start()
        usual.wait_ready()


@pytest.fixture
def node_port(lab, prober, rest, configured):
    spec = {"type": "NodePort", "ports": [{"name": "tcp", "protocol": "TCP", "port": 80, "targetPort": 8080,
                                           "nodePort": PORT}]}
    things = manifests.simple("ported", lab.topology, ["10.96.4.9"], "a1", spec=spec)
    fed.create(rest, things)
    wait_pod(prober, "a1", "client", lab.topology.nodes[NODE].address(4), PORT)
    yield lab.topology.nodes[NODE].address(4)
    fed.delete(rest, things)


def assert_untouched(counts):
    assert counts.opened > 0 and not counts.refused and not counts.lost, counts


def test_in_place(lab, prober, configured, node_port):
    """Where node ports answer follows the file, in the same process and without listing anything again."""
    targets = [("c2", "10.96.4.9", 80), (NODE, "10.96.4.9", 80)]
    with Load(prober, targets, established=1) as counts:
        configured.write({**configured.config, "nodePortAddresses": ["198.51.100.0/24"]})
        wait_pod(prober, "", "client", node_port, PORT)
        configured.write({key: value for key, value in configured.config.items() if key != "nodePortAddresses"})
        wait_pod(prober, "a1", "client", node_port, PORT)
        configured.wait_log("changed: nodePortAddresses; in force from now on", 2)
    assert_untouched(counts)
    assert configured.child.poll() is None and "opened anew" not in configured.log()


def test_anew(lab, prober, rest, configured, node_port):
    """Another way to the API server: the same process lists everything again, and no connection notices."""
    targets = [("c2", "10.96.4.9", 80), (NODE, "10.96.4.9", 80)]
    pid = configured.child.pid
    with Load(prober, targets, established=1) as counts:
        configured.write({**configured.config,
                          "clientConnection": {**configured.config["clientConnection"], "qps": 50, "burst": 100}})
        configured.wait_log("changed: clientConnection; everything is opened anew for it")
        fed.wait_equal([configured], rest)
        assert ask(prober, "client", node_port, PORT).pod == "a1"
    assert_untouched(counts)
    assert configured.child.pid == pid and configured.child.poll() is None


def test_change_while_all_is_opened_anew(configured):
    """What is written behind the last reading, and before the folder is watched again, is read all the same."""
    def put(qps):
        configured.write({**configured.config,
                          "clientConnection": {**configured.config["clientConnection"], "qps": qps}})

    words = "changed: clientConnection; everything is opened anew for it"
    for count in range(1, 10, 2):
        put(50 + count)
        end = time.monotonic() + patience.seconds(fed.CAUGHT_UP_S)
        while configured.log().count(words) < count and time.monotonic() < end:
            pass
        put(51 + count)
        configured.wait_log(words, count + 1)


def test_storm_of_signals(configured):
    """Whoever sends SIGHUP without a pause neither puts the file off for good nor meets a moment without a handler."""
    pid = configured.child.pid
    over = threading.Event()

    def signal_on():
        while not over.wait(0.0003) and configured.child.poll() is None:
            os.kill(pid, signal.SIGHUP)

    storm = threading.Thread(target=signal_on)
    storm.start()
    try:
        for count in (1, 2, 3):
            configured.write({**configured.config,
                              "clientConnection": {**configured.config["clientConnection"], "qps": 50 + count}})
            configured.wait_log("changed: clientConnection; everything is opened anew for it", count)
    finally:
        over.set()
        storm.join()
    # It may be opened anew again before it has programmed; the last time it does.
    wait_until(lambda: configured.log().rfind("services are programmed") > configured.log().rfind("opened anew"),
               fed.CAUGHT_UP_S, configured.log)
    assert configured.child.poll() is None


@pytest.mark.parametrize("wrong, sentence", [
    ({"clusterCIDR": "10.0.0.0/99"}, "10.0.0.0/99"),
    ({"oomScoreAdj": 5000}, "OOMScoreAdj: Invalid value: 5000"),
    ({"clientConnection": {"kubeconfig": "/nonexistent/kubeconfig"}}, "/nonexistent/kubeconfig"),
    ("{", "json parse error: line 1"),
])
def test_what_is_wrong_is_not_taken(prober, configured, node_port, wrong, sentence):
    good = configured.config
    configured.write({**good, **wrong} if isinstance(wrong, dict) else wrong)
    configured.wait_log("is not taken, what was read before stays in force: ")
    assert sentence in configured.log().split("stays in force: ")[1].splitlines()[0]
    os.kill(configured.child.pid, signal.SIGHUP)
    configured.write({**good, "nodePortAddresses": ["198.51.100.0/24"]})
    wait_pod(prober, "", "client", node_port, PORT)
    assert configured.log().count("is not taken") == 1, "what was read once is not told again"
