# SPDX-License-Identifier: MIT
"""Deletes the topics of a broker whose names begin with a prefix: BROKER PREFIX."""
import sys

from confluent_kafka.admin import AdminClient

SECONDS = 30

admin = AdminClient({"bootstrap.servers": sys.argv[1]})
names = [name for name in admin.list_topics(timeout=SECONDS).topics
         if name.startswith(sys.argv[2])]
for deleted in admin.delete_topics(names, operation_timeout=SECONDS).values() if names else ():
    deleted.result()
