#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""ConfigMaps of clusters, unchanged, as a DaemonSet mounts them; what becomes of them compared with files. Prints TAP.

    config.py FAIRLEAD [CASE...]      BLESS=1 rewrites the expected files; read the diff, each change is a claim.

A case is a folder beside this file:
    WHY             where such a ConfigMap comes from, and what it pins
    configmap.yaml  the ConfigMap: config.conf and kubeconfig.conf
    written.yaml    the configuration in force: --write-config-to
    said.txt        what the log has about it
tests/proxy/test_kubeadm.py runs the same ConfigMaps with a cluster.
"""
import difflib
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import textwrap

HERE = pathlib.Path(__file__).resolve().parent


BLOCK = re.compile(r"^  (\S+): \|\n((?:    .*\n)+)", re.MULTILINE)  # of data: the keys and their texts


class Failure(Exception):
    pass


def compare(path, got):
    if os.environ.get("BLESS"):
        path.write_text(got)
        return
    expected = path.read_text() if path.exists() else ""
    if got != expected:
        raise Failure("".join(difflib.unified_diff(expected.splitlines(True), got.splitlines(True),
                                                   f"{path.name} expected", f"{path.name} got")))


def check(program, case):
    if not (case / "WHY").exists() or not (case / "WHY").read_text().strip():
        raise Failure("WHY is missing: where does this come from?")
    data = BLOCK.findall((case / "configmap.yaml").read_text())
    with tempfile.TemporaryDirectory() as folder:
        for key, text in data:
            pathlib.Path(folder, key).write_text(textwrap.dedent(text))
        done = subprocess.run([program, "proxy", f"--config={folder}/config.conf", "--hostname-override=Node-1",
                               "--write-config-to", f"{folder}/written"], capture_output=True, text=True, timeout=60, check=False)
        if done.returncode or re.search(r"Sanitizer|runtime error", done.stderr):
            raise Failure(f"exit status {done.returncode}\n{done.stderr}")
        written = pathlib.Path(folder, "written").read_text()
    compare(case / "written.yaml", written)
    compare(case / "said.txt", re.sub(r"(?m)^(\w) \S+Z ", r"\1 ", done.stderr))


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    chosen = sys.argv[2:] or sorted(path.parent.name for path in HERE.glob("*/configmap.yaml"))
    failures = 0
    print(f"1..{len(chosen)}")
    for number, name in enumerate(chosen, 1):
        try:
            check(sys.argv[1], HERE / name)
            print(f"ok {number} - {name}")
        except (Failure, OSError, subprocess.TimeoutExpired) as failure:
            failures += 1
            print(f"not ok {number} - {name}")
            print("".join(f"# {line}\n" for line in str(failure).splitlines()), end="")
    return failures > 0


if __name__ == "__main__":
    sys.exit(main())
