# SPDX-License-Identifier: MIT
"""A `swm` on a pair of adapters with nothing of anybody else's in it, for tests: the example
configuration of conf/, a folder, names of its own on the servers of tests/services."""
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TREE = os.path.dirname(os.path.dirname(HERE))
SERVICES = os.path.join(TREE, "tests", "services")
READY_SECONDS = 60
STOP_SECONDS = 30

# What the example configurations read from the environment: from what `tests/services/NAME
# env` prints, and so that a run has something to itself. What is made on a server has the
# run's name in front, by which it is swept away.
QUEUES = {
    "sqlite": {},
    "rabbitmq": {"SWM_RABBITMQ_URL": "{SWM_TEST_RABBITMQ_URL}",
                 "SWM_RABBITMQ_PASSWORD": "{SWM_TEST_RABBITMQ_PASSWORD}"},
    "kafka": {"SWM_KAFKA_BROKERS": "{SWM_TEST_KAFKA_BROKERS}", "SWM_KAFKA_GROUP": "{run}"},
    "sqs": {"SWM_SQS_ENDPOINT": "{SWM_TEST_SQS_ENDPOINT}",
            "AWS_REGION": "{SWM_TEST_SQS_REGION}",
            "AWS_ACCESS_KEY_ID": "{SWM_TEST_SQS_ACCESS_KEY_ID}",
            "AWS_SECRET_ACCESS_KEY": "{SWM_TEST_SQS_SECRET_ACCESS_KEY}"},
}
STORES = {
    "sqlite": {},
    "postgresql": {"SWM_PG_HOST": "{SWM_TEST_POSTGRESQL_HOST}",
                   "SWM_PG_PORT": "{SWM_TEST_POSTGRESQL_PORT}",
                   "SWM_PG_DATABASE": "{SWM_TEST_POSTGRESQL_DATABASE}",
                   "SWM_PG_USER": "{SWM_TEST_POSTGRESQL_USER}",
                   "SWM_PG_PASSWORD": "{SWM_TEST_POSTGRESQL_PASSWORD}",
                   "SWM_PG_SSLMODE": "disable",
                   "SWM_PG_SCHEMA": "{run}"},
    "mongodb": {"SWM_MONGODB_URI": "{SWM_TEST_MONGODB_URI}", "SWM_MONGODB_DATABASE": "{run}"},
}


class Failure(Exception):
    """What was to happen did not."""


def service(name, *words):
    """Runs `tests/services/NAME WORDS` and gives what it printed."""
    return subprocess.run([os.path.join(SERVICES, name), *words], check=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True).stdout


def address(name):
    """Brings a service up. Gives the variables that say where it is; none for a file."""
    if name == "sqlite":
        return {}
    subprocess.run([os.path.join(SERVICES, "up"), name], check=True, stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL)
    printed = subprocess.run(["bash", "-c", 'eval "$1"; env -0', "env", service(name, "env")],
                             check=True, stdout=subprocess.PIPE, text=True).stdout
    variables = dict(line.split("=", 1) for line in printed.split("\0") if "=" in line)
    return {key: value for key, value in variables.items() if key.startswith("SWM_TEST_")}


def example(queue, store):
    """The file of conf/ for a pair."""
    name = "swm" if queue == store == "sqlite" else f"{queue}-{store}"
    return os.path.join(TREE, "conf", f"{name}.json")


def plugin_path(build, queues, stores):
    names = [f"queue-{name}" for name in queues] + [f"store-{name}" for name in stores]
    return ":".join(os.path.join(os.path.abspath(build), "plugins", name) for name in names)


class Pair:
    """One queue and one store. `beside` names adapters of queues that are used as well, by a
    configuration that the caller gives."""

    def __init__(self, build, queue, store, what, beside=()):
        self.build = os.path.abspath(build)
        self.servers = {name: QUEUES[name] for name in (queue, *beside)}
        self.store = store
        self.folder = tempfile.mkdtemp(prefix=f"swm-{what}-")
        self.run = f"{what}_{os.getpid()}_{int(time.time()) % 100000}_{queue[0]}{store[0]}"
        self.prefix = f"{self.run}-"
        self.config = example(queue, store)
        self.log = open(os.path.join(self.folder, "swm.log"), "w+b")
        self.process = None
        self.found = {"run": self.run}
        self.env = dict(os.environ)
        for name, variables in [*self.servers.items(), (store, STORES[store])]:
            self.found.update(address(name))
            self.env.update({key: value.format(**self.found)
                             for key, value in variables.items()})
        self.workflow_queue = self.prefix + "workflow_queue"
        self.env.update(SWM_WORKFLOW_QUEUE=self.workflow_queue, NO_COLOR="1",
                        SWM_PLUGIN_PATH=plugin_path(build, self.servers, [store]))

    def swm(self, *words):
        return [os.path.join(self.build, "core", "host", "swm"), "--config", self.config, *words]

    def command(self, *words):
        """Runs `swm` to its end and gives what it printed; a failure tells what it said."""
        done = subprocess.run(self.swm(*words), env=self.env, cwd=self.folder, check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            raise Failure(f"swm {' '.join(words)}: {done.stdout.strip()} {done.stderr.strip()}")
        return done.stdout

    def rows(self, *words):
        """What a command of `swm` prints with -o json."""
        return [json.loads(line) for line in self.command(*words, "-o", "json").splitlines()]

    def start(self):
        self.command("migrate")
        self.process = subprocess.Popen(
            self.swm("run"), env=self.env, cwd=self.folder, stdin=subprocess.DEVNULL,
            stdout=self.log, stderr=self.log)

    def stop(self):
        """Ends `swm run` as an operator does. True: it ended well."""
        if not self.process:
            return False
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_SECONDS) == 0
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return False

    def template(self, template, prefix):
        """Applies a template, with a prefix before the names of its queues."""
        for stage in template["stages"]:
            for task in stage.get("tasks", []):
                if "task_queue" in task:
                    task["task_queue"] = prefix + task["task_queue"]
        path = os.path.join(self.folder, "template.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(template, file)
        self.command("template", "apply", path)

    def close(self, keep):
        """Removes what is ours from the servers, and the folder."""
        for name in {*self.servers, self.store} - {"sqlite"}:
            service(name, "sweep", self.run)
        if keep:
            return f"files in {self.folder}"
        shutil.rmtree(self.folder)
        return None


class Tap:
    """Results as TAP on stdout (https://testanything.org); all else goes to stderr."""

    def __init__(self):
        self.count = 0
        self.failed = 0

    def result(self, passed, name):
        self.count += 1
        self.failed += not passed
        print(f"{'ok' if passed else 'not ok'} {self.count} - {name}", flush=True)

    def done(self):
        print(f"1..{self.count}")
        return 1 if self.failed else 0
