# SPDX-License-Identifier: GPL-2.0-or-later
"""The tests of answers.py with the embedded API server."""
import pytest

pytest.register_assert_rewrite("answers")

from answers import *  # noqa: E402,F401,F403  pylint: disable=wildcard-import,unused-wildcard-import


@pytest.fixture(scope="session")
def server(api):
    return api
