# SPDX-License-Identifier: GPL-2.0-or-later
"""A node in mode ipvs, and what its kernel holds: virtual and real servers, sets, addresses."""
import contextlib
import re
import socket
import struct
from dataclasses import dataclass, field

import manifests
import patience
from proxy import READY_S, Proxy, wait_until

PATIENCE_S = 20
SET_PREFIX = {4: "KUBE-", 6: "KUBE-6-"}


@dataclass
class Server:
    """A virtual server as `ipvsadm -Ln` has it; `reals` are its real servers with their weights."""
    scheduler: str
    words: str = ""
    reals: dict = field(default_factory=dict)


def parse_servers(text):
    """{"TCP 10.96.0.1:80": Server}; a line of ipvsadm's begins with its kind, or with an arrow."""
    found, last = {}, None
    for line in text.splitlines()[3:]:
        words = line.split()
        if words[0] == "->":
            last.reals[words[1]] = int(words[3])
            continue
        length = 3 if words[2] == "IPv6" else 2
        last = Server(words[length], " ".join(words[length + 1:]))
        if words[0] == "FWM":
            words[1] = str(int(words[1]) % (1 << 32))  # ipvsadm prints large ones as if they were negative
        found[" ".join(words[:length])] = last
    return found


class Node:
    """n1 with fairlead in mode ipvs over a folder of its own. `flags` are those of the next start."""

    def __init__(self, lab, name="n1", folder=None, flags=None):
        self.lab = lab
        self.namespace = lab.namespace(name)
        self.folder = folder or manifests.Folder(lab.directory / f"ipvs-{name}")
        if not folder:
            self.folder.write("nodes.yaml", [node.manifest() for node in lab.topology.nodes.values()])
            self.folder.write("servicecidr.yaml", [manifests.service_cidr()])
        self.proxy = Proxy(lab, name, self.folder, flags)

    def __enter__(self):
        try:
            self.proxy.start()
            self.proxy.wait_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.proxy.stop()
        self.lab.reset_node(self.proxy.node)

    def restart(self, **flags):
        """Stops it, and starts it with `flags` ("_" for "-") beside or instead of its own; until it is ready."""
        self.proxy.stop()
        self.proxy.flags.update({name.replace("_", "-"): value for name, value in flags.items()})
        since = len(self.proxy.log())
        self.proxy.start()
        self.proxy.wait_ready()
        return self.proxy.log()[since:]

    @contextlib.contextmanager
    def change(self):
        """A change of the folder inside the block is in force after it."""
        before = self.proxy.status()[2]
        yield self.folder

        def in_force():
            ready, _, generation = self.proxy.status()
            return ready and generation > before
        wait_until(in_force, READY_S, lambda: f"the change is in force; the log ends:\n{self.proxy.log()[-2000:]}")

    def write(self, name, content):
        with self.change() as folder:
            folder.write(name, content)

    def remove(self, name):
        with self.change() as folder:
            folder.remove(name)

    def simple(self, name, address, endpoints, **options):
        self.write(f"{name}.yaml", manifests.simple(name, self.lab.topology, [address], endpoints, **options))

    # --- what the kernel holds

    def run(self, *argv, **options):
        return self.namespace.run(list(argv), **options).stdout

    def servers(self):
        return parse_servers(self.run("ipvsadm", "-Ln"))

    def reals(self, name):
        """{real server: weight} of one virtual server, {} where it is not there."""
        return self.servers().get(name, Server("")).reals

    def settle(self):
        """Waits until nobody leaves any more: what a test has asked before may still be open to IPVS."""
        self.becomes("nobody leaves", lambda: all(0 not in server.reals.values() for server in self.servers().values()))

    def sets(self):
        """{set: {members}}, a member as ipset prints it."""
        found = {}
        for line in self.run("ipset", "save").splitlines():
            verb, name, *rest = line.split(maxsplit=2)
            found.setdefault(name, set())
            if verb == "add":
                found[name].add(rest[0].strip())
        return found

    def bound(self):
        """The addresses on kube-ipvs0, but for IPv6's link-local one."""
        shown = self.run("ip", "-o", "addr", "show", "dev", "kube-ipvs0")
        return {address for address in re.findall(r"inet6? (\S+)/", shown) if not address.startswith("fe80:")}

    def rules(self):
        """The rules that are fairlead's, in order of text."""
        return sorted(line for family in ("iptables", "ip6tables") for line in self.run(f"{family}-save").splitlines()
                      if re.search("^-A .*(KUBE-|FAIRLEAD-)", line))

    def holds(self):
        """All of it, for comparing."""
        return {name: (server.scheduler, server.words, server.reals) for name, server in self.servers().items()}, \
            self.sets(), self.bound(), self.rules()

    # --- what fairlead says

    def says(self, since, *patterns):
        """One line of the log after position `since` has all of them."""
        def found():
            return any(all(re.search(p, line) for p in patterns) for line in self.proxy.log()[since:].splitlines())
        wait_until(found, PATIENCE_S, lambda: f"{patterns} in:\n{self.proxy.log()[since:][-2000:]}")

    def becomes(self, what, condition):
        """Waits for the condition."""
        return wait_until(condition, PATIENCE_S, lambda: f"{what}; the log ends:\n{self.proxy.log()[-1500:]}\n"
                          f"{self.run('ipvsadm', '-Ln')}")


class Connection:
    """A TCP connection that stays open, as a context; `pod` answers it."""

    def __init__(self, lab, client, address, port):
        self.sock = lab.namespace(client).socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        self.sock.settimeout(patience.seconds(3))
        self.sock.connect((address, port))
        self.pod = self._line().split()[0]

    def _line(self):
        data = b""
        while not data.endswith(b"\n"):
            more = self.sock.recv(256)
            if not more:
                raise ConnectionError("closed by the other side")
            data += more
        return data.decode()

    def is_alive(self):
        """Whether an echo comes back."""
        self.sock.sendall(b"still\n")
        return self._line() == "still\n"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        """Ends it with a reset: IPVS forgets what was reset in 10 s, and what was closed in two minutes."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()
