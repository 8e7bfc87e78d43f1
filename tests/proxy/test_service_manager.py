# SPDX-License-Identifier: GPL-2.0-or-later
"""What the service manager is told (sd_notify(3)), and what is set up for a daemon that has few rights."""
import contextlib
import os
import signal
import socket
import time

import fed
import lab as labs
import patience
import pytest
from test_reload import NODE, ConfiguredProxy


class Manager:
    """The socket that a daemon tells how it is: with a path, or an abstract one of the daemon's namespace."""

    def __init__(self, address, namespace):
        self.address = address
        self.socket = namespace.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address.replace("@", "\0"))
        self.socket.settimeout(patience.seconds(fed.CAUGHT_UP_S))

    def next(self):
        """The next message as (NAME, value) pairs in their order."""
        return [tuple(line.split("=", 1)) for line in self.socket.recv(4096).decode().split("\n")]

    def close(self):
        self.socket.close()
        if not self.address.startswith("@"):
            os.unlink(self.address)


@pytest.fixture(params=["path", "abstract"])
def managed(request, lab, api, fleet):
    """A proxy by a configuration file, and its manager; not started."""
    usual = fleet.proxies[NODE]
    usual.stop()
    address = str(lab.directory / "notify") if request.param == "path" else "@fairlead-notify"
    manager = Manager(address, lab.namespace(NODE))
    proxy = ConfiguredProxy(lab, NODE, api.node_kubeconfig(NODE))
    proxy.log_name = f"{proxy.folder.name}.log"
    try:
        yield proxy, manager
    finally:
        proxy.stop()
        manager.close()
        usual.start()
        usual.wait_ready()


def now_us():
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


def assert_reloading(message, since_us):
    assert [name for name, _ in message] == ["RELOADING", "MONOTONIC_USEC", "STATUS"] and message[0][1] == "1"
    assert since_us <= int(message[1][1]) <= now_us()


def assert_ready(message):
    assert message[0] == ("READY", "1") and message[1][0] == "STATUS"
    assert message[1][1].startswith(f"node {NODE}: ") and message[1][1].endswith(" services are programmed")


def test_manager_is_told(managed):
    proxy, manager = managed
    proxy.start({"NOTIFY_SOCKET": manager.address})
    assert_ready(manager.next())
    assert "services are programmed" in proxy.log(), "not before they are"

    # In place.
    began = now_us()
    proxy.write({**proxy.config, "nodePortAddresses": ["198.51.100.0/24"]})
    assert_reloading(manager.next(), began)
    assert_ready(manager.next())

    # Nothing new, but somebody waits for an answer.
    began = now_us()
    os.kill(proxy.child.pid, signal.SIGHUP)
    assert_reloading(manager.next(), began)
    assert_ready(manager.next())

    # Not taken.
    good = proxy.config
    proxy.write({**good, "oomScoreAdj": 5000})
    manager.next()
    assert_ready(manager.next())
    [(name, sentence)] = manager.next()
    assert name == "STATUS" and " is not taken: " in sentence and "OOMScoreAdj: Invalid value: 5000" in sentence

    # Anew: ready when it is programmed again, and by the same process.
    began = now_us()
    proxy.write({**good, "clientConnection": {**good["clientConnection"], "qps": 50}})
    assert_reloading(manager.next(), began)
    assert_ready(manager.next())
    assert proxy.log().count("services are programmed") == 2

    proxy.child.terminate()
    assert manager.next()[0] == ("STOPPING", "1")
    assert proxy.child.wait(patience.seconds(10)) == 0


def sysctl(namespace, name):
    return int(namespace.run(["cat", f"/proc/sys/net/netfilter/nf_conntrack_{name}"]).stdout)


def test_kernel_settings_follow_the_file(lab, managed):
    proxy, manager = managed
    namespace = lab.namespace(NODE)
    proxy.config["conntrack"] = {"maxPerCore": 0, "udpTimeout": "47s", "tcpCloseWaitTimeout": "33m"}
    proxy.write(proxy.config)
    proxy.start({"NOTIFY_SOCKET": manager.address})
    assert_ready(manager.next())
    assert (sysctl(namespace, "udp_timeout"), sysctl(namespace, "tcp_timeout_close_wait")) == (47, 1980)
    proxy.write({**proxy.config, "conntrack": {"maxPerCore": 0, "udpTimeout": "48s"}})
    manager.next()
    assert_ready(manager.next())
    assert (sysctl(namespace, "udp_timeout"), sysctl(namespace, "tcp_timeout_close_wait")) == (48, 3600)


@contextlib.contextmanager
def init_only(namespaces, *flags):
    namespace = namespaces.new()
    done = namespace.run([labs.binary(), "proxy", "--init-only", "--nodeport-addresses=primary", *flags], check=False)
    yield namespace, done
    namespace.close()


def test_init_only(namespaces):
    flags = ["--conntrack-max-per-core=0", "--conntrack-udp-timeout=41s", "--conntrack-tcp-be-liberal"]
    with init_only(namespaces, *flags) as (namespace, done):
        assert done.returncode == 0, done.stderr
        assert "nf_conntrack_udp_timeout was " in done.stderr and "and is 41 now, for conntrack.udpTimeout" in done.stderr
        assert (sysctl(namespace, "udp_timeout"), sysctl(namespace, "tcp_be_liberal")) == (41, 1)
        assert sysctl(namespace, "tcp_timeout_established") == 86400
        assert not namespace.run(["nft", "list", "ruleset"]).stdout, "it sets up, and serves nothing"


def test_init_only_that_fails(namespaces):
    """nf_conntrack_max is the machine's, so that a network namespace cannot write it; the others are set all the same."""
    flags = ["--conntrack-max-per-core=1", "--conntrack-min=1234567", "--conntrack-udp-timeout=42s"]
    with init_only(namespaces, *flags) as (namespace, done):
        assert done.returncode == 1
        assert ("conntrack.maxPerCore 1234567: /proc/sys/net/netfilter/nf_conntrack_max cannot be set to 1234567: "
                "Permission denied") in done.stderr
        assert sysctl(namespace, "udp_timeout") == 42
