# SPDX-License-Identifier: GPL-2.0-or-later
"""Transcripts: lines that somebody types, and what has to come back. Data in transcripts/*.yaml:

    why: one sentence
    files: {NAME: TEXT}         put into the working folder first
    steps:
      - run: kubectl get svc    a line of sh
        stdin: TEXT
        out: TEXT               nothing unless given; also err; exit is 0 unless given
        since: "1.24"           only for a kubectl of at least that version; also before: "1.24"
        until: true             repeated for some seconds until it comes out as told
        background: NAME        goes on while the next steps run
      - watches: 2              waits until the server has so many watches open
      - watch: NAME             what that one has printed by now, or prints within some seconds
        out: TEXT
      - join: NAME              it has to end, as told by out, err and exit

`out` and `err` may also be {"1.20": TEXT, "1.32": TEXT}: the one of the newest version that the client's own has reached.
In these texts placeholders stand for what differs from run to run (PLACEHOLDERS below), and a line `<lines>` for any number
of lines. Two or more spaces inside a line match any two or more: columns follow the width of what is in them.
"""
import difflib
import pathlib
import re
import tempfile
import time
from dataclasses import dataclass, field

import patience
import yaml

from kubectl import Version
from proxy import wait_until

PATIENCE_S = 10
PLACEHOLDERS = {
    "<any>": r".*",
    "<age>": r"(?:\d+[smhd])+",
    "<ip>": r"[0-9a-f.:]*[.:][0-9a-f.:]+",
    "<port>": r"\d{2,5}",
    "<uid>": r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "<time>": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z|\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}",
    "<version>": r"\d+",
    "<suffix>": r"[bcdfghjklmnpqrstvwxz2456789]{5}",
    "<server>": r"https?://[^\s/]+",
}
_WORDS = re.compile("|".join([*map(re.escape, PLACEHOLDERS), " {2,}"]))
FOLDER = pathlib.Path(__file__).resolve().parent / "transcripts"


def _line_pattern(line):
    """One expected line as a regular expression. Indentation counts, the width of gaps does not."""
    text = line.strip()
    pattern = re.escape(line[:len(line) - len(line.lstrip())]) if text else ""
    at = 0
    for found in _WORDS.finditer(text):
        pattern += re.escape(text[at:found.start()])
        pattern += f"(?:{PLACEHOLDERS[found[0]]})" if found[0] in PLACEHOLDERS else " {2,}"
        at = found.end()
    return pattern + re.escape(text[at:]) + " *"


def matches(expected, actual):
    """Whether `actual` is what the text `expected` describes."""
    pattern = ""
    for line in expected.splitlines():
        pattern += r"(?:.*\n)*?" if line.strip() == "<lines>" else _line_pattern(line) + r"\n"
    return re.fullmatch(pattern, actual.replace("\t", "  ") + "\n" * bool(actual and not actual.endswith("\n"))) is not None


def compare(what, expected, actual):
    """Raises with a readable difference unless `actual` matches."""
    if matches(expected, actual):
        return
    # Lines that match by themselves are shown as expected, so that the difference holds only what is wrong; where some
    # may be anything, only those that are expected are shown at all.
    wanted = [line for line in expected.splitlines() if line.strip() != "<lines>"]
    shown = [next((one for one in wanted if re.fullmatch(_line_pattern(one), line)), line)
             for line in actual.replace("\t", "  ").splitlines()]
    if len(wanted) < len(expected.splitlines()):
        shown = [line for line in shown if line in wanted]
    difference = difflib.unified_diff(wanted, shown, "expected", "printed", lineterm="", n=2)
    raise AssertionError(f"{what} differs:\n" + "\n".join(difference))


@dataclass
class Transcript:
    name: str
    why: str
    files: dict = field(default_factory=dict)
    steps: list = field(default_factory=list)

    VERBS = ("run", "watches", "watch", "join")
    KEYS = {*VERBS, "stdin", "out", "err", "exit", "since", "before", "until", "background"}

    @classmethod
    def load(cls, path):
        document = yaml.safe_load(pathlib.Path(path).read_text())
        transcript = cls(pathlib.Path(path).stem, **document)
        for step in transcript.steps:
            if len(set(cls.VERBS) & set(step)) != 1 or set(step) - cls.KEYS:
                raise ValueError(f"{path}: a step says one of {', '.join(cls.VERBS)}, and nothing unknown: {step}")
        return transcript


def all_transcripts():
    return [Transcript.load(path) for path in sorted(FOLDER.glob("*.yaml"))]


def is_for(step, version):
    return not (version < Version(step.get("since", "0.0")) or ("before" in step and not version < Version(step["before"])))


def text_for(texts, version):
    """The text that holds for a client's version; nothing when none does."""
    if not isinstance(texts, dict):
        return texts or ""
    reached = [key for key in texts if not version < Version(key)]
    return texts[max(reached, key=Version)] if reached else ""


class Player:
    """Plays one transcript with one Kubectl. `watches()` counts those that the server has. `observe(step, out, err, exit)`
    is told of what was printed, instead of a comparison, when it is given."""

    def __init__(self, transcript, kubectl, watches, observe=None):
        self.transcript = transcript
        self.kubectl = kubectl
        self.watches = watches
        self.observe = observe
        self.running = {}

    def play(self):
        for name, text in self.transcript.files.items():
            (self.kubectl.work / name).write_text(text)
        try:
            for step in self.transcript.steps:
                if is_for(step, self.kubectl.version):
                    self.step(step)
        finally:
            for child, *_ in self.running.values():
                child.kill()
                child.wait()

    def step(self, step):
        if "background" in step:
            files = [tempfile.NamedTemporaryFile(mode="w+", dir=self.kubectl.directory) for _ in range(2)]
            self.running[step["background"]] = (self.kubectl.start(step["run"], *files), *files)
        elif "watches" in step:
            wait_until(lambda: self.watches() >= step["watches"], PATIENCE_S, f"{step['watches']} watches at the server")
        elif "watch" in step:
            self.watch(step, *self.running[step["watch"]])
        elif "join" in step:
            child, *files = self.running[step["join"]]
            child.wait(PATIENCE_S)
            self.judge(step, *(pathlib.Path(file.name).read_text() for file in files), child.returncode)
        else:
            self.run(step)

    def run(self, step):
        end = time.monotonic() + (patience.seconds(PATIENCE_S) if step.get("until") else 0)
        while True:
            done = self.kubectl.shell(step["run"], step.get("stdin", ""))
            try:
                return self.judge(step, done.stdout, done.stderr, done.returncode)
            except AssertionError:
                if time.monotonic() > end:
                    raise
            time.sleep(0.1)

    def watch(self, step, child, output, errors):
        """Waits until all that was printed is what is expected; nothing may come besides."""
        end = time.monotonic() + patience.seconds(PATIENCE_S)
        expected = text_for(step.get("out"), self.kubectl.version)
        if self.observe:
            time.sleep(1)
            return self.observe(step, pathlib.Path(output.name).read_text(), "", 0)
        while not matches(expected, pathlib.Path(output.name).read_text()) and time.monotonic() < end \
                and child.poll() is None:
            time.sleep(0.02)
        compare(f"what `{step['watch']}` prints, with {pathlib.Path(errors.name).read_text()!r} as errors,", expected,
                pathlib.Path(output.name).read_text())

    def judge(self, step, out, err, code):
        if self.observe:
            return self.observe(step, out, err, code)
        what = f"kubectl {self.kubectl.version}: {step.get('run') or step['join']}"
        wanted_code = step.get("exit", 0)
        if isinstance(wanted_code, dict):
            wanted_code = text_for(wanted_code, self.kubectl.version)
        try:
            compare(f"{what}\nits output", text_for(step.get("out"), self.kubectl.version), out)
            compare(f"{what}\nits errors", text_for(step.get("err"), self.kubectl.version), err)
            assert code == wanted_code, f"{what}\nexit {code} instead of {wanted_code}"
        except AssertionError as difference:
            raise AssertionError(f"{difference}\n--- exit {code}, errors: {err}") from None
