#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Golden cases: objects in; forwarding entries, the nftables table's text, iptables rules and portals out, compared with
files. Prints TAP.

    golden.py FAIRLEAD [CASE...]      BLESS=1 rewrites the expected files; read the diff, each change is a claim.

A case is a folder beside this file:
    WHY             the upstream behaviour that it pins, and where that is written down; A1 to E5 are sections of the
                    project's catalogue of kube-proxy's behaviour (1.36)
    objects.yaml    what the daemon is given, for the node "here" with the address 192.0.2.1
    flags           more flags, one line (optional)
    forwarding.txt  what was decided: --dry-run=forwarding
    nftables.txt    the table: --dry-run=nftables, without the sets and chains that look as in the case "nothing"
    iptables.txt    kube-proxy's rules: --dry-run=iptables, in the form of iptables-save, without the chains that look as
                    in the case "nothing". tests/real/test_iptables.py compares all of it with a real kube-proxy.
    ipvs.txt        virtual servers, members of sets, rules: --dry-run=ipvs, with node ports on the node's address alone where
                    no flag says more; without the chains that look as in the case "nothing"
    userspace.txt   the portals, in the same form, and whom the sockets pass on to: --dry-run=userspace
"""
import difflib
import functools
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
BASE = "nothing"
FLAGS = ["--hostname-override", "here", "--bind-address", "192.0.2.1"]
BLOCK = re.compile(r"^\t(?:set|map|chain) .*? \{\n.*?^\t\}\n", re.MULTILINE | re.DOTALL)


class Failure(Exception):
    pass


def run(program, case, what):
    """What the daemon says of the case's objects. A refused object would make the rest of the case mean nothing."""
    flags = shlex.split((case / "flags").read_text()) if (case / "flags").exists() else []
    if what == "ipvs":  # else there would be a virtual server for each address of the machine
        flags = ["--nodeport-addresses=primary", *flags]
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(case / "objects.yaml", folder)
        done = subprocess.run([program, "standalone", f"--dry-run={what}", "--manifests", folder, *FLAGS, *flags],
                              capture_output=True, text=True, timeout=60, check=False)
    if done.returncode or re.search(r"^E |Sanitizer|runtime error", done.stderr, re.MULTILINE):
        raise Failure(f"exit status {done.returncode}\n{done.stderr}")
    return done.stdout


@functools.cache
def run_base(program, what):
    return run(program, HERE / BASE, what)


def tables(text):
    """(head, blocks) of each table."""
    for table in re.split(r"^(?=table )", text, flags=re.MULTILINE)[1:]:
        yield table.split("\n", 1)[0], BLOCK.findall(table)


def without_base(text, base):
    """The table's text without the sets and chains that are the same in base."""
    usual = dict(tables(base))
    parts = []
    for head, blocks in tables(text):
        own = [block for block in blocks if block not in usual[head]]
        missing = {block.split("\n", 1)[0] for block in usual[head]} - {block.split("\n", 1)[0] for block in blocks}
        parts += [head + "\n", "\n".join(own), *(f"\t# lacks {name.strip(' {')}\n" for name in sorted(missing)), "}\n"]
    return "".join(parts)


def rules(text):
    """{(family, table): {chain: its lines}} of what iptables would hold; the first line declares the chain."""
    tables_, current = {}, None
    for line in text.splitlines(keepends=True):
        if line.startswith("# "):
            family = line[2:].strip()
        elif line.startswith("*"):
            current = tables_[family, line[1:].strip()] = {}
        elif line.startswith(":"):
            current[line[1:].split()[0]] = [line]
        elif line.startswith("-A "):
            current[line.split(" ", 2)[1]].append(line)
    return tables_


def rules_without_base(text, base):
    """The rules without the chains that are the same in base."""
    usual, parts = rules(base), []
    for (family, table), chains in rules(text).items():
        before = usual[family, table]
        own = [lines for chain, lines in chains.items() if lines != before.get(chain)]
        missing = sorted(set(before) - set(chains))
        if own or missing:
            parts += [f"# {family}\n*{table}\n", *(lines[0] for lines in own), *("".join(lines[1:]) for lines in own),
                      *(f"# lacks {chain}\n" for chain in missing)]
    return "".join(parts)


def servers_and_rules(text):
    """What mode ipvs has beside rules, and the rules."""
    beside, rules_, is_rule = [], [], False
    for line in text.splitlines(keepends=True):
        is_rule = not line.startswith("# ") and (is_rule or line.startswith("*"))
        rules_ += [line] * (is_rule or line.startswith("# "))
        beside += [line] * (not is_rule)
    return "".join(beside), "".join(rules_)


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
        raise Failure("WHY is missing: which upstream behaviour does this pin?")
    compare(case / "forwarding.txt", run(program, case, "forwarding"))
    table = run(program, case, "nftables")
    if case.name != BASE:
        table = without_base(table, run_base(program, "nftables"))
    compare(case / "nftables.txt", table)
    saved = run(program, case, "iptables")
    if case.name != BASE:
        saved = rules_without_base(saved, run_base(program, "iptables"))
    compare(case / "iptables.txt", saved)
    portals, sockets = run(program, case, "userspace").split("# sockets\n")
    if case.name != BASE:
        portals = rules_without_base(portals, run_base(program, "userspace").split("# sockets\n")[0])
    compare(case / "userspace.txt", f"{portals}# sockets\n{sockets}")
    beside, saved = servers_and_rules(run(program, case, "ipvs"))
    if case.name != BASE:
        saved = rules_without_base(saved, servers_and_rules(run_base(program, "ipvs"))[1])
    compare(case / "ipvs.txt", beside + saved)


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    chosen = sys.argv[2:] or sorted(path.name for path in HERE.iterdir() if path.is_dir() and path.name[0] not in "._")
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
