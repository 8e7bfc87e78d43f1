#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Sums up the tiers that ./check ran: one line per failure and per skip, a table, and "N passed, N failed, N skipped".

Its argument is a file with one line per run, of four fields between tabs: tier, kind, exit status, file or reason.
    meson   FILE is meson's testlog in JSON lines; cases are counted from cmocka's TAP, else a program is one case
    pytest  FILE is a JUnit report
    skip    the tier could not run here, and why
    fail    the tier could not start, and why
A run counts as one failure more than its report shows when the report does not explain it: no report, an empty one, or
an exit status other than 0 with every case passed. So nothing that ends early can count as passed.
"""
import json
import pathlib
import re
import sys
import xml.etree.ElementTree
from collections import Counter
from dataclasses import dataclass, field

TAP_PLAN = re.compile(r"1\.\.(\d+)")
TAP_CASE = re.compile(r"(not ok|ok)\b\s*\d*\s*(?:-\s*)?(.*)")
TELLING = re.compile(r"SUMMARY: \w+Sanitizer|: runtime error: ")
LINES_PER_TIER = 25
TAP_SKIP = re.compile(r"#\s*SKIP\b\s*(.*)", re.IGNORECASE)


@dataclass
class Count:
    """What became of some cases. A failed or skipped one is (name, reason); the name is "" for a tier as a whole."""
    passed: int = 0
    failed: list = field(default_factory=list)
    skipped: list = field(default_factory=list)

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped

    def total(self):
        return self.passed + len(self.failed) + len(self.skipped)


def lines_of(text):
    return [line.strip() for line in text.splitlines() if line.strip()]


def last_line(*texts):
    """The last line of the first text that has any."""
    return next((lines_of(text)[-1] for text in texts if text.strip()), "")


def cause(*texts):
    """The line that tells most about a bad end: a sanitizer's own, else the last one."""
    telling = [line for text in texts for line in lines_of(text) if TELLING.search(line)]
    return telling[-1] if telling else last_line(*texts)


def count_tap(program, text, ending):
    """The cases in a program's output; those that its plan announced and that never reported failed by its `ending`."""
    count, planned = Count(), 0
    for line in text.splitlines():
        if plan := TAP_PLAN.fullmatch(line.strip()):
            planned += int(plan[1])
        elif case := TAP_CASE.fullmatch(line):
            skip = TAP_SKIP.search(case[2])
            if skip:
                # cmocka names the case after the word, other writers of TAP give a reason there
                count.skipped.append((f"{program} {case[2][:skip.start()]}".strip(), skip[1]))
            elif case[1] == "ok":
                count.passed += 1
            else:
                count.failed.append((f"{program}: {case[2]}", ""))
    lost = planned - count.total()
    count.failed += [(program, f"{ending} before {lost} of its {planned} cases")] * max(lost, 0)
    return count


def count_program(entry):
    """One line of meson's testlog: one program, with as many cases as it reported."""
    name, result = entry["name"].rpartition(" / ")[2], entry["result"]
    output, errors = entry.get("stdout", ""), entry.get("stderr", "")
    if result == "SKIP":
        return Count(skipped=[(name, last_line(errors, output) or "no reason given")])
    good = result in ("OK", "EXPECTEDFAIL")
    ending = "ended" if good else f"{result.lower()} (exit status {entry.get('returncode')}: {cause(errors, output)})"
    count = count_tap(name, output, ending)
    if not good and not count.failed:
        count.failed.append((name, ending))
    return count if count.total() else Count(passed=1)


def count_meson(path):
    count = Count()
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.strip():
                count.add(count_program(json.loads(line)))
    return count


def count_pytest(path):
    count = Count()
    for case in xml.etree.ElementTree.parse(path).getroot().iter("testcase"):
        name = f"{case.get('classname', '')}::{case.get('name', '')}"
        bad = case.find("failure") if case.find("failure") is not None else case.find("error")
        if bad is not None:
            count.failed.append((name, "".join(lines_of(bad.get("message", ""))[:1])))
        elif case.find("skipped") is not None:
            count.skipped.append((name, case.find("skipped").get("message", "")))
        else:
            count.passed += 1
    return count


READERS = {"meson": count_meson, "pytest": count_pytest}


def count_run(tier, kind, status, rest):
    """One line of the list of runs. Never raises: what cannot be read is a failure."""
    if kind == "skip":
        return Count(skipped=[("", rest)])
    if kind == "fail":
        return Count(failed=[("", rest)])
    try:
        count = READERS[kind](rest)
    except FileNotFoundError:
        return Count(failed=[("", f"left no report (exit status {status}): no test, or ended before writing one")])
    except (KeyError, ValueError, OSError, xml.etree.ElementTree.ParseError) as error:
        return Count(failed=[("", f"report not readable (exit status {status}): {type(error).__name__} {error}")])
    if not count.total():
        count.failed.append(("", f"ran no test (exit status {status})"))
    elif status != "0" and not count.failed:
        why = "time is up" if status == "124" else f"exit status {status}"
        count.failed.append(("", f"{why}, though no test says that it failed"))
    return count


def count_runs(lines):
    """{tier: Count} in the order of the lines."""
    tiers = {}
    for line in lines:
        fields = line.rstrip("\n").split("\t", 3)
        tier = fields[0]
        run = count_run(*fields) if len(fields) == 4 else Count(failed=[("", f"not a record of a run: {line!r}")])
        tiers.setdefault(tier, Count()).add(run)
    return tiers


def named(head, cases):
    """A line for each different case, but no more than a screen: the tier's own output stands further up."""
    lines = [": ".join(filter(None, (head, *case))) + (f" ({times} times)" if times > 1 else "")
             for case, times in Counter(cases).items()]
    rest = len(lines) - LINES_PER_TIER
    return lines[:LINES_PER_TIER] + [f"{head}: and {rest} more"] * (rest > 0)


def report(tiers):
    """(text, exit status). The text ends with the line that sums up; the status is 0 when something ran and all passed."""
    lines, total = [""], Count()
    for tier, count in tiers.items():
        lines += named(f"FAILED  {tier}", count.failed)
        lines += named(f"skipped {tier}", count.skipped)
        total.add(count)
    lines.append(f"{'tier':<10}{'passed':>8}{'failed':>8}{'skipped':>8}")
    lines += [f"{tier:<10}{count.passed:>8}{len(count.failed):>8}{len(count.skipped):>8}" for tier, count in tiers.items()]
    lines.append(f"{total.passed} passed, {len(total.failed)} failed, {len(total.skipped)} skipped")
    return "\n".join(lines), 0 if total.passed and not total.failed else 1


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: tally.py FILE-WITH-RUNS")
    text, status = report(count_runs(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()))
    print(text)
    return status


if __name__ == "__main__":
    sys.exit(main())
