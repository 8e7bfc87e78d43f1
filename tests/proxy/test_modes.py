# SPDX-License-Identifier: GPL-2.0-or-later
"""The mode that a configuration names serves; another one follows while connections go on."""
import contextlib
import itertools
import os
import re
import shutil
import time

import fed
import manifests
import pages
import patience
import pytest
from load import Load
from proxy import wait_until
from test_reload import NODE, PORT, assert_untouched, configured, node_port  # noqa: F401 (fixtures)
from walk import ask, wait_pod

pytestmark = pytest.mark.skipif(not shutil.which("iptables-restore"), reason="needs iptables-restore (Debian: iptables)")
CHANGES = 12
AGAIN = 3  # fairlead(8)
LEAST_S = 3
TARGETS = [("c2", "10.96.4.9", 80), (NODE, "10.96.4.9", 80)]


def mode_of(lab):
    """"" while nobody answers."""
    with contextlib.suppress(OSError):
        return pages.ask(lab.namespace(NODE), pages.METRICS, "/proxyMode").body
    return ""


def rules(lab, environment=None):
    return lab.namespace(NODE).run(["iptables-save"], env={**os.environ, **(environment or {})}).stdout


def wait_rule(lab, words, is_there=True, environment=None):
    wait_until(lambda: (words in rules(lab, environment)) == is_there, fed.CAUGHT_UP_S,
               lambda: f"{words!r}: {is_there}\n{rules(lab, environment)[:3000]}")


def restart(proxy, config, environment=None):
    proxy.stop()
    proxy.write(config)
    proxy.start(environment)
    proxy.wait_ready()


def without(config, *names):
    return {key: value for key, value in config.items() if key not in names}


@pytest.fixture
def by_iptables(lab, configured):  # noqa: F811
    """Serves by iptables, on all addresses, and leaves the kernel's setting as it was."""
    path = "/proc/sys/net/ipv4/conf/all/route_localnet"
    before = lab.namespace(NODE).run(["cat", path]).stdout
    restart(configured, {**without(configured.config, "nodePortAddresses"), "mode": "iptables"})
    yield configured
    configured.stop()
    lab.namespace(NODE).run(["sh", "-c", f"echo {before.strip()} >{path}"])


@pytest.fixture(params=["nft", "legacy"])
def backend(request, tmp_path):
    """A value of $PATH that has that backend's programs under their usual names first, and its lock."""
    multi = shutil.which(f"xtables-{request.param}-multi")
    if not multi:
        pytest.skip(f"needs xtables-{request.param}-multi (Debian: iptables)")
    for family in ("iptables", "ip6tables"):
        for what in ("", "-save", "-restore"):
            (tmp_path / f"{family}{what}").symlink_to(multi)
    return {"PATH": f"{tmp_path}:{os.environ['PATH']}", "XTABLES_LOCKFILE": str(tmp_path / "lock")}


def test_follows_the_file(lab, prober, configured, node_port, backend):  # noqa: F811
    """To iptables with a new process, because rights that were given up do not come back; to nftables in the same one."""
    restart(configured, {**configured.config, "logging": {"verbosity": 2}}, backend)
    with Load(prober, TARGETS, established=1, patience_s=5) as counts:
        configured.wait_log("nothing of kube-proxy is left")  # with that it gives up its last rights
        configured.write({**configured.config, "mode": "iptables"})
        wait_until(lambda: configured.child.poll() is not None, fed.CAUGHT_UP_S, "it ends, to be started again")
        assert configured.child.poll() == AGAIN, configured.log()[-2000:]
        assert "mode iptables needs rights that this process gave up" in configured.log()
        assert not re.search("^[WE] .*(iptables|rights)", configured.log(), re.MULTILINE), configured.log()
        assert ask(prober, "client", node_port, PORT).pod == "a1", "the kernel goes on"
        configured.start(backend)
        configured.wait_ready()
        assert mode_of(lab) == "iptables"
        wait_until(lambda: "fairlead" not in lab.namespace(NODE).run(["nft", "list", "tables"]).stdout, fed.CAUGHT_UP_S,
                   "the tables of the mode before go")
        assert ask(prober, "client", node_port, PORT).pod == "a1"
        pid = configured.child.pid
        configured.write({**configured.config, "mode": "nftables"})
        wait_until(lambda: mode_of(lab) == "nftables", fed.CAUGHT_UP_S, lambda: configured.log()[-2000:])
        wait_rule(lab, "KUBE-SVC-", False, backend)
        wait_rule(lab, "FAIRLEAD-", False, backend)
        assert ask(prober, "client", node_port, PORT).pod == "a1"
        assert configured.child.pid == pid and configured.child.poll() is None
    assert_untouched(counts)


def test_userspace(lab, prober, configured, node_port):  # noqa: F811
    """kube-proxy's first mode. It spares its own portals when it removes what others left, and takes them away when
    another mode follows."""
    restart(configured, {**configured.config, "mode": "userspace", "logging": {"verbosity": 2}})
    assert mode_of(lab) == "userspace"
    configured.wait_log("nothing of kube-proxy is left")
    assert re.search(r"-A KUBE-PORTALS-CONTAINER -d 10.96.4.9/32 -p tcp .*default/ported:tcp.* -j REDIRECT", rules(lab))
    metrics = pages.metrics(lab.namespace(NODE))
    assert metrics["kubeproxy_sync_proxy_rules_iptables_total"].value(table="nat", ip_family="IPv4") > 0
    for client, address, port in (("c2", "10.96.4.9", 80), (NODE, "10.96.4.9", 80), ("client", node_port, PORT)):
        assert ask(prober, client, address, port).pod == "a1"
    pid = configured.child.pid
    configured.write({**configured.config, "mode": "nftables"})
    wait_until(lambda: mode_of(lab) == "nftables", fed.CAUGHT_UP_S, lambda: configured.log()[-2000:])
    assert not re.search("PORTAL|NODEPORT", rules(lab)), rules(lab)
    wait_pod(prober, "a1", "client", node_port, PORT)
    assert configured.child.pid == pid and configured.child.poll() is None


def test_nobody_names_one(lab, configured):  # noqa: F811
    """kube-proxy's default; and without programs what there is, with the reason."""
    restart(configured, without(configured.config, "mode"))
    assert mode_of(lab) == "iptables"
    restart(configured, configured.config, {"PATH": "/nowhere"})
    assert mode_of(lab) == "nftables"
    assert "there is no iptables-restore in $PATH; nftables serves instead" in configured.log()


def test_one_that_is_not_there(lab, configured):  # noqa: F811
    """ipvs gives way to the next best, with the reason that `fairlead probe` has; iptables, which is named, to nobody."""
    said = configured.lab.namespace(NODE).run([fed.labs.binary(), "probe", "ipvs"], check=False).stdout.split(maxsplit=1)[1].strip()
    if said == "yes":
        pytest.skip("needs a kernel without IPVS")
    assert said.endswith("; iptables serves instead")
    restart(configured, {**configured.config, "mode": "ipvs", "ipvs": {"scheduler": "rr"}})
    assert said.removeprefix("no: ") in configured.log()
    assert mode_of(lab) == "iptables"
    configured.stop()
    configured.write({**without(configured.config, "ipvs"), "mode": "iptables"})
    configured.start({"PATH": "/nowhere"})
    wait_until(lambda: configured.child.poll() is not None, fed.CAUGHT_UP_S, "it ends")
    assert configured.child.poll() == 1
    assert "iptables is not available: there is no iptables-restore in $PATH" in configured.log()
    configured.child = None


def follow(lab, proxy, mode):
    """Until it serves by that mode: the same process, or the one that its supervisor, which is us, starts."""
    def serves():
        if proxy.child.poll() is not None:
            assert proxy.child.poll() == AGAIN, proxy.log()[-2000:]
            proxy.start()
        return mode_of(lab) == mode and proxy.status()[0]
    wait_until(serves, fed.CAUGHT_UP_S, lambda: f"{mode} serves:\n{proxy.log()[-2000:]}")


LEFT_BY = {"nftables": "table ip fairlead", "iptables": "KUBE-SVC-|FAIRLEAD-CLUSTER", "userspace": "KUBE-PORTALS|FAIRLEAD-PORTALS"}


def left(lab):
    """The modes that have rules on the node."""
    tables = "".join(f"table {words[1]} {words[2]}\n" for line in lab.namespace(NODE).run(["nft", "list", "tables"]).stdout.splitlines()
                     if (words := line.split()))
    return {mode for mode, words in LEFT_BY.items() if re.search(words, tables + rules(lab))}


@pytest.mark.parametrize("before, after", itertools.permutations(LEFT_BY, 2))
def test_every_way(lab, prober, configured, node_port, before, after):  # noqa: F811
    """From each mode to each other one by its file, under load: nothing is lost but what a process held itself."""
    restart(configured, {**configured.config, "mode": before, "logging": {"verbosity": 2}})
    configured.wait_log("nothing of kube-proxy is left")
    wait_until(lambda: left(lab) == {before}, fed.CAUGHT_UP_S, lambda: f"only {before}: {left(lab)}")
    with Load(prober, TARGETS, established=2, patience_s=5) as counts:
        configured.write({**configured.config, "mode": after})
        follow(lab, configured, after)
        served = time.monotonic()
        wait_until(lambda: left(lab) == {after}, fed.CAUGHT_UP_S, lambda: f"only {after}: {left(lab)}\n{configured.log()[-2000:]}")
        seen = counts.opened
        wait_until(lambda: counts.opened > seen + 20, fed.CAUGHT_UP_S, lambda: f"new connections are served: {counts}")
    if before == "userspace":
        assert not [one for one in counts.refused if one[0] > served + patience.seconds(5)], counts
    else:
        assert_untouched(counts)
    assert ask(prober, "client", node_port, PORT).pod == "a1"


def test_one_that_cannot_be_had_is_not_taken(lab, configured):  # noqa: F811
    """Where it comes with a change of the file, what served goes on."""
    restart(configured, configured.config, {"PATH": "/nowhere"})
    configured.write({**configured.config, "mode": "iptables"})
    configured.wait_log("is not taken, what was read before stays in force: iptables is not available")
    assert mode_of(lab) == "nftables" and configured.child.poll() is None


def test_its_settings_in_place(lab, prober, by_iptables, node_port):  # noqa: F811
    """The bit of the mark, and node ports on 127.0.0.1, of which the kernel has to know as well."""
    config, pid = by_iptables.config, by_iptables.child.pid
    wait_pod(prober, "a1", NODE, "127.0.0.1", PORT)
    assert "-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000" in rules(lab)
    with Load(prober, TARGETS, established=1, patience_s=5) as counts:
        by_iptables.write({**config, "iptables": {"masqueradeBit": 20, "localhostNodePorts": False}})
        wait_rule(lab, "-A KUBE-MARK-MASQ -j MARK --set-xmark 0x100000/0x100000")
        wait_pod(prober, "", NODE, "127.0.0.1", PORT)
        wait_pod(prober, "a1", "client", node_port, PORT)
        by_iptables.write({**config, "nodePortAddresses": ["127.0.0.0/8"]})
        wait_pod(prober, "a1", NODE, "127.0.0.1", PORT)
        wait_pod(prober, "", "client", node_port, PORT)
        by_iptables.write({**config, "nodePortAddresses": ["192.0.2.0/24"]})
        wait_rule(lab, "block incoming localnet connections", False)
    assert_untouched(counts)
    assert by_iptables.child.pid == pid and by_iptables.child.poll() is None


def test_writes_no_oftener_than_told(lab, rest, by_iptables):
    """Changes one by one, with pauses in which each could be written; all of them are in force in the end."""
    things = manifests.simple("paced", lab.topology, ["10.96.4.7"], "a1")
    fed.create(rest, things)
    by_iptables.write({**by_iptables.config, "iptables": {"minSyncPeriod": f"{LEAST_S}s"}})
    fed.wait_equal([by_iptables], rest)
    began, turns = time.monotonic(), by_iptables.turns()
    for number in range(CHANGES):
        fed.replace(rest, manifests.simple("paced", lab.topology, ["10.96.4.7"], "a1 a2" if number % 2 else "a1")[1])
        time.sleep(0.1)
    fed.wait_equal([by_iptables], rest)
    wait_rule(lab, "default/paced:tcp -> 10.244.2.")
    used, most = by_iptables.turns() - turns, (time.monotonic() - began) / LEAST_S + 1
    assert 0 < used <= most < CHANGES, f"{CHANGES} changes took {used} turns"
    fed.delete(rest, things)
