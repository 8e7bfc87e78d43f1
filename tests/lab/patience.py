# SPDX-License-Identifier: GPL-2.0-or-later
"""How long is long: every time limit of the lab is written for a machine of usual speed, and passes through here.

$LAB_PATIENCE is by how much the machine at hand is slower (1 where it says nothing). Only limits are stretched, never what
a test claims of the proxy's own clock, such as the seconds of an affinity.
"""
import os

FACTOR = float(os.environ.get("LAB_PATIENCE") or 1)


def seconds(usual):
    """The limit that means here what `usual` seconds mean on a machine of usual speed; no limit (None) stays none."""
    return None if usual is None else usual * FACTOR
