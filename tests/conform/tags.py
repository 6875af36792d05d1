#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Whether the promises of the port headers and the tests of the kit are the same.

    tags.py SWM-CONFORM QUEUE.H STORE.H      prints TAP

A promise names its tests in brackets, as [commit.atomic]. Each name is a test of the kit,
each test is named by its header, and each operation has one that is about it.
"""
import pathlib
import re
import subprocess
import sys

# Not an index, as in results[i].
NAME = re.compile(r"(?<!\w)\[([a-z][a-z0-9.-]*)\]")
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
OPERATION = re.compile(r"(/\* M(?:UST|AY)\..*?\*/)\s*\w+ \(\*(\w+)\)", re.DOTALL)

# What no test is only about, since every other one goes through it.
THROUGH_ALL = {"open"}


def named(text):
    """The names in a header's comments."""
    return {name for comment in COMMENT.findall(text) for name in NAME.findall(comment)}


def tests_of(program):
    """What --list prints: the tags of each port."""
    found = {"queue": set(), "store": set()}
    for line in subprocess.run([program, "--list"], check=True, stdout=subprocess.PIPE,
                               text=True).stdout.splitlines():
        port, tag = line.split("\t")[0].split(".", 1)
        found[port].add(tag)
    return found


def main(program, *headers):
    results = []
    tests = tests_of(program)
    for header in map(pathlib.Path, headers):
        text = header.read_text(encoding="utf-8")
        has, wants = tests[header.stem], named(text)
        results.append((f"each promise of {header.name} has its test", wants - has))
        results.append((f"each test of the {header.stem} has its promise", has - wants))
        bare = {name for comment, name in OPERATION.findall(text)
                if not NAME.search(comment) and name not in THROUGH_ALL}
        results.append((f"each operation of {header.name} has a promise", bare))
        assert len(OPERATION.findall(text)) > 8, "the operations are not found"
    for number, (what, wrong) in enumerate(results, 1):
        print(f"{'not ok' if wrong else 'ok'} {number} - {what}")
        for name in sorted(wrong):
            print(f"# {name}")
    print(f"1..{len(results)}")
    return 1 if any(wrong for _, wrong in results) else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
