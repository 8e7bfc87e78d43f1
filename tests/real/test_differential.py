# SPDX-License-Identifier: GPL-2.0-or-later
"""The same 500 random requests to a real kube-apiserver and to ours: same codes, reasons and objects, but for the
differences that differences.yaml lists."""
import collections
import pathlib
import re

import differential
import pytest
import yaml

REQUESTS = 500
KNOWN = yaml.safe_load(pathlib.Path(__file__).with_name("differences.yaml").read_text())


def unexplained(differences, what):
    """Those that no entry of the list explains."""
    return [line for line in differences
            if not any(re.search(known["match"], line) and re.search(known.get("only", ""), what) for known in KNOWN)]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_answers_are_those_of_a_real_server(pair, seed):
    ours, theirs = pair
    generator = differential.Generator(seed)
    codes, failures = collections.Counter(), []
    for number in range(REQUESTS):
        request = generator.next()
        method, path, headers, _, _ = request
        # A real server lets a PUT to the status of a missing Service make one, without an address: nothing to imitate.
        if path.endswith("/services/" + path.split("/")[-2] + "/status") and \
                theirs.request("GET", path.removesuffix("/status"))[0] == 404:
            continue
        bodies = [differential.fill(server, request) for server in (ours, theirs)]
        answers = [server.request(method, path, headers, body) for server, body in zip((ours, theirs), bodies)]
        codes[answers[1][0]] += 1
        left = unexplained(differential.compare(*answers, [str(body) for body in bodies]), f"{method} {path}")
        if left:
            failures.append("\n    ".join([f"#{number} {method} {path} {headers.get('Content-Type')} {str(bodies[0])[:500]}",
                                           *left]))
    # A run in which nothing is accepted, or nothing refused, would compare little.
    assert codes[200] > 50 and codes[201] >= 10 and codes[422] > 50 and codes[404] > 20 and codes[409] > 5
    assert not failures, f"{len(failures)} of {REQUESTS} differ\n" + "\n".join(failures[:40])
