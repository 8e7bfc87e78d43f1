# SPDX-License-Identifier: GPL-2.0-or-later
"""The Debian package: what is in it; its life on a bare system whose own systemd runs the services; nothing stays."""
import re
import shutil
import subprocess
import time

import conftest
import pytest
import system

WAIT_S = 20
CONFFILES = ["/etc/default/fairlead", "/etc/fairlead/proxy.yaml"]
UNITS = ["fairlead.service", "fairlead-proxy.service"]
CAP_NET_ADMIN, CAP_NET_RAW = 1 << 12, 1 << 13
API, NODE = "192.0.2.1", "192.0.2.2"

WEB = """
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.10, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-a, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{port: 8080}]
endpoints: [{addresses: [10.244.1.5]}]
"""


def dpkg_deb(*argv):
    return subprocess.run(["dpkg-deb", *argv], text=True, capture_output=True, check=True).stdout


def wait_until(condition, what):
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end, f"not within {WAIT_S} s: {what()}"
        time.sleep(0.1)


def test_contents(deb):
    version = re.search(r"version: '(.*)'", (system.ROOT / "meson.build").read_text())[1]
    assert dpkg_deb("--field", deb, "Version").strip() == version
    depends = dpkg_deb("--field", deb, "Depends")
    for library in ("libc6", "libuv1", "libnftnl11", "libmnl0", "libcurl3", "libgnutls30"):
        assert re.search(rf"\b{library}", depends), f"{library} is not in {depends}"
    paths = [line.split()[5].removeprefix(".") for line in dpkg_deb("--contents", deb).splitlines()]
    files = {re.sub("^/usr/lib/systemd", "/lib/systemd", path) for path in paths if not path.endswith("/")}
    # The README.Debian is what proxy.yaml points to.
    assert files >= {"/usr/bin/fairlead", "/usr/share/man/man8/fairlead.8.gz", *CONFFILES,
                     "/usr/share/doc/fairlead/README.Debian.gz",
                     *(f"/lib/systemd/system/{unit}" for unit in UNITS)}
    # kube-proxy's name is another package's here; images have a link of that name.
    assert not [path for path in files if "kube-proxy" in path and "/doc/" not in path]
    assert dpkg_deb("--info", deb, "conffiles").split() == CONFFILES


def test_lintian_finds_no_error(deb):
    if not shutil.which("lintian"):
        pytest.skip("needs lintian")
    done = subprocess.run(["lintian", "--allow-root", "--fail-on", "error", deb], text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def host(deb, new_system):
    """(a bare system with the package, what was in it before)"""
    made = new_system(conftest.release(), "systemd", "nftables", "iproute2")
    done = made.apt("update", check=False)
    if done.returncode or "Failed to fetch" in done.stderr:
        pytest.skip(f"needs a Debian mirror: {done.stderr.strip().splitlines()[-1:]}")
    before = made.files()
    shutil.copy(deb, made.path / "root/fairlead.deb")
    made.apt("install", "./fairlead.deb", folder="/root")
    return made, before


@pytest.fixture(scope="module")
def machine(host):
    try:
        with host[0].booted() as booted:
            yield booted
    except system.Missing as reason:
        pytest.skip(str(reason))


def test_installed_program_runs(host):
    installed = host[0]
    version = re.search(r"version: '(.*)'", (system.ROOT / "meson.build").read_text())[1]
    assert installed.run("fairlead", "version").stdout == f"fairlead {version}\n"
    good = "/usr/share/doc/fairlead/examples/my-service.yaml"
    assert installed.run("fairlead", "check", good).returncode == 0
    # Its own configuration is complete but for who it is in which cluster.
    done = installed.run("fairlead", "proxy", "--config=/etc/fairlead/proxy.yaml", own_network=True, check=False)
    assert done.returncode == 1 and "/etc/fairlead/kubeconfig" in done.stderr, done


def test_nothing_starts_by_itself(machine):
    for unit in UNITS:
        shown = machine.show(unit, "LoadState", "ActiveState", "UnitFileState")
        assert shown == {"LoadState": "loaded", "ActiveState": "inactive", "UnitFileState": "disabled"}, unit
    done = machine.run("systemd-analyze", "verify", "--man=no", *UNITS, check=False)
    assert done.returncode == 0 and not [line for line in done.stderr.splitlines() if "fairlead" in line], done.stderr


def rules(machine):
    """Numeric, because a minimal system has no names of protocols and ports."""
    return machine.run("nft", "-n", "list", "table", "ip", "fairlead", check=False).stdout


def confined(machine, unit, capabilities):
    """What the kernel says of the main process."""
    status = machine.status(unit)
    assert int(status["CapBnd"], 16) == capabilities and not int(status["CapEff"], 16) & ~capabilities, status
    assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2", status


def in_sync(machine):
    return machine.run("fairlead", "status", check=False).returncode == 0


def test_standalone_serves(machine):
    machine.write("/etc/fairlead/manifests/web.yaml", WEB)
    machine.run("systemctl", "start", "fairlead")
    wait_until(lambda: in_sync(machine), lambda: machine.journal("fairlead"))
    assert "10.96.0.10 . 6 . 80" in rules(machine)
    confined(machine, "fairlead", CAP_NET_ADMIN | CAP_NET_RAW)
    # A crash is mended; neither a crash nor a restart takes the rules away.
    first = machine.show("fairlead", "MainPID")["MainPID"]
    machine.run("systemctl", "kill", "--signal=KILL", "fairlead")
    assert "10.96.0.10 . 6 . 80" in rules(machine)
    wait_until(lambda: machine.show("fairlead", "MainPID")["MainPID"] not in ("0", first),
               lambda: machine.journal("fairlead"))
    wait_until(lambda: in_sync(machine), lambda: machine.journal("fairlead"))
    machine.run("systemctl", "stop", "fairlead")
    assert "10.96.0.10 . 6 . 80" in rules(machine)
    assert machine.show("fairlead", "Result")["Result"] == "success"


def test_standalone_keeps_what_its_api_was_told(machine):
    """The state folder is writable, and the only one that is."""
    machine.write("/etc/default/fairlead", 'FAIRLEAD_FLAGS="--api=6443 --hostname-override=n1"\n')
    machine.run("systemctl", "restart", "fairlead")
    wait_until(lambda: in_sync(machine), lambda: machine.journal("fairlead"))
    names = machine.run("ls", "/var/lib/fairlead").stdout.split()
    assert "admin.kubeconfig" in names
    assert machine.run("stat", "-c", "%a", "/var/lib/fairlead/admin.kubeconfig").stdout.strip() == "600"
    machine.run("systemctl", "stop", "fairlead")


@pytest.fixture(scope="module")
def cluster(machine):
    """An API server beyond a cable, and the kubeconfig of a node's proxy."""
    for command in ("netns add api", "link add uplink type veth peer name uplink netns api",
                    f"addr add {NODE}/24 dev uplink", "link set uplink up",
                    f"-n api addr add {API}/24 dev uplink", "-n api link set uplink up", "-n api link set lo up"):
        machine.run("ip", *command.split())
    machine.run("systemd-run", "--unit=api", "ip", "netns", "exec", "api", "fairlead", "standalone",
                f"--api={API}:6443", "--data-dir=/root/api", "--control-socket=/root/api.sock", "--hostname-override=api")
    wait_until(lambda: machine.run("fairlead", "status", "--control-socket=/root/api.sock", check=False).returncode == 0,
               lambda: machine.journal("api"))
    return machine.run("fairlead", "kubeconfig", "--node=n1", f"--server=https://{API}:6443",
                       "--data-dir=/root/api").stdout


def test_proxy_serves(machine, cluster):
    # Of its flags some are given and the others are what they were.
    machine.write("/etc/default/fairlead", 'FAIRLEAD_PROXY_FLAGS="--hostname-override=n1"\n')
    machine.write("/etc/fairlead/kubeconfig", cluster)
    # The one setting that only the machine's own network has. The others are of this network, and for --init-only to make.
    shipped = machine.run("cat", "/etc/fairlead/proxy.yaml").stdout
    machine.write("/etc/fairlead/proxy.yaml", shipped + "conntrack: {maxPerCore: 0}\n")
    machine.run("systemctl", "start", "fairlead-proxy")
    wait_until(lambda: in_sync(machine), lambda: machine.journal("fairlead-proxy"))
    assert "10.96.0.1 . 6 . 443" in rules(machine)
    confined(machine, "fairlead-proxy", CAP_NET_ADMIN | CAP_NET_RAW)
    close_wait = machine.run("cat", "/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_close_wait").stdout.strip()
    assert close_wait == "3600", machine.journal("fairlead-proxy")
    # Nothing that the sandbox forbids is missed. That systemd itself may not set the score is a machine's own affair, and
    # this cluster describes no Node.
    pid = machine.show("fairlead-proxy", "MainPID")["MainPID"]
    has_score = machine.run("cat", f"/proc/{pid}/oom_score_adj").stdout.strip() == "-999"
    complaints = [line for line in machine.journal("fairlead-proxy").splitlines() if re.match("(<[0-4]>)?[WE] ", line) and
                  (has_score or "oomScoreAdj" not in line) and "has no Node" not in line]
    assert not complaints, complaints


def test_proxy_reloads(machine, cluster):
    before = machine.show("fairlead-proxy", "MainPID")
    config = machine.run("cat", "/etc/fairlead/proxy.yaml").stdout
    machine.write("/etc/fairlead/proxy.yaml", config.replace("#clusterCIDR", "clusterCIDR"))
    machine.run("systemctl", "reload", "fairlead-proxy")
    wait_until(lambda: "10.244.0.0" in rules(machine), lambda: machine.journal("fairlead-proxy"))
    assert machine.show("fairlead-proxy", "MainPID") == before


def complaints(machine, unit, since):
    """Warnings and errors of a unit's, behind a point of its journal."""
    return [line for line in machine.journal(unit)[since:].splitlines() if re.match("(<[0-4]>)?[WE] ", line) and
            "oomScoreAdj" not in line and "has no Node" not in line]


@pytest.fixture
def iptables(host):
    """Only now: until here it is a node without. Its own network reaches no mirror, so it is done from outside."""
    host[0].apt("install", "iptables")
    yield
    host[0].apt("purge", "iptables", "libip6tc2", "netbase")


@pytest.mark.usefixtures("iptables")
def test_proxy_changes_its_mode(machine, cluster):
    """A mode that takes rights which were given up: the unit starts another process, in no way failed, which in its sandbox
    finds iptables' legacy backend and its lock. Back to nftables it is the same process."""
    for family in ("iptables", "ip6tables"):
        machine.run("update-alternatives", "--set", family, f"/usr/sbin/{family}-legacy")
    assert machine.run("stat", "-c", "%a %U", "/run/xtables.lock").stdout.strip() == "600 root"
    config = machine.run("cat", "/etc/fairlead/proxy.yaml").stdout
    assert "mode: nftables" in config

    def serves_by(mode):
        return machine.run("fairlead", "status", check=False).stdout.find(f"mode: {mode}\n") >= 0 and in_sync(machine)
    before, since = machine.show("fairlead-proxy", "MainPID", "NRestarts"), len(machine.journal("fairlead-proxy"))
    machine.write("/etc/fairlead/proxy.yaml", config.replace("mode: nftables", "mode: iptables\nnodePortAddresses: [primary]"))
    wait_until(lambda: serves_by("iptables"), lambda: machine.journal("fairlead-proxy")[since:])
    after = machine.show("fairlead-proxy", "MainPID", "NRestarts", "Result")
    assert after["MainPID"] != before["MainPID"] and int(after["NRestarts"]) == int(before["NRestarts"]) + 1
    assert after["Result"] == "success" and "Failed with result" not in machine.journal("fairlead-proxy")[since:]
    saved = machine.run("iptables-legacy-save").stdout
    assert "KUBE-SVC-" in saved and "10.96.0.1/32" in saved
    wait_until(lambda: not rules(machine), lambda: "nftables' table goes")
    assert not complaints(machine, "fairlead-proxy", since)
    machine.write("/etc/fairlead/proxy.yaml", config)
    wait_until(lambda: serves_by("nftables") and "KUBE-SVC-" not in machine.run("iptables-legacy-save").stdout,
               lambda: machine.journal("fairlead-proxy")[since:])
    assert machine.show("fairlead-proxy", "MainPID")["MainPID"] == after["MainPID"]
    assert "10.96.0.1 . 6 . 443" in rules(machine) and not complaints(machine, "fairlead-proxy", since)


def test_one_of_the_two_runs(machine, cluster):
    machine.run("systemctl", "start", "fairlead")
    wait_until(lambda: machine.show("fairlead-proxy", "ActiveState")["ActiveState"] == "inactive",
               lambda: machine.journal("fairlead-proxy"))


def test_upgrade_restarts_the_one_that_runs(machine):
    before = machine.show("fairlead", "MainPID")["MainPID"]
    assert before != "0"
    machine.run("dpkg", "--force-confold", "-i", "/root/fairlead.deb")
    after = machine.show("fairlead", "MainPID")["MainPID"]
    assert after not in ("0", before)
    assert machine.show("fairlead-proxy", "MainPID")["MainPID"] == "0"


def test_remove_and_purge_leave_nothing(host, machine):
    installed, before = host
    wait_until(lambda: in_sync(machine), lambda: machine.journal("fairlead"))
    assert rules(machine)
    machine.run("systemctl", "enable", "fairlead")
    machine.run("dpkg", "-r", "fairlead")
    assert not rules(machine)
    assert machine.show("fairlead", "ActiveState")["ActiveState"] == "inactive"
    # What the administrator wrote is kept until the purge.
    left = [path for path in installed.files() - before if "fairlead" in path]
    assert {"./etc/default/fairlead", "./etc/fairlead/manifests/web.yaml", "./var/lib/fairlead/admin.kubeconfig"} <= set(left)
    assert not [path for path in left if path.startswith("./usr")]
    machine.run("dpkg", "-P", "fairlead")
    machine.run("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-y", "autoremove", "--purge")
    stays = {path for path in installed.files() - before if not path.startswith(("./console.log", "./var/lib/systemd"))}
    assert not stays, sorted(stays)
    assert not before - installed.files()
