# SPDX-License-Identifier: MIT
"""Drops the databases of a server whose names begin with a prefix: URL PREFIX."""
import sys

import pymongo

client = pymongo.MongoClient(sys.argv[1])
for name in client.list_database_names():
    if name.startswith(sys.argv[2]):
        client.drop_database(name)
