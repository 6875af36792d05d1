#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A second reading of the message contract: what the events of a case must lead to.

    expect.py CASE...     writes expected.json of these cases
    expect.py --check     compares all checked-in ones (TAP)

It shares no code with the core, so that both must be wrong in the same way to agree on
a mistake. It is a few plain tables and knows nothing of memory, speed or limits of
templates; read it beside docs/messages.md.
"""
import hashlib
import json
import pathlib
import sys

HERE = pathlib.Path(__file__).parent
PENDING, SCHEDULED, COMPLETED, FAILED = range(4)
RETRY_OWED = 1
OURS = ("task_name", "parent_task", "task_queue", "task_type", "business_status", "retry",
        "timeout")
UNITS_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def duration_ms(text):
    unit = text.lstrip("0123456789.")
    return round(float(text[:len(text) - len(unit)]) * UNITS_MS[unit])


def hash_id(*parts):
    digest = hashlib.sha256()
    for part in parts:
        data = str(part).encode()
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()[:32]


class Parked(Exception):
    pass


class Task:
    def __init__(self, stage, document):
        self.stage, self.document = stage, document
        self.name = document["task_name"]
        self.path = stage["stage_name"] + "/" + self.name
        self.status, self.attempt, self.at = PENDING, 0, 0
        self.flags, self.base, self.resends, self.reason = 0, 0, 0, ""
        retry = document.get("retry", {})
        self.max_attempts = retry.get("max_attempts", 1)
        self.backoff_ms = duration_ms(retry.get("backoff", "1s"))
        self.max_backoff_ms = duration_ms(retry["max_backoff"]) if "max_backoff" in retry \
            else max(60_000, self.backoff_ms)
        self.timeout_ms = duration_ms(document["timeout"]) if "timeout" in document else 0

    def body(self):
        numbers = [self.status, self.attempt, self.at, self.flags, self.base, self.resends]
        if self.reason:
            return numbers + [self.reason]
        while len(numbers) > 1 and numbers[-1] == 0:
            numbers.pop()
        return numbers


class Instance:
    def __init__(self, template, options):
        self.options = options
        self.component = template["component_name"]
        self.version = options.get("template_version", 1)
        self.limit = options.get("data_max_bytes", 32 * 1024)
        self.stages = sorted(template["stages"], key=lambda stage: stage["stage_order"])
        self.tasks = [[Task(stage, task) for task in stage.get("tasks", [])]
                      for stage in self.stages]
        self.sequence, self.stage = 0, 0
        self.data, self.business = None, None
        self.owed, self.cancelled = [], []

    def all_tasks(self):
        return [task for stage in self.tasks for task in stage]

    def status(self):
        if self.stage == len(self.stages):
            return "COMPLETED"
        failed = any(task.status == FAILED and not task.flags & RETRY_OWED
                     for task in self.tasks[self.stage])
        return "FAILED" if failed else "ACTIVE"

    def body(self):
        body = {"f": 1, "seq": self.sequence, "stage": self.stage}
        if self.business is not None:
            body["bs"] = self.all_tasks().index(self.business)
        if self.data is not None:
            body["data"] = self.data
        body["tasks"] = [task.body() for task in self.all_tasks()]
        return body

    # Messages

    def message_id(self, task, kind, resend=0):
        return hash_id(self.component, self.reference, task.stage["stage_name"], task.name,
                       task.attempt, kind, resend)

    def owe(self, task, kind, to, delay_ms, body, resend=0):
        self.owed.append({"event": kind, "task": task.path, "attempt": task.attempt, "to": to,
                          "delay_ms": delay_ms, "id": self.message_id(task, kind, resend),
                          "body": body})

    def send_start(self, task):
        queue = task.document.get("task_queue")
        if queue is None:
            return
        body = {"business_ref_no": self.reference, "component_name": self.component,
                "event_name": "StartTask", "stage_name": task.stage["stage_name"],
                "task_name": task.name, "task_type": task.document.get("task_type", "SERVICE")}
        body.update((key, value) for key, value in task.document.items() if key not in OURS)
        if self.data is not None:
            body["data"] = self.data
        if not self.options.get("plain"):
            body["_swm"] = {"message_id": self.message_id(task, "StartTask", task.resends),
                            "attempt": task.attempt, "template_version": self.version}
        self.owe(task, "StartTask", queue, 0, body, task.resends)

    def send_timer(self, task, kind, delay_ms):
        self.owe(task, kind, None, delay_ms, {
            "business_ref_no": self.reference, "component_name": self.component,
            "event_name": kind, "stage_name": task.stage["stage_name"],
            "task_name": task.name, "attempt": task.attempt})

    def cancel(self, task, kind):
        ours = [owed for owed in self.owed if owed["id"] == self.message_id(task, kind)]
        if ours:
            self.owed.remove(ours[0])  # of the same commit: it never goes out
        else:
            self.cancelled.append({"event": kind, "task": task.path, "attempt": task.attempt})

    # Steps

    def schedule(self, task):
        task.status, task.at, task.reason = SCHEDULED, self.now, ""
        task.attempt += 1
        task.resends = 0
        self.send_start(task)
        if task.timeout_ms:
            self.send_timer(task, "TaskTimedOut", task.timeout_ms)

    def end_attempt(self, task):
        if task.status == SCHEDULED and task.timeout_ms:
            self.cancel(task, "TaskTimedOut")
        if task.flags & RETRY_OWED:
            self.cancel(task, "TaskPending")
        task.flags = 0

    def is_free(self, task):
        parents = task.document.get("parent_task", [])
        return task.status == PENDING and all(
            other.status == COMPLETED for other in self.tasks[self.stage]
            if other.name in parents)

    def advance(self):
        while self.stage < len(self.stages):
            tasks = self.tasks[self.stage]
            if any(task.status != COMPLETED for task in tasks):
                for task in tasks:
                    if self.is_free(task):
                        self.schedule(task)
                return
            self.stage += 1

    def merge(self, data):
        """False: over the limit."""
        if data is None:
            return True
        merged = {**(self.data or {}), **data}
        if len(compact(merged).encode()) > self.limit:
            return False
        self.data = merged
        return True

    def complete(self, task, data):
        if not self.merge(data):
            return "rejected"
        self.end_attempt(task)
        task.status, task.at, task.reason = COMPLETED, self.now, ""
        if "business_status" in task.document:
            self.business = task
        self.advance()
        return "applied"

    def fail(self, task, reason):
        used = task.attempt - task.base
        self.end_attempt(task)
        task.status, task.at, task.reason = FAILED, self.now, reason or ""
        if used < task.max_attempts:
            task.flags = RETRY_OWED
            full = min(task.backoff_ms * 2 ** (used - 1), task.max_backoff_ms)
            self.send_timer(task, "TaskPending", [-(-full * 3 // 4), full])
        return "applied"

    def pending(self, task, attempt):
        if task.status == SCHEDULED and not attempt:
            if "task_queue" not in task.document:
                return "ignored"
            task.resends += 1
            self.send_start(task)
            return "applied"
        if task.status not in (SCHEDULED, FAILED):
            return "ignored"
        if not attempt:
            task.base = task.attempt
        self.end_attempt(task)
        self.schedule(task)
        return "applied"

    def task_event(self, event, kind, attempt):
        stage = [index for index, stage in enumerate(self.stages)
                 if stage["stage_name"] == event["stage_name"]]
        if not stage:
            return "rejected", None
        task = [task for task in self.tasks[stage[0]] if task.name == event["task_name"]]
        if not task:
            return "rejected", None
        task = task[0]
        if kind == "TaskCompleted" and task.status == COMPLETED:
            return "duplicate", task
        if self.stage != stage[0]:
            return "ignored", task
        if kind == "TaskCompleted":
            if task.status == PENDING or (attempt or 0) > task.attempt:
                return "ignored", task
            return self.complete(task, event.get("data")), task
        if attempt and attempt != task.attempt:
            return "ignored", task
        if kind == "TaskPending":
            return self.pending(task, attempt), task
        if task.status != SCHEDULED:
            return "ignored", task
        return self.fail(task, "timeout" if kind == "TaskTimedOut" else event.get("reason")), task

    def is_own_timer(self, task, kind, attempt, raw_id):
        return kind in ("TaskTimedOut", "TaskPending") and attempt and raw_id == hash_id(
            self.component, self.reference, task.stage["stage_name"], task.name, attempt,
            kind, 0)

    def apply(self, event, raw_id, now):
        kind = event["event_name"]
        self.now, self.reference = now, event["business_ref_no"]
        if kind == "StartWorkflow":
            outcome = "duplicate"
            if self.sequence == 0:
                self.merge(event.get("data"))
                outcome = "applied"
                self.advance()
        else:
            attempt = event.get("attempt") or event.get("_swm", {}).get("attempt")
            outcome, task = self.task_event(event, kind, attempt)
            if outcome == "ignored" and self.is_own_timer(task, kind, attempt, raw_id):
                return "unrecorded"
        self.sequence += 1
        return outcome


def read_event(text, limit):
    """The message, or Parked."""
    try:
        event = json.loads(text)
        kind = event["event_name"]
        needed = ["business_ref_no", "component_name"]
        if kind in ("TaskCompleted", "TaskFailed", "TaskTimedOut", "TaskPending"):
            needed += ["stage_name", "task_name"]
        elif kind != "StartWorkflow":
            raise Parked
        if not all(isinstance(event[key], str) for key in needed):
            raise Parked
        if kind == "StartWorkflow" and len(compact(event.get("data", {})).encode()) > limit:
            raise Parked
        return event
    except (ValueError, TypeError, KeyError):
        raise Parked from None


def has_real(value):
    if isinstance(value, dict):
        return any(has_real(item) for item in value.values())
    if isinstance(value, list):
        return any(has_real(item) for item in value)
    return isinstance(value, float)


def shown(body):
    """An object for the eye; a string where the text of numbers matters."""
    return compact(body) if has_real(body) else body


class Walk:
    def __init__(self, folder):
        def read(name, otherwise=None):
            path = folder / name
            return path.read_text() if path.exists() else otherwise

        self.instance = Instance(json.loads(read("template.json")),
                                 json.loads(read("case.json", "{}")))
        self.lines = read("events.jsonl").splitlines()
        self.history = []
        self.now = 0

    def message(self, what):
        return [owed for owed in self.history if owed["task"] == what["task"] and
                owed["attempt"] == what["attempt"] and
                owed["event"] == what.get("event", "StartTask")][-1]

    def bytes_of(self, line, text):
        """The bytes of the line's message and its raw id, if it has one."""
        if "text" in line:
            return line["text"], None
        if "owed" in line:
            owed = self.message(line["owed"])
            return compact(owed["body"]), owed["id"]
        if "answer" in line:
            body = dict(self.message(line["to"])["body"])
            body["event_name"] = line["answer"]
            return compact(body), None
        return (compact(line["event"]) if "event" in line else text), None

    def step(self, at, text):
        line = json.loads(text)
        instance = self.instance
        self.now = line.get("at", self.now + 1000)
        if not line.get("same_commit"):
            instance.owed, instance.cancelled = [], []
        body, raw_id = self.bytes_of(line, text)
        try:
            event = read_event(body, instance.limit)
            raw_id = line.get("id") or raw_id or event.get("event_id") or f"line-{at + 1}"
            outcome = instance.apply(event, raw_id, self.now)
        except Parked:
            outcome = "parked"
        self.history += [owed for owed in instance.owed if owed not in self.history]
        stage = instance.stage
        step = {"outcome": outcome, "status": instance.status(),
                "stage": instance.stages[stage]["stage_name"]
                if stage < len(instance.stages) else None,
                "business_status": instance.business and
                instance.business.document["business_status"]}
        last = at + 1 == len(self.lines) or not json.loads(self.lines[at + 1]).get("same_commit")
        if last and instance.owed:
            step["messages"] = [{**owed, "body": shown(owed["body"])} for owed in instance.owed]
        if last and instance.cancelled:
            step["cancelled"] = list(instance.cancelled)
        return step

    def expected(self):
        steps = [self.step(at, text) for at, text in enumerate(self.lines)]
        return {"steps": steps, "body": shown(self.instance.body())}


def same(mine, theirs):
    """Reasons are theirs alone: their words are the core's."""
    steps = [{key: value for key, value in step.items() if key != "reason"}
             for step in theirs["steps"]]
    return compact({"steps": mine["steps"]}) == compact({"steps": steps}) and \
        compact(mine["body"]) == compact(theirs["body"])


def written(expected):
    """Laid out for review: a message a line."""
    def line(value):
        return json.dumps(value, ensure_ascii=False)

    steps = []
    for step in expected["steps"]:
        lists = [f'   "{key}": [\n    ' + ",\n    ".join(line(item) for item in step[key]) + "]"
                 for key in ("messages", "cancelled") if key in step]
        rest = {key: value for key, value in step.items()
                if key not in ("messages", "cancelled")}
        steps.append("  " + ",\n".join([line(rest)[:-1]] + lists) + "}")
    return '{"steps": [\n' + ",\n".join(steps) + '],\n "body": ' + line(expected["body"]) + "}\n"


def check():
    folders = sorted(path.parent for path in HERE.glob("*/expected.json"))
    print(f"1..{len(folders)}")
    failed = 0
    for number, folder in enumerate(folders, 1):
        good = same(Walk(folder).expected(), json.loads((folder / "expected.json").read_text()))
        failed += not good
        print(f"{'ok' if good else 'not ok'} {number} - {folder.name}")
    return failed > 0 or not folders


def main():
    if sys.argv[1:] == ["--check"]:
        return check()
    for name in sys.argv[1:]:
        folder = HERE / name
        (folder / "expected.json").write_text(written(Walk(folder).expected()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
