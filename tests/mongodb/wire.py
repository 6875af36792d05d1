#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""wire.py DRIVER: what the MongoDB store sends to a replica set, and what it makes of answers
that only a replica set gives; the server is scripted (python3-mockupdb). Prints TAP."""
import datetime
import functools
import sys
import threading
import time

from mockupdb import MockupDB, OpMsg

import drive
from drive import INDOUBT, OK, CONFLICT, TIMEOUT, UNAVAILABLE, same

TIMEOUT_MS = 4000
LIMITS = {"ismaster": True, "maxWireVersion": 13, "minWireVersion": 0,
          "maxBsonObjectSize": 16777216, "maxMessageSizeBytes": 48000000,
          "maxWriteBatchSize": 100000}


class Server:
    """A scripted server, a session of the store on it, and the commands that came."""

    def __init__(self, replica_set, body="bytes"):
        self.mock = MockupDB()
        self.mock.run()
        self.hello = dict(LIMITS)
        if replica_set:
            self.hello.update(setName="rs", hosts=[self.mock.address_string],
                              primary=self.mock.address_string, me=self.mock.address_string,
                              logicalSessionTimeoutMinutes=30)
        for name in ("ismaster", "isMaster", "hello"):
            self.mock.autoresponds(name, self.greet)
            self.mock.autoresponds(OpMsg(name), self.greet)
        self.mock.autoresponds(OpMsg("find", "wf_schema_version"),
                               cursor={"id": 0, "ns": "t.wf_schema_version",
                                       "firstBatch": [{"_id": "schema", "version": 1}]})
        uri = f"mongodb://{self.mock.address_string}/?w=1&journal=false&retryWrites=false" + (
            "&replicaSet=rs" if replica_set else "")
        self.driver = drive.Driver(sys.argv[1], uri, "t", TIMEOUT_MS, body)
        same(self.driver("open")[0], OK, self.driver.message)

    def greet(self, request):
        """As a server does, which takes a read concern with few commands and not with this."""
        if "readConcern" in request.doc:
            return request.replies(ok=0, code=72, errmsg="read concern not supported")
        return request.replies(localTime=datetime.datetime.utcnow(), **self.hello)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.driver.__exit__()
        self.mock.stop()

    def commit(self, *answers, expected=0, mark="", size=10):
        """Commits a step; each answer gets the write that comes next."""
        self.driver.begin("commit", "one", expected, "e1", size, mark)
        name = "insert" if expected == 0 else "update"
        writes = []
        for reply in answers:
            request = self.mock.receives(OpMsg(name, "wf_workflow_instance"), timeout=10)
            writes.append(request)
            reply(request)
        return self.driver.end(), writes


def done(request, **more):
    request.replies(n=1, **more)


def refused(request, code):
    request.replies(ok=0, code=code, errmsg="scripted")


def lost(request):
    request.hangup()


NOT_MAJORITY = {"code": 64, "codeName": "WriteConcernFailed", "errmsg": "waiting timed out"}


def majority():
    """A replica set is asked for a majority's journals and may see a write twice."""
    with Server(True) as server:
        result, (write,) = server.commit(done)
        same(result, (OK, OK), server.driver.message)
        concern = write.doc["writeConcern"]
        same((concern["w"], concern["j"]), ("majority", True))
        same("txnNumber" in write.doc, True, "it could not be retried")


def standalone():
    """A standalone server is asked for its journal and sent nothing that it cannot know."""
    with Server(False) as server:
        result, (write,) = server.commit(done)
        same(result, (OK, OK), server.driver.message)
        same(write.doc["writeConcern"]["j"], True)
        same("txnNumber" in write.doc, False, "it would be refused")


def retried():
    """A lost reply of a replica set is asked for again, as the same write."""
    with Server(True) as server:
        result, writes = server.commit(lost, done)
        same(result, (OK, OK), server.driver.message)
        same(writes[0].doc["txnNumber"], writes[1].doc["txnNumber"])


def lost_twice():
    """A reply that is lost twice is doubt."""
    with Server(True) as server:
        result, _ = server.commit(lost, lost)
        same(result, (INDOUBT, INDOUBT), server.driver.message)
        same(server.driver("load", "one", "e1")[0], UNAVAILABLE, "the session goes on")


def lost_alone():
    """A lost reply of a standalone server is doubt, and nothing is sent again."""
    with Server(False) as server:
        result, _ = server.commit(lost)
        same(result, (INDOUBT, INDOUBT), server.driver.message)


def stepped_down():
    """A server that is no primary any more has done nothing, but another may have before."""
    with Server(True) as server:
        result, _ = server.commit(lost, functools.partial(refused, code=10107))
        same(result, (INDOUBT, INDOUBT), server.driver.message)


def interrupted():
    """A write that is interrupted by a change of the primary may be done."""
    with Server(True) as server:
        result, _ = server.commit(functools.partial(refused, code=11602))
        same(result, (INDOUBT, INDOUBT), server.driver.message)


def not_majority():
    """A step that no majority has confirmed is in doubt, a new one and a known one."""
    with Server(True) as server:
        applied = functools.partial(done, writeConcernError=NOT_MAJORITY)
        result, _ = server.commit(applied)
        same(result, (INDOUBT, INDOUBT), server.driver.message)
        applied = functools.partial(done, nModified=1, writeConcernError=NOT_MAJORITY)
        result, _ = server.commit(applied, expected=4)
        same(result, (INDOUBT, INDOUBT), server.driver.message)


def not_majority_with_mark():
    """What no majority has confirmed is in doubt also when a majority still has the old one."""
    answers = [2, 0]

    def write(request):
        n = answers.pop(0) if answers else 0
        return request.replies(n=n, nModified=n, writeConcernError=NOT_MAJORITY)

    with Server(True) as server:
        server.mock.autoresponds(OpMsg("update", "wf_workflow_instance"), write)
        server.mock.autoresponds(
            OpMsg("find", "wf_workflow_instance"),
            cursor={"id": 0, "ns": "t.wf_workflow_instance",
                    "firstBatch": [{"_id": "one", "_swm": {"version": 4, "tokens": []}}]})
        same(server.driver("commit", "one", 4, "e1", 10, "sent"), (INDOUBT, INDOUBT),
             server.driver.message)


def endless():
    """An answer of many parts ends within the time of the call."""
    batch = {"id": 7, "ns": "t.wf_workflow_instance"}

    def more(request):
        time.sleep(TIMEOUT_MS / 8000)
        return request.replies(cursor={**batch, "nextBatch": [{"_id": "other"}]})

    with Server(True) as server:
        server.mock.autoresponds(OpMsg("find", "wf_workflow_instance"),
                                 cursor={**batch, "firstBatch": [{"_id": "other"}]})
        server.mock.autoresponds(OpMsg("getMore", 7), more)
        server.mock.autoresponds(OpMsg("killCursors", "wf_workflow_instance"), cursorsKilled=[7])
        begun = time.monotonic()
        server.driver.begin("load", "one", "e1")
        wait = threading.Timer(2 * TIMEOUT_MS / 1000, server.mock.stop)
        wait.start()
        same(server.driver.end()[0], TIMEOUT, server.driver.message)
        wait.cancel()
        same(time.monotonic() - begun < TIMEOUT_MS / 1000, True, "it took longer")


def readable():
    """An update with the readable form has no operator without fields, as servers before 5.0
    want it."""
    with Server(True, "document") as server:
        server.mock.autoresponds(
            OpMsg("find", "wf_workflow_definition"),
            cursor={"id": 0, "ns": "t.wf_workflow_definition",
                    "firstBatch": [{"_id": "$t.1:1", "version": 1, "body": "{\"stages\": []}"}]})
        result, (write,) = server.commit(functools.partial(done, nModified=1), expected=4,
                                         size=0)
        same(result, (OK, OK), server.driver.message)
        update = write.doc["updates"][0]["u"]
        same(update["$set"]["template_version"], 1, "there is no readable form")
        same([name for name, fields in update.items() if not fields], [], "without fields")


def counted_but_refused():
    """A duplicate key is a conflict, even when the server counts the write."""
    with Server(True) as server:
        server.driver.begin("commit", "one", 0, "e1", 10)
        server.mock.receives(OpMsg("insert", "wf_workflow_instance"), timeout=10).replies(
            n=1, writeErrors=[{"index": 0, "code": 11000, "errmsg": "E11000 duplicate key"}])
        server.mock.receives(OpMsg("find", "wf_workflow_instance"), timeout=10).replies(
            cursor={"id": 0, "ns": "t.wf_workflow_instance", "firstBatch": []})
        same(server.driver.end(), (CONFLICT, CONFLICT), server.driver.message)


def told_by_token():
    """Who won among marks is read from the token, also after others have committed."""
    for won in (True, False):
        with Server(True) as server:
            server.driver.begin("commit", "one", 4, "e1", 10, "sent")
            write = server.mock.receives(OpMsg("update", "wf_workflow_instance"), timeout=10)
            step = next(one for one in write.doc["updates"] if "_swm.version" in one["q"])
            token = step["u"]["$push"]["_swm.tokens"]["$each"][0]
            other = type(token)()
            write.replies(n=2, nModified=2)
            tokens = [other, token if won else other, other]
            server.mock.receives(OpMsg("find", "wf_workflow_instance"), timeout=10).replies(
                cursor={"id": 0, "ns": "t.wf_workflow_instance",
                        "firstBatch": [{"_id": "one", "_swm": {"version": 6,
                                                               "tokens": tokens}}]})
            wanted = OK if won else CONFLICT
            same(server.driver.end(), (wanted, wanted), server.driver.message)


if __name__ == "__main__":
    drive.run([majority, standalone, retried, lost_twice, lost_alone, stepped_down, interrupted,
               not_majority, not_majority_with_mark, endless, readable, counted_but_refused, told_by_token])
