#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""tests/coverage/report.py FILE: what gcovr counted (its JSON), as a table: a line per
folder and kind, a line per file, and, indented, each place that was not reached, with
the branches not taken of all that are there."""

import collections
import json
import pathlib
import sys

KINDS = ("lines", "branches")


def percent(reached, total):
    return f"{100 * reached / total:.1f}" if total else "100.0"


def read(entry):
    """The counts of a file, and its places that were not reached."""
    counts = {kind: [0, 0] for kind in KINDS}
    missing = []
    source = pathlib.Path(entry["file"]).read_text(encoding="utf-8").splitlines()
    for line in entry["lines"]:
        if line.get("gcovr/noncode"):
            continue
        branches = line["branches"]
        taken = sum(branch["count"] > 0 for branch in branches)
        counts["lines"][0] += line["count"] > 0
        counts["lines"][1] += 1
        counts["branches"][0] += taken
        counts["branches"][1] += len(branches)
        if line["count"] == 0 or taken < len(branches):
            what = "never" if line["count"] == 0 else f"{taken}/{len(branches)}"
            number = line["line_number"]
            missing.append(f"  {number}: {what}: {source[number - 1].strip()}")
    return counts, missing


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        entries = json.load(file)["files"]
    totals = collections.defaultdict(lambda: [0, 0])
    files = []
    for entry in sorted(entries, key=lambda entry: entry["file"]):
        counts, missing = read(entry)
        folder = str(pathlib.Path(entry["file"]).parent)
        for kind in KINDS:
            for i in (0, 1):
                totals[folder, kind][i] += counts[kind][i]
        files.append((entry["file"], counts, missing))
    for (folder, kind), (reached, total) in totals.items():
        print(f"{folder} {kind} {reached} {total} {percent(reached, total)}")
    for name, counts, missing in files:
        figures = ", ".join(f"{percent(*counts[kind])} % of {counts[kind][1]} {kind}"
                            for kind in KINDS)
        print(f"{name}: {figures}")
        for place in missing:
            print(place)


if __name__ == "__main__":
    main()
