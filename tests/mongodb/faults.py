#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""faults.py DRIVER SERVICE: the MongoDB store on a server of the test's own, or on the real
one of SWM_TEST_MONGODB_URI: connections cut, a restart, migrations at once, events moved under
way, limits, names with $ and dots. Prints TAP."""
import os
import socket
import subprocess
import sys
import threading
import urllib.parse

import pymongo

import drive
from drive import CONFIG, CONFLICT, INDOUBT, OK, TOO_LARGE, UNAVAILABLE, same

URI = os.environ["SWM_TEST_MONGODB_URI"]
STAND_IN = bool(os.environ.get("SWM_TEST_MONGODB_STAND_IN"))
MIB = 1024 * 1024
CLIENT = pymongo.MongoClient(URI)


class Proxy:
    """Hands bytes on to the server, until it is told to cut."""

    def __init__(self):
        host = urllib.parse.urlsplit(URI).netloc.rsplit("@", 1)[-1]
        self.target = (host.rsplit(":", 1)[0], int(host.rsplit(":", 1)[1]))
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.sockets = []
        self.swallow = threading.Event()  # what the server answers does not arrive
        threading.Thread(target=self.accept, daemon=True).start()

    def uri(self):
        return f"mongodb://127.0.0.1:{self.listener.getsockname()[1]}/?directConnection=true"

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
                server = socket.create_connection(self.target)
            except OSError:
                return
            self.sockets += [client, server]
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self.pump, args=(source, sink, sink is client),
                                 daemon=True).start()

    def pump(self, source, sink, answers):
        try:
            while data := source.recv(65536):
                if answers and self.swallow.is_set():
                    break
                sink.sendall(data)
        except OSError:
            pass
        for one in (source, sink):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self):
        for one in self.sockets:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.sockets = []


class Store:
    """A database of its own, with drivers on it."""

    number = 0

    def __init__(self, uri=URI):
        Store.number += 1
        self.uri = uri
        self.name = f"faults_{os.getpid()}_{Store.number}"
        self.database = CLIENT[self.name]
        self.drivers = []

    def driver(self):
        driver = drive.Driver(sys.argv[1], self.uri, self.name)
        self.drivers.append(driver)
        return driver

    def open(self):
        driver = self.driver()
        same(driver("migrate"), (OK, 1), driver.message)
        same(driver("open"), (OK, 0), driver.message)
        return driver

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for driver in self.drivers:
            driver.__exit__()
        CLIENT.drop_database(self.name)


def reopen(driver):
    """A session anew; the server may need a moment."""
    driver("close")
    for _ in range(20):
        status, _ = driver("open")
        if status == OK:
            return
    same(status, OK, driver.message)


def cut_idle():
    """Connections that are cut while nothing is under way lose nothing."""
    proxy = Proxy()
    with Store(proxy.uri()) as store:
        driver = store.open()
        same(driver("commit", "one", 0, "e1", 10), (OK, OK), driver.message)
        proxy.cut()
        status, _ = driver("load", "one", "e1")
        same(status in (OK, UNAVAILABLE), True, driver.message)
        if status != OK:
            same(driver("load", "one", "e1")[0], UNAVAILABLE, "a lost session goes on")
            reopen(driver)
        same(driver("load", "one", "e1"), (OK, 1001), driver.message)


def answer_lost():
    """A commit whose answer is lost is in doubt, and is found done."""
    proxy = Proxy()
    with Store(proxy.uri()) as store:
        driver = store.open()
        same(driver("commit", "one", 0, "e1", 10), (OK, OK), driver.message)
        proxy.swallow.set()
        status, result = driver("commit", "one", 1, "e2", 10)
        proxy.swallow.clear()
        # A replica set's server knows the write again when it is repeated.
        same((status, result) in ((INDOUBT, INDOUBT), (OK, OK)), True, driver.message)
        if status != OK:
            reopen(driver)
        same(driver("load", "one", "e2"), (OK, 1002), driver.message)
        same(driver("commit", "one", 1, "e2", 10), (CONFLICT, CONFLICT), driver.message)


def nobody_there():
    """Without a server nothing was done, and it is said in time."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with Store(f"mongodb://127.0.0.1:{port}/") as store:
        driver = store.driver()
        same(driver("open")[0], UNAVAILABLE, driver.message)
        same(driver("check")[0], UNAVAILABLE, driver.message)
        same(f"127.0.0.1:{port}" in driver.message, True, driver.message)


def restarted():
    """A server that is restarted in an orderly way keeps all, and is used again."""
    with Store() as store:
        driver = store.open()
        same(driver("commit", "one", 0, "e1", 10), (OK, OK), driver.message)
        if STAND_IN:
            subprocess.run([sys.argv[2], "restart"], check=True, stdout=subprocess.DEVNULL)
        status, _ = driver("commit", "one", 1, "e2", 10)
        same(status in (OK, UNAVAILABLE, INDOUBT), True, driver.message)
        reopen(driver)
        version = 2 if status == OK else driver("load", "one", "e2")[1] % 1000
        same(driver("commit", "one", version, "e3", 10), (OK, OK), driver.message)


def migrated_at_once():
    """Migrations at once do not disturb each other; before one no session opens."""
    with Store() as store:
        drivers = [store.driver() for _ in range(3)]
        same(drivers[0]("check")[0], CONFIG, drivers[0].message)
        same(drivers[0]("open")[0], CONFIG, drivers[0].message)
        for driver in drivers:
            driver.begin("migrate")
        for driver in drivers:
            same(driver.end(), (OK, 1), driver.message)
        same(drivers[0]("check"), (OK, 1), drivers[0].message)
        names = set(store.database.wf_workflow_instance.index_information())
        same({"created", "open", "due", "parked", "unmoved"} <= names, True, names)
        store.database.wf_outbox.drop()  # the stand-in stumbles when an index is dropped
        same(drivers[0]("check")[0], CONFIG, "an index that is missing is not seen")
        same(drivers[0]("migrate"), (OK, 1), drivers[0].message)
        store.database.wf_schema_version.update_one({}, {"$set": {"version": 2}})
        same(drivers[0]("migrate")[0], CONFIG, "a newer schema is taken for ours")


def moved_meanwhile():
    """Events are moved while commits go on: none is lost, doubled or forgotten."""
    with Store() as store:
        driver, mover = store.open(), store.open()
        for number in range(60):
            mover.begin("maintain")
            same(driver("commit", "one", number, f"e{number}", 10), (OK, OK), driver.message)
            for event in (f"e{number}", f"e{number // 2}", "e0"):
                same(driver("load", "one", event), (OK, 1001 + number), event)
            mover.end()
            same(driver("events", "one"), (OK, number + 1), driver.message)
        same(mover("maintain"), (OK, 0), mover.message)
        same(store.database.wf_workflow_event.count_documents({"instance": "one"}), 60)
        same(store.database.wf_workflow_instance.find_one()["_swm"]["events"], [])
        same(driver("load", "one", "e7"), (OK, 1060), driver.message)
        same(driver("load", "one", "e60"), (OK, 60), driver.message)


def moved_twice():
    """A move that was broken off between its halves is finished by the next one."""
    with Store() as store:
        driver = store.open()
        same(driver("commit", "one", 0, "e1", 10), (OK, OK), driver.message)
        before = store.database.wf_workflow_instance.find_one()["_swm"]
        same(driver("maintain"), (OK, 0), driver.message)
        store.database.wf_workflow_instance.update_one({}, {"$set": {
            "_swm.events": before["events"], "_swm.unmoved": True}})
        same(driver("events", "one"), (OK, 1), "an event that is in both places is listed twice")
        same(driver("load", "one", "e1"), (OK, 1001), driver.message)
        same(driver("maintain"), (OK, 0), driver.message)
        same(driver("events", "one"), (OK, 1), driver.message)


def limits():
    """A step has a limit, and a document that keeps much has its events moved first
    and what is left counted."""
    with Store() as store:
        driver = store.open()
        same(driver("commit", "one", 0, "e1", 9 * MIB), (TOO_LARGE, TOO_LARGE), driver.message)
        same("8388608" in driver.message, True, driver.message)
        same(driver("load", "one", "e1"), (OK, 0), driver.message)
        same(driver("commit", "one", 0, "e1", 7 * MIB), (OK, OK), driver.message)
        instances = store.database.wf_workflow_instance
        instances.update_one({}, {"$set": {"_swm.bytes": 2 * MIB}})
        same(driver("commit", "one", 1, "e2", 10), (OK, OK), driver.message)
        same(store.database.wf_workflow_event.count_documents({}), 1, "no event was moved")
        same(driver("load", "one", "e1"), (OK, 1002), driver.message)
        instances.update_one({}, {"$set": {"_swm.bytes": 13 * MIB}})
        same(driver("commit", "one", 2, "e3", 10), (OK, OK), "what is gone is still counted")
        instances.update_one({}, {"$set": {"_swm.bytes": 13 * MIB,
                                           "_swm.outbox.other": {"bytes": 13 * MIB}}})
        same(driver("commit", "one", 3, "e4", 10), (TOO_LARGE, TOO_LARGE), driver.message)
        same(driver("commit", "one", 2, "e4", 10), (CONFLICT, CONFLICT), driver.message)


def fields(value):
    """The names of all fields."""
    if isinstance(value, dict):
        return {*value, *(name for one in value.values() for name in fields(one))}
    return {name for one in value for name in fields(one)} if isinstance(value, list) else set()


def harmless_names():
    """Names and values with $ and dots are values, never the names of fields."""
    with Store() as store:
        driver = store.open()
        for number in range(3):
            same(driver("commit", "$id.with.dots", number, f"$e.{number}", 10), (OK, OK),
                 driver.message)
        same(driver("put", "$row.of.nobody"), (OK, 0), driver.message)
        same(driver("load", "$id.with.dots", "$e.1"), (OK, 1003), driver.message)
        found = store.database.wf_workflow_instance.find_one({"_id": "$id.with.dots"})
        same(found["component_name"], "a.$b")
        same(len(found["_swm"]["outbox"]), 3)
        same(found["_swm"]["events"][0]["source_id"], b"\xff\x00$.")
        same(found["_swm"]["events"][0]["body"], "{\"$set\": 1}")
        names = fields(found) | fields(store.database.wf_outbox.find_one())
        same([name for name in names if "$" in name or "." in name], [])


if __name__ == "__main__":
    drive.run([cut_idle, answer_lost, nobody_there, restarted, migrated_at_once,
               moved_meanwhile, moved_twice, limits, harmless_names])
