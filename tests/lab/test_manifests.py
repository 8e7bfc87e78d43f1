# SPDX-License-Identifier: GPL-2.0-or-later
"""The folder of manifests while fairlead runs: changes, mistakes, and services that want the same thing."""
import re

import manifests
import yaml
from proxy import wait_until


def kind(prober, address, port=80, client="d1"):
    """The pod that answers there, or the kind of the verdict."""
    verdict = prober.connect_once(client, "tcp", address, port, timeout_s=1.0)
    return verdict.pod or verdict.kind


def one(lab, name, address, pods, **spec):
    return manifests.simple(name, lab.topology, [address], pods, spec=spec or None)


def log_line(cluster, pattern, since=0):
    """Waits for a line of n1's log that matches, after the first `since` characters."""
    log = cluster.proxies["n1"].log
    return wait_until(lambda: re.search(pattern, log()[since:]), 3, lambda: f"{pattern!r} in the log:\n{log()[since:]}")


def test_changes_take_effect(cluster, lab, prober):
    address = "10.96.5.1"
    assert kind(prober, address) == "dropped"
    cluster.write("live.yaml", one(lab, "live", address, "a1"))
    assert kind(prober, address) == "a1"
    cluster.write("live.yaml", one(lab, "live", address, "b1"))
    assert kind(prober, address) == "b1"
    cluster.write("live.yaml", manifests.simple("live", lab.topology, [address], "b1", port=81))
    assert (kind(prober, address, 81), kind(prober, address, 80)) == ("b1", "rejected")
    cluster.write("live.yaml", one(lab, "live", address, ""))
    assert kind(prober, address) == "rejected"
    cluster.write("live.yaml", one(lab, "live", "10.96.5.2", "a2"))
    assert (kind(prober, "10.96.5.2"), kind(prober, address)) == ("a2", "dropped")
    cluster.remove("live.yaml")
    assert kind(prober, "10.96.5.2") == "dropped"


def test_every_node_follows(cluster, lab, prober):
    address = "10.96.5.3"
    cluster.write("live.yaml", one(lab, "live", address, "a1"))
    assert [kind(prober, address, client=client) for client in ("d1", "b2", "b3", "n2")] == ["a1"] * 4
    cluster.remove("live.yaml")


def test_refused_document(cluster, lab, prober):
    """A wrong value: its document is refused by file, line, column, object and reason; its last good state stays in
    force, and the documents around it are taken."""
    good = one(lab, "first", "10.96.5.10", "a1") + one(lab, "second", "10.96.5.11", "a2") \
        + one(lab, "third", "10.96.5.12", "a3")
    cluster.write("three.yaml", good)
    assert [kind(prober, f"10.96.5.{n}") for n in (10, 11, 12)] == ["a1", "a2", "a3"]

    changed = one(lab, "first", "10.96.5.10", "b1") + one(lab, "second", "10.96.5.11", "b2") \
        + one(lab, "third", "10.96.5.12", "b3")
    changed[2]["spec"]["ports"][0]["port"] = 70000
    text = yaml.safe_dump_all(changed, sort_keys=False)
    line = 1 + text[:text.index("70000")].count("\n")
    since = len(cluster.proxies["n1"].log())
    cluster.write("three.yaml", text)
    assert [kind(prober, f"10.96.5.{n}") for n in (10, 11, 12)] == ["b1", "b2", "b3"]
    found = log_line(cluster, r"(\S*three\.yaml):(\d+):(\d+).*Service.*default/second.*", since)
    print(found.group(0))
    assert int(found.group(2)) == line and int(found.group(3)) >= 1
    assert "port" in found.group(0) and "first" not in found.group(0)

    cluster.write("three.yaml", good)
    assert kind(prober, "10.96.5.11") == "a2"
    cluster.remove("three.yaml")
    assert kind(prober, "10.96.5.11") == "dropped"


def test_unreadable_file(cluster, lab, prober):
    """What is not even YAML: all of that file's objects stay as they were, other files go on changing."""
    cluster.write("torn.yaml", one(lab, "torn", "10.96.5.20", "a1"))
    cluster.write("whole.yaml", one(lab, "whole", "10.96.5.21", "a1"))
    since = len(cluster.proxies["n1"].log())
    cluster.write("torn.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: torn\nspec:\n\t- : [\n")
    assert kind(prober, "10.96.5.20") == "a1"
    found = log_line(cluster, r"torn\.yaml:(\d+):(\d+)", since)
    assert 3 <= int(found.group(1)) <= 6
    cluster.write("whole.yaml", one(lab, "whole", "10.96.5.21", "a2"))
    assert (kind(prober, "10.96.5.20"), kind(prober, "10.96.5.21")) == ("a1", "a2")
    cluster.write("torn.yaml", one(lab, "torn", "10.96.5.20", "a3"))
    assert kind(prober, "10.96.5.20") == "a3"
    cluster.remove("torn.yaml")
    cluster.remove("whole.yaml")


def test_refused_from_the_start(cluster, lab, prober):
    """A document that was never good is simply not there; the next one of its file is."""
    objects = one(lab, "never", "10.96.5.30", "a1") + one(lab, "always", "10.96.5.31", "a1")
    objects[0]["spec"]["ports"][0]["port"] = 0
    cluster.write("mixed.yaml", objects)
    assert (kind(prober, "10.96.5.30"), kind(prober, "10.96.5.31")) == ("dropped", "a1")
    cluster.remove("mixed.yaml")


def test_moved_between_files(cluster, lab, prober):
    address = "10.96.5.40"
    objects = one(lab, "mover", address, "a1")
    cluster.write("old.yaml", objects)
    with cluster.change() as folder:
        folder.write("new.yaml", objects)
        folder.remove("old.yaml")
    assert kind(prober, address) == "a1"
    cluster.write("new.yaml", one(lab, "mover", address, "b1"))
    assert kind(prober, address) == "b1"
    cluster.remove("new.yaml")
    assert kind(prober, address) == "dropped"


def test_same_external_address(cluster, lab, prober):
    """Of two services that claim an external address and port the first by name has it, whichever came first; the
    other is named in the log, keeps what is its own, and moves up when the first goes."""
    vip = "198.51.100.220"
    beta = one(lab, "beta", "10.96.5.51", "b1", externalIPs=[vip])
    alpha = one(lab, "alpha", "10.96.5.50", "a1", externalIPs=[vip])
    cluster.write("beta.yaml", beta)
    assert kind(prober, vip, client="client") == "b1"
    since = len(cluster.proxies["n1"].log())
    cluster.write("alpha.yaml", alpha)
    assert kind(prober, vip, client="client") == "a1"
    assert (kind(prober, "10.96.5.50"), kind(prober, "10.96.5.51")) == ("a1", "b1")
    print(log_line(cluster, r".*default/beta.*198\.51\.100\.220.*", since).group(0))
    cluster.remove("alpha.yaml")
    assert kind(prober, vip, client="client") == "b1"
    cluster.remove("beta.yaml")


def test_same_node_port(cluster, lab, prober):
    def with_node_port(name, address, pods):
        ports = [{"name": "tcp", "port": 80, "targetPort": 8080, "protocol": "TCP", "nodePort": 32201}]
        return one(lab, name, address, pods, type="NodePort", ports=ports)
    cluster.write("beta.yaml", with_node_port("beta", "10.96.5.61", "b1"))
    assert kind(prober, "172.18.0.11", 32201, "client") == "b1"
    since = len(cluster.proxies["n1"].log())
    cluster.write("alpha.yaml", with_node_port("alpha", "10.96.5.60", "a1"))
    assert kind(prober, "172.18.0.11", 32201, "client") == "a1"
    assert kind(prober, "10.96.5.61") == "b1"
    print(log_line(cluster, r".*default/beta.*32201.*", since).group(0))
    cluster.remove("alpha.yaml")
    assert kind(prober, "172.18.0.11", 32201, "client") == "b1"
    cluster.remove("beta.yaml")


def test_zone_label_changes(cluster, lab, prober):
    """A node that is told another zone takes that zone's endpoints at once."""
    address = "10.96.5.70"
    cluster.write("zones.yaml", one(lab, "zones", address, "a1@us-west-1a a3@us-west-1b"))
    nodes = lab.topology.nodes.values()
    assert prober.many(10, "d1", "tcp", address, 80).keys() == {"a1"}
    cluster.write("nodes.yaml", [node.manifest("us-west-1b" if node.name == "n1" else None) for node in nodes])
    assert prober.many(10, "d1", "tcp", address, 80).keys() == {"a3"}
    assert prober.many(10, "b2", "tcp", address, 80).keys() == {"a1"}
    cluster.write("nodes.yaml", [node.manifest() for node in nodes])
    assert prober.many(10, "d1", "tcp", address, 80).keys() == {"a1"}
    cluster.remove("zones.yaml")
