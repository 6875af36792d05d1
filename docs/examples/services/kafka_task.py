#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A service for tasks of a workflow, with confluent-kafka 1.7 (Debian: python3-confluent-kafka).

  kafka_task.py GROUP TOPIC...

Takes each StartTask from these topics, as a member of this consumer group, and answers that
it is completed. The brokers are $SWM_KAFKA_BROKERS.
"""
import json
import os
import sys

import confluent_kafka

WORKFLOW_TOPIC = os.environ.get("SWM_WORKFLOW_QUEUE", "workflow_queue")
COPIED = ("business_ref_no", "component_name", "stage_name", "task_name", "task_type")


def work(task):
    """What the service is there for. The same task may come twice."""
    print(task["business_ref_no"], task["task_name"], flush=True)


def publish(producer, key, value):
    """Returns when the brokers have it, and raises when they do not."""
    failures = []
    producer.produce(WORKFLOW_TOPIC, key=key, value=value,
                     on_delivery=lambda error, _message: error and failures.append(error))
    producer.flush()
    if failures:
        raise confluent_kafka.KafkaException(failures[0])


def on_start_task(producer, message):
    task = json.loads(message.value())
    work(task)
    answer = {name: task[name] for name in COPIED}
    answer["event_name"] = "TaskCompleted"
    # Under the same key, so that all events of an instance are in one partition.
    publish(producer, message.key(), json.dumps(answer))


def main():
    brokers = os.environ.get("SWM_KAFKA_BROKERS", "localhost:9092")
    producer = confluent_kafka.Producer({"bootstrap.servers": brokers, "acks": "all"})
    consumer = confluent_kafka.Consumer({
        "bootstrap.servers": brokers, "group.id": sys.argv[1],
        "auto.offset.reset": "earliest", "enable.auto.commit": False,
        "topic.metadata.refresh.interval.ms": 5000})
    consumer.subscribe(sys.argv[2:])
    while True:
        message = consumer.poll(1.0)
        if message is None:
            continue
        if message.error():
            print(message.error(), file=sys.stderr, flush=True)
            continue
        on_start_task(producer, message)
        consumer.commit(message=message, asynchronous=False)  # it is answered: on to the next


main()
