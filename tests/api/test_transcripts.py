# SPDX-License-Identifier: GPL-2.0-or-later
"""What kubectl prints: every file of transcripts/, with every kubectl."""
import pytest
import transcript


@pytest.mark.parametrize("name", [one.name for one in transcript.all_transcripts()])
def test_transcript(played, program, name):
    played[program, name].result()


@pytest.mark.parametrize("expected, actual, is_equal", [
    ("a  b   <age>\n", "a    b   3m20s\n", True),
    ("a b\n", "a  b\n", False),
    ("  a\n", "   a\n", False),
    ("x <none>\n", "x <none>\n", True),
    ("x <none>\n", "x 10.0.0.1\n", False),
    ("a\n<lines>\nz\n", "a\nb\nc\nz\n", True),
    ("a\n<lines>\nz\n", "a\nz\n", True),
    ("a\n<lines>\nz\n", "a\nb\n", False),
    ("ip <ip>,\n", "ip 10.96.0.7,\n", True),
    ("ip <ip>\n", "ip web\n", False),
    ("", "", True),
    ("", "word\n", False),
    ("word\n", "", False),
    ("word", "word\nmore\n", False),
])
def test_the_comparison_can_fail(expected, actual, is_equal):
    assert transcript.matches(expected, actual) == is_equal
