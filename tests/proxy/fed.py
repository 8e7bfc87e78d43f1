# SPDX-License-Identifier: GPL-2.0-or-later
"""fairlead proxy on the lab's nodes, fed by an API server that has a namespace of its own on the lab's backbone; and
what the one programmed compared with what the other has."""
import concurrent.futures
import contextlib
import itertools
import json
import re

import embedded
import lab as labs
import manifests
import netns
from objects import DISCOVERY, path
from proxy import Cluster, Proxy, wait_until
from rest import Rest
from topology import backbone_address

API_HOST, API_ADDRESS = 50, "172.18.0.50"
MIDDLE_PORT, STALLING_PORT = 7443, 7444
IN_LIST = 40000  # bytes: the list of slices is longer (see many_slices), the others are shorter
CAUGHT_UP_S = 15  # the source waits 0.8 s after the first failure and twice as long after each further one
ROOTS = {"Service": ("services", "default"), "EndpointSlice": ("endpointslices", "default"), "Node": ("nodes", "")}


def join_backbone(lab, namespaces, host):
    """A new namespace that the nodes reach at that host number of the backbone. It goes with its `namespaces`."""
    made, backbone = namespaces.new(), lab.namespace_name("backbone")
    netns.ip_batch([f"link add uplink netns {made.name} type veth peer name port-{host} netns {backbone}"])
    netns.ip_batch([f"link set port-{host} master br0", f"link set port-{host} up"], backbone)
    netns.ip_batch(["link set uplink up", *(f"addr add {backbone_address(host, family)}/{length} dev uplink{more}"
                                            for family, length, more in ((4, 24, ""), (6, 64, " nodad")))], made.name)
    return made


class Api(embedded.Server):
    """The embedded API server. It proxies for its own namespace, which no node's packets go through."""

    def __init__(self, directory, namespace):
        super().__init__(directory, namespace, {"api": f"{API_ADDRESS}:{embedded.PORT}", "hostname-override": "api"})

    def rest(self):
        return Rest(self.namespace, self.kubeconfig.read_text())

    def node_kubeconfig(self, node, port=embedded.PORT):
        argv = [labs.binary(), "kubeconfig", "--node", node, "--server", f"https://{API_ADDRESS}:{port}", "--data-dir",
                str(self.data)]
        return self.namespace.run(argv).stdout

    @contextlib.contextmanager
    def unreachable(self):
        """For the block it serves, but only itself: what is written then is written behind the proxies' backs."""
        usual = self.flags["api"]
        self.flags["api"] = f"127.0.0.1:{embedded.PORT}"
        try:
            self.start()
            yield self.rest()
            self.stop()
        finally:
            self.flags["api"] = usual


def kubeconfig_of_files(server, authority, token):
    """A kubeconfig, as text, that names the files in which an authority and a token are, and change."""
    return json.dumps({
        "apiVersion": "v1", "kind": "Config", "current-context": "one",
        "clusters": [{"name": "one", "cluster": {"server": server, "certificate-authority": str(authority)}}],
        "users": [{"name": "one", "user": {"tokenFile": str(token)}}],
        "contexts": [{"name": "one", "context": {"cluster": "one", "user": "one"}}]})


class FedProxy(Proxy):
    """fairlead proxy on one node, with a kubeconfig given as text. It asks for nothing else."""

    def __init__(self, lab, node, kubeconfig, flags=None):
        super().__init__(lab, node, None, flags)
        self.kubeconfig = lab.directory / f"{node}.kubeconfig"
        self.use(kubeconfig)

    def use(self, kubeconfig):
        self.kubeconfig.write_text(kubeconfig)
        self.kubeconfig.chmod(0o600)

    def argv(self):
        argv = [labs.binary(), "proxy", "--kubeconfig", str(self.kubeconfig), "--hostname-override", self.node,
                "--proxy-mode", self.mode, "--control-socket", str(self.socket)]
        return argv + [f"--{name}={value}" for name, value in self.flags.items() if value is not None]

    def turns(self):
        return self.status()[1]

    def text_of(self, *argv):
        """What a tool prints, whatever it ends with; "" while nobody answers."""
        return self.tool(*argv, check=False).stdout

    def programmed(self):
        """{(Service, cluster IP, port): endpoints} as `dump forwarding` has it."""
        found, service, endpoints = {}, "", None
        for line in self.text_of("dump", "forwarding").splitlines():
            if match := re.match(r"Service (\S+)", line):
                service = match[1]
            elif match := re.match(r"  (\S+) (\S+):(\d+)/TCP ", line):
                endpoints = set()
                if match[1] == "ClusterIP":
                    found[service, match[2].strip("[]"), int(match[3])] = endpoints
            elif match := re.match(r"    endpoints: (.*)", line):
                endpoints.update(match[1].split())
        return found


class Fleet(Cluster):
    """FedProxy on every node of a lab. `kubeconfig_for(node)` is what each one is given."""

    def __init__(self, lab, kubeconfig_for):
        self.lab = lab
        self.proxies = {node: FedProxy(lab, node, kubeconfig_for(node)) for node in lab.topology.nodes}

    def wait_in_sync(self):
        for proxy in self.proxies.values():
            proxy.wait_ready()


def location(thing, with_name=True):
    resource, namespace = ROOTS[thing["kind"]]
    root = {"root": DISCOVERY} if thing["kind"] == "EndpointSlice" else {}
    return path(resource, thing["metadata"]["name"] if with_name else "", namespace, **root)


def create(rest, things):
    for thing in things:
        rest.good("POST", location(thing, with_name=False), thing)


def replace(rest, thing):
    rest.good("PUT", location(thing), thing)


def delete(rest, things):
    for thing in things:
        rest.good("DELETE", location(thing))


def replace_all(rests, things):
    """Replaces them over as many connections as there are `rests`, as fast as the server goes."""
    def part(rest, mine):
        with rest.one_connection():
            for thing in mine:
                replace(rest, thing)
    with concurrent.futures.ThreadPoolExecutor(len(rests)) as pool:
        jobs = [pool.submit(part, rest, things[number::len(rests)]) for number, rest in enumerate(rests)]
    for job in jobs:
        job.result()


def many_slices(lab, services=20, slices=600):
    """Services, and their slices, so many that a list is far longer than IN_LIST."""
    made = [manifests.simple(f"many{number}", lab.topology, [f"10.96.7.{number + 1}"], "a1")
            for number in range(services)]
    ports = [{"name": "tcp", "protocol": "TCP", "port": 8080}]
    return [thing for service in made for thing in service], [
        manifests.endpoint_slice(f"many-{number}", f"many{number % services}", 4, ports, [
            {"addresses": [f"10.244.{number // 200 + 1}.{number % 200 + 50}"], "nodeName": "n1",
             "conditions": {"ready": True}}])
        for number in range(slices)]


def wanted(rest):
    """What `FedProxy.programmed` should be, out of the server's Services and slices; for Services without policies."""
    slices = {}
    for one in rest.good("GET", f"{DISCOVERY}/endpointslices")["items"]:
        key = one["metadata"]["namespace"] + "/" + one["metadata"]["labels"].get("kubernetes.io/service-name", "")
        slices.setdefault((key, one["addressType"]), []).append(one)
    found = {}
    for service in rest.good("GET", "/api/v1/services")["items"]:
        key = f"{service['metadata']['namespace']}/{service['metadata']['name']}"
        for ip, port in itertools.product(service["spec"]["clusterIPs"], service["spec"]["ports"]):
            family = "IPv6" if ":" in ip else "IPv4"
            found[key, ip, port["port"]] = {
                f"[{address}]:{to['port']}" if family == "IPv6" else f"{address}:{to['port']}"
                for one in slices.get((key, family), []) for to in one["ports"]
                if (to.get("name") or "") == (port.get("name") or "")
                for endpoint in one.get("endpoints") or [] for address in endpoint["addresses"]}
    return found


def wait_equal(proxies, rest, timeout_s=CAUGHT_UP_S):
    """Waits until each of `proxies` is in sync and has programmed all that the server has, and nothing else."""
    want = wanted(rest)
    for proxy in proxies:
        def differing(proxy=proxy):
            have = proxy.programmed()
            unequal = [key for key in want.keys() | have.keys() if want.get(key) != have.get(key)]
            return (f"{proxy.node} is unlike the server in {len(unequal)} of {len(want)}: "
                    f"{[(key, want.get(key), have.get(key)) for key in unequal[:3]]}\n{proxy.log()[-2000:]}")
        wait_until(lambda proxy=proxy: proxy.programmed() == want and proxy.status()[0], timeout_s, differing)
