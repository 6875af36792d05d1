#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Prints the test cases of a meson test log (testlog.json) as one TAP stream.

A test that speaks TAP counts with each of its cases, any other as one. What meson
says of the whole (a crash, a time-out, a broken plan) is a failure of its own, even
if every case it wrote was fine.
"""
import json
import re
import sys

CASE = re.compile(r"^(ok|not ok)\b\s*\d*\s*-?\s*([^#]*?)\s*(?:#\s*(SKIP|TODO)\b\s*(.*))?$", re.I)


def cases_of(test):
    """Yields (passed, name, skip reason or None) for one entry of the log."""
    name = test["name"].split(" / ")[-1]  # some have their suite in front
    found = failed = False
    for line in (test.get("stdout") or "").splitlines():
        match = CASE.match(line)
        if not match:
            continue
        found = True
        verdict, case, directive, why = match.groups()
        passed = verdict == "ok"
        failed = failed or not passed
        skipped = passed and directive is not None and directive.upper() == "SKIP"
        yield passed, f"{name}: {case}", why if skipped else None
    result = test["result"]
    if not found and result == "SKIP":
        yield True, name, "the whole test"
    elif not found:
        yield result == "OK", name, None
    elif result not in ("OK", "SKIP") and not failed:
        yield False, f"{name}: ended with {result}", None


def main():
    count = 0
    try:
        with open(sys.argv[1], encoding="utf-8", errors="replace") as log:
            tests = [json.loads(line) for line in log if line.strip()]
    except OSError as error:
        print(f"# no test log: {error}", file=sys.stderr)
        tests = []
    for test in tests:
        for passed, name, skip in cases_of(test):
            count += 1
            directive = f" # SKIP {skip}" if skip is not None else ""
            print(f"{'ok' if passed else 'not ok'} {count} - {name}{directive}")
    print(f"1..{count}")


main()
