#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A service for tasks of a workflow, with pika 1.2 (Debian: python3-pika).

  rabbitmq_task.py QUEUE...

Takes each StartTask from these queues and answers that it is completed. The broker is
$SWM_RABBITMQ_URL (amqp:// or amqps://), the password of the user in it
$SWM_RABBITMQ_PASSWORD.
"""
import json
import os
import ssl
import sys
from urllib.parse import unquote, urlsplit

import pika

WORKFLOW_QUEUE = os.environ.get("SWM_WORKFLOW_QUEUE", "workflow_queue")
DURABLE_QUEUE = {"durable": True, "arguments": {"x-queue-type": "quorum"}}  # as swm makes them
COPIED = ("business_ref_no", "component_name", "stage_name", "task_name", "task_type")


def work(task):
    """What the service is there for. The same task may come twice."""
    print(task["business_ref_no"], task["task_name"], flush=True)


def on_start_task(channel, method, _properties, body):
    task = json.loads(body)
    work(task)
    answer = {name: task[name] for name in COPIED}
    answer["event_name"] = "TaskCompleted"
    # Returns when the broker has it, and raises when it does not: only then is the task done.
    channel.basic_publish(
        "", WORKFLOW_QUEUE, json.dumps(answer), mandatory=True,
        properties=pika.BasicProperties(
            delivery_mode=pika.spec.PERSISTENT_DELIVERY_MODE, content_type="application/json"))
    channel.basic_ack(method.delivery_tag)


def broker():
    url = urlsplit(os.environ["SWM_RABBITMQ_URL"])
    tls = pika.SSLOptions(ssl.create_default_context(), url.hostname)
    return pika.ConnectionParameters(
        url.hostname, url.port, unquote(url.path[1:]),
        pika.PlainCredentials(url.username, os.environ["SWM_RABBITMQ_PASSWORD"]),
        ssl_options=tls if url.scheme == "amqps" else None)


def main():
    channel = pika.BlockingConnection(broker()).channel()
    channel.confirm_delivery()
    channel.basic_qos(prefetch_count=10)
    for queue in sys.argv[1:]:
        channel.queue_declare(queue, **DURABLE_QUEUE)
        channel.basic_consume(queue, on_start_task)
    channel.start_consuming()


main()
