# SPDX-License-Identifier: GPL-2.0-or-later
"""The golden cases' iptables rules against those that a real kube-proxy writes for the same objects.

KUBE_PROXY_BIN names it, or $KUBEBUILDER_ASSETS/kube-proxy. It is fed by a server of the test's own, which lists a case's
objects as they are: an API server would refuse some and choose addresses itself."""
import os
import pathlib
import re
import shlex
import subprocess
import sys
import time

import pytest
import yaml

HERE = pathlib.Path(__file__).parent
GOLDEN = HERE.parent / "golden"
sys.path[:0] = [str(HERE), str(HERE.parent / "api"), str(HERE.parent / "lab")]

import embedded       # noqa: E402
import listing        # noqa: E402

SYNC_S = 20
SHARED = {"KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-EXTERNAL-SERVICES", "KUBE-PROXY-FIREWALL"}
DIFFERENCES = yaml.safe_load((HERE / "iptables_differences.yaml").read_text())
CASES = sorted(path.parent.name for path in GOLDEN.glob("*/objects.yaml"))


def kube_proxy():
    return os.environ.get("KUBE_PROXY_BIN") or os.environ.get("KUBEBUILDER_ASSETS", "") + "/kube-proxy"


@pytest.fixture(autouse=True)
def needs_kube_proxy():
    if not os.access(kube_proxy(), os.X_OK):
        pytest.skip("neither KUBE_PROXY_BIN nor KUBEBUILDER_ASSETS names a kube-proxy")


def flags_of(case):
    path = GOLDEN / case / "flags"
    return shlex.split(path.read_text()) if path.exists() else []


# What is fairlead's own in this mode, and why: src/dataplane/iptables/layout.h.
OWN = ("FAIRLEAD-", '--comment "fairlead: ')


def chains_of(saved):
    """{(table, chain): rules} of what iptables-save printed; rules of chains that all services share in one order."""
    chains, table = {}, None
    for line in saved.splitlines():
        if any(words in line for words in OWN):
            continue
        if line.startswith("*"):
            table = line[1:]
        elif line.startswith(":"):
            chains.setdefault((table, line[1:].split()[0]), [])
        elif line.startswith("-A ") and "localhost_nps_accepted_pkts" not in line:
            _, chain, rule = line.split(" ", 2)
            rule = re.sub(r"-m nfacct --nfacct-name +\S+ ", "", rule)  # its counters, where the kernel has them
            chains.setdefault((table, chain), []).append(rule)
    for (_, chain), rules in chains.items():
        if chain in SHARED:
            tail = [rule for rule in rules if "NOTE: this must be the last rule" in rule]
            assert rules[len(rules) - len(tail):] == tail
            rules[:] = sorted(rules[:len(rules) - len(tail)]) + tail
    return {key: rules for key, rules in chains.items() if key[1].startswith("KUBE-") or any("KUBE-" in r for r in rules)}


def ours(case):
    """[IPv4's chains, IPv6's]"""
    done = subprocess.run([os.environ["FAIRLEAD"], "standalone", "--dry-run=iptables", "--manifests", GOLDEN / case,
                           "--hostname-override", "here", "--bind-address", "192.0.2.1", *flags_of(case)],
                          capture_output=True, text=True, check=True, timeout=60)
    _, four, six = done.stdout.split("# IPv")
    return [chains_of(four), chains_of(six)]


@pytest.fixture
def namespace():
    namespaces = embedded.Namespaces()
    made = namespaces.new()
    yield made
    made.close()
    namespaces.close()


def theirs(case, tmp_path, namespace):
    """As ours; None where kube-proxy writes nothing."""
    log = tmp_path / "kube-proxy.log"
    with listing.Server(GOLDEN / case / "objects.yaml", namespace) as server, open(log, "wb") as output:
        child = namespace.popen(
            [kube_proxy(), f"--master={server.url}", "--hostname-override=here", "--proxy-mode=iptables",
             "--bind-address=192.0.2.1", "--iptables-localhost-nodeports=false", "--conntrack-max-per-core=0", "--conntrack-tcp-timeout-established=0",
             "--conntrack-tcp-timeout-close-wait=0", "--healthz-bind-address=127.0.0.1:10256", *flags_of(case)],
            env={**os.environ, "KUBE_FEATURE_WatchListClient": "false"}, stdout=output, stderr=output)
        try:
            end = time.monotonic() + SYNC_S
            while not server.is_listed() or not is_synced(namespace):
                assert child.poll() is None, log.read_text()[-3000:]
                if time.monotonic() > end:
                    return None
                time.sleep(0.1)
            return [chains_of(namespace.run([f"{name}-save"]).stdout) for name in ("iptables", "ip6tables")]
        finally:
            child.terminate()
            child.wait(10)


def is_synced(namespace):
    """Both families were written once."""
    metrics = namespace.run(["curl", "-sf", "http://127.0.0.1:10249/metrics"], check=False).stdout
    return len(re.findall(r"^kubeproxy_sync_proxy_rules_last_timestamp_seconds\{[^}]*\} [1-9]", metrics, re.MULTILINE)) == 2


def differences(got, wanted):
    for key in sorted(set(got) | set(wanted)):
        if key not in got or key not in wanted:
            yield f"{key[0]} {key[1]}: only {'kube-proxy' if key in wanted else 'fairlead'} has it"
        elif got[key] != wanted[key]:
            for rule in got[key]:
                if rule not in wanted[key]:
                    yield f"{key[0]} {key[1]}: only fairlead: {rule}"
            for rule in wanted[key]:
                if rule not in got[key]:
                    yield f"{key[0]} {key[1]}: only kube-proxy: {rule}"
            if sorted(got[key]) == sorted(wanted[key]):
                yield f"{key[0]} {key[1]}: in another order: {got[key]} instead of {wanted[key]}"


@pytest.mark.parametrize("case", CASES)
def test_same_rules(case, tmp_path, namespace):
    reason = DIFFERENCES.get(case)
    real = theirs(case, tmp_path, namespace)
    found = ["kube-proxy writes nothing"] if real is None else [
        f"{family} {line}" for family, mine, other in zip(("IPv4", "IPv6"), ours(case), real)
        for line in differences(mine, other)]
    assert bool(found) == bool(reason), f"expected: {reason or 'the same'}\n" + "\n".join(found)
