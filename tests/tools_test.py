# SPDX-License-Identifier: GPL-2.0-or-later
"""tests/tally.py counts what real programs, real meson and real pytest leave; the doors are sound shell."""
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

import tally

ROOT = pathlib.Path(__file__).resolve().parent.parent
SCRIPTS = ["run", "check", "tests/doors.sh", "tests/bare/bare.sh", "tests/bare/tree.sh", "tests/vm/init", "dist/deb.sh"]

HEAD = """
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>
static void good(void **state) {}
static void bad(void **state) { assert_int_equal(1, 2); }
static void skipped(void **state) { skip(); }
static void aborts(void **state) { abort(); }
static void leaves(void **state) { exit(0); }
static void hangs(void **state) { sleep(60); }
static void oversteps(void **state) { char *p = malloc(4); p[*(volatile int *)&(int){4}] = 1; free(p); }
static void overflows(void **state) { volatile int big = 2147483647; big = big + 1; }
"""

# program -> its cmocka cases, and what has to be counted: passed, failed, skipped
PROGRAMS = {
    "allgood": ("good good good", (3, 0, 0)),
    "onebad": ("good bad good", (2, 1, 0)),
    "oneskip": ("good skipped", (1, 0, 1)),
    # What it printed may be lost with it, so only the least is known: it failed.
    "crash": ("good aborts good", (None, 1, 0)),
    "leaver": ("good leaves good", (1, 2, 0)),
    "asan": ("good oversteps", (None, 1, 0)),
    "ubsan": ("good overflows", (None, 1, 0)),
    "hang": ("good hangs", (None, 1, 0)),
}


def program(cases):
    units = ", ".join(f"cmocka_unit_test({case})" for case in cases.split())
    return f"{HEAD}int main(void) {{ const struct CMUnitTest tests[] = {{ {units} }};\n" \
           "return cmocka_run_group_tests(tests, NULL, NULL); }\n"


@pytest.fixture(scope="module")
def testlog(tmp_path_factory):
    """Meson's own log of PROGRAMS and of four that are not cmocka's."""
    source = tmp_path_factory.mktemp("project")
    lines = ["project('p', 'c', default_options: ['c_std=gnu17', 'b_sanitize=address,undefined'])",
             "cmocka = dependency('cmocka')"]
    for name, (cases, _) in PROGRAMS.items():
        (source / f"{name}.c").write_text(program(cases))
        limit = ", timeout: 1" if name == "hang" else ""
        lines.append(f"test('{name}', executable('{name}', '{name}.c', dependencies: cmocka){limit})")
    lines.append("test('plain', find_program('true'))")
    lines.append("test('badplain', find_program('false'))")
    lines.append("test('badend', find_program('sh'), args: ['-c', 'echo 1..1; echo ok 1 - a; exit 3'])")
    lines.append("test('lacking', find_program('sh'), args: ['-c', 'echo no qemu here; exit 77'])")
    (source / "meson.build").write_text("\n".join(lines) + "\n")
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "CMOCKA_MESSAGE_OUTPUT": "TAP",
                   "ASAN_OPTIONS": "abort_on_error=1", "UBSAN_OPTIONS": "halt_on_error=1:abort_on_error=1"}
    subprocess.run(["meson", "setup", "b"], cwd=source, env=environment, check=True, capture_output=True)
    done = subprocess.run(["meson", "test", "-C", "b"], cwd=source, env=environment, capture_output=True)
    assert done.returncode != 0
    return source / "b" / "meson-logs" / "testlog.json"


def of_program(testlog, tmp_path, name):
    """The testlog's line about one program, counted by itself."""
    path = tmp_path / "one.json"
    path.write_text("".join(line for line in testlog.read_text().splitlines(True) if f'"name": "{name}"' in line))
    return tally.count_meson(path)


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_end_of_a_program_is_counted(testlog, tmp_path, name):
    passed, failed, skipped = PROGRAMS[name][1]
    count = of_program(testlog, tmp_path, name)
    assert len(count.skipped) == skipped
    if passed is None:
        assert count.passed <= 1 and len(count.failed) >= failed
    else:
        assert (count.passed, len(count.failed)) == (passed, failed)


def test_a_program_without_cases_is_one_case(testlog, tmp_path):
    assert of_program(testlog, tmp_path, "plain") == tally.Count(passed=1)
    assert of_program(testlog, tmp_path, "lacking").skipped == [("lacking", "no qemu here")]


def test_a_bad_exit_status_is_a_failure_whatever_the_cases_say(testlog, tmp_path):
    assert of_program(testlog, tmp_path, "badplain").passed == 0
    assert len(of_program(testlog, tmp_path, "badplain").failed) == 1
    assert len(of_program(testlog, tmp_path, "badend").failed) == 1


def test_failures_are_named(testlog, tmp_path):
    assert of_program(testlog, tmp_path, "onebad").failed[0][0] == "onebad: bad"
    assert "timeout" in of_program(testlog, tmp_path, "hang").failed[0][1]
    assert "AddressSanitizer" in of_program(testlog, tmp_path, "asan").failed[0][1]
    assert "integer overflow" in of_program(testlog, tmp_path, "ubsan").failed[0][1]


def test_tap_of_both_skip_forms():
    count = tally.count_tap("p", "1..2\nnot ok 1 # SKIP name\nok 2 - name # SKIP no root\n", "ended")
    assert (count.passed, len(count.failed), len(count.skipped)) == (0, 0, 2)


PYTEST_FILE = """
import pytest
@pytest.fixture
def broken_end():
    yield
    raise OSError("left behind")
def test_good(): pass
def test_bad(): assert 1 == 2
def test_good_with_bad_end(broken_end): pass
@pytest.mark.skip(reason="no qemu here")
def test_skipped(): pass
"""


def run_pytest(directory, text):
    (directory / "test_it.py").write_text(text)
    report = directory / "report.xml"
    done = subprocess.run([sys.executable, "-B", "-m", "pytest", "-q", "--rootdir", directory, "--junitxml", report,
                           directory], capture_output=True)
    return tally.count_run("lab", "pytest", str(done.returncode), str(report))


def test_pytest_cases(tmp_path):
    count = run_pytest(tmp_path, PYTEST_FILE)
    assert len(count.failed) == 2 and len(count.skipped) == 1 and count.passed in (1, 2)
    assert count.skipped[0][1] == "no qemu here"


@pytest.mark.parametrize("text", ["", "import nowhere_to_be_found\n"], ids=["empty", "not importable"])
def test_pytest_that_ran_nothing_failed(tmp_path, text):
    count = run_pytest(tmp_path, text)
    assert count.passed == 0 and len(count.failed) == 1


@pytest.mark.parametrize("content, status, want", [
    (None, "0", "no report"),
    ("", "0", "ran no test"),
    ("{", "0", "not readable"),
    ('{"name": "x", "result": "OK", "stdout": "1..1\\nok 1 - a\\n"}', "124", "time is up"),
    ('{"name": "x", "result": "OK", "stdout": ""}', "3", "exit status 3"),
], ids=["missing", "empty", "cut off", "tier time-out", "unexplained status"])
def test_a_report_that_does_not_explain_the_end_is_a_failure(tmp_path, content, status, want):
    path = tmp_path / "log.json"
    if content is not None:
        path.write_text(content)
    count = tally.count_run("unit", "meson", status, str(path))
    assert len(count.failed) == 1 and want in count.failed[0][1]


def test_the_sum_and_the_exit_status(tmp_path):
    log = tmp_path / "log.json"
    log.write_text('{"name": "x", "result": "OK", "stdout": "1..2\\nok 1 - a\\nok 2 - b\\n"}\n')
    good, skip, fail = f"unit\tmeson\t0\t{log}", "lab\tskip\t0\tnot root", "clang\tfail\t1\tthe build failed"
    for lines, sentence, status in [
            ([good, skip], "2 passed, 0 failed, 1 skipped", 0),
            ([good, skip, fail], "2 passed, 1 failed, 1 skipped", 1),
            ([skip], "0 passed, 0 failed, 1 skipped", 1),
            ([], "0 passed, 0 failed, 0 skipped", 1),
            (["a line that is no record"], "0 passed, 1 failed, 0 skipped", 1)]:
        text, got = tally.report(tally.count_runs(lines))
        assert (text.splitlines()[-1], got) == (sentence, status)


def test_many_failures_fit_on_a_screen_and_count_in_full():
    many = tally.Count(failed=[(f"case {number}", "") for number in range(400)] + [("same", "lost")] * 3)
    text, _ = tally.report({"lab": many})
    assert len(text.splitlines()) < 40 and text.endswith("0 passed, 403 failed, 0 skipped")
    assert "(3 times)" in "".join(tally.named("FAILED", [("same", "lost")] * 3))


def test_every_suite_is_a_tier():
    """A suite that ./check does not name would run nowhere but under the sanitizers."""
    files = [path for folder in ("src", "tests", "bench") for path in (ROOT / folder).rglob("meson.build")]
    suites = {name for path in files for name in re.findall(r"suite: '([^']+)'", path.read_text())}
    tiers = re.search(r"^tiers='\n(.*?)\n'$", (ROOT / "check").read_text(), re.DOTALL | re.MULTILINE)[1]
    assert suites and suites <= {line.split()[0] for line in tiers.splitlines()}


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_are_sound(script):
    if not shutil.which("shellcheck"):
        pytest.skip("shellcheck is not installed")
    done = subprocess.run(["shellcheck", "-x", script], cwd=ROOT, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("door, tail", [("run", []), ("check", ["unit"])])
def test_doors_refuse_what_they_do_not_know(door, tail):
    done = subprocess.run([f"./{door}", "--nonsense", *tail], cwd=ROOT, text=True, capture_output=True)
    assert done.returncode == 2 and "--nonsense" in done.stderr
    done = subprocess.run([f"./{door}", "--help"], cwd=ROOT, text=True, capture_output=True)
    assert done.returncode == 0 and done.stdout.startswith("usage:")
