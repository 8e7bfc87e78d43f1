#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The lab under Debian's own cloud kernel, in a virtual machine of qemu's software emulation.

    vm.py                           the usual runs
    vm.py --cache DIR --reports DIR [RUN...]
    vm.py iptables -- -k ranges     one run of the plan, with words of pytest's

A machine's own kernel need not have IPVS, ipsets and dummy devices, and it is one release; this one has them, and is the
same everywhere. Nothing is installed for it: kernel and ipvsadm are unpacked into the cache folder, and the rest of the
guest consists of files of this machine's packages. They become one initramfs, so that there is no disk to make or to boot
from. A report of each run comes out through a virtio port: RUN.xml (JUnit) and RUN.status in the reports folder.

Needs no root: the guest's is the guest's own. Exit status: 0 when every run ended with 0; 77 when this machine cannot do
it, with the reason as the last line and as the report `why`; else 1.
"""
import argparse
import os
import pathlib
import platform
import shlex
import shutil
import subprocess
import sys
import tarfile
import time

from initramfs import Initramfs
from packages import Unavailable, closure, files_of, unpack

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
# What the guest's files come from, with all that these depend on.
GUEST_PACKAGES = ("coreutils dash mount util-linux tar kmod iproute2 nftables conntrack curl procps iptables ipset "
                  "python3-pytest python3-yaml").split()
UNPACKED = ("ipvsadm", "libnl-3-200", "libnl-genl-3-200", "libpopt0")
KERNEL = "linux-image-cloud-amd64"
# The folders of modules that a network needs; whole ones, because the guest loads what its kernel asks for.
MODULES = ("net", "lib", "crypto", "arch/x86/crypto", "drivers/virtio", "drivers/char", "drivers/net/dummy",
           "drivers/net/veth")
# The lab's LAB_PATIENCE in the guest: about half of what emulation costs, because the limits have slack of their own.
SLOWNESS = 12
# When something hangs: for one run inside the guest, and for the whole machine.
RUN_SECONDS = 1500
LIMIT_SECONDS = 3600
LAB = "tests/lab/test_matrix.py"
# Programs of the build folder that test_kernel.py runs.
CASES = [f"tests/property/ipvs_{side}_cases" for side in ("bound", "ipset", "servers")]
# What the matrix does not ask of the mode ipvs, in one go: they share a daemon.
IPVS = " ".join(f"tests/lab/test_ipvs{part}.py" for part in ("_sets", "", "_leaving", "_faults"))
# The legacy backend loads its modules itself, which what the lab starts may not.
LEGACY = " ".join(f"{family}table_{table}" for family in ("ip", "ip6") for table in ("filter", "nat", "mangle"))
LOAD_LEGACY = ["sh", "-c", f"modprobe -a {LEGACY} && exec \"$@\"", "sh"]
# What each run is: its LAB_MODE, with the LAB_IPTABLES behind it where that is not the machine's choice, and its tests.
PLAN = {
    "kernel": ("nftables", "tests/vm/test_kernel.py"),
    "nftables": ("nftables", LAB),
    "iptables": ("iptables", LAB),
    "ipvs": ("ipvs", LAB),
    "turns": ("nftables", "tests/lab/test_handover.py"),
    "turns-legacy": ("iptables/legacy", "tests/lab/test_handover.py"),
    "ipvs-mode": ("ipvs", IPVS),
    "ipvs-adoption": ("ipvs", "tests/lab/test_ipvs_adoption.py"),
    "bench": ("ipvs", "tests/vm/bench.py::test_modes"),
    "bench-large": ("ipvs", "tests/vm/bench.py::test_large"),
    "bench-proxy": ("ipvs", "tests/vm/bench.py::test_proxies"),
}
# The runs with a real kube-proxy, out of $KUBE_PROXY_BIN; without it they skip.
PEERED = {"ipvs-adoption", "bench-proxy"}
PEER = "/root/fairlead/build/kube-proxy"
# What ./check runs. A matrix takes some minutes of a CPU, and a machine's own kernel carries the modes nftables and iptables
# as well: those two by name.
USUAL = ["kernel", "ipvs", "ipvs-mode"]


def fairlead():
    return pathlib.Path(os.environ.get("FAIRLEAD") or REPOSITORY / "build" / "fairlead")


def case_program(name):
    """Of the build that fairlead is of; a fairlead that was copied away has none beside it."""
    beside = fairlead().parent / name
    return beside if beside.exists() else REPOSITORY / "build" / name


def check_machine():
    """Raises Unavailable, with the reason, where no such machine can be had."""
    if platform.machine() != "x86_64":
        raise Unavailable(f"the virtual machine runs this machine's programs under {KERNEL}: not on {platform.machine()}")
    for program, package in (("qemu-system-x86_64", "qemu-system-x86"), ("depmod", "kmod"), ("setpriv", "util-linux")):
        if not shutil.which(program):
            raise Unavailable(f"the virtual machine needs {program} (Debian: {package})")


def kernel(cache):
    """(kernel image, folder with its modules) in the cache."""
    tree = unpack(KERNEL, cache, dependency="linux-image-")
    image = next(tree.glob("boot/vmlinuz-*"))
    version = image.name.removeprefix("vmlinuz-")
    modules = next(path for path in (tree / "lib/modules" / version, tree / "usr/lib/modules" / version) if path.is_dir())
    if not (tree / "lib").exists():
        (tree / "lib").symlink_to("usr/lib")  # where depmod looks, on any release
    if not (modules / "modules.dep.bin").exists():
        subprocess.run(["depmod", "-b", tree, version], check=True)
    return image, modules


def shared_libraries(program):
    """The files that a program of this machine is linked with."""
    words = subprocess.run(["ldd", program], text=True, capture_output=True, check=True).stdout.split()
    return [word for word in words if word.startswith("/")]


def is_bench(runs):
    return any(PLAN[run][1].startswith("tests/vm/bench.py") for run in runs)


def kube_proxy(runs):
    """Of this machine, where one of the runs is with it; else None."""
    named = os.environ.get("KUBE_PROXY_BIN")
    return pathlib.Path(named) if named and PEERED & set(runs) else None


def add_bench(made, home):
    """What bench/ needs beside."""
    made.add_tree(REPOSITORY / "bench", f"{home}/bench", lambda file: file.suffix == ".py")
    for program in sorted((REPOSITORY / "build" / "bench").glob("bench-*")):
        if program.is_file():
            made.add_file(f"{home}/build/bench/{program.name}", program, 0o755)
            for library in shared_libraries(program):
                made.add_own(library)


def make_initramfs(path, cache, modules, runs, plan):
    made = Initramfs()
    for package in sorted(closure(GUEST_PACKAGES)):
        for file in files_of(package):
            made.add_own(file)
    made.add_alternatives()
    for package in UNPACKED:
        tree = unpack(package, cache)
        made.add_tree(tree, "/", lambda file: not file.is_relative_to("usr/share"))
    target = f"/usr/lib/modules/{modules.name}"
    for file in modules.glob("modules.*"):
        made.add_file(f"{target}/{file.name}", file)
    for folder in MODULES:
        for file in modules.glob(f"kernel/{folder}.ko*" if "net/" in folder else f"kernel/{folder}/**/*.ko*"):
            made.add_file(f"{target}/{file.relative_to(modules)}", file)
    home = "/root/fairlead"
    for name, program in [("fairlead", fairlead()), *((name, case_program(name)) for name in CASES)]:
        for library in shared_libraries(program):
            made.add_own(library)
        made.add_file(f"{home}/build/{name}", program, 0o755)
    for folder in ("tests/lab", "tests/vm"):
        made.add_tree(REPOSITORY / folder, f"{home}/{folder}", lambda file: file.suffix != ".pyc")
    if is_bench(runs):
        add_bench(made, home)
    if kube_proxy(runs):
        made.add_file(PEER, kube_proxy(runs), 0o755)
    made.add_file("/init", HERE / "init", 0o755)
    made.add_text("/plan", plan)
    made.add_text("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/nonexistent:/bin/false\n")
    made.add_text("/etc/group", "root:x:0:\nnogroup:x:65534:\n")
    made.add_text("/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n")
    for folder in ("dev", "proc", "sys", "run", "tmp"):
        made.add_folder(f"/{folder}")
    made.write(path)


def plan_of(runs, words):
    """The text of /plan (see init)."""
    lines = []
    for run in runs:
        mode, path = PLAN[run]
        mode, _, backend = mode.partition("/")
        argv = [f"LAB_MODE={mode}", f"LAB_IPTABLES={backend}", f"LAB_PATIENCE={SLOWNESS}",
                "FAIRLEAD=/root/fairlead/build/fairlead", *[f"KUBE_PROXY_BIN={PEER}"] * bool(kube_proxy([run])),
                *LOAD_LEGACY * (backend == "legacy"),
                "/usr/bin/python3", "-B", "-m", "pytest", "-p", "no:cacheprovider", "-q", "-rs", "--color=no",
                *path.split(), *words]
        lines.append(f"{run}\t{RUN_SECONDS}\t{shlex.join(argv)}\n")
    return "".join(lines)


def boot(image, initramfs, port, runs, limit_s):
    """Runs the guest to its end, its console on our output, what it writes to its port in the file `port`.

    Returns whether it ended by itself within the limit.
    """
    argv = ["setpriv", "--pdeathsig", "KILL", "--", "qemu-system-x86_64", "-accel", "tcg,thread=multi", "-smp", "2",
            "-m", "3072" if is_bench(runs) or kube_proxy(runs) else "1024", "-nodefaults", "-no-user-config", "-no-reboot",
            "-display", "none", "-serial", "stdio",
            "-kernel", image, "-initrd", initramfs,
            "-append", "console=ttyS0 quiet panic=-1 mitigations=off tsc=reliable",
            "-device", "virtio-serial-pci", "-chardev", f"file,id=reports,path={port}",
            "-device", "virtserialport,chardev=reports"]
    guest = subprocess.Popen(argv, stdin=subprocess.DEVNULL)
    try:
        return guest.wait(limit_s) == 0
    except subprocess.TimeoutExpired:
        print(f"vm.py: time is up after {limit_s} s", flush=True)
        return False
    finally:
        if guest.poll() is None:
            guest.kill()
            guest.wait()


def collect(port, reports):
    """Unpacks what came out of the guest, whole archives only."""
    try:
        with tarfile.open(port, ignore_zeros=True) as archive:
            for member in archive:
                if member.isfile() and member.name == os.path.basename(member.name):
                    (reports / member.name).write_bytes(archive.extractfile(member).read())
    except (tarfile.TarError, EOFError, OSError) as error:
        print(f"vm.py: what the guest reported ends early: {error}", flush=True)


def run(options, runs, words):
    cache, reports = options.cache.absolute(), options.reports.absolute()
    cache.mkdir(parents=True, exist_ok=True)
    reports.mkdir(parents=True, exist_ok=True)
    for name in ("why", *(f"{run}.{kind}" for run in PLAN for kind in ("xml", "status", "json"))):
        (reports / name).unlink(missing_ok=True)  # of an earlier call: nothing of it may count as this one's
    check_machine()
    if not os.access(fairlead(), os.X_OK):
        sys.exit(f"no fairlead at {fairlead()}: build it first, or name one in $FAIRLEAD")
    if missing := [name for name in CASES if not case_program(name).exists()]:
        sys.exit(f"no {case_program(missing[0])}: build it first")
    image, modules = kernel(cache)
    initramfs, port = cache / f"initramfs.{os.getpid()}", cache / f"port.{os.getpid()}"
    try:
        make_initramfs(initramfs, cache, modules, runs, plan_of(runs, words))
        start = time.monotonic()
        ended = boot(image, initramfs, port, runs, LIMIT_SECONDS)
        print(f"== vm: {modules.name}, {time.monotonic() - start:.0f} s", flush=True)
        collect(port, reports)
    finally:
        initramfs.unlink(missing_ok=True)
        port.unlink(missing_ok=True)
    statuses = [reports / f"{name}.status" for name in runs]
    return 0 if ended and all(path.exists() and path.read_text() == "0\n" for path in statuses) else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", metavar="RUN", help=f"of {', '.join(PLAN)}; {' '.join(USUAL)} where none is named")
    parser.add_argument("--cache", type=pathlib.Path, default=REPOSITORY / "build" / "vm")
    parser.add_argument("--reports", type=pathlib.Path, default=REPOSITORY / "build" / "vm" / "reports")
    parser.add_argument("--list", action="store_true", help="print the names of the usual runs")
    ours, words = sys.argv[1:], []
    if "--" in ours:
        at = ours.index("--")
        ours, words = ours[:at], ours[at + 1:]
    options = parser.parse_args(ours)
    if options.list:
        print(*USUAL)
        return 0
    if unknown := [name for name in options.runs if name not in PLAN]:
        parser.error(f"no run {unknown[0]}: there are {', '.join(PLAN)}")
    try:
        return run(options, options.runs or USUAL, words)
    except Unavailable as error:
        why = " ".join(str(error).split())  # one line: it becomes a record of ./check
        (options.reports / "why").write_text(f"{why}\n")
        print(why, flush=True)
        return 77


if __name__ == "__main__":
    sys.exit(main())
