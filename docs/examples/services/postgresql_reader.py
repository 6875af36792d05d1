#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Reads a workflow instance out of PostgreSQL, with psycopg2 2.9 (Debian: python3-psycopg2).

  postgresql_reader.py COMPONENT BUSINESS_REF

Prints the document that `swm show -o json` prints. The database is that of PGHOST,
PGDATABASE, PGUSER and PGPASSWORD; the schema is $SWM_PG_SCHEMA, or public.
"""
import json
import os
import sys

import psycopg2
from psycopg2 import sql

QUERY = sql.SQL("SELECT document FROM {} WHERE component_name = %s AND business_ref_no = %s")


def main():
    view = sql.Identifier(os.environ.get("SWM_PG_SCHEMA", "public"), "wf_workflow_document")
    with psycopg2.connect("") as connection, connection.cursor() as cursor:
        cursor.execute(QUERY.format(view), sys.argv[1:3])
        row = cursor.fetchone()
    if not row:
        sys.exit("no such instance")
    print(json.dumps(row[0]))


main()
