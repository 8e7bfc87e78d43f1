#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The lab: nodes, pods and outside clients as network namespaces of this host, with servers that tell who answered.

As a module:
    with Lab() as lab:                          # up in about two seconds, down in about one, also on an exception
        prober = probe.Prober(lab)
        prober.connect_once("b2", "tcp", "10.244.1.11", 8080)
From the shell:
    lab.py up                  stays in the foreground until Ctrl-C, and says how to enter
    lab.py down [RUN|--stale]  takes down a run whose owner died (a living one is left alone)
    lab.py demo --examples DIR [--stay]

Everything is named after the run, so that runs do not meet; a run takes down only what its own record lists. Programs
are ended by the pid that this process started.
"""
import argparse
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

import modes
import netns
import network
import patience
import topology as topologies

SERVER_PORTS = [8080, 8081, 8082]
RUN_PREFIX = "fairlead-lab-"
HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent


def missing():
    """What keeps a lab from running here, as a sentence; "" when nothing does."""
    if os.geteuid() != 0:
        return "the lab makes network namespaces: run it as root"
    tools = [tool for tool in ("ip", "nft", "nsenter", "setpriv") if not shutil.which(tool)]
    if tools:
        return f"the lab needs {', '.join(tools)} (Debian: iproute2 nftables util-linux)"
    return ""


def binary():
    """The fairlead under test: $FAIRLEAD, or what the build leaves in build/."""
    return os.environ.get("FAIRLEAD") or str(REPOSITORY / "build" / "fairlead")


def _start_time(pid):
    """When the kernel says that process started; None when it is gone or a zombie. Tells a reused pid from the owner."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        return None if fields[0] in "ZX" else fields[19]
    except OSError:
        return None


class Lab:
    """One lab. `topology` as from topology.py; `servers=False` leaves the pods without the Python servers."""

    def __init__(self, topology=None, servers=True):
        self.topology = topology or topologies.standard()
        self.wants_servers = servers
        self.id = ""
        self.directory = None
        self.namespaces = {}
        self.children = []
        self.proxies = []

    def __enter__(self):
        try:
            self.up()
        except BaseException:
            self.down()
            raise
        return self

    def __exit__(self, *_):
        self.down()

    def roles(self):
        return ["backbone", *self.topology.nodes, "client", *self.topology.pods]

    def namespace_name(self, role):
        return f"fl{self.id}-{role}"

    def namespace(self, role):
        """The namespace of a node, a pod, `client` (also `stranger`) or `backbone`."""
        return self.namespaces["client" if role == "stranger" else role]

    def up(self):
        """Makes everything. What was begun is on record first, so that `down` finds it after any failure."""
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix=RUN_PREFIX))
        self.directory.chmod(0o755)
        self.id = self.directory.name[len(RUN_PREFIX):]
        names = [self.namespace_name(role) for role in self.roles()]
        record = {"id": self.id, "pid": os.getpid(), "start": _start_time(os.getpid()), "namespaces": names}
        (self.directory / "lab.json").write_text(json.dumps(record))
        netns.ip_batch([f"netns add {name}" for name in names])
        for role in self.roles():
            self.namespaces[role] = netns.Namespace(self.namespace_name(role))
            kind = "node" if role in self.topology.nodes else role
            self.namespaces[role].sysctl(network.sysctls(kind))
        netns.ip_batch(network.link_lines(self.topology, self.namespace_name))
        for role, lines in network.all_lines(self.topology).items():
            netns.ip_batch(lines, self.namespace_name(role))
        for family in network.FAMILIES:
            netns.ip_batch(network.client_rules(self.topology), self.namespace_name("client"), family)
        self.namespaces["backbone"].run(["nft", "-f", "-"], input=network.GATEWAY_RULES)
        if self.wants_servers:
            self.start_servers()

    def start_servers(self):
        plan = self.directory / "servers.json"
        plan.write_text(json.dumps({
            "ports": SERVER_PORTS,
            "pods": [{"name": pod, "namespace": self.namespace_name(pod)} for pod in self.topology.pods]}))
        child = subprocess.Popen([sys.executable, str(HERE / "servers.py"), str(plan)], stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, start_new_session=True, text=True)
        self.children.append(child)
        if child.stdout.readline() != "ready\n":
            raise RuntimeError("the pods' servers did not start; their words are above")

    def start(self, role, argv, log):
        """Starts a program in a namespace, its output in the run's directory; `down` ends it."""
        with open(self.directory / log, "ab") as output:
            child = self.namespace(role).popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        self.children.append(child)
        return child

    def end(self, child, patience_s=3):
        """Ends one program that this lab started: SIGTERM, then SIGKILL."""
        if child.stdin:
            child.stdin.close()
        if child.poll() is None:
            child.terminate()
            try:
                child.wait(patience.seconds(patience_s))
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        if child.stdout:
            child.stdout.close()
        if child in self.children:
            self.children.remove(child)

    def reset_node(self, name):
        """A node as it came: no rules, no connections. Only for namespaces of our own, which this is."""
        self.namespaces[name].run(["nft", "flush", "ruleset"])
        modes.reset(self.namespaces[name])
        self.forget_connections(name)

    def forget_connections(self, name):
        if shutil.which("conntrack"):
            self.namespaces[name].run(["conntrack", "-F"], check=False)

    def down(self):
        """Takes down what this run made, in reverse; goes on past failures, and may be called twice.

        A second Ctrl-C waits until it is done: half a take-down would leave namespaces behind.
        """
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
        try:
            self._take_down()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

    def _take_down(self):
        for child in reversed(list(self.children)):
            with contextlib.suppress(OSError):
                self.end(child)
        for namespace in self.namespaces.values():
            namespace.close()
        self.namespaces.clear()
        if self.directory:
            netns.delete(self.namespace_name(role) for role in self.roles())
            if os.environ.get("LAB_KEEP"):
                print(f"kept: {self.directory}", file=sys.stderr)
            else:
                shutil.rmtree(self.directory, ignore_errors=True)
            self.directory = None


@contextlib.contextmanager
def signals_as_exceptions():
    """SIGTERM and SIGHUP unwind the stack as Ctrl-C does, so that `with Lab()` takes its namespaces down."""
    def interrupt(number, _frame):
        raise KeyboardInterrupt(signal.Signals(number).name)
    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def records():
    """The records of all runs on this host, of living and dead owners."""
    for path in pathlib.Path(tempfile.gettempdir()).glob(f"{RUN_PREFIX}*/lab.json"):
        with contextlib.suppress(OSError, ValueError):
            yield path.parent, json.loads(path.read_text())


def take_down_dead(wanted):
    """Removes runs whose owner is gone: the one named `wanted`, or all of them. Returns how many."""
    count = 0
    for directory, record in records():
        if wanted and record["id"] != wanted:
            continue
        if _start_time(record["pid"]) == record["start"]:
            print(f"run {record['id']} belongs to living process {record['pid']}: left alone")
            continue
        netns.delete(name for name in record["namespaces"] if name.startswith(f"fl{record['id']}-"))
        shutil.rmtree(directory, ignore_errors=True)
        print(f"run {record['id']}: taken down")
        count += 1
    return count


def describe(lab):
    lines = [f"lab {lab.id}: {len(lab.namespaces)} namespaces"]
    for node in lab.topology.nodes.values():
        pods = ", ".join(f"{pod.name} {pod.address(4)}" for pod in lab.topology.pods.values() if pod.node == node)
        lines.append(f"  {lab.namespace_name(node.name)}  {node.address(4)} {node.address(6)} zone {node.zone}: {pods}")
    lines.append(f"  {lab.namespace_name('client')}  outside client, everything beyond the backbone via n1")
    lines.append(f"enter one with: ip netns exec {lab.namespace_name('client')} sh")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(prog="lab.py", description="A Kubernetes network in network namespaces.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="bring a lab up and hold it until Ctrl-C")
    down = commands.add_parser("down", help="take down a run that its owner left behind")
    down.add_argument("run", nargs="?", help="the id that `up` printed")
    down.add_argument("--stale", action="store_true", help="every run whose owner is dead")
    demo = commands.add_parser("demo", help="fairlead on three nodes, nginx in the pods, and who answered")
    demo.add_argument("--examples", default=str(REPOSITORY / "examples"), help="folder with the manifests, and lab/lab.yaml")
    demo.add_argument("--stay", action="store_true", help="leave it up and give a shell on node n1")
    options = parser.parse_args()
    if options.command == "down" and not options.run and not options.stale:
        parser.error("name a run, or say --stale")
    if missing():
        sys.exit(missing())
    with signals_as_exceptions():
        try:
            if options.command == "up":
                with Lab() as lab:
                    print(describe(lab), flush=True)
                    signal.pause()
            elif options.command == "down":
                sys.exit(0 if take_down_dead(options.run) or options.stale else 1)
            else:
                import demo as demonstration
                sys.exit(demonstration.run(pathlib.Path(options.examples), options.stay))
        except KeyboardInterrupt:
            sys.exit(130)


if __name__ == "__main__":
    main()
