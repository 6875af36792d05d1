#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""drop.py URI DATABASE: drops a database that a test has made."""
import sys

import pymongo

pymongo.MongoClient(sys.argv[1], serverSelectionTimeoutMS=5000).drop_database(sys.argv[2])
