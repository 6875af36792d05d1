# SPDX-License-Identifier: MIT
"""What the tests of the command line share: a site of its own in a temporary folder, with
an orchestrator and agents as processes, and TAP on stdout.

A test is a function whose name begins with test_ and that takes the site. It fails by an
assertion; what the processes of the site said goes to stderr then.
"""
import json
import os
import pathlib
import pty
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

WAIT_S = 30  # for what takes milliseconds on an idle machine
SOURCE = pathlib.Path(__file__).resolve().parents[2]
PIZZA = SOURCE / "conf/templates/deliver-pizza.json"


class Result:
    def __init__(self, args, done):
        self.args = args
        self.code = done.returncode
        self.bytes = done.stdout
        self.out = done.stdout.decode(errors="replace")
        self.err = done.stderr.decode(errors="replace")

    def __str__(self):
        return f"swm {' '.join(self.args)}: exit {self.code}\n{self.out}{self.err}"

    def json(self):
        return [json.loads(line) for line in self.out.splitlines()]


class Site:
    """A folder with a configuration, a store and queues, and what runs on them."""

    def __init__(self, swm, plugin_path, lease):
        self.swm = str(pathlib.Path(swm).resolve())
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="swm-cli-"))
        self.env = {**os.environ, "SWM_PLUGIN_PATH": plugin_path, "LC_ALL": "C.UTF-8"}
        for name in ("SWM_CONFIG", "SWM_ACTOR", "USER", "NO_COLOR"):
            self.env.pop(name, None)
        self.lease = lease
        self.processes = []
        self.configure("swm.json", "workflow_queue")

    def configure(self, name, queue):
        """A configuration whose workflow queue is called so. With the name of a task's
        queue, `swm send --raw` puts anything there."""
        (self.dir / name).write_text(json.dumps({
            "workflow": {"listen": [{"adapter": "main", "queue": queue}]},
            "store": {"plugin": "sqlite", "path": str(self.dir / "store.db")},
            "queues": {"main": {"plugin": "sqlite", "path": str(self.dir / "queue.db"),
                                "lease": self.lease}},
        }))

    def run(self, *args, code=0, stdin=b"", config="swm.json", env=None):
        """Runs a command; `code` None takes any exit code."""
        done = subprocess.run([self.swm, *args], input=stdin, capture_output=True,
                              env={**self.env, "SWM_CONFIG": str(self.dir / config),
                                   **(env or {})},
                              timeout=WAIT_S, cwd=self.dir, check=False)
        result = Result(args, done)
        assert code is None or result.code == code, f"exit {code} expected: {result}"
        return result

    def spawn(self, *args, name=None, program=None):
        """Starts a command that goes on; its output is in the log of that name.
        `program` runs it instead of swm."""
        log = (self.dir / f"{name or args[0]}-{len(self.processes)}.log").open("wb")
        process = subprocess.Popen([program or self.swm, *args], stdin=subprocess.DEVNULL,
                                   stdout=log, stderr=log, cwd=self.dir, env={
                                       **self.env, "SWM_CONFIG": str(self.dir / "swm.json")})
        process.log = pathlib.Path(log.name)
        log.close()
        self.processes.append(process)
        return process

    def agent(self, queue, *command, options=(), program=None):
        agent = self.spawn("agent", "--queue", queue, *options, "--", *command,
                           name=f"agent-{queue}", program=program)
        wait_for(lambda: agent.poll() is not None or "takes tasks" in said(agent),
                 "the agent takes tasks")
        return agent

    def stop(self, process, number=signal.SIGTERM):
        """Ends a process and returns its exit code."""
        process.send_signal(number)
        return process.wait(timeout=WAIT_S)

    def script(self, name, text):
        path = self.dir / name
        path.write_text("#!/bin/sh\n" + text)
        path.chmod(0o755)
        return str(path)

    def template(self, component, tasks):
        """Applies a template of one stage, S."""
        path = self.dir / f"{component}.json"
        path.write_text(json.dumps({"workflow_name": component, "component_name": component,
                                    "stages": [{"stage_name": "S", "stage_order": 1,
                                                "tasks": tasks}]}))
        self.run("template", "apply", str(path))

    def document(self, component, ref):
        return self.run("show", component, ref, "-o", "json").json()[0]

    def task(self, component, ref, name):
        for stage in self.document(component, ref)["stages"]:
            for task in stage.get("tasks", []):
                if task["task_name"] == name:
                    return task
        raise AssertionError(f"no task {name}")

    def events(self, component, ref):
        return self.run("events", component, ref, "-o", "json").json()

    def wait_status(self, component, ref, status, task=None):
        """Waits until the workflow, or a task of it, has this status."""
        def reached():
            if self.run("show", component, ref, code=None).code != 0:
                return False
            have = self.task(component, ref, task) if task else self.document(component, ref)
            return have["status"] == status
        wait_for(reached, f"{component} {ref} {task or ''} is {status}")

    def close(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait()
        shutil.rmtree(self.dir)

    def tell(self):
        """What the processes have said, for somebody who looks for the reason."""
        for process in self.processes:
            print(f"--- {process.log.name} (exit {process.poll()})", file=sys.stderr)
            print(said(process)[-4000:], file=sys.stderr)


def said(process):
    """The log of a process; what commands print need not be UTF-8."""
    return process.log.read_text(errors="replace")


def wait_for(condition, what):
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.05)


def on_terminal(site, *args, env=None):
    """What a command prints on a terminal."""
    leader, follower = pty.openpty()
    done = subprocess.Popen([site.swm, *args], stdin=follower, stdout=follower,
                            stderr=follower, cwd=site.dir, env={
                                **site.env, "TERM": "xterm",
                                "SWM_CONFIG": str(site.dir / "swm.json"), **(env or {})})
    os.close(follower)
    text = b""
    while True:
        try:
            piece = os.read(leader, 4096)
        except OSError:  # EIO: nobody has it open any more
            piece = b""
        if not piece:
            break
        text += piece
    os.close(leader)
    assert done.wait(timeout=WAIT_S) == 0, text
    return text.decode()


def main(module, make_site):
    """Runs the tests of a module in their order, all on one site."""
    tests = [(name, value) for name, value in vars(module).items()
             if name.startswith("test_")]
    failed = 0
    site = make_site()
    try:
        for number, (name, test) in enumerate(tests, 1):
            title = name[len("test_"):].replace("_", " ")
            try:
                test(site)
                print(f"ok {number} - {title}", flush=True)
            except Exception:  # one that fails must not keep the others from running
                failed += 1
                print(f"not ok {number} - {title}", flush=True)
                traceback.print_exc()
                site.tell()
        print(f"1..{len(tests)}")
    finally:
        site.close()
    return 1 if failed else 0
