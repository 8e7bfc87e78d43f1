# SPDX-License-Identifier: GPL-2.0-or-later
"""The dataplanes by the names of `--proxy-mode`, and whose iptables they are written with."""
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

IPTABLES_NAMES = [family + what for family in ("iptables", "ip6tables") for what in ("", "-save", "-restore")]


@dataclass(frozen=True)
class Mode:
    name: str
    word: str  # what --proxy-mode is told
    backend: str = ""  # nft or legacy: whose programs are the host's iptables; "": none is needed
    has_commits: bool = True  # nf_tables shows each change; else connections alone tell

    def __str__(self):
        return self.name

    def program(self):
        return shutil.which(f"xtables-{self.backend}-multi", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")

    def lacks(self, daemon):
        """What this machine has not got, in the daemon's words; "" when it can run the mode."""
        if self.backend and not self.program():
            return f"there is no xtables-{self.backend}-multi"
        done = subprocess.run(["unshare", "-n", daemon, "probe", self.word], text=True, capture_output=True)
        return "" if done.returncode == 0 else " ".join((done.stdout or done.stderr).split())

    def environment(self, folder):
        """For whatever writes rules, with programs of the backend in `folder` ahead of all others, and a lock of
        its own: /run/xtables.lock is one for the whole machine."""
        if not self.backend:
            return dict(os.environ)
        programs = Path(folder) / "programs"
        programs.mkdir(exist_ok=True)
        for name in IPTABLES_NAMES:
            if not (programs / name).exists():
                (programs / name).symlink_to(self.program())
        return os.environ | {"PATH": f"{programs}:{os.environ.get('PATH', '')}",
                             "XTABLES_LOCKFILE": str(programs / "lock")}


MODES = {one.name: one for one in (
    Mode("nftables", "nftables"),
    Mode("iptables", "iptables", "nft"),
    Mode("iptables-legacy", "iptables", "legacy", has_commits=False),
    Mode("userspace", "userspace", "nft", has_commits=False),
    Mode("ipvs", "ipvs", "nft", has_commits=False),
)}
NFTABLES = MODES["nftables"]


def usable(names, daemon, say):
    """Those that this machine can run."""
    reasons = {name: MODES[name].lacks(daemon) for name in names}
    for name, reason in reasons.items():
        if reason:
            say(f"mode {name} is left out: {reason}")
    return [MODES[name] for name, reason in reasons.items() if not reason]
