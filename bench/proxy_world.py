# SPDX-License-Identifier: GPL-2.0-or-later
"""Proxies that an API server feeds: fairlead's, and kube-proxy out of $KUBE_PROXY_BIN, in the same modes. Each
start is on a node of its own, with namespaces that nothing was programmed in before."""
import json
import os
import re
import time

from harness import Fault
from harness.cluster import GROUPS, Cluster, Plan
from harness.world import NODE_ADDRESS, NODE_FLAGS, World

API_HOST = "198.51.100.1"
NODE_HOSTS = "198.51.100."
# Without them kube-proxy wants to set the host's own table of connections.
CONNTRACK_FLAGS = [f"--conntrack-{name}=0" for name in ("max-per-core", "min", "tcp-timeout-established",
                                                        "tcp-timeout-close-wait")]
SERVICES = "/api/v1/namespaces/default/services"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
# Of kube-proxy's metrics a line for each family that it has programmed.
SYNCED, FAMILIES = r"(?m)^kubeproxy_sync_proxy_rules_last_timestamp_seconds\b.* [1-9]", 2
COLLECTIONS = {"Service": SERVICES, "EndpointSlice": SLICES, "Node": "/api/v1/nodes"}
NODE = {"apiVersion": "v1", "kind": "Node",
        "metadata": {"name": "n1", "labels": {"kubernetes.io/hostname": "n1",
                                              "topology.kubernetes.io/zone": "zone-0"}},
        "spec": {"podCIDR": "10.255.0.0/24", "podCIDRs": ["10.255.0.0/24"]},
        "status": {"addresses": [{"type": "InternalIP", "address": NODE_ADDRESS},
                                 {"type": "Hostname", "address": "n1"}]}}


def path_of(one, with_name=True):
    return COLLECTIONS[one["kind"]] + (f"/{one['metadata']['name']}" if with_name else "")


class ProxyCluster(Cluster):
    """With all that the EndpointSlice controller says of an endpoint: it is read, and left aside."""

    def __init__(self, size, victims, doors=0):
        super().__init__(size, "json", victims=victims, doors=doors)

    @property
    def services(self):
        return self.bulk + self.victims + self.doors

    @staticmethod
    def slice_of(service):
        found = service.slice()
        found["metadata"]["labels"] |= {"endpointslice.kubernetes.io/managed-by": "bench", "app": service.name}
        for one in found["endpoints"]:
            number = int.from_bytes(bytes(int(byte) for byte in one["addresses"][0].split(".")), "big")
            one["conditions"] = {"ready": True, "serving": True, "terminating": False}
            one["zone"] = f"zone-{number % 3}"
            one["targetRef"] = {"kind": "Pod", "namespace": "default",
                                "name": f"{service.name}-5d4f8c7b9-x{number & 0xffff:05d}",
                                "uid": f"00000000-0000-4000-8000-{number:012x}"}
        return found

    def everything(self):
        yield NODE
        for service in self.services:
            yield service.service()
        for service in self.services:
            yield self.slice_of(service)


def write_requests(path, method, objects):
    """A file for bench-api send. Returns how many requests and bytes of bodies."""
    count = total = 0
    with open(path, "w") as out:
        for one in objects:
            body = json.dumps(one, separators=(",", ":"))
            out.write(f"{method} {path_of(one, with_name=method == 'PUT')} {body}\n")
            count, total = count + 1, total + len(body)
    return count, total


class ApiPlan(Plan):
    """Its changes are PUTs; the bodies lie in files."""

    def change(self, service, kind, objects, name, **words):
        one = objects[0]
        if one["kind"] == "EndpointSlice":
            one = self.cluster.slice_of(service)
        staged = self.world.stage / f"{len(self.steps):06d}.json"
        staged.write_text(json.dumps(one, separators=(",", ":")))
        self.steps.append(service.step(kind, "put", **{"from": staged, "to": path_of(one)}, **words))


def plan_changes(cluster, world, groups, samples):
    """`samples` changes of each kind, or one more, the kinds in turns and each with services of its own. A
    service is changed twice in a row, so that what was toggled is as before."""
    plan = ApiPlan(cluster, world)
    share = len(cluster.victims) // len(groups)
    for turn in range(max(len(GROUPS[group][1]) for group in groups) * (samples + 1) // 2 * 2):
        for number, group in enumerate(groups):
            function, kinds = GROUPS[group]
            own = cluster.doors if group == "external" else cluster.victims[number * share:][:share]
            if turn < len(kinds) * (samples + 1) // 2 * 2:
                function(plan, own[turn // 2 % len(own)], turn)
    return plan.write("changes")


class Contender(World):
    """A node and the proxy on it. `api` is the ApiWorld that feeds it.

    Both programs begin at most one sync a second where they write by iptables (minSyncPeriod), and kube-proxy
    always does. So each rests a second more after a change, that none has to wait for that: what is measured
    is the sync, not its rate limit. is_hasty: with a minSyncPeriod of 0, and little rest."""

    program = ""  # its name in the results
    limit_ms = 120000

    def __init__(self, tools, work, api, mode, is_hasty=False):
        super().__init__(tools, work, mode)
        self.api, self.is_hasty = api, is_hasty
        self.settle_ms = 40 if is_hasty or not self.has_pace_in(mode) else 1100

    @classmethod
    def has_pace_in(cls, mode):
        return True

    def __str__(self):
        return f"{self.program} {variant_name(self.mode, self.is_hasty)}"

    def _lay(self):
        super()._lay()
        self.api.attach(self.ns("node"), NODE_HOSTS + str(2 + World.made % 250))

    def make_changes(self, plan, pause_us, timeout_s=1800):
        watch = "poll" if self.mode.has_commits else "none"
        words = ["--api-ns", f"/run/netns/{self.api.ns}", "--limit-ms", self.limit_ms, "--pause-us", pause_us]
        return self.changes(plan, watch, self.settle_ms, words + self.api.identity(), timeout_s)

    def wait_synced(self, limit_s):
        """Until its start is over, which a first answer need not mean."""

    def flags(self):
        hasty = [f"--{self.mode.word}-min-sync-period", "0s"] if self.is_hasty else []
        return ["--kubeconfig", self.api.proxy_kubeconfig(), "--proxy-mode",
                self.mode.word] + NODE_FLAGS + CONNTRACK_FLAGS + hasty


class Fairlead(Contender):
    program = "fairlead"

    @classmethod
    def has_pace_in(cls, mode):
        return has_pace(mode)

    def command(self):
        return [self.tools.daemon, "proxy", "--control-socket", self.socket] + self.flags()


class KubeProxy(Contender):
    program = "kube-proxy"

    def command(self):
        return [os.environ["KUBE_PROXY_BIN"]] + self.flags()

    def wait_synced(self, limit_s):
        """In mode ipvs the virtual servers come first, and behind them the members of sets, a program for each:
        until those have all ended nothing else comes into force."""
        end = time.monotonic() + limit_s
        while len(re.findall(SYNCED, self.metrics())) < FAMILIES:
            if time.monotonic() > end:
                raise Fault(f"kube-proxy's first sync is not over in {limit_s} s\n{self.log_tail()}")
            time.sleep(1)

    def stop(self, limit_s=30):
        """SIGTERM simply ends it."""
        self.kill()
        return {}


def has_pace(mode):
    """Whether both programs hold a minSyncPeriod in it."""
    return mode.word != "nftables"


def variant_name(mode, is_hasty):
    return f"{mode}, minSyncPeriod 0" if is_hasty else str(mode)


def contenders(modes, paces):
    """Those who take turns, in this order: (class, mode, is_hasty)."""
    programs = [Fairlead]
    if os.environ.get("KUBE_PROXY_BIN"):
        if not os.access(os.environ["KUBE_PROXY_BIN"], os.X_OK):
            raise Fault("KUBE_PROXY_BIN names no program")
        programs.append(KubeProxy)
    return [(program, mode, pace == "0") for mode in modes for pace in (paces if has_pace(mode) else ["default"])
            for program in programs]
