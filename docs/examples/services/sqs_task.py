#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A service for tasks of a workflow, with boto3 1.26 (Debian: python3-boto3).

  sqs_task.py QUEUE

Takes each StartTask from this queue and answers that it is completed. Region and keys come
from where boto3 looks for them; $SWM_SQS_ENDPOINT is for a server that is not Amazon's.
"""
import json
import os
import sys

import boto3

WORKFLOW_QUEUE = os.environ.get("SWM_WORKFLOW_QUEUE", "workflow_queue")
COPIED = ("business_ref_no", "component_name", "stage_name", "task_name", "task_type")


def work(task):
    """What the service is there for. The same task may come twice."""
    print(task["business_ref_no"], task["task_name"], flush=True)


def on_start_task(sqs, message, tasks_url, workflow_url):
    task = json.loads(message["Body"])
    work(task)
    answer = {name: task[name] for name in COPIED}
    answer["event_name"] = "TaskCompleted"
    # First the answer: a task whose answer is not sent has to come again.
    sqs.send_message(QueueUrl=workflow_url, MessageBody=json.dumps(answer))
    sqs.delete_message(QueueUrl=tasks_url, ReceiptHandle=message["ReceiptHandle"])


def main():
    sqs = boto3.client("sqs", region_name=os.environ.get("AWS_REGION"),
                       endpoint_url=os.environ.get("SWM_SQS_ENDPOINT"))
    tasks_url = sqs.create_queue(QueueName=sys.argv[1])["QueueUrl"]  # of the one that is there
    workflow_url = sqs.get_queue_url(QueueName=WORKFLOW_QUEUE)["QueueUrl"]
    while True:
        received = sqs.receive_message(
            QueueUrl=tasks_url, MaxNumberOfMessages=10, WaitTimeSeconds=20)
        for message in received.get("Messages", []):
            on_start_task(sqs, message, tasks_url, workflow_url)


main()
