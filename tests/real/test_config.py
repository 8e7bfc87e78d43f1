# SPDX-License-Identifier: GPL-2.0-or-later
"""The same command lines and configuration files to a real kube-proxy and to `fairlead proxy`: what --write-config-to
writes is equal byte for byte, else both refuse, in the same words and with the same exit status; what was decoded leniently
is named alike. config_differences.yaml lists every difference and why it is one."""
import collections
import concurrent.futures
import dataclasses
import json
import os
import pathlib
import re
import subprocess

import config_cases
import pytest
import yaml

HERE = pathlib.Path(__file__).parent
KNOWN = yaml.safe_load((HERE / "config_differences.yaml").read_text())
SEEN = set()   # matches of KNOWN
TIME_LIMIT_S = 60
RANDOM_CASES = int(os.environ.get("CONFIG_CASES", "100"))
WORKERS = 2


def kube_proxy():
    """The path of a kube-proxy, or None."""
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    path = os.environ.get("KUBE_PROXY_BIN") or (assets and f"{assets}/kube-proxy")
    return path if path and os.access(path, os.X_OK) else None


@dataclasses.dataclass
class Outcome:
    status: int
    written: bytes | None      # by --write-config-to
    refusal: str | None        # the last sentence, without what a log puts before it
    warnings: list             # about the file
    deprecated: list           # flags
    log: str


def unquoted(text):
    """Of a Go string literal."""
    def rune(match):
        code = match.group(1) or match.group(2)
        return json.dumps(chr(int(code, 16)))[1:-1] if code else {"\\a": "\\u0007", "\\v": "\\u000b"}.get(match.group(), match.group())
    return json.loads(re.sub(r"\\(?:x([0-9a-f]{2})|U([0-9a-f]{8})|.)", rune, text))


def logged(line):
    """(message, err) of a line that kube-proxy logged, as text or as JSON."""
    if line.startswith("{"):
        try:
            fields = json.loads(line)
        except ValueError:
            return None, None
        return fields.get("msg"), fields.get("err")
    match = re.match(r'[IWEF]\d{4} \S+ +\d+ \S+\] "([^"]*)"(?:.*?\berr=(".*"|\S+))?', line)
    if not match:
        return None, None
    error = match.group(2)
    return match.group(1), unquoted(error) if error and error.startswith('"') else error


def block_of(lines, at):
    """klog writes a sentence of several lines between err=< and >, each behind a tab."""
    taken = []
    for line in lines[at + 1:]:
        if line.strip() == ">":
            break
        taken.append(line.removeprefix("\t"))
    return "\n".join(taken)


def outcome_of_theirs(status, written, text):
    refusal, warnings = None, []
    # A form feed or a lone carriage return is part of a line.
    lines = text.split("\n")
    for number, line in enumerate(lines):
        if line.startswith("Error: "):
            refusal = "\n".join(lines[number:]).removeprefix("Error: ").rstrip("\n")
            break
        message, error = logged(line)
        if error == "<":
            error = block_of(lines, number)
        if message == "command failed":
            refusal = error
        elif message == "Using lenient decoding as strict decoding failed":
            warnings.append(error)
    return Outcome(status, written, refusal, warnings, re.findall(r"^Flag --(\S+) has been deprecated", text, re.M), text)


def outcome_of_ours(status, written, text):
    at = text.rfind("fairlead proxy: ")
    # Ours names the file, kube-proxy does not.
    refusal = text[at:].removeprefix("fairlead proxy: ").removeprefix("config.yaml: ").rstrip("\n") if at >= 0 else None
    warnings = [line[line.index("strict decoding error: "):] for line in text.split("\n")
                if "strict decoding error: " in line and "fairlead proxy: " not in line]
    return Outcome(status, written, refusal, warnings, re.findall(r"--(\S+) is deprecated", text), text)


def run(argv, flags, file, directory, judge):
    directory.mkdir(parents=True)
    config, target = directory / "config.yaml", directory / "written.yaml"
    if file is not None:
        config.write_bytes(file.encode())
    # Before the flags, as a case may end them with "--".
    argv = ["unshare", "-n", *argv, "--write-config-to", str(target),
            *(["--config", "config.yaml"] if file is not None else []), *flags]
    process = subprocess.run(argv, cwd=directory, env={"HOME": str(directory), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=TIME_LIMIT_S)
    written = target.read_bytes() if target.exists() else None
    return judge(process.returncode, written, process.stderr.decode(errors="surrogateescape"))


def loaded(lines):
    """What a file of these lines says, or None where it cannot be read; a plain << is a word for all but PyYAML."""
    try:
        return yaml.safe_load(re.sub(r"(?m): <<$", ': "<<"', "\n".join(lines)))
    except (yaml.YAMLError, ValueError):
        return None


def written_differences(ours, theirs):
    mine, other = loaded(ours), loaded(theirs)
    if mine is not None and mine == other:
        return ["laid out otherwise, and says the same"]
    found = [f"written {line!r} instead of {instead!r}" for line, instead in zip(ours, theirs) if line != instead][:4]
    return found + ([f"written {len(ours)} lines instead of {len(theirs)}"] if len(ours) != len(theirs) else [])


def differences(ours, theirs):
    """One sentence each."""
    found = []
    if ours.status != theirs.status:
        found.append(f"status {ours.status} instead of {theirs.status}")
    if ours.written != theirs.written:
        pairs = [(None if outcome.written is None else outcome.written.decode(errors="surrogateescape").split("\n"))
                 for outcome in (ours, theirs)]
        if None in pairs:
            found.append(f"written {'nothing' if pairs[0] is None else 'something'}: {ours.refusal!r} instead of {theirs.refusal!r}")
        else:
            found += written_differences(*pairs)
    elif ours.refusal != theirs.refusal:
        found.append(f"refused {ours.refusal!r} instead of {theirs.refusal!r}")
    if ours.warnings != theirs.warnings:
        found.append(f"warned {ours.warnings} instead of {theirs.warnings}")
    if ours.deprecated != theirs.deprecated:
        found.append(f"deprecated {ours.deprecated} instead of {theirs.deprecated}")
    return found


def unexplained(found, flags, file):
    """A difference that explains another's consequences says so with `all`: then nothing is left."""
    what = json.dumps([flags, file], ensure_ascii=False)
    left = []
    for line in found:
        explained = [known for known in KNOWN if re.search(known["match"], line, re.S) and re.search(known.get("only", ""), what, re.S)]
        SEEN.update(known["match"] for known in explained)
        if any(known.get("all") for known in explained):
            return []
        if not explained:
            left.append(line)
    return left


class Compared:
    def __init__(self, fairlead, directory):
        self.fairlead = fairlead
        self.directory = directory
        self.counts = collections.Counter()
        self.failures = []
        self.number = 0

    def one(self, number, flags, file):
        place = self.directory / str(number)
        theirs = run([kube_proxy()], flags, file, place / "theirs", outcome_of_theirs)
        ours = run([str(self.fairlead), "proxy"], flags, file, place / "ours", outcome_of_ours)
        return ours, theirs

    def all(self, cases):
        with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
            outcomes = pool.map(lambda case: self.one(case[0], *case[1]), enumerate(cases))
            for (flags, file), (ours, theirs) in zip(cases, outcomes):
                self.counts["written" if theirs.written is not None else "refused"] += 1
                self.counts["warned"] += bool(theirs.warnings)
                assert theirs.status == 0 or theirs.refusal is not None, theirs.log[-2000:]
                left = unexplained(differences(ours, theirs), flags, file)
                if left:
                    self.failures.append("\n    ".join([json.dumps([flags, file], ensure_ascii=False)[:3000], *left]))

    def verdict(self):
        assert not self.failures, f"{len(self.failures)} of {sum(self.counts[x] for x in ('written', 'refused'))} differ\n" + \
            "\n".join(self.failures[:int(os.environ.get("CONFIG_SHOWN", "30"))])


def helped(argv):
    """{flag: (shorthand, type, default)} of what --help prints, and that text."""
    text = subprocess.run([*argv, "--help"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True).stdout
    found = {}
    for block in re.split(r"(?m)^(?= {2}(?: {4}|-\w, )--)", text)[1:]:
        shorthand, name, rest = re.match(r" +(?:-(\w), )?--(\S+)(.*)", block, re.S).groups()
        rest = re.split(r"\n\n|\n\S", rest)[0]
        kind = re.match(r" (\S+)", rest)
        default = re.search(r"\(default\s+([^()]*)\)\s*$", rest)
        found[name] = (shorthand, kind[1] if kind else "", default[1] if default else None)
    return found, text


def test_help_has_every_flag():
    if not kube_proxy():
        pytest.skip("needs a kube-proxy: KUBE_PROXY_BIN, or one in KUBEBUILDER_ASSETS")
    ours, _ = helped([os.environ.get("FAIRLEAD", "build/fairlead"), "proxy"])
    theirs, _ = helped([kube_proxy()])
    assert len(theirs) > 50
    assert {name: ours.get(name) for name in theirs} == theirs


def test_every_gate_is_known(compared):
    """Each with its default; one that has no default of its own yet (alpha) may be turned on."""
    _, text = helped([kube_proxy()])
    gates = re.findall(r"(?m)^ +(?:kube:)?(\w+)=true\|false \((\w+) - default=(\w+)\)", text)
    assert len(gates) > 100
    compared.all([([f"--feature-gates={name}={default}"], None) for name, _, default in gates]
                 + [([f"--feature-gates={name}={'false' if default == 'true' else 'true'}"], None) for name, _, default in gates])
    compared.verdict()


@pytest.fixture
def compared(tmp_path):
    if not kube_proxy():
        pytest.skip("needs a kube-proxy: KUBE_PROXY_BIN, or one in KUBEBUILDER_ASSETS")
    if os.geteuid() != 0:
        pytest.skip("needs root, for a network namespace of its own")
    fairlead = pathlib.Path(os.environ.get("FAIRLEAD", "build/fairlead")).resolve()
    return Compared(fairlead, tmp_path)


def test_command_lines(compared):
    compared.all([(flags, None) for flags in config_cases.FLAG_CASES])
    compared.verdict()
    assert compared.counts["written"] > 30 and compared.counts["refused"] > 30


def test_every_value_of_every_flag(compared):
    seen, cases = set(), []
    for name, values in config_cases.FLAGS.items():
        if id(values) in seen:
            continue
        seen.add(id(values))
        cases += [([f"--{name}={value}"], None) for value in values[0] + values[1]]
    compared.all(cases)
    compared.verdict()


def test_files(compared):
    compared.all([([], file) for file in config_cases.FILE_CASES])
    compared.verdict()
    assert compared.counts["written"] > 30 and compared.counts["refused"] > 30 and compared.counts["warned"] > 10


def test_every_value_of_every_field(compared):
    seen, cases = set(), []
    for path, values in config_cases.FIELDS.items():
        if id(values) in seen:
            continue
        seen.add(id(values))
        *parents, field = path.split(".")
        for value in values[0] + values[1]:
            tree = {field: value}
            for parent in reversed(parents):
                tree = {parent: tree}
            cases.append(([], config_cases.HEAD + config_cases.written(tree)))
    cases += [([], config_cases.HEAD + f"{line}\n") for line in config_cases.UNKNOWN]
    compared.all(cases)
    compared.verdict()
    assert compared.counts["warned"] >= len(config_cases.UNKNOWN)


def test_flags_beside_a_file(compared):
    compared.all([(flags, config_cases.BESIDE_FILE) for flags in config_cases.BESIDE_CASES])
    compared.verdict()


def test_config_maps(compared):
    """Those of tests/config."""
    paths = sorted((HERE.parent / "config").glob("*/configmap.yaml"))
    assert len(paths) >= 10
    files = [yaml.safe_load(path.read_text())["data"]["config.conf"] for path in paths]
    compared.all([(["--hostname-override=Node-1"], file) for file in files])
    compared.verdict()


@pytest.mark.parametrize("seed", [1, 2])
def test_random_command_lines(compared, seed):
    generator = config_cases.Generator(seed)
    compared.all([(generator.flags(), None) for _ in range(RANDOM_CASES)])
    compared.verdict()
    assert compared.counts["written"] > RANDOM_CASES / 10 and compared.counts["refused"] > RANDOM_CASES / 10


@pytest.mark.parametrize("seed", [3, 4])
def test_random_files(compared, seed):
    generator = config_cases.Generator(seed)
    compared.all([([], generator.file()) for _ in range(RANDOM_CASES)])
    compared.verdict()
    assert compared.counts["written"] > RANDOM_CASES / 10 and compared.counts["refused"] > RANDOM_CASES / 10


@pytest.mark.parametrize("seed", [5, 6])
def test_mutated_files(compared, seed):
    generator = config_cases.Generator(seed)
    compared.all([([], generator.mutated()) for _ in range(RANDOM_CASES)])
    compared.verdict()
    assert compared.counts["written"] > RANDOM_CASES / 10 and compared.counts["refused"] > RANDOM_CASES / 10


def test_every_known_difference_is_still_one(request):
    """Behind all others; with a selection of them it has nothing to say."""
    mine = [item for item in request.session.items if item.path == request.node.path]
    if len(mine) < 10 or mine[-1] is not request.node or not kube_proxy() or os.geteuid() != 0:
        pytest.skip("needs all tests of this file to run before it")
    assert not [known["match"] for known in KNOWN if known["match"] not in SEEN]
