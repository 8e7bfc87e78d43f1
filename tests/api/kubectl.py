# SPDX-License-Identifier: GPL-2.0-or-later
"""The kubectl programs under test, each with a home of its own, so that neither the caller's files nor an earlier run's
caches have a say."""
import functools
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import patience


@functools.total_ordering
class Version:
    """A client's version as far as output depends on it: major and minor."""

    def __init__(self, text):
        self.numbers = tuple(int(digits) for digits in re.findall(r"\d+", text)[:2])

    def __eq__(self, other):
        return self.numbers == other.numbers

    def __lt__(self, other):
        return self.numbers < other.numbers

    def __hash__(self):
        return hash(self.numbers)

    def __str__(self):
        return ".".join(str(number) for number in self.numbers)


@functools.lru_cache
def version_of(program):
    """The Version that a program says it has. Raises for one that does not run."""
    done = subprocess.run([program, "version", "--client", "-o", "json"], text=True, capture_output=True, timeout=30,
                          check=True, env={"HOME": tempfile.gettempdir(), "PATH": os.environ["PATH"]})
    return Version(json.loads(done.stdout)["clientVersion"]["gitVersion"])


def programs():
    """Paths of the programs to test: those of $KUBECTLS (with colons between), else the one on the PATH; oldest first,
    one for each version."""
    named = [path for path in os.environ.get("KUBECTLS", "").split(":") if path]
    if not named and shutil.which("kubectl"):
        named = [shutil.which("kubectl")]
    chosen = {}
    for path in named:
        chosen.setdefault(version_of(path), path)
    return [chosen[version] for version in sorted(chosen)]


class Kubectl:
    """One program against one server. `prefix` is put before every command, to enter the server's namespace."""

    def __init__(self, program, kubeconfig, directory, prefix=()):
        self.version = version_of(program)
        self.prefix = list(prefix)
        self.directory = pathlib.Path(directory)
        self.work = self.directory / "work"
        self.environment = {"HOME": str(self.directory / "home"), "KUBECONFIG": str(kubeconfig), "LC_ALL": "C.UTF-8",
                            "PATH": f"{self.directory / 'bin'}:/usr/sbin:/usr/bin:/sbin:/bin", "TERM": "dumb",
                            "TZ": "UTC"}
        for name in ("home", "bin", "work"):
            (self.directory / name).mkdir(parents=True, exist_ok=True)
        link = self.directory / "bin" / "kubectl"
        link.unlink(missing_ok=True)
        link.symlink_to(pathlib.Path(program).absolute())

    def argv(self, line):
        """A line of sh as a command; `kubectl` in it is the program under test. It dies with the thread that starts it."""
        return [*self.prefix, "setpriv", "--pdeathsig", "KILL", "--", "sh", "-c", line]

    def shell(self, line, stdin="", timeout=60):
        """The CompletedProcess of a line of sh, run in the working folder."""
        return subprocess.run(self.argv(line), input=stdin, text=True, capture_output=True, timeout=patience.seconds(timeout),
                              cwd=self.work, env=self.environment)

    def start(self, line, output, errors):
        """The same in the background, with its output in two open files."""
        return subprocess.Popen(self.argv("exec " + line), stdin=subprocess.DEVNULL, stdout=output, stderr=errors,
                                cwd=self.work, env=self.environment)

    def __call__(self, arguments, stdin=""):
        """The output of `kubectl ARGUMENTS`, which has to succeed."""
        done = self.shell(f"kubectl {arguments}", stdin)
        assert done.returncode == 0, f"kubectl {arguments}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout
