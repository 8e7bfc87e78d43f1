# SPDX-License-Identifier: GPL-2.0-or-later
"""What a prober, Prometheus or an operator asks of a proxy's two ports; and the Prometheus text format, read strictly."""
import dataclasses
import http.client
import json
import re

import patience

HEALTHZ, METRICS = 10256, 10249
TIMEOUT_S = patience.seconds(10)
SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"(?:,|$)')


@dataclasses.dataclass
class Page:
    status: int
    headers: dict  # names in lower case
    body: str

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def type(self):
        return self.headers.get("content-type")


def ask(namespace, port, path, method="GET", body=None, host="127.0.0.1", **headers):
    """One request from inside `namespace`; underscores in names of headers are dashes."""
    with namespace.entered():
        connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            return Page(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read().decode())
        finally:
            connection.close()


@dataclasses.dataclass
class Family:
    help: str
    type: str
    samples: list  # (suffix, labels, value as text)

    def value(self, suffix="", **labels):
        """The sum of the samples that have these labels."""
        return sum(float(value) for own, found, value in self.samples
                   if own == suffix and labels.items() <= found.items())

    def bounds(self):
        return {labels["le"] for suffix, labels, _ in self.samples if suffix == "_bucket"}

    def label_names(self):
        return {name for _, labels, _ in self.samples for name in labels if name != "le"}


def _sample(line, name, kind):
    found = SAMPLE.fullmatch(line)
    assert found, f"no sample: {line}"
    suffix = found[1][len(name):] if found[1].startswith(name) else None
    assert suffix in ({"_bucket", "_sum", "_count"} if kind == "histogram" else {"", "_sum", "_count"} if kind == "summary"
                      else {""}), f"{line} stands under {kind} {name}"
    labels, rest = {}, found[2] or ""
    while rest:
        label = LABEL.match(rest)
        assert label and label[1] not in labels, f"labels of {line}"
        labels[label[1]] = label[2]
        rest = rest[label.end():]
    float(found[3])
    assert (suffix == "_bucket") == ("le" in labels), line
    return suffix, labels, found[3]


def families(text):
    """{name: Family} of a page in the text format 0.0.4: HELP, TYPE and samples of one family stand together."""
    found, name = {}, None
    for line in text.splitlines():
        if line.startswith("# HELP "):
            _, _, name, words = line.split(" ", 3)
            assert name not in found, f"{name} twice"
            found[name] = Family(words, "", [])
        elif line.startswith("# TYPE "):
            assert line.split()[2] == name and not found[name].type, line
            found[name].type = line.split()[3]
        else:
            found[name].samples.append(_sample(line, name, found[name].type))
    for name, family in found.items():
        assert family.type in {"counter", "gauge", "histogram", "summary"}, name
        keys = [(suffix, tuple(sorted(labels.items()))) for suffix, labels, _ in family.samples]
        assert len(set(keys)) == len(keys), f"{name} says something twice"
    return found


def metrics(namespace, path="/metrics"):
    page = ask(namespace, METRICS, path)
    assert page.status == 200 and page.type.startswith("text/plain; version=0.0.4"), page
    return families(page.body)
