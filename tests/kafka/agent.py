#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""swm agent on Kafka: commands that take long, others that come and go meanwhile, a broker
that goes away and comes back, messages that nobody can read.

    agent.py SWM PLUGIN_PATH      prints TAP; through tests/kafka/run own

The broker is this program's own, so that it may be stopped.
"""
import json
import os
import pathlib
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cli"))
import harness
from harness import said, wait_for

ORDERS = 12
SESSION_S = 3
harness.WAIT_S = 90  # a broker takes its time to start


class Site(harness.Site):
    """Events and tasks on the broker, the store in a file. Each adapter is another group:
    the orchestrator and the commands, and two of services."""

    def configure(self, name, queue):
        (self.dir / name).write_text(json.dumps({
            "workflow": {"listen": [{"adapter": "main", "queue": queue}]},
            "store": {"plugin": "sqlite", "path": str(self.dir / "store.db")},
            "queues": {adapter: {
                "plugin": "kafka",
                "brokers": [os.environ["SWM_TEST_KAFKA_BROKERS"]],
                "group": f"{os.environ['SWM_TEST_KAFKA_PREFIX']}{adapter}",
                "session_timeout": f"{SESSION_S}s",
                # A consumer that is not polled for this long has left its group.
                "client": {"max.poll.interval.ms": f"{SESSION_S}000"},
                "partitions": 2} for adapter in ("main", "service", "other")},
        }))


def service(*words):
    subprocess.run([os.environ["SWM_TEST_KAFKA_SERVICE"], *words], check=True,
                   stdout=subprocess.DEVNULL)


def lines(path):
    return path.read_text().splitlines() if path.exists() else []


def begin(site, name):
    site.template(name, [{"task_name": "work", "task_queue": f"{name}_queue"}])
    return f"{name}_queue"


def completed(site, name):
    rows = site.run("list", "--component", name, "--status", "completed", "-o", "json",
                    "--limit", "1000").json()
    return len(rows)


def applied_once(site, name, ref):
    rows = [row for row in site.events(name, ref) if row["event_name"] == "TaskCompleted"]
    assert [row["outcome"] for row in rows].count("applied") == 1, rows


def test_an_orchestrator_is_there(site):
    site.run("migrate")
    site.spawn("run")
    wait_for(lambda: "ready" in said(site.processes[-1]), "the orchestrator is ready")


def test_a_long_command_keeps_its_assignment(site):
    """Longer than a session and than the time between two polls, with the answer counted and
    nothing run again."""
    name = "LONG"
    queue = begin(site, name)
    runs = site.dir / f"{name}.runs"
    command = site.script(name, f'echo "$SWM_BUSINESS_REF" >>{runs}\nsleep {4 * SESSION_S}\n')
    agent = site.agent(queue, command, options=["--jobs", "1", "--adapter", "service"])
    site.run("start", name, "R1", "--no-wait")
    wait_for(lambda: completed(site, name) == 1, "it is COMPLETED")
    assert lines(runs) == ["R1"], lines(runs)
    assert "delivered once more" not in said(agent), said(agent)
    site.run("start", name, "R2", "--no-wait")
    wait_for(lambda: lines(runs) == ["R1", "R2"], "the next one comes")
    assert site.stop(agent) == 0


def test_another_agent_comes_while_a_command_runs(site):
    """The partitions are divided anew: what runs may be run again by the other one, and
    counts once."""
    name = "SHARED"
    queue = begin(site, name)
    runs = site.dir / f"{name}.runs"
    command = site.script(name, f'echo "$SWM_BUSINESS_REF" >>{runs}\nsleep 1\n')
    options = ["--jobs", "2", "--adapter", "service"]
    first = site.agent(queue, command, options=options)
    for number in range(ORDERS):
        site.run("start", name, f"R{number}", "--no-wait")
    wait_for(lambda: lines(runs), "some are under way")
    second = site.agent(queue, command, options=options)
    wait_for(lambda: completed(site, name) == ORDERS, "all are COMPLETED")
    for number in range(ORDERS):
        applied_once(site, name, f"R{number}")
    assert set(lines(runs)) == {f"R{number}" for number in range(ORDERS)}
    assert site.stop(first) == 0
    assert site.stop(second) == 0


def test_the_broker_is_killed_while_commands_run(site):
    name = "KILL"
    queue = begin(site, name)
    runs = site.dir / f"{name}.runs"
    hold = site.dir / "hold"
    hold.touch()
    command = site.script(name, f'echo "$SWM_BUSINESS_REF" >>{runs}\n'
                                f'while [ -e {hold} ]; do sleep 0.1; done\n')
    agent = site.agent(queue, command, options=["--jobs", "4", "--adapter", "other"])
    for number in range(3):
        site.run("start", name, f"R{number}", "--no-wait")
    wait_for(lambda: len(lines(runs)) == 3, "all are under way")
    service("restart", "KILL")
    time.sleep(SESSION_S)
    hold.unlink()
    wait_for(lambda: completed(site, name) == 3, "all are COMPLETED")
    assert sorted(set(lines(runs))) == [f"R{number}" for number in range(3)]
    for number in range(3):
        applied_once(site, name, f"R{number}")
    assert agent.poll() is None, "the agent has ended"
    assert site.stop(agent) == 0


def test_what_nobody_can_read_keeps_nothing_waiting(site):
    """One place only, and messages that come again and again beside it."""
    name = "POISON"
    queue = begin(site, name)
    site.configure("tasks.json", queue)
    agent = site.agent(queue, "true", options=["--jobs", "1", "--adapter", "other"])
    for number in range(3):
        site.run("send", "--raw", "-", stdin=f"no StartTask {number}".encode(),
                 config="tasks.json")
    wait_for(lambda: "goes back" in said(agent), "the agent has seen it")
    for number in range(5):
        site.run("start", name, f"R{number}", "--no-wait")
    wait_for(lambda: completed(site, name) == 5, "all are COMPLETED")
    assert site.stop(agent) == 0


if __name__ == "__main__":
    sys.exit(harness.main(sys.modules[__name__], lambda: Site(
        sys.argv[1], sys.argv[2], lease="")))
