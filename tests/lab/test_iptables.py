# SPDX-License-Identifier: GPL-2.0-or-later
"""The mode iptables as its operator sees it: the kernel's rules, `fairlead explain`, `fairlead dump`, the metrics."""
import re

import manifests
import pytest

ADDRESS, SIX = "10.96.9.1", "fd00:10:96::901"


@pytest.fixture(scope="module")
def asked(cluster, lab):
    """n1's namespace and its fairlead, over a service of both families with affinity."""
    spec = {"type": "LoadBalancer", "sessionAffinity": "ClientIP", "externalTrafficPolicy": "Local",
            "healthCheckNodePort": 32191, "loadBalancerSourceRanges": ["172.18.0.0/24"]}
    cluster.write("asked.yaml", manifests.simple("asked", lab.topology, [ADDRESS, SIX], "a1 b1 a2", spec=spec,
                                                 vips=["198.51.100.90"]))
    return lab.namespace("n1"), cluster.proxies["n1"]


def saved(namespace, table="nat", family="iptables"):
    return namespace.run([f"{family}-save", "-t", table]).stdout


def rules_of(text):
    """In the order that they have; iptables-save heads them with the time."""
    return [line for line in text.splitlines() if line.startswith("-A ")]


def chain_of(namespace, kind):
    """The one chain of that kind that is the service's."""
    found = set(re.findall(rf'^-A (KUBE-{kind}-\S+) .*"default/asked', saved(namespace), re.MULTILINE))
    assert len(found) == 1, found
    return found.pop()


@pytest.mark.parametrize("question", [f"{ADDRESS}:80/tcp", f"[{SIX}]:80/tcp", "198.51.100.90:80/tcp"])
def test_explain_agrees(asked, question):
    _, proxy = asked
    text = proxy.tool("explain", question).stdout
    assert "it agrees" in text, text
    assert "nat KUBE-SERVICES: -d " in text and "DNAT --to-destination" in text


@pytest.mark.parametrize("damage, words", [
    (["-F", "SVC"], r"nat KUBE-SVC-\S+ DIFFERS from what fairlead wants"),
    (["-A", "SVC", "-j", "RETURN"], r"nat KUBE-SVC-\S+ DIFFERS from what fairlead wants"),
    (["-F", "SERVICES"], r"MISSING in the kernel: nat KUBE-SERVICES: -d 10.96.9.1/32 "),
])
def test_explain_sees_damage(asked, cluster, damage, words):
    """It asks the kernel at that moment. Where the daemon has mended it already, once more."""
    namespace, proxy = asked
    chains = {"SVC": chain_of(namespace, "SVC"), "SERVICES": "KUBE-SERVICES"}
    argv = ["iptables", "-w", "-t", "nat"] + [chains.get(word, word) for word in damage]
    for _ in range(10):
        namespace.run(argv)
        text = proxy.tool("explain", f"{ADDRESS}:80/tcp").stdout
        if "it does NOT agree" in text:
            break
    assert "it does NOT agree" in text and re.search(words, text), text
    proxy.stop()
    proxy.start()  # which compares everything
    proxy.wait_ready()
    assert "it agrees" in proxy.tool("explain", f"{ADDRESS}:80/tcp").stdout


def test_explain_counts_clients(asked, prober):
    """How many clients an endpoint remembers, and how many it can: beyond that the one seen longest ago is forgotten."""
    _, proxy = asked
    pod = prober.connect_once("d1", "tcp", ADDRESS, 80).pod
    assert pod
    text = proxy.tool("explain", f"{ADDRESS}:80/tcp", "--from", "10.244.1.14").stdout
    endpoint = re.escape(prober.lab.topology.pods[pod].address(4))
    assert re.search(rf"affinity: \d+ clients? (is|are) remembered, this one for {endpoint}:8080, at most \d+ for each", text), text


def test_dump(asked):
    """`fairlead dump` is what iptables-save says, chain by chain."""
    namespace, proxy = asked
    text = proxy.tool("dump").stdout
    held = [line for family in ("iptables", "ip6tables") for table in ("mangle", "nat", "filter")
            for line in saved(namespace, table, family).splitlines()
            if line.startswith("-A ") and re.search("KUBE-|FAIRLEAD-", line)]
    said = [line for line in text.splitlines() if line.startswith("-A ")]
    assert sorted(held) == sorted(said)


def test_counts(asked):
    """The numbers in the metrics are those of the kernel's rules, both families together."""
    namespace, _ = asked
    page = namespace.run(["curl", "-sf", "http://127.0.0.1:10249/metrics"]).stdout
    counted = {chain: int(float(value)) for chain, value in
               re.findall(r'^fairlead_kernel_elements\{map="([^"]+)"\} (\S+)$', page, re.MULTILINE)}
    assert counted["nat KUBE-SEP"] > 0 and counted["filter KUBE-PROXY-FIREWALL"] > 0
    for name, count in counted.items():
        table, prefix = name.split()
        own = rf"^-A {prefix}-\S+ " if re.fullmatch("KUBE-(SVC|SVL|EXT|FW|SEP)", prefix) else rf"^-A {prefix} "
        held = sum(len(re.findall(own, saved(namespace, table, family), re.MULTILINE)) for family in ("iptables", "ip6tables"))
        assert held == count, name


def test_starts_with_many_services(asked, cluster, lab, prober):
    """With more new chains than go into one commit, what is there behind the start is all of it, and stays."""
    namespace, proxy = asked
    addresses = [f"10.96.8.{number}" for number in range(1, 251)]
    cluster.write("many.yaml", [one for number, address in enumerate(addresses)
                                for one in manifests.simple(f"many-{number}", lab.topology, [address], "a1 b1 a2")])
    try:
        proxy.stop()
        lab.reset_node("n1")
        proxy.start()
        proxy.wait_ready()
        assert len(re.findall("^:KUBE-SEP-", saved(namespace), re.MULTILINE)) > 3 * len(addresses)
        page = namespace.run(["curl", "-sf", "http://127.0.0.1:10249/metrics"]).stdout
        failures = re.findall(r"^kubeproxy_\w*iptables\w*_restore_failures_total\S* (\S+)$", page, re.MULTILINE)
        assert failures and not any(float(count) for count in failures)  # a second try would mend what is missing
        test_dump(asked)
        for address in (addresses[0], addresses[-1]):
            assert prober.connect_once("a1", "tcp", address, 80).pod
        before = saved(namespace)
        proxy.stop()
        proxy.start()
        proxy.wait_ready()
        assert rules_of(saved(namespace)) == rules_of(before)
    finally:
        cluster.remove("many.yaml")
