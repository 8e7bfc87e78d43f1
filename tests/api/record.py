#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes into transcripts what a server answers to them, so that somebody reads the difference:

    record.py [--kubeconfig FILE] TRANSCRIPT...     KUBECTLS names the clients, as in the tests

The server should be a real one: what it prints is right. Everything in it but what every cluster has is deleted first.
Without FILE fairlead itself answers; that is for what only fairlead has, and has to be read all the more. What differs
from run to run becomes a placeholder, unless the transcript itself names it; look through the rest.
"""
import argparse
import contextlib
import pathlib
import re
import subprocess
import sys
import tempfile
import time

import yaml

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lab"))

import embedded                      # noqa: E402
import kubectl as kubectls          # noqa: E402
import transcript as transcripts     # noqa: E402

# What to put a placeholder for, and whether the transcript may name such a thing itself.
RULES = [
    (re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "<uid>", False),
    (re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z"), "<time>", True),
    (re.compile(r"\b\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}"), "<time>", False),
    (re.compile(r'(?<=resourceVersion: ")\d+(?=")|(?<="resourceVersion": ")\d+(?=")'), "<version>", True),
    (re.compile(r"(?<=  )(?:\d+[smhd])+(?=\s|$)", re.MULTILINE), "<age>", False),
    (re.compile(r"\b10\.96\.\d+\.\d+\b|\bfd00:10:96:[0-9a-f:]+"), "<ip>", True),
    (re.compile(r"\b3[0-2]\d{3}\b"), "<port>", True),
    (re.compile(r"https?://\d+\.\d+\.\d+\.\d+:\d+"), "<server>", True),
]


def generalise(text, own_words):
    for pattern, placeholder, may_be_named in RULES:
        text = pattern.sub(lambda found: found[0] if may_be_named and found[0] in own_words else placeholder, text)
    return "".join(line.rstrip() + "\n" for line in text.replace("\t", "  ").splitlines())


def own_words_of(transcript):
    return "\n".join([*transcript.files.values(), *(step.get("run", "") + step.get("stdin", "")
                                                     for step in transcript.steps)])


def clean(kubectl):
    """Deletes what an earlier transcript left."""
    script = """
        kubectl get ns -o name | grep -vE '/(default|kube-)' | xargs -r kubectl delete --wait=true
        kubectl delete node --all
        for kind in pods services endpoints endpointslices configmaps leases events; do
            for space in default kube-system; do
                kubectl get "$kind" -n "$space" -o name | grep -v '/kubernetes$' |
                    xargs -r kubectl delete -n "$space" --grace-period=0 --force
            done
        done
    """
    kubectl.shell(script, timeout=120)


def by_version(answers):
    """{version: value} without what an older version says too; the bare value when all say the same."""
    kept = {}
    for version in sorted(answers):
        if not kept or answers[version] != list(kept.values())[-1]:
            kept[str(version)] = answers[version]
    return next(iter(kept.values())) if len(kept) == 1 else kept


@contextlib.contextmanager
def client(program, kubeconfig, directory):
    """A Kubectl for a server that has nothing in it."""
    if kubeconfig:
        kubectl = kubectls.Kubectl(program, kubeconfig, directory)
        clean(kubectl)
        yield kubectl
        return
    namespaces = embedded.Namespaces()
    try:
        server = embedded.Server(f"{directory}/server", namespaces.new()).start()
        yield kubectls.Kubectl(program, server.kubeconfig, directory, server.namespace.command([]))
        server.kill()
    finally:
        namespaces.close()


def patience():
    """A real server does not say how many watches it has: a second is enough for them."""
    time.sleep(1)
    return 1000


def record(path, kubeconfig):
    transcript = transcripts.Transcript.load(path)
    heard = {}
    for program in kubectls.programs():
        with tempfile.TemporaryDirectory() as directory, client(program, kubeconfig, directory) as kubectl:

            def observe(step, out, err, code):
                heard.setdefault(id(step), {})[kubectl.version] = (out, err, code)
            transcripts.Player(transcript, kubectl, patience, observe).play()
    own = own_words_of(transcript)
    for step in transcript.steps:
        answers = heard.get(id(step), {})
        for key, place in (("out", 0), ("err", 1), ("exit", 2)):
            values = {version: answer[place] if place == 2 else generalise(answer[place], own)
                      for version, answer in answers.items()}
            value = by_version(values) if values else None
            step.pop(key, None)
            if value:
                step[key] = value
    document = {"why": transcript.why, "files": transcript.files, "steps": transcript.steps}
    pathlib.Path(path).write_text(dump({key: value for key, value in document.items() if value}))


class Dumper(yaml.SafeDumper):
    """Texts of several lines as they are, and no aliases."""

    def ignore_aliases(self, _data):
        return True


Dumper.add_representer(str, lambda dumper, text: dumper.represent_scalar(
    "tag:yaml.org,2002:str", text, style="|" if "\n" in text else None))


def dump(document):
    return "# SPDX-License-Identifier: GPL-2.0-or-later\n" + \
        yaml.dump(document, Dumper=Dumper, sort_keys=False, width=1000, allow_unicode=True)


def main():
    parser = argparse.ArgumentParser(description="Writes into transcripts what a server answers to them.")
    parser.add_argument("--kubeconfig", help="of a real server that may be emptied")
    parser.add_argument("transcript", nargs="+", type=pathlib.Path)
    options = parser.parse_args()
    for path in options.transcript:
        try:
            record(path, options.kubeconfig)
        except subprocess.TimeoutExpired as late:
            sys.exit(f"{path}: {late}")


if __name__ == "__main__":
    main()
