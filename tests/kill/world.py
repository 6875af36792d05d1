# SPDX-License-Identifier: MIT
"""A folder with the embedded pair in it, and what is done there: commands, an orchestrator,
agents, a kill at one system call, and the checks afterwards.

All paths are relative to the folder, so that a copy of it is a world as well.
"""
import json
import os
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
TEMPLATE = HERE.parent / "crash" / "template.json"
QUEUES = ["confirm_order_queue", "make_food_queue", "assign_executive_queue",
          "confirm_delivery_queue", "deliver_food_queue"]
# A kill costs what it leaves leased this long. Shorter, and a machine that stalls would let
# a lease run out without a kill.
LEASE = "2s"
PATIENCE_S = 20 * int(os.environ.get("SWM_TEST_SLOW", "1"))
LOOK_S = 0.03
ROOM_BYTES = 512 << 20  # for all worlds at a time, generously


def has_room(folder):
    if not os.access(folder, os.W_OK):
        return False
    about = os.statvfs(folder)
    return about.f_bavail * about.f_frsize >= ROOM_BYTES


class Fault(Exception):
    """A promise was broken."""


class Place:
    """Where the programs are, and where worlds are made: in memory when there is room, for
    a kill loses nothing that was written, flushed or not."""

    def __init__(self, build):
        self.build = pathlib.Path(build).resolve()
        memory = pathlib.Path("/dev/shm")
        self.root = pathlib.Path(tempfile.mkdtemp(
            prefix="swm-kill-", dir=memory if has_room(memory) else None))
        self.env = {**os.environ, "LC_ALL": "C", "SWM_CONFIG": "swm.json",
                    "SWM_PLUGIN_PATH": ":".join(str(self.build / "plugins" / name)
                                                for name in ("store-sqlite", "queue-sqlite"))}
        for name in ("NOTIFY_SOCKET", "SWM_ACTOR"):
            self.env.pop(name, None)

    def swm(self, *words):
        return [str(self.build / "core" / "host" / "swm"), *words]

    def crash(self, name, *words):
        return [str(self.build / "tests" / "crash" / f"crash-{name}"), *words]

    def close(self):
        shutil.rmtree(self.root)


class Traced:
    """What kill-trace reports of one command."""

    def __init__(self, text):
        self.calls = []    # (thread, number), with record
        self.threads = {}  # thread: (name, calls), when the command ended by itself
        self.killed = None  # (thread, name, call, number)
        self.killed_ms = None
        self.status = None
        for line in text.splitlines():
            kind, *words = line.split()
            if kind == "call":
                self.calls.append((int(words[0]), int(words[1])))
            elif kind == "thread":
                self.threads[int(words[0])] = (words[1], int(words[2]))
            elif kind == "killed":
                self.killed = (int(words[0]), words[1], int(words[2]), int(words[3]))
                self.killed_ms = int(words[4])
            elif kind == "ended":
                self.status = int(words[0])


class World:
    def __init__(self, place, origin=None):
        self.place = place
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="world-", dir=place.root))
        self.processes = {}
        self.log = (self.dir / "processes.log").open("ab")
        if origin:
            shutil.copytree(origin.dir, self.dir, dirs_exist_ok=True)
            return
        for name in ("agents.log", "kills.log"):
            (self.dir / name).touch()
        (self.dir / "swm.json").write_text(json.dumps({
            "workflow": {"lease": LEASE, "ready_file": "ready"},
            "store": {"plugin": "sqlite", "path": "store.db"},
            "queues": {"main": {"plugin": "sqlite", "lease": LEASE, "path": "queue.db"}},
            "log": {"level": "warn"}}))

    def spawn(self, name, words):
        self.processes[name] = subprocess.Popen(
            words, cwd=self.dir, env=self.place.env, stdin=subprocess.DEVNULL,
            stdout=self.log, stderr=self.log, start_new_session=True)

    def run(self, words, codes=(0,)):
        """Runs a command to its end."""
        done = subprocess.run(words, cwd=self.dir, env=self.place.env, check=False,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=PATIENCE_S)
        if done.returncode not in codes:
            raise Fault(f"exit {done.returncode} of {' '.join(words[1:])}: "
                        f"{done.stdout}{done.stderr}")
        return done.stdout

    def swm(self, *words, codes=(0,)):
        return self.run(self.place.swm(*words), codes)

    def feed(self, first, count):
        self.run(self.place.crash("feed", "swm.json", str(first), str(count)))

    def start_agents(self):
        if "agents" not in self.processes:
            self.spawn("agents", self.place.crash("agent", "swm.json", "agents.log", *QUEUES))

    def start_orchestrator(self):
        self.spawn("swm run", self.place.swm("run"))

    def is_ready(self):
        """A ready file may be that of one that was killed."""
        try:
            return (self.dir / "ready").read_text() == f"{self.processes['swm run'].pid}\n"
        except FileNotFoundError:
            return False

    def stop_orchestrator(self):
        self.wait_for(World.is_ready, "swm run is ready")
        process = self.processes.pop("swm run")
        process.terminate()
        try:
            code = process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise Fault("swm run did not end when told") from None
        if code != 0:
            raise Fault(f"swm run ended with {code} when told to end")

    def trace(self, words, at=None, record=False, until=None, from_sigterm=False):
        """Runs a command and kills it at a point. `until`: it gets SIGTERM once that is
        true, or after a while if that never is."""
        options = ["--record"] * record + ["--from-sigterm"] * from_sigterm
        if at:
            options += ["--at", at]
        self.spawn("trace", [str(self.place.build / "tests/kill/kill-trace"), *options,
                             "trace.txt", *words])
        process = self.processes["trace"]
        deadline = time.monotonic() + PATIENCE_S
        told = False
        while True:
            try:
                process.wait(LOOK_S if until and not told else PATIENCE_S)
                break
            except subprocess.TimeoutExpired:
                if told or not until:
                    raise Fault("the traced command does not end") from None
            if until(self) or time.monotonic() > deadline:
                told = True
                process.terminate()
        del self.processes["trace"]
        if process.returncode != 0:
            raise Fault(f"kill-trace ended with {process.returncode}")
        traced = Traced((self.dir / "trace.txt").read_text())
        if traced.killed:
            with (self.dir / "kills.log").open("a") as log:
                log.write(f"{traced.killed_ms}\n")
        return traced

    def number(self, query):
        """Asks the store's file, without writing there; None: it cannot say yet."""
        try:
            store = sqlite3.connect(f"file:{self.dir}/store.db?mode=ro", uri=True, timeout=5)
            try:
                return store.execute(query).fetchone()[0]
            finally:
                store.close()
        except sqlite3.OperationalError:
            return None

    def instances(self):
        return self.number("SELECT count(*) FROM wf_workflow_instance")

    def completed(self):
        return self.number("SELECT count(*) FROM wf_workflow_instance WHERE status = 4")

    def owed(self):
        return self.number("SELECT count(*) FROM wf_outbox WHERE state = 0")

    def parked(self):
        return self.number("SELECT count(*) FROM wf_outbox WHERE state = 1")

    def wait_for(self, condition, what):
        """Waits as long as something moves."""
        deadline = time.monotonic() + PATIENCE_S
        seen = None
        while not condition(self):
            for name, process in self.processes.items():
                if process.poll() is not None:
                    raise Fault(f"{name} ended by itself with {process.returncode}")
            now = self.number("SELECT sum(sequence) FROM wf_workflow_instance")
            if now != seen:
                seen = now
                deadline = time.monotonic() + PATIENCE_S
            if time.monotonic() > deadline:
                raise Fault(f"waited in vain until {what}: {self.instances()} instances, "
                            f"{self.completed()} COMPLETED, {self.owed()} messages owed, "
                            f"{self.parked()} parked")
            time.sleep(LOOK_S)

    def check_files(self):
        """Both files must be whole. One that nobody has open is looked at in a copy, without
        the -shm file, so that the next to open it meets it as the kill left it."""
        for name in ("store.db", "queue.db"):
            path = self.dir / name
            if not path.exists() or path.stat().st_size == 0:
                continue  # the kill came before the first page
            if name == "store.db" or "agents" not in self.processes:
                (self.dir / "copy").mkdir(exist_ok=True)
                for part in (name, name + "-wal"):
                    if (self.dir / part).exists():
                        shutil.copy(self.dir / part, self.dir / "copy" / part)
                path = self.dir / "copy" / name
            self.check_file(path)
        shutil.rmtree(self.dir / "copy", ignore_errors=True)

    def check_file(self, path):
        mode = "rw" if path.parent.name == "copy" else "ro"
        file = sqlite3.connect(f"file:{path}?mode={mode}", uri=True, timeout=10)
        try:
            found = [row[0] for row in file.execute("PRAGMA integrity_check")]
        except sqlite3.DatabaseError as problem:
            found = [str(problem)]
        finally:
            file.close()
        if found != ["ok"]:
            raise Fault(f"{path.name} is damaged: {'; '.join(found[:5])}")

    def judge(self, orders):
        """Log, state and messages, by the judge of the crash test."""
        self.run(self.place.crash("judge", "swm.json", str(orders), "agents.log", "kills.log"))
        templates = self.number("SELECT count(*) FROM wf_workflow_definition")
        if templates != 1:
            raise Fault(f"{templates} versions of one template")

    def close(self, keep=False):
        for process in self.processes.values():
            process.send_signal(signal.SIGKILL)
            process.wait()
        self.processes.clear()
        self.log.close()
        if not keep:
            shutil.rmtree(self.dir)
