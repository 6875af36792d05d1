#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Reads a workflow instance out of MongoDB, with pymongo 3.11 (Debian: python3-pymongo).

  mongodb_reader.py COMPONENT BUSINESS_REF

Prints its document, which is that of `swm show -o json` when the store is configured with
"body": "document"; without _swm, which is swm's own. The server is $SWM_MONGODB_URI, the
database $SWM_MONGODB_DATABASE, or swm.
"""
import json
import os
import sys

import pymongo


def main():
    client = pymongo.MongoClient(os.environ["SWM_MONGODB_URI"])
    database = client[os.environ.get("SWM_MONGODB_DATABASE", "swm")]
    document = database["wf_workflow_instance"].find_one(
        {"component_name": sys.argv[1], "business_ref_no": sys.argv[2]}, {"_id": 0, "_swm": 0})
    if not document:
        sys.exit("no such instance")
    print(json.dumps(
        document, default=lambda time: time.isoformat(timespec="milliseconds") + "Z"))


main()
