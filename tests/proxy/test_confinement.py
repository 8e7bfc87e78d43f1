# SPDX-License-Identifier: GPL-2.0-or-later
"""What a running daemon can still do, what it cannot, and that it serves where it can write nothing."""
import contextlib
import json
import re
import subprocess

import fed
import inject
import lab as labs
import patience
import pytest
import yaml
from proxy import wait_until
from walk import ask

NODE = "n2"
KEPT = 1 << 12 | 1 << 10 | 1 << 2  # CAP_NET_ADMIN, CAP_NET_BIND_SERVICE, CAP_DAC_READ_SEARCH: linux/capability.h
NET_RAW = 1 << 13  # until kube-proxy's leftovers are removed
# Pointers that lead nowhere: were a call allowed, it would say EFAULT, EINVAL, EPERM or ENOEXEC.
FORBIDDEN = {"mount": (1, 1, 1, 0, 0), "ptrace": (0, 0, 0, 0), "init_module": (1, 1, 1), "kexec_load": (0, 0, 1, 0),
             "unshare": (0,), "setns": (0, 0), "bpf": (0, 1, 1)}


def process_status(pid):
    with open(f"/proc/{pid}/status") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


@contextlib.contextmanager
def other_proxy(lab, fleet, api, **options):
    """A proxy of other making on NODE; afterwards the usual one is back."""
    usual = fleet.proxies[NODE]
    usual.stop()
    made = options.pop("kind", fed.FedProxy)(lab, NODE, api.node_kubeconfig(NODE), **options)
    made.log_name = f"{NODE}.confinement.log"
    (lab.directory / made.log_name).unlink(missing_ok=True)
    try:
        yield made
    finally:
        made.stop()
        usual.start()
        usual.wait_ready()


def assert_confined(pid, log):
    wait_until(lambda: not int(process_status(pid)["CapEff"], 16) & NET_RAW, 10, "the start is over")
    status = process_status(pid)
    assert status["Seccomp"] == "2" and status["NoNewPrivs"] == "1"
    assert int(status["CapEff"], 16) & ~KEPT == 0 and int(status["CapPrm"], 16) & ~KEPT == 0
    assert "not confined as it should be" not in log


def test_confined(fleet, api):
    """The proxies that all other tests are about, and the API server that feeds them."""
    for proxy in fleet.proxies.values():
        assert_confined(proxy.child.pid, proxy.log())
    assert_confined(api.child.pid, api.log())


def test_forbidden_calls_are_refused(fleet, api):
    for child in (fleet.proxies[NODE].child, api.child):
        assert_confined(child.pid, "")
        assert inject.call(child.pid, "getpid") == child.pid
        assert {name: inject.call(child.pid, name, *arguments) for name, arguments in FORBIDDEN.items()} == {
            name: "ENOSYS" for name in FORBIDDEN}
        assert inject.call(child.pid, "execve", 1, 0, 0) == "EPERM"
        assert child.poll() is None
    fleet.proxies[NODE].wait_ready()  # changes of a test before may be on their way


def test_switched_off(lab, fleet, api, rest):
    with other_proxy(lab, fleet, api, flags={"confine": "false"}) as proxy:
        proxy.start()
        proxy.wait_ready()
        status = process_status(proxy.child.pid)
        assert status["Seccomp"] == process_status("self")["Seccomp"]
        assert status["CapEff"] == process_status("self")["CapEff"]


def test_credential_program(lab, fleet, api, rest):
    """It runs and is asked, but under the filter too, and the rest is refused as well."""
    config = yaml.safe_load(api.node_kubeconfig(NODE))
    user = config["users"][0]["user"]
    seen = lab.directory / "credential-program.seen"
    answer = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
              "status": {"token": user["token"]}}
    program = lab.directory / "credential-program"
    program.write_text(f"#!/bin/sh\ngrep -E 'Seccomp:|CapEff:' /proc/self/status >{seen}\n"
                       f"unshare --net true 2>>{seen}\necho '{json.dumps(answer)}'\n")
    program.chmod(0o755)
    config["users"][0]["user"] = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(program),
                                           "interactiveMode": "Never"}}
    with other_proxy(lab, fleet, api) as proxy:
        proxy.use(yaml.safe_dump(config))
        proxy.start()
        fed.wait_equal([proxy], rest)
        assert_confined(proxy.child.pid, proxy.log())
        told = seen.read_text()
        assert re.search(r"Seccomp:\s+2", told) and "unshare: unshare failed: Operation not permitted" in told
        assert int(re.search(r"CapEff:\s+(\w+)", told)[1], 16) & ~(KEPT | NET_RAW) == 0
        assert inject.call(proxy.child.pid, "mount", 1, 1, 1, 0, 0) == "EPERM"
        assert inject.call(proxy.child.pid, "getpid") == proxy.child.pid


class ReadOnlyProxy(fed.FedProxy):
    """Every file system that there is, is read-only for it; what it logs goes to a file that is open already."""

    def argv(self):
        script = ('cut -d " " -f 5 /proc/self/mountinfo | while read -r mounted; do '
                  'mount -o remount,bind,ro "$mounted" 2>/dev/null; done; '
                  'touch "$0" 2>/dev/null && echo "not read-only" && exit 1; exec "$@"')
        return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script,
                str(self.lab.directory / "probe"), *super().argv()]

    def is_programmed(self):
        assert self.child.poll() is None, self.log()[-2000:]
        return "services are programmed" in self.log()


def test_read_only_file_system(lab, prober, fleet, api):
    with other_proxy(lab, fleet, api, kind=ReadOnlyProxy) as proxy:
        proxy.start()
        wait_until(proxy.is_programmed, fed.CAUGHT_UP_S, lambda: f"programmed; its log:\n{proxy.log()[-2000:]}")
        log = proxy.log()
        assert re.search(r"W \S+ .*control.sock.*: Read-only file system; the tools cannot reach this daemon", log)
        assert not re.search(r"^E ", log, re.MULTILINE), log
        assert ask(prober, NODE, "10.96.3.1", 80).pod
        proxy.child.terminate()
        assert proxy.child.wait(patience.seconds(10)) == 0, proxy.log()[-2000:]


def test_another_daemon_at_the_socket_is_a_failure(lab, fleet, api, namespaces):
    """It serves another network namespace: one of the two would be out of the tools' reach."""
    proxy = fleet.proxies[NODE]
    done = namespaces.new().run(proxy.argv(), check=False)
    assert done.returncode == 1 and "E " in done.stderr and str(proxy.socket) in done.stderr
    proxy.wait_ready()


@pytest.mark.parametrize("wrong", ["", "no", "0"])
def test_flag(wrong):
    done = subprocess.run([labs.binary(), "proxy", f"--confine={wrong}"], capture_output=True, text=True,
                          timeout=patience.seconds(10))
    assert (done.returncode, done.stderr) == (
        2, f'fairlead proxy: --confine: "{wrong}" is neither true nor false\n')
