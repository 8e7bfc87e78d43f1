# SPDX-License-Identifier: GPL-2.0-or-later
"""The benchmark's harness: a world of namespaces, a cluster of manifests, the measures and the report."""


class Fault(Exception):
    """The daemon did not do the work, or it cannot be measured: one sentence."""
