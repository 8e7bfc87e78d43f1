# SPDX-License-Identifier: GPL-2.0-or-later
"""The steps of a Containerfile, done on bare systems: what an engine would do, without one and without a registry.

Of the language it knows what dist/Containerfile says, and refuses all else.
"""
import glob
import hashlib
import json
import os
import re
import shutil

import system

BASES = {"docker.io/library/debian:bookworm-slim": "bookworm"}


def steps(text):
    """[(instruction, rest of the line)], comments and continuations gone."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return [tuple(line.strip().split(None, 1)) for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines()]


def copy(sources, target):
    """As COPY: what a folder holds, or files, into the folder `target`."""
    target.mkdir(parents=True, exist_ok=True)
    for source in sources:
        if os.path.isdir(source):
            shutil.copytree(source, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, target)


class Stage:
    def __init__(self, made, release):
        self.system, self.folder, self.config = made, "/", {}
        self.done = [release]
        self.has_run = False

    def place(self, path):
        return self.system.path / os.path.join(self.folder, path).lstrip("/")

    def remember(self, instruction, rest, sources):
        digest = hashlib.sha256()
        for source in sources:
            paths = [source] if os.path.isfile(source) else sorted(glob.glob(f"{source}/**", recursive=True))
            for path in filter(os.path.isfile, paths):
                with open(path, "rb") as file:
                    digest.update(path.encode() + file.read())
        self.done.append(f"{instruction} {rest} {digest.hexdigest()}")

    def run(self, command):
        """A stage's first RUN is kept: it installs packages, for minutes."""
        name = hashlib.sha256("\n".join(self.done).encode()).hexdigest()[:16]
        kept = system.CACHE / f"layer-{name}.tar"
        if not self.has_run and kept.exists():
            self.system.refill(kept)
        else:
            self.system.run("sh", "-c", command, folder=self.folder)
            if not self.has_run:
                self.system.store(kept)
        self.has_run = True
        return kept


def build(containerfile, context, new_system):
    """Does the steps. Returns the last stage, a Stage."""
    stages, named, kept = [], {}, set()
    for instruction, rest in steps(containerfile.read_text()):
        if instruction == "FROM":
            image, _, name = rest.partition(" AS ")
            stages.append(Stage(new_system(BASES[image]), image))
            named[name] = stages[-1]
        elif instruction == "WORKDIR":
            stages[-1].folder = rest
            stages[-1].place(".").mkdir(parents=True, exist_ok=True)
        elif instruction == "COPY":
            words = rest.split()
            root = context
            if words[0].startswith("--from="):
                root = named[words.pop(0).removeprefix("--from=")].system.path
            found = [path for word in words[:-1] for path in sorted(glob.glob(str(root / word.lstrip("/"))))]
            assert found, f"COPY {rest}: nothing is there"
            copy(found, stages[-1].place(words[-1]))
            stages[-1].remember(instruction, rest, found)
        elif instruction == "RUN":
            stages[-1].remember(instruction, rest, [])
            kept.add(stages[-1].run(rest))
        elif instruction in ("ENTRYPOINT", "CMD"):
            stages[-1].config[instruction] = json.loads(rest)
        else:
            raise AssertionError(f"{instruction} is not known here")
    for old in set(system.CACHE.glob("layer-*.tar")) - kept:
        old.unlink()
    return stages[-1]
