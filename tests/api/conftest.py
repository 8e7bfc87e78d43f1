# SPDX-License-Identifier: GPL-2.0-or-later
"""A server for each test, or for each module, in a network namespace of its own; and every kubectl there is."""
import concurrent.futures
import os
import pathlib
import signal
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lab"))

import embedded      # noqa: E402
import kubectl       # noqa: E402
import lab as labs   # noqa: E402
import transcript    # noqa: E402

NEEDS_KUBECTL = "needs kubectl (Debian: kubernetes-client), on the PATH or named by $KUBECTLS"


def pytest_configure(config):
    """SIGTERM ends a run as Ctrl-C does, so that the fixtures still take their namespaces down."""
    def interrupt(_number, _frame):
        raise KeyboardInterrupt("SIGTERM")
    signal.signal(signal.SIGTERM, interrupt)
    signal.signal(signal.SIGHUP, interrupt)


def pytest_generate_tests(metafunc):
    """Whoever asks for `program` runs once with each kubectl, whoever asks for `newest` with the newest one."""
    if "program" in metafunc.fixturenames:
        found = kubectl.programs()
        metafunc.parametrize("program", found or [pytest.param("", marks=pytest.mark.skip(reason=NEEDS_KUBECTL))],
                             ids=[f"kubectl-{kubectl.version_of(path)}" for path in found] or ["kubectl"])


@pytest.fixture(scope="session")
def namespaces():
    reason = labs.missing()
    if reason:
        pytest.skip(reason)
    if not os.access(labs.binary(), os.X_OK):
        pytest.fail(f"no fairlead at {labs.binary()}: build it first, or name one in $FAIRLEAD")
    made = embedded.Namespaces()
    yield made
    made.close()


@pytest.fixture
def new_server(namespaces, tmp_path):
    """A function that makes a Server of this test, not yet started; ended with the test, and its log shown."""
    made = []

    def make(**flags):
        server = embedded.Server(tmp_path / f"server{len(made)}", namespaces.new(), flags)
        made.append(server)
        return server
    yield make
    for server in made:
        print(f"--- log of {server.directory.name}\n{server.log()[-4000:]}")
    try:
        for server in made:
            server.stop()
    finally:
        for server in made:
            server.kill()
            server.namespace.close()


@pytest.fixture
def server(new_server):
    """A Server that serves, with nothing in it yet."""
    return new_server().start()


@pytest.fixture
def newest(server, tmp_path):
    """The newest Kubectl, for that server."""
    found = kubectl.programs()
    if not found:
        pytest.skip(NEEDS_KUBECTL)
    return kubectl.Kubectl(found[-1], server.kubeconfig, tmp_path / "kubectl", server.namespace.command([]))


def play(program, name, namespaces, directory):
    """Plays one transcript with a server of its own; raises what goes wrong, with the server's log."""
    server = embedded.Server(directory / "server", namespaces.new())
    try:
        server.start()
        client = kubectl.Kubectl(program, server.kubeconfig, directory / "kubectl", server.namespace.command([]))
        transcript.Player(transcript.Transcript.load(transcript.FOLDER / f"{name}.yaml"), client, server.watches).play()
        server.stop()
    except AssertionError as failure:
        raise AssertionError(f"{failure}\n--- log of the server:\n{server.log()[-3000:]}") from None
    finally:
        server.kill()
        server.namespace.close()


@pytest.fixture(scope="session", autouse=True)
def played(request):
    """A future for each chosen transcript and kubectl. They begin at once, as many as there are processors at a time, and
    go on beside the other tests, of which most wait for something."""
    chosen = [item.callspec.params for item in request.session.items if item.originalname == "test_transcript"]
    chosen = [(one["program"], one["name"]) for one in chosen if one["program"]]
    if not chosen:
        yield {}
        return
    namespaces = request.getfixturevalue("namespaces")
    folder = request.getfixturevalue("tmp_path_factory")
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        yield {one: pool.submit(play, *one, namespaces, folder.mktemp(one[1])) for one in chosen}
        pool.shutdown(cancel_futures=True)
