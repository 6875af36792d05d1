#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""compare.py URI DATABASE [SHOWN COMPONENT REF]: is the readable form of an instance, in
wf_workflow_instance, what `swm show -o json` has printed into the file SHOWN? Without an
instance: do queries of the original's kind find what they should?"""
import datetime
import json
import sys

import pymongo
from bson import json_util

OURS = {"_id", "_swm", "created_at"}
TWINS = str.maketrans({"$": "\uff04", ".": "\uff0e"})


def harmless(value):
    """As the plugin writes the names of fields."""
    if isinstance(value, dict):
        return {name.translate(TWINS) or "\uff3f": harmless(of) for name, of in value.items()}
    return [harmless(of) for of in value] if isinstance(value, list) else value


def plain(value):
    """As `swm show` writes times."""
    if isinstance(value, dict):
        return {name: plain(of) for name, of in value.items()}
    if isinstance(value, list):
        return [plain(of) for of in value]
    if isinstance(value, datetime.datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.") + f"{value.microsecond // 1000:03d}Z"
    return value


def compare(instances, shown, component, ref):
    with open(shown, encoding="utf-8") as file:
        wanted = harmless(json.load(file))
    found = instances.find_one({"component_name": component, "business_ref_no": ref})
    got = plain({name: value for name, value in found.items() if name not in OURS})
    got.setdefault("business_status", "")  # none yet: shown empty, stored without
    wanted.pop("_swm", None)  # a field of the template's that is ours here
    if wanted == got and repr(sorted(wanted)) == repr(sorted(got)):
        return 0
    for name in sorted(set(wanted) | set(got)):
        if wanted.get(name) != got.get(name):
            print(f"{name}: shown {wanted.get(name)!r}, stored {got.get(name)!r}",
                  file=sys.stderr)
    return 1


def query(instances):
    """What a team may ask in the shell."""
    asked = [
        ({"component_name": "ODD", "status": "FAILED"}, ["failed"]),
        ({"component_name": "ODD", "status": "COMPLETED"}, ["a/b 100%"]),
        ({"stages.tasks.reason": "cold \"oven\" \u00fc", "status": "FAILED"}, ["failed"]),
        ({"stages": {"$elemMatch": {"stage_name": "PREPARE", "status": "ACTIVE"}}}, ["ORDER-2"]),
        ({"data.s": "\u00fc\u20ac\"\\"}, ["started"]),
    ]
    failed = 0
    for wanted, refs in asked:
        found = sorted(one["business_ref_no"] for one in instances.find(wanted))
        if found != refs:
            print(f"{json_util.dumps(wanted)} finds {found}, not {refs}", file=sys.stderr)
            failed = 1
    return failed


def main():
    uri, database, *instance = sys.argv[1:]
    instances = pymongo.MongoClient(uri)[database].wf_workflow_instance
    return compare(instances, *instance) if instance else query(instances)


sys.exit(main())
