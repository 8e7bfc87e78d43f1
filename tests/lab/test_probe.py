# SPDX-License-Identifier: GPL-2.0-or-later
"""fairlead probe: which modes a node can do, why not the others, and what serves instead. Needs no lab, but a network
namespace of its own for each question."""
import os
import re
import shutil
import subprocess

import lab as labs
import patience
import pytest

NO_PROGRAMS = "iptables is not available: there is no iptables-restore in $PATH"
NO_ADMIN = "that takes root, or CAP_NET_ADMIN in this network namespace"
NO_RAW = "iptables is not available: its legacy backend takes CAP_NET_RAW"
pytestmark = pytest.mark.skipif(bool(labs.missing()), reason=labs.missing() or "-")


def probe(*modes, before=(), path=None):
    """(exit status, {mode: what is said of it})"""
    done = subprocess.run([shutil.which("unshare"), "--net", *before, os.path.abspath(labs.binary()), "probe", *modes], text=True,
                          capture_output=True, timeout=patience.seconds(20), check=False,
                          env={**os.environ, **({"PATH": path} if path else {})})
    assert not done.stderr, done.stderr
    return done.returncode, dict(re.split(" +", line, maxsplit=1) for line in done.stdout.splitlines())


@pytest.fixture(params=["nft", "legacy"])
def backend(request, tmp_path):
    """A folder with the programs of one backend under their usual names."""
    multi = shutil.which(f"xtables-{request.param}-multi", path=f"{os.environ['PATH']}:/usr/sbin")
    if not multi:
        pytest.skip(f"needs xtables-{request.param}-multi (Debian: iptables)")
    for family in ("iptables", "ip6tables"):
        for what in ("save", "restore"):
            (tmp_path / f"{family}-{what}").symlink_to(multi)
    return request.param, f"{tmp_path}:/usr/bin:/bin"


def test_all_of_them(backend):
    status, said = probe(path=backend[1])
    assert status == 0
    assert said["nftables"] == said["iptables"] == said["userspace"] == "yes"
    assert said["auto"] == "nftables: the first of nftables, iptables that can serve here"
    assert said["(none)"] == "iptables: the first of iptables, nftables that can serve here"


def test_without_programs(tmp_path):
    """By $PATH, and because they are hidden: in a mount namespace, as in an image that has none."""
    hide = "mount -t tmpfs none /usr/sbin && exec \"$@\""
    for options in ({"path": f"{tmp_path}:/usr/bin:/bin"}, {"before": ["unshare", "--mount", "sh", "-c", hide, "hide"]}):
        if "path" in options and shutil.which("iptables-restore", path=options["path"]):
            pytest.skip("needs iptables outside of /usr/bin")
        status, said = probe(**options)
        assert status == 0 and said["nftables"] == "yes"
        assert said["iptables"] == said["userspace"] == f"no: {NO_PROGRAMS}; nothing serves instead"
        assert said["auto"].startswith("nftables: ")
        assert said["(none)"] == f"nftables: the first of iptables, nftables that can serve here; {NO_PROGRAMS}"


def test_without_one_program(tmp_path):
    """The one that is missing is named."""
    for name in ("iptables-restore", "ip6tables-restore"):
        (tmp_path / name).symlink_to(shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin"))
    status, said = probe("iptables", path=str(tmp_path))
    assert status == 1
    assert said["iptables"] == f"no: {NO_PROGRAMS.replace('restore', 'save')}; nothing serves instead"


def test_without_rights(backend):
    status, said = probe(before=["setpriv", "--bounding-set=-net_admin"], path=backend[1])
    assert status == 1 and set(said) == {"nftables", "iptables", "ipvs", "userspace", "auto", "(none)"}
    assert all(what.startswith("no: ") and NO_ADMIN in what for what in said.values()), said
    assert all(what.count("iptables is not available") <= 1 for what in said.values()), "no reason is given twice"
    status, said = probe(before=["setpriv", "--bounding-set=-net_raw"], path=backend[1])
    if backend[0] == "nft":
        assert status == 0 and said["iptables"] == said["userspace"] == "yes"
    else:
        assert status == 0 and said["nftables"] == "yes"
        assert said["iptables"] == said["userspace"] == f"no: {NO_RAW}; nothing serves instead"


def test_names(tmp_path):
    assert probe("nftables", "auto", path=f"{tmp_path}:/usr/bin:/bin")[0] == 0
    assert probe("nftables", "iptables", path=f"{tmp_path}:/usr/bin:/bin")[0] == 1
    done = subprocess.run([labs.binary(), "probe", "ebpf"], text=True, capture_output=True, check=False)
    assert done.returncode == 2 and re.match('fairlead probe: "ebpf" is not a mode: nftables, .*auto are$', done.stderr.strip())


def test_auto_says_what_it_takes(tmp_path):
    """A daemon by `auto`, with what the command says beforehand."""
    (tmp_path / "manifests").mkdir()
    child = subprocess.Popen(["unshare", "--net", labs.binary(), "standalone", "--manifests", str(tmp_path / "manifests"),
                              "--proxy-mode", "auto", "--control-socket", str(tmp_path / "control.sock"),
                              "--healthz-bind-address=", "--metrics-bind-address="],
                             stderr=subprocess.PIPE, text=True)
    try:
        said = ""
        while "are programmed" not in said:
            line = child.stderr.readline()
            assert line, said
            said += line
    finally:
        child.terminate()
        child.stderr.close()
        assert child.wait(patience.seconds(10)) == 0
    assert "mode auto: nftables serves, the first choice" in said
