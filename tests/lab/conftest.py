# SPDX-License-Identifier: GPL-2.0-or-later
"""One lab for the whole session. Tests get it as `lab`, and a Prober over it as `prober`."""
import os
import signal
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))

import ipvs          # noqa: E402
import lab as labs   # noqa: E402
import modes         # noqa: E402
import probe         # noqa: E402
import proxy         # noqa: E402


programs_key = pytest.StashKey()


def pytest_configure(config):
    """SIGTERM ends a run as Ctrl-C does, so that the fixtures still take their namespaces down."""
    def interrupt(_number, _frame):
        raise KeyboardInterrupt("SIGTERM")
    signal.signal(signal.SIGTERM, interrupt)
    signal.signal(signal.SIGHUP, interrupt)
    config.stash[programs_key] = modes.Programs()
    config.stash[programs_key].begin()


def pytest_unconfigure(config):
    if programs_key in config.stash:
        config.stash[programs_key].end()


def pytest_collection_modifyitems(items):
    modes.skip_what_cannot_hold(items)


counts_key = pytest.StashKey()


@pytest.fixture
def tell(request):
    """A function that puts a line of counts under the test's name into the summary, also when all went well."""
    lines = request.config.stash.setdefault(counts_key, [])
    return lambda line: lines.append(f"{request.node.name}: {line}")


def pytest_terminal_summary(terminalreporter, config):
    lines = config.stash.get(counts_key, [])
    if lines:
        terminalreporter.section("counts")
        for line in lines:
            terminalreporter.line(line)


@pytest.fixture(scope="session")
def lab():
    reason = labs.missing()
    if reason:
        pytest.skip(reason)
    if not os.access(labs.binary(), os.X_OK):
        pytest.fail(f"no fairlead at {labs.binary()}: build it first, or name one in $FAIRLEAD")
    with labs.Lab() as made:
        yield made


@pytest.fixture(scope="session")
def prober(lab):
    return probe.Prober(lab)


@pytest.fixture(scope="module")
def cluster(lab):
    """fairlead with the lab's usual flags on every node, over an empty folder (but for nodes and service ranges)."""
    with proxy.Cluster(lab) as made:
        yield made


@pytest.fixture(scope="session")
def ipvs_node(lab):
    """n1 in mode ipvs, for all tests of that mode: under emulation a start takes long."""
    with ipvs.Node(lab, flags={"v": "2"}) as made:
        yield made
