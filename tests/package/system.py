# SPDX-License-Identifier: GPL-2.0-or-later
"""Bare Debian systems in folders (tests/bare/tree.sh): made, entered, booted."""
import contextlib
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TREE = ROOT / "tests" / "bare" / "tree.sh"
# What is kept from one run to the next: bare systems, what was compiled.
CACHE = pathlib.Path(os.environ.get("PACKAGE_CACHE") or ROOT / "build-check" / "package")
NAMESPACES = ["unshare", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child"]
BOOTED_S, GONE_S = 60, 10
GROUPS = ["unified", "systemd"] if not os.path.exists("/sys/fs/cgroup/cgroup.procs") else ["."]


def missing():
    """Why there can be no system of its own here, or None."""
    if os.geteuid() != 0:
        return "only root can make a system in a folder"
    for program in ("debootstrap", "unshare", "nsenter"):
        if not shutil.which(program):
            return f"needs {program}"
    if subprocess.run(["unshare", "--mount", "--pid", "--fork", "true"], capture_output=True).returncode:
        return "this machine does not allow new mount and process namespaces (unshare)"
    return None


class Missing(Exception):
    """What a system is made of cannot be had here: no network, as a rule."""


def base(release, *packages):
    """A tar of debootstrap's minbase and `packages`; made once."""
    CACHE.mkdir(parents=True, exist_ok=True)
    tar = CACHE / ("-".join([release, *packages]) + ".tar")
    if not tar.exists():
        done = subprocess.run([TREE, "base", release, tar, *([",".join(packages)] if packages else [])], text=True,
                              capture_output=True)
        if done.returncode:
            raise Missing(f"debootstrap {release}: {done.stderr.strip().splitlines()[-1:]}")
    return tar


class System:
    """One folder with a Debian in it."""

    def __init__(self, tar):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="fairlead-package-"))
        self.refill(tar)
        # What is thrown away need not survive a power cut; Debian's own images say so as well.
        (self.path / "etc/dpkg/dpkg.cfg.d/docker-apt-speedup").write_text("force-unsafe-io\n")
        # It has the machine's network while it is made, and no resolver of its own.
        shutil.copyfile("/etc/resolv.conf", self.path / "etc/resolv.conf")
        (self.path / "etc/hosts").write_text(f"127.0.0.1 localhost {os.uname().nodename}\n")

    def refill(self, tar):
        """Makes it what was stored as `tar`."""
        self.close()
        self.path.mkdir(mode=0o755)
        subprocess.run(["tar", "-C", self.path, "-xf", tar], check=True)

    def store(self, tar):
        subprocess.run(["tar", "-C", self.path, "--one-file-system", "-cf", f"{tar}.{os.getpid()}", "."], check=True)
        os.replace(f"{tar}.{os.getpid()}", tar)

    def close(self):
        # Its mounts were in namespaces that are gone.
        subprocess.run(["rm", "-rf", "--one-file-system", self.path], check=True)

    def run(self, *argv, check=True, own_network=False, folder="/", env=(), timeout=600):
        """Runs argv in it, as process 2 of its own."""
        if env:
            argv = ["env", *env, *argv]
        done = subprocess.run([*NAMESPACES, *(["--net"] if own_network else []), TREE, "enter", self.path, folder, *argv],
                              text=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout)
        assert not check or done.returncode == 0, f"{argv}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done

    def apt(self, *argv, **options):
        return self.run("apt-get", "-y", "-q", "--no-install-recommends", *argv, env=["DEBIAN_FRONTEND=noninteractive"],
                        **options)

    def files(self):
        """All that is in it, as paths, but for what apt and dpkg write of their own work."""
        noise = ("./var/lib/dpkg/", "./var/lib/apt/", "./var/cache/", "./var/log/", "./tmp/", "./run/", "./root/")
        done = subprocess.run(["find", ".", "-xdev", "!", "-path", "./proc/*"], cwd=self.path, text=True,
                              capture_output=True, check=True)
        return {line for line in done.stdout.splitlines() if not line.startswith(noise)}

    @contextlib.contextmanager
    def booted(self):
        """Runs its systemd, in a network of its own. Yields a Booted."""
        group = f"fairlead-package-{os.getpid()}-{time.monotonic_ns()}"
        with open(self.path / "console.log", "wb") as console:
            child = subprocess.Popen([*NAMESPACES, "--net", TREE, "boot", self.path, group],
                                     stdin=subprocess.DEVNULL, stdout=console, stderr=console)
        try:
            machine = Booted(self, child)
            machine.wait_up()
            yield machine
        finally:
            child.kill()
            child.wait()
            (self.path / "console.log").unlink()
            remove_groups(group)


class Booted:
    """A System whose systemd runs."""

    def __init__(self, system, child):
        self.system, self.child, self.init = system, child, None

    def console(self):
        return (self.system.path / "console.log").read_text(errors="replace")

    def wait_up(self):
        end = time.monotonic() + BOOTED_S
        while time.monotonic() < end:
            if self.child.poll() is not None:
                raise Missing(f"no systemd can run here: {self.console()[-500:]}")
            children = pathlib.Path(f"/proc/{self.child.pid}/task/{self.child.pid}/children").read_text().split()
            # Until it has become systemd, process 1 is in half a tree.
            if children and pathlib.Path(f"/proc/{children[0]}/comm").read_text().strip() == "systemd":
                self.init = children[0]
                if self.run("systemctl", "is-system-running", check=False).stdout.strip() in ("running", "degraded"):
                    return
            time.sleep(0.2)
        raise AssertionError(f"systemd is not up within {BOOTED_S} s: {self.console()[-2000:]}")

    def run(self, *argv, check=True, timeout=90, text=None):
        done = subprocess.run(["nsenter", "--target", self.init, "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup",
                               "--root", "--wd", "env", "-i", "HOME=/root",
                               "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", *argv], text=True,
                              stdin=subprocess.DEVNULL if text is None else None, input=text, capture_output=True,
                              timeout=timeout)
        assert not check or done.returncode == 0, f"{argv}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done

    def write(self, path, text):
        """Into a file of the system."""
        self.run("sh", "-c", 'cat >"$1"', "sh", path, text=text)

    def journal(self, unit):
        return self.run("journalctl", "--no-pager", "-o", "cat", "-u", unit).stdout

    def show(self, unit, *properties):
        """{property: value} of a unit."""
        lines = self.run("systemctl", "show", unit, *(f"--property={name}" for name in properties)).stdout.splitlines()
        return dict(line.split("=", 1) for line in lines)

    def status(self, unit):
        """{name: value} of /proc/PID/status of its main process."""
        pid = self.show(unit, "MainPID")["MainPID"]
        return dict(line.split(":\t", 1) for line in self.run("cat", f"/proc/{pid}/status").stdout.splitlines())


def remove_groups(group):
    """Those that a booted system made, once its processes are gone."""
    end = time.monotonic() + GONE_S
    for hierarchy in GROUPS:
        top = f"/sys/fs/cgroup/{hierarchy}/{group}"
        while os.path.isdir(top):
            for path, _, _ in os.walk(top, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(path)
            if time.monotonic() > end:
                raise AssertionError(f"{top} cannot be removed")
            time.sleep(0.05)
