#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""swm agent on RabbitMQ while the broker goes away and comes back, and beside messages
that nobody can read.

    agent.py SWM PLUGIN_PATH      prints TAP; through tests/rabbitmq/run own

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

ADAPTERS = {"main": "quorum", "classic": "classic"}
JOBS = 3
ORDERS = 20
harness.WAIT_S = 90  # a broker takes its time to start


class Site(harness.Site):
    """Events and tasks on the broker, the store in a file."""

    def configure(self, name, queue):
        url = os.environ["SWM_TEST_RABBITMQ_URL"].rsplit("/", 1)[0]
        (self.dir / name).write_text(json.dumps({
            "workflow": {"listen": [{"adapter": "main", "queue": queue}]},
            "store": {"plugin": "sqlite", "path": str(self.dir / "store.db")},
            "queues": {adapter: {
                "plugin": "rabbitmq",
                "url": f"{url}/{os.environ['SWM_TEST_RABBITMQ_VHOST']}",
                "password": "${SWM_TEST_RABBITMQ_PASSWORD}",
                "queue_type": kind} for adapter, kind in ADAPTERS.items()},
        }))


def service(*words):
    subprocess.run([os.environ["SWM_TEST_RABBITMQ_SERVICE"], *words], check=True,
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


def work_through(site, name, disturb):
    """Orders of one task each, `disturb` in the middle of them: each is run once, since the
    agent that has run it lives on."""
    queue = begin(site, name)
    runs = site.dir / f"{name}.runs"
    hold = site.dir / f"{name}.hold"
    command = site.script(name, f'echo "$SWM_BUSINESS_REF" >>{runs}\nsleep 0.2\n'
                                f'while [ -e {hold} ]; do sleep 0.1; done\n')
    agent = site.agent(queue, command, options=["--jobs", str(JOBS)])
    for number in range(ORDERS):
        site.run("start", name, f"R{number}", "--no-wait")
    wait_for(lambda: len(lines(runs)) >= 4, "some are under way")
    hold.touch()
    disturb()
    assert len(lines(runs)) < ORDERS, "the agent was too fast to be disturbed"
    hold.unlink()
    wait_for(lambda: completed(site, name) == ORDERS, "all are COMPLETED")
    assert agent.poll() is None, "the agent has ended"
    assert site.stop(agent) == 0
    assert sorted(lines(runs)) == sorted(f"R{number}" for number in range(ORDERS))
    for number in range(ORDERS):
        rows = [row for row in site.events(name, f"R{number}")
                if row["event_name"] == "TaskCompleted"]
        assert [row["outcome"] for row in rows].count("applied") == 1, rows
    return agent


def test_an_orchestrator_is_there(site):
    site.run("migrate")
    site.spawn("run")
    wait_for(lambda: "ready" in said(site.processes[-1]), "the orchestrator is ready")


def test_the_example_of_the_configuration_is_valid(site):
    site.run("check", config=harness.SOURCE / "conf/rabbitmq-postgresql.json",
             env={"SWM_PG_PASSWORD": "a", "SWM_RABBITMQ_PASSWORD": "b"})


def test_nothing_disturbs(site):
    agent = work_through(site, "CALM", lambda: None)
    assert "delivered once more" not in said(agent)


def test_the_broker_is_restarted_while_an_agent_works(site):
    agent = work_through(site, "RESTART", lambda: service("restart"))
    assert "trying again" in said(agent), "it has not noticed"
    assert said(agent).count("takes tasks") == 2


def test_the_broker_is_killed_while_commands_run(site):
    """They come again to who works on them still, and are not run again for it."""
    name = "KILL"
    queue = begin(site, name)
    runs = site.dir / f"{name}.runs"
    hold = site.dir / "hold"
    hold.touch()
    command = site.script(name, f'echo "$SWM_BUSINESS_REF" >>{runs}\n'
                                f'while [ -e {hold} ]; do sleep 0.1; done\n')
    agent = site.agent(queue, command, options=["--jobs", str(2 * JOBS)])
    for number in range(JOBS):
        site.run("start", name, f"R{number}", "--no-wait")
    wait_for(lambda: len(lines(runs)) == JOBS, "all are under way")
    time.sleep(8)  # a quorum queue has to be there for a while to survive a kill
    service("restart", "KILL")
    wait_for(lambda: said(agent).count("delivered once more") == JOBS, "they come again")
    hold.unlink()
    wait_for(lambda: completed(site, name) == JOBS, "all are COMPLETED")
    assert sorted(lines(runs)) == [f"R{number}" for number in range(JOBS)]
    assert site.stop(agent) == 0


def keeps_nothing_waiting(site, adapter):
    """One place only, and messages in it that come again and again."""
    name = f"POISON-{adapter}"
    queue = begin(site, name)
    site.configure("tasks.json", queue)
    agent = site.agent(queue, "true", options=["--jobs", "1", "--adapter", adapter])
    for number in range(3):
        site.run("send", "--raw", "-", stdin=f"no StartTask {number}".encode(),
                 config="tasks.json")
    wait_for(lambda: "goes back" in said(agent), "the agent has seen it")
    for number in range(5):
        site.run("start", name, f"R{number}", "--no-wait")
    wait_for(lambda: completed(site, name) == 5, "all are COMPLETED")
    assert site.stop(agent) == 0


def test_what_nobody_can_read_keeps_nothing_waiting(site):
    keeps_nothing_waiting(site, "main")


def test_nor_in_a_classic_queue(site):
    keeps_nothing_waiting(site, "classic")


if __name__ == "__main__":
    sys.exit(harness.main(sys.modules[__name__], lambda: Site(
        sys.argv[1], sys.argv[2], lease="")))
