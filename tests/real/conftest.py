# SPDX-License-Identifier: GPL-2.0-or-later
"""Our server and a real one, side by side in one network namespace."""
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE), *(str(HERE.parent / name) for name in ("api", "lab", "proxy"))]

import differential   # noqa: E402
import embedded       # noqa: E402
import realserver     # noqa: E402


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """(ours, theirs), two differential.Server, to be used inside the namespace that the fixture has entered."""
    reason = realserver.missing()
    if reason:
        pytest.skip(reason)
    namespaces = embedded.Namespaces()
    namespace = namespaces.new()
    directory = tmp_path_factory.mktemp("real")
    ours = embedded.Server(directory / "ours", namespace)
    real = realserver.RealServer(directory / "theirs", namespace)
    try:
        with namespace.entered():
            real.start()
            ours.start()
            theirs = differential.from_kubeconfig(real.kubeconfig)
            real.wait_ready(theirs)
            yield differential.from_kubeconfig(ours.kubeconfig), theirs
    finally:
        ours.kill()
        real.stop()
        namespace.close()
        namespaces.close()
