# SPDX-License-Identifier: GPL-2.0-or-later
"""What is built once for all tests of the package: the package, and bare systems to put it on."""
import os
import pathlib
import platform
import signal
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import system   # noqa: E402


def pytest_configure(config):
    """SIGTERM ends a run as Ctrl-C does, so that the fixtures still remove their systems."""
    def interrupt(_number, _frame):
        raise KeyboardInterrupt("SIGTERM")
    signal.signal(signal.SIGTERM, interrupt)
    signal.signal(signal.SIGHUP, interrupt)


def release():
    """The code name of this machine's Debian, which is what a package built here is for."""
    return platform.freedesktop_os_release().get("VERSION_CODENAME", "")


@pytest.fixture(scope="session")
def deb():
    """The package, built by the door that builds it."""
    out = system.CACHE / "deb"
    done = subprocess.run([system.ROOT / "dist" / "deb.sh", out], text=True, capture_output=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    found = [path for path in out.glob("fairlead_*.deb")]
    assert len(found) == 1, found
    return found[0]


@pytest.fixture(scope="session")
def new_system():
    """A function that makes a System out of a release and further packages; it goes with the session."""
    if reason := system.missing():
        pytest.skip(reason)
    made = []

    def new(*parts):
        try:
            tar = system.base(*parts)
        except system.Missing as reason:
            pytest.skip(str(reason))
        made.append(system.System(tar))
        return made[-1]
    yield new
    for one in made:
        one.close()


@pytest.fixture(scope="session")
def program():
    """fairlead as ./check built it."""
    path = pathlib.Path(os.environ.get("FAIRLEAD") or system.ROOT / "build" / "fairlead")
    if not os.access(path, os.X_OK):
        pytest.fail(f"no fairlead at {path}: build it first, or name one in $FAIRLEAD")
    return path
