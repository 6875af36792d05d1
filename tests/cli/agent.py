#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""swm agent: what it makes of commands that work, fail, hang and are killed, and of its
own end at any moment.

    agent.py SWM PLUGIN_PATH      prints TAP

The queue's lease is short here, so that it has to be extended, and so that what an agent
leaves behind comes back soon. Each test has a component and a queue of its own.
"""
import json
import os
import signal
import sys
import time

import harness
from harness import said, wait_for

LEASE_S = 1


def begin(site, name, **task):
    """A workflow of one task, and a reference that has been started."""
    site.template(name, [{"task_name": "work", "task_queue": f"{name}_queue", **task}])
    site.run("start", name, "R1")
    return f"{name}_queue"


def ends(site, name, status):
    """Waits for the task's status and returns the task."""
    site.wait_status(name, "R1", status, task="work")
    return site.task(name, "R1", "work")


def answers(site, name):
    return [row for row in site.events(name, "R1") if row["event_name"] != "StartWorkflow"]


def lines(path):
    return path.read_text().splitlines() if path.exists() else []


def ticks(process):
    """The time that it has used, in hundredths of a second."""
    with open(f"/proc/{process.pid}/stat", encoding="ascii") as stat:
        fields = stat.read().split()
    return int(fields[13]) + int(fields[14])


def test_an_orchestrator_is_there(site):
    site.run("migrate")
    site.spawn("run")


def test_the_reason_of_a_failure_is_the_last_line_of_stderr(site):
    queue = begin(site, "LASTLINE")
    command = site.script("lastline", "exec >&2; echo first\n"
                                      "printf 'the oven\\tis \\377 cold\\n \\n'; exit 3\n")
    agent = site.agent(queue, command, options=["--once"])
    assert agent.wait(timeout=harness.WAIT_S) == 0
    assert ends(site, "LASTLINE", "FAILED")["reason"] == "the oven is ? cold"
    assert b"first\nthe oven" in agent.log.read_bytes(), "stderr is passed on"


def test_without_stderr_it_is_the_exit_status(site):
    queue = begin(site, "STATUS")
    site.agent(queue, "sh", "-c", "exit 7", options=["--once"])
    assert ends(site, "STATUS", "FAILED")["reason"] == "exit status 7"


def test_or_the_signal(site):
    queue = begin(site, "SIGNAL")
    site.agent(queue, "sh", "-c", "kill -SEGV $$", options=["--once"])
    assert ends(site, "SIGNAL", "FAILED")["reason"] == "killed by signal 11 (Segmentation fault)"


def test_even_if_the_end_of_children_was_ignored_before(site):
    queue = begin(site, "IGNORED")
    program = site.script("ignoring", "exec bash -c 'trap \"\" CHLD; exec \"$0\" \"$@\"' "
                                      f"'{site.swm}' \"$@\"\n")
    site.agent(queue, "sh", "-c", "exit 3", options=["--once"], program=program)
    assert ends(site, "IGNORED", "FAILED")["reason"] == "exit status 3"


def test_a_retry_runs_the_next_attempt(site):
    queue = begin(site, "AGAIN")
    command = site.script("again", 'echo "try $SWM_ATTEMPT" >&2; test "$SWM_ATTEMPT" = 2\n')
    site.agent(queue, command)
    assert ends(site, "AGAIN", "FAILED")["reason"] == "try 1"
    site.run("retry", "AGAIN", "R1", "work")
    assert ends(site, "AGAIN", "COMPLETED")["attempt"] == 2


def test_a_command_gets_the_start_task(site):
    queue = begin(site, "INPUT", priority=7)
    command = site.script("input", "cat >input.json\n"
                                   "env | grep ^SWM_ | sort >input.env\n"
                                   "ls /proc/self/fd >input.fds\n")
    site.agent(queue, command, options=["--once"])
    ends(site, "INPUT", "COMPLETED")
    message = json.loads((site.dir / "input.json").read_text())
    assert message["event_name"] == "StartTask" and message["priority"] == 7, message
    variables = dict(line.split("=", 1) for line in lines(site.dir / "input.env"))
    assert {name: value for name, value in variables.items() if name not in site.env
            and name != "SWM_CONFIG"} == {
        "SWM_COMPONENT": "INPUT", "SWM_BUSINESS_REF": "R1", "SWM_STAGE": "S",
        "SWM_TASK": "work", "SWM_ATTEMPT": "1",
        "SWM_MESSAGE_ID": message["_swm"]["message_id"]}, variables
    # stdin, stdout, stderr and the folder that ls reads: nothing of the agent's
    assert lines(site.dir / "input.fds") == ["0", "1", "2", "3"], lines(site.dir / "input.fds")


def test_an_object_on_stdout_becomes_data(site):
    queue = begin(site, "DATA")
    agent = site.agent(queue, "echo", '{"price": 19.99, "who": "cook"}', options=["--once"])
    ends(site, "DATA", "COMPLETED")
    shown = site.run("show", "DATA", "R1", "-o", "json").out
    assert '"data":{"price":19.99,"who":"cook"}' in shown, shown
    assert "19.99" not in said(agent)


def test_other_output_goes_to_the_log(site):
    queue = begin(site, "CHATTY")
    agent = site.agent(queue, "echo", '{"not": json}', options=["--once"])
    ends(site, "CHATTY", "COMPLETED")
    assert agent.wait(timeout=harness.WAIT_S) == 0
    assert '{"not": json}' in said(agent)
    assert "data" not in site.document("CHATTY", "R1")


def test_output_without_end_is_no_harm(site):
    queue = begin(site, "LOUD")
    site.agent(queue, "sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' 'x'; echo; echo bye >&2",
               options=["--once"])
    ends(site, "LOUD", "COMPLETED")


def test_data_over_the_limit_is_a_failure(site):
    queue = begin(site, "BIG")
    site.agent(queue, "sh", "-c", "printf '{\"a\": \"'; head -c 40000 /dev/zero | tr '\\0' x; "
                                  "echo '\"}'", options=["--once"])
    assert "over the limit" in ends(site, "BIG", "FAILED")["reason"]


def test_commands_run_at_the_same_time(site):
    site.template("PARALLEL", [{"task_name": f"work{number}", "task_queue": "PARALLEL_queue"}
                               for number in range(4)])
    site.run("start", "PARALLEL", "R1")
    # each waits for all four, which never happens one by one
    command = site.script("parallel", "touch here.$SWM_TASK\n"
                                      "until [ $(ls here.* | wc -l) = 4 ]; do sleep 0.1; done\n")
    agent = site.agent("PARALLEL_queue", command, options=["--jobs", "4", "--max", "4"])
    site.wait_status("PARALLEL", "R1", "COMPLETED")
    assert agent.wait(timeout=harness.WAIT_S) == 0, "it ends after --max 4"


def test_a_lease_is_extended_while_a_command_runs(site):
    queue = begin(site, "LONG")
    command = site.script("long", f"echo run >>long.runs; sleep {LEASE_S * 3}\n")
    agents = [site.agent(queue, command) for _ in range(2)]
    ends(site, "LONG", "COMPLETED")
    assert lines(site.dir / "long.runs") == ["run"]
    assert [site.stop(agent) for agent in agents] == [0, 0]


def test_a_killed_agents_task_runs_again(site):
    queue = begin(site, "KILLED")
    command = site.script("killed", "echo $SWM_MESSAGE_ID >>killed.runs; echo $$ >>killed.pids\n"
                                    "test $(wc -l <killed.runs) -gt 1 || sleep 60\n")
    first = site.agent(queue, command)
    wait_for(lambda: lines(site.dir / "killed.runs"), "the command runs")
    site.stop(first, signal.SIGKILL)
    site.agent(queue, command)
    ends(site, "KILLED", "COMPLETED")
    # nobody was left to end the first run: each is a process group of its own
    os.killpg(int(lines(site.dir / "killed.pids")[0]), signal.SIGKILL)
    runs = lines(site.dir / "killed.runs")
    assert len(runs) == 2 and runs[0] == runs[1], runs
    assert len(answers(site, "KILLED")) == 1, answers(site, "KILLED")


def test_the_answer_of_a_second_run_is_no_second_event(site):
    queue = begin(site, "TWICE")
    command = site.script("twice", "echo run >>twice.runs; sleep 0.3\n")
    first = site.agent(queue, command)
    wait_for(lambda: lines(site.dir / "twice.runs"), "the command runs")
    first.send_signal(signal.SIGSTOP)  # its lease runs out, and it does not know
    second = site.agent(queue, command)
    ends(site, "TWICE", "COMPLETED")
    first.send_signal(signal.SIGCONT)
    # said when it settles, after it has answered
    wait_for(lambda: "will be delivered again" in said(first), "it has answered")
    # comes after the first one's answer, which was seen before this is recorded
    again = site.run("complete", "TWICE", "R1", "work", code=1)
    assert "duplicate" in again.out, again
    rows = answers(site, "TWICE")
    assert [row["outcome"] for row in rows] == ["applied", "duplicate"], rows
    assert lines(site.dir / "twice.runs") == ["run", "run"]
    assert [site.stop(agent) for agent in (first, second)] == [0, 0]


def test_a_lease_that_was_lost_is_found_again(site):
    queue = begin(site, "LOST")
    command = site.script("lost", f"echo run >>lost.runs; sleep {LEASE_S * 3}\n")
    agent = site.agent(queue, command, options=["--jobs", "2"])
    wait_for(lambda: lines(site.dir / "lost.runs"), "the command runs")
    agent.send_signal(signal.SIGSTOP)
    time.sleep(LEASE_S * 1.5)
    agent.send_signal(signal.SIGCONT)
    ends(site, "LOST", "COMPLETED")
    assert "delivered once more" in said(agent)
    time.sleep(LEASE_S * 1.5)
    assert lines(site.dir / "lost.runs") == ["run"]
    assert site.stop(agent) == 0


def test_a_lease_found_again_leaves_room_for_as_many_as_before(site):
    queue = begin(site, "REGAINED")
    site.template("BOTH", [{"task_name": f"work{number}", "task_queue": queue}
                           for number in range(2)])
    # those of BOTH wait for each other
    command = site.script("regained", "touch at.$SWM_COMPONENT.$SWM_TASK\n"
                                      "[ $SWM_COMPONENT = BOTH ] || exec sleep 3\n"
                                      "until [ $(ls at.BOTH.* | wc -l) = 2 ]; do sleep 0.1; done\n")
    agent = site.agent(queue, command, options=["--jobs", "2"])
    wait_for((site.dir / "at.REGAINED.work").exists, "the command runs")
    agent.send_signal(signal.SIGSTOP)
    time.sleep(LEASE_S * 1.5)
    agent.send_signal(signal.SIGCONT)
    ends(site, "REGAINED", "COMPLETED")
    assert "delivered once more" in said(agent)
    assert "will be delivered again" not in said(agent)
    site.run("start", "BOTH", "R1")
    site.wait_status("BOTH", "R1", "COMPLETED")
    assert site.stop(agent) == 0


def test_after_a_lease_was_lost_to_another_it_takes_tasks(site):
    queue = begin(site, "DEAF")
    # the first run ends only when it is told to
    command = site.script("deaf", "echo $SWM_BUSINESS_REF >>deaf.runs\n"
                                  "test $(wc -l <deaf.runs) -gt 1 && exit\n"
                                  "until [ -e deaf.go ]; do sleep 0.1; done\n")
    first = site.agent(queue, command)
    wait_for(lambda: lines(site.dir / "deaf.runs"), "the command runs")
    first.send_signal(signal.SIGSTOP)
    second = site.agent(queue, command)
    ends(site, "DEAF", "COMPLETED")
    assert site.stop(second) == 0
    first.send_signal(signal.SIGCONT)
    wait_for(lambda: "will be delivered again" in said(first), "it knows")
    (site.dir / "deaf.go").touch()
    site.run("start", "DEAF", "R2")
    site.wait_status("DEAF", "R2", "COMPLETED")
    assert lines(site.dir / "deaf.runs") == ["R1", "R1", "R2"]
    assert said(first).count("will be delivered again") == 1, "once is enough"
    assert site.stop(first) == 0


def test_a_start_task_that_was_answered_is_answered_again_without_another_run(site):
    queue = begin(site, "REMEMBERED")
    site.configure("remembered.json", queue)
    command = site.script("remembered", "cat >remembered.task; echo run >>remembered.runs\n"
                                        "echo '{\"cook\": \"Bo\"}'\n")
    agent = site.agent(queue, command)
    ends(site, "REMEMBERED", "COMPLETED")
    site.run("send", "--raw", "remembered.task", config="remembered.json")
    wait_for(lambda: "answered as before" in said(agent), "it has come again")
    time.sleep(LEASE_S * 1.5)
    assert said(agent).count("answered as before") == 1, "it has been acknowledged"
    assert site.stop(agent) == 0
    assert lines(site.dir / "remembered.runs") == ["run"]
    # comes after the second answer, which has the first one's id
    site.run("complete", "REMEMBERED", "R1", "work", code=1)
    rows = answers(site, "REMEMBERED")
    assert [row["outcome"] for row in rows] == ["applied", "duplicate"], rows


def test_asked_to_stop_it_lets_a_command_finish(site):
    queue = begin(site, "GRACE")
    command = site.script("grace", "echo run >>grace.runs; sleep 1\n")
    agent = site.agent(queue, command)
    wait_for(lambda: lines(site.dir / "grace.runs"), "the command runs")
    assert site.stop(agent) == 0
    ends(site, "GRACE", "COMPLETED")


def test_after_the_grace_the_task_goes_back(site):
    queue = begin(site, "IMPATIENT")
    command = site.script("impatient", "echo run >>impatient.runs\n"
                                       "test $(wc -l <impatient.runs) -gt 1 || sleep 60\n")
    agent = site.agent(queue, command, options=["--grace", "200ms"])
    wait_for(lambda: lines(site.dir / "impatient.runs"), "the command runs")
    assert site.stop(agent) == 0
    assert ends(site, "IMPATIENT", "SCHEDULED")["attempt"] == 1, "our signal is no failure"
    site.agent(queue, command)
    ends(site, "IMPATIENT", "COMPLETED")


def test_a_command_that_ignores_the_signal_is_killed(site):
    queue = begin(site, "STUBBORN")
    command = site.script("stubborn", "trap '' TERM; echo run >>stubborn.runs\n"
                                      "while :; do sleep 0.1; done\n")
    agent = site.agent(queue, command, options=["--grace", "0s"])
    wait_for(lambda: lines(site.dir / "stubborn.runs"), "the command runs")
    assert site.stop(agent) == 0


def test_a_command_that_is_not_there_is_exit_3(site):
    queue = begin(site, "NOWHERE")
    agent = site.agent(queue, "/no/such/command")
    assert agent.wait(timeout=harness.WAIT_S) == 3
    assert "/no/such/command" in said(agent)
    site.agent(queue, "true")
    assert ends(site, "NOWHERE", "COMPLETED")["attempt"] == 1, "its StartTask went back"


def test_asked_to_stop_after_a_failure_it_waits_in_peace(site):
    queue = begin(site, "GONE")
    command = site.script("gone", 'rm "$0"; echo run >>gone.runs; sleep 3\n')
    agent = site.agent(queue, command, options=["--jobs", "2"])
    wait_for(lambda: lines(site.dir / "gone.runs"), "the command runs")
    site.run("start", "GONE", "R2")
    wait_for(lambda: "cannot run" in said(agent), "the second cannot be run")
    agent.send_signal(signal.SIGTERM)
    wait_for(lambda: "stopping" in said(agent), "it has seen the signal")
    before = ticks(agent)
    time.sleep(1)
    assert ticks(agent) - before <= 5, "hundredths of a second in a second"
    assert agent.wait(timeout=harness.WAIT_S) == 3
    ends(site, "GONE", "COMPLETED")


def test_what_is_no_start_task_goes_back(site):
    site.configure("poison.json", "POISON_queue")
    for number, text in enumerate([b"\x00\xff", b'{"event_name": "TaskCompleted"}']):
        (site.dir / "poison").write_bytes(text)
        site.run("send", "--raw", "poison", config="poison.json")
        queue = "POISON_queue"
        if number == 0:
            queue = begin(site, "POISON")
    command = site.script("poison.sh", "echo run >>poison.runs\n")
    agent = site.agent(queue, command, options=["--jobs", "2"])
    ends(site, "POISON", "COMPLETED")

    def refusals():
        return [line for line in said(agent).splitlines() if "goes back for" in line]
    wait_for(lambda: len(refusals()) >= 4, "both have come twice")
    assert any("goes back for 1 s" in line for line in refusals()), refusals()
    assert any("goes back for 2 s" in line for line in refusals()), refusals()
    time.sleep(1)
    assert len(refusals()) <= 6, refusals()  # it does not spin
    assert lines(site.dir / "poison.runs") == ["run"]
    assert site.stop(agent) == 0


def test_an_idle_agent_needs_next_to_no_time(site):
    agent = site.agent("IDLE_queue", "true")
    before = ticks(agent)
    time.sleep(2)
    assert ticks(agent) - before <= 2, "hundredths of a second in two seconds"
    assert site.stop(agent) == 0


if __name__ == "__main__":
    sys.exit(harness.main(sys.modules[__name__], lambda: harness.Site(
        sys.argv[1], sys.argv[2], lease=f"{LEASE_S}s")))
