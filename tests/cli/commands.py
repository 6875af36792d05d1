#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The command line from end to end, on the embedded pair, with the built plugins.

    commands.py SWM PLUGIN_PATH      prints TAP

The tests build on each other: first what works without an orchestrator, then with one.
"""
import base64
import json
import random
import re
import subprocess
import sys

import harness
from harness import PIZZA, wait_for

FIVE = harness.SOURCE / "tests/cli/five-mistakes.json"
SERVICES = ["confirm_order", "make_food", "assign_executive", "confirm_delivery"]


def test_every_command_has_help_with_an_example(site):
    listed = re.findall(r"^  (\w+(?: \w+)?) {2,}", site.run("--help").out, re.M)
    wanted = ("run agent start complete fail retry send list show events migrate check").split()
    wanted += [f"template {name}" for name in ("lint", "apply", "list", "show")]
    wanted += [f"parked {name}" for name in ("list", "show", "requeue", "drop")]
    assert set(wanted) <= set(listed), sorted(set(wanted) - set(listed))
    for name in listed:
        text = site.run(*name.split(), "--help").out
        example = text.split("example:\n")[1]
        assert text.startswith(f"usage: swm {name} "), text
        assert f"swm {name}" in example, text


def test_mistakes_in_the_command_line_are_exit_2(site):
    assert "did you mean 'start'" in site.run("sart", code=2).err
    assert "did you mean --limit" in site.run("list", "--limt", "3", code=2).err
    assert "did you mean 'FAILED'" in site.run("list", "--status", "faild", code=2).err
    assert "missing" in site.run("start", "ITALIAN", code=2).err
    assert "--reason" in site.run("fail", "ITALIAN", "O", "task", code=2).err
    assert "--queue" in site.run("agent", "--", "true", code=2).err
    assert "--all" in site.run("parked", "requeue", code=2).err


def test_a_template_with_five_mistakes_gives_five_messages(site):
    found = site.run("template", "lint", str(FIVE), code=1)
    lines = found.out.splitlines()
    assert len(lines) == 5, found
    said = [re.fullmatch(re.escape(str(FIVE)) + r":(\d+): (/\S+): error: (.+)", line)
            for line in lines]
    assert all(said), found
    assert [(int(match[1]), match[2]) for match in said] == [
        (9, "/stages/0/tasks/0"), (10, "/stages/0/tasks/1/timeout"),
        (15, "/stages/1/stage_order"), (17, "/stages/1/tasks/0/parent_task/0"),
        (18, "/stages/1/tasks/1/task_type")], found
    assert 'did you mean "make_food"' in said[3][3], found
    rows = site.run("template", "lint", str(FIVE), "-o", "json", code=1).json()
    assert [(row["line"], row["pointer"], row["severity"], row["message"]) for row in rows] == [
        (int(match[1]), match[2], "error", match[3]) for match in said]


def test_a_good_template_is_fine(site):
    fine = site.run("template", "lint", str(PIZZA))
    assert fine.out == "" and "fine" in fine.err, fine
    site.run("template", "lint", "-", stdin=PIZZA.read_bytes())
    assert "no-such-file" in site.run("template", "lint", "no-such-file", code=3).err


def test_a_template_survives_simulation(site):
    first = site.run("simulate", str(PIZZA), "--seeds", "25").out
    assert "\n25 of 25 worlds survived. The longest path is seed " in first, first
    assert "... 25 worlds in all\n" in first, first
    assert "crash" in first and "FAULT" in first and "For example seed " in first, first
    assert first == site.run("simulate", str(PIZZA), "--seeds", "25").out


def test_a_simulated_world_is_told_by_its_seed(site):
    told = site.run("simulate", str(PIZZA), "--seed", "7", "--trace").out
    assert "commits ITALIAN/REF-0 version 1" in told and "nothing moves any more" in told, told
    assert told.count("survived") == 2, told
    rows = site.run("simulate", str(PIZZA), "--seeds", "3", "--faults", "none", "-o",
                    "json").json()
    assert [row["seed"] for row in rows] == [1, 2, 3], rows
    assert {(row["result"], row["faults"]) for row in rows} == {("survived", 0)}, rows


def test_what_cannot_be_simulated_is_told(site):
    names = site.run("simulate", "--list").out
    assert "commit-doubt" in names and "acked-before-commit" in names, names
    assert "there is no \"rain\"" in site.run("simulate", str(PIZZA), "--faults",
                                              "crash,rain", code=2).err
    assert "a template is needed" in site.run("simulate", code=2).err
    assert "5 errors" in site.run("simulate", str(FIVE), code=1).err
    assert "gone.json" in site.run("simulate", "gone.json", code=3).err


def test_a_store_without_schema_says_migrate(site):
    assert "swm migrate" in site.run("list", code=1).err
    site.run("migrate")


def test_templates_get_versions(site):
    assert site.run("template", "list").out == ""
    assert site.run("template", "apply", str(PIZZA)).out == "ITALIAN:1  new\n"
    assert site.run("template", "apply", str(PIZZA)).out == "ITALIAN:1  unchanged\n"
    second = site.dir / "second.json"
    second.write_text(PIZZA.read_text().replace("Deliver Pizza", "Deliver Two Pizzas"))
    applied = site.run("template", "apply", str(second), "-m", "two", "--author", "anna",
                       "-o", "json").json()
    assert applied == [{"id": "ITALIAN:2", "component_name": "ITALIAN", "version": 2,
                        "new": True}], applied
    assert site.run("template", "apply", str(PIZZA)).out == "ITALIAN:3  new\n"
    rows = site.run("template", "list", "ITALIAN", "-o", "json").json()
    assert [row["version"] for row in rows] == [3, 2, 1], rows
    assert (rows[1]["author"], rows[1]["comment"]) == ("anna", "two"), rows
    assert len(rows[1]["sha256"]) == 64, rows


def test_a_bad_template_is_not_applied(site):
    bad = site.run("template", "apply", str(FIVE), code=1)
    assert bad.out == "" and bad.err.count("error:") == 5, bad
    assert "nothing was stored" in bad.err, bad
    assert len(site.run("template", "list", "-o", "json").json()) == 3


def test_templates_are_shown_as_applied(site):
    assert site.run("template", "show", "ITALIAN").bytes == PIZZA.read_bytes()
    assert site.run("template", "show", "ITALIAN:2").bytes == (
        site.dir / "second.json").read_bytes()
    shown = site.run("template", "show", "ITALIAN:1", "-o", "json").json()[0]
    assert shown["template"] == json.loads(PIZZA.read_text()), shown
    assert "ITALIAN:9" in site.run("template", "show", "ITALIAN:9", code=3).err
    for command in ("show", "list"):
        hint = site.run("template", command, "ITALIEN", code=3).err
        assert "did you mean 'ITALIAN'" in hint, hint


def test_without_an_orchestrator_an_event_is_sent_all_the_same(site):
    sent = site.run("start", "ITALIAN", "EARLY", "--timeout", "100ms")
    assert sent.out == "StartWorkflow ITALIAN EARLY: sent, not yet processed\n", sent
    sent = site.run("start", "ITALIAN", "LATER", "--no-wait", "-o", "json").json()[0]
    assert sent["outcome"] == "sent" and len(sent["event_id"]) == 32, sent


def test_the_orchestrator_takes_what_was_sent_before(site):
    site.spawn("run")
    site.wait_status("ITALIAN", "EARLY", "ACTIVE")
    site.wait_status("ITALIAN", "LATER", "ACTIVE")


def test_orders_move_through_agents(site):
    for name in SERVICES:
        site.agent(f"{name}_queue", "true", options=["--jobs", "4"])
    done = site.run("start", "ITALIAN", "ORDER-001", "--actor", "carl", "--data",
                    '{"price": 19.99, "tax": 0.1, "weight": 1.0, "big": 1e2, "n": 7}')
    assert done.out == "StartWorkflow ITALIAN ORDER-001: applied (record 1)\n", done
    site.wait_status("ITALIAN", "ORDER-001", "SCHEDULED", task="deliver_food")
    site.wait_status("ITALIAN", "EARLY", "SCHEDULED", task="deliver_food")
    site.wait_status("ITALIAN", "LATER", "SCHEDULED", task="deliver_food")


def test_what_waits_for_people_is_listed(site):
    rows = site.run("list", "--human", "-o", "json").json()
    assert {row["business_ref_no"] for row in rows} == {"EARLY", "LATER", "ORDER-001"}, rows
    assert {(row["stage_name"], row["task_name"], row["assigned_to"]) for row in rows} == {
        ("DELIVER", "deliver_food", "delivery_executive")}, rows
    table = site.run("list", "--human").out.splitlines()
    assert table[0].split() == ["COMPONENT", "REF", "STAGE", "TASK", "ASSIGNED", "TO",
                                "ATTEMPT", "SINCE"], table
    assert len(table) == 4, table


def test_a_human_task_is_completed_by_name(site):
    hint = site.run("complete", "ITALIAN", "ORDER-001", "deliver_fod", code=3).err
    assert "did you mean 'deliver_food'" in hint, hint
    hint = site.run("complete", "ITALIAN", "ORDER-001", "DELIVR", "deliver_food", code=3).err
    assert "did you mean 'DELIVER'" in hint, hint
    site.run("complete", "ITALIAN", "NOBODY", "deliver_food", code=3)
    done = site.run("complete", "ITALIAN", "ORDER-001", "deliver_food", "--actor", "anna",
                    "--data", '{"tip": 2.5}', "-o", "json").json()[0]
    assert (done["outcome"], done["stage_name"], done["sequence"]) == (
        "applied", "DELIVER", 6), done
    site.run("complete", "ITALIAN", "EARLY", "DELIVER", "deliver_food")


def test_what_does_not_count_is_exit_1(site):
    again = site.run("complete", "ITALIAN", "ORDER-001", "deliver_food", code=1)
    assert "duplicate" in again.out and "(record 7)" in again.out, again
    again = site.run("start", "ITALIAN", "ORDER-001", code=1)
    assert "duplicate" in again.out, again
    ignored = site.run("fail", "ITALIAN", "ORDER-001", "deliver_food", "--reason", "late",
                       code=1)
    assert "ignored: " in ignored.out, ignored
    assert "did you mean 'ITALIAN'" in site.run("start", "ITALIN", "O", code=3).err
    site.run("start", "ITALIAN", "X" * 300, code=1)
    site.run("start", "ITALIAN", "O", "--data", "[1]", code=1)
    site.run("start", "ITALIAN", "O", "--data", "@no-such-file", code=3)
    site.run("start", "ITALIAN", "O", "--template-version", "9", code=3)


def test_show_prints_the_document(site):
    shown = site.run("show", "ITALIAN", "ORDER-001", "-o", "json")
    document = shown.json()[0]
    template = json.loads(PIZZA.read_text())
    assert document["status"] == "COMPLETED", document
    assert document["business_status"] == "FOOD DELIVERED", document
    assert document["version"] == 9 and document["template_version"] == 3, document
    assert [stage["stage_name"] for stage in document["stages"]] == [
        stage["stage_name"] for stage in template["stages"]], document
    assert {stage["status"] for stage in document["stages"]} == {"COMPLETED"}, document
    assert '"data":{"price":19.99,"tax":0.1,"weight":1.0,"big":100.0,"n":7,"tip":2.5}' in (
        shown.out), shown
    assert '"stage_order":0.0' in shown.out, shown
    site.run("show", "ITALIAN", "NOBODY", code=3)


def test_show_draws_a_picture(site):
    lines = site.run("show", "ITALIAN", "LATER").out.splitlines()
    assert lines[0] == "ITALIAN LATER  ACTIVE  FOOD ON THE WAY", lines
    picture = [line.split()[:3] for line in lines[3:]]
    assert picture == [
        ["+", "START", "COMPLETED"], ["+", "ORDER", "COMPLETED"],
        ["+", "confirm_order", "COMPLETED"], ["+", "PREPARE", "COMPLETED"],
        ["+", "make_food", "COMPLETED"], ["+", "assign_executive", "COMPLETED"],
        ["+", "confirm_delivery", "COMPLETED"], [">", "DELIVER", "ACTIVE"],
        [">", "deliver_food", "SCHEDULED"]], picture
    assert "after make_food, assign_executive" in lines[9], lines
    assert "HUMAN delivery_executive" in lines[11], lines


def test_colours_are_for_terminals(site):
    show = ("show", "ITALIAN", "LATER")
    assert "\x1b[" not in site.run(*show).out
    coloured = harness.on_terminal(site, *show)
    assert "\x1b[32m" in coloured and "✔" in coloured, coloured
    plain = harness.on_terminal(site, *show, env={"NO_COLOR": "1"})
    assert "\x1b[" not in plain and "✔" in plain, plain
    ascii_only = harness.on_terminal(site, *show, env={"LC_ALL": "C"})
    assert ascii_only.isascii(), ascii_only
    assert "\x1b[" not in harness.on_terminal(site, *show, "-o", "json")


def test_show_at_folds_the_log(site):
    first = site.run("show", "ITALIAN", "ORDER-001", "--at", "1", "-o", "json").json()[0]
    assert first["status"] == "ACTIVE" and first["version"] == 1, first
    assert [stage["status"] for stage in first["stages"]] == [
        "COMPLETED", "ACTIVE", "NOT STARTED", "NOT STARTED"], first
    last = site.run("show", "ITALIAN", "ORDER-001", "--at", "9", "-o", "json").out
    assert last == site.run("show", "ITALIAN", "ORDER-001", "-o", "json").out
    site.run("show", "ITALIAN", "ORDER-001", "--at", "10", code=3)


def test_events_are_the_audit(site):
    rows = site.events("ITALIAN", "ORDER-001")
    assert [row["sequence"] for row in rows] == list(range(1, 10)), rows
    assert [row["outcome"] for row in rows] == ["applied"] * 6 + [
        "duplicate", "duplicate", "ignored"], rows
    assert rows[0]["actor"] == "carl" and rows[5]["actor"] == "anna", rows
    assert rows[5]["body"]["data"] == {"tip": 2.5}, rows
    assert rows[8]["body"]["reason"] == "late" and rows[8]["reason"], rows
    assert all(len(row["key"]) == 32 and row["event_id"] for row in rows), rows
    table = site.run("events", "ITALIAN", "ORDER-001").out.splitlines()
    assert len(table) == 10 and table[0].split()[:3] == ["SEQ", "TIME", "EVENT"], table
    site.run("events", "ITALIAN", "NOBODY", code=3)


def test_list_filters(site):
    def refs(*options):
        rows = site.run("list", "-o", "json", *options).json()
        return [row["business_ref_no"] for row in rows]
    assert refs()[0] == "ORDER-001" and set(refs()[1:]) == {"LATER", "EARLY"}, refs()
    assert refs("--status", "completed") == ["ORDER-001", "EARLY"]
    assert refs("--stage", "DELIVER") == ["LATER"]
    assert refs("--component", "FRENCH") == []
    assert refs("--limit", "1") == ["ORDER-001"]
    assert "no workflows" in site.run("list", "--component", "FRENCH").err


def test_send_takes_one_event_or_many(site):
    def start(ref):
        return {"event_name": "StartWorkflow", "component_name": "ITALIAN",
                "business_ref_no": ref}
    one = site.run("send", "-", stdin=json.dumps(start("S1"), indent=1).encode())
    assert one.out == "StartWorkflow ITALIAN S1: applied (record 1)\n", one
    lines = "\n".join(json.dumps(start(ref)) for ref in ("S2", "S3", "S1")) + "\n\n"
    (site.dir / "lines").write_text(lines)
    many = site.run("send", "lines", code=1)
    assert [line.split(": ")[1].split()[0] for line in many.out.splitlines()] == [
        "applied", "applied", "duplicate"], many
    with_id = site.run("send", "-", "-o", "json", stdin=json.dumps(
        {**start("S4"), "event_id": "mine"}).encode()).json()[0]
    assert with_id["event_id"] == "mine", with_id


def test_send_checks_all_before_it_sends_any(site):
    good = {"event_name": "StartWorkflow", "component_name": "ITALIAN",
            "business_ref_no": "S5"}
    bad = {"event_name": "TaskCompleted", "component_name": "ITALIAN",
           "business_ref_no": "S5"}
    (site.dir / "mixed").write_text(f"{json.dumps(good)}\n{json.dumps(bad)}\n")
    refused = site.run("send", "mixed", code=1)
    assert 'mixed:2: "stage_name" is missing' in refused.err, refused
    assert "nothing was sent" in refused.err, refused
    site.run("show", "ITALIAN", "S5", code=3)


def test_an_event_that_is_parked_is_refused(site):
    parked = site.run("send", "-", code=1, stdin=json.dumps(
        {"event_name": "StartWorkflow", "component_name": "FRENCH",
         "business_ref_no": "F1"}).encode())
    assert ": parked: " in parked.out, parked
    row, = site.run("parked", "list", "-o", "json").json()
    shown = site.run("parked", "show", row["id"], "-o", "json").json()[0]
    assert json.loads(shown["body"])["component_name"] == "FRENCH", shown
    site.run("parked", "drop", row["id"])
    assert site.run("parked", "list").out == ""


def parked_row(site):
    rows = []

    def there():
        rows[:] = site.run("parked", "list", "-o", "json").json()
        return len(rows) == 1
    wait_for(there, "one message is parked")
    return rows[0]


def test_random_bytes_are_parked_and_kept_exactly(site):
    noise = b"\x00\xff" + random.Random(7).randbytes(500)
    (site.dir / "noise").write_bytes(noise)
    site.run("send", "--raw", "noise")
    row = parked_row(site)
    assert (row["bytes"], row["source"]) == (502, "workflow_queue"), row
    assert row["reason"], row
    assert site.run("parked", "show", row["id"], "--body").bytes == noise
    assert site.run("parked", "show", row["id"]).bytes.endswith(b"\n\n" + noise)
    shown = site.run("parked", "show", row["id"], "-o", "json").json()[0]
    assert base64.b64decode(shown["body_base64"]) == noise, shown
    assert [header["name"] for header in shown["headers"]] == ["swm-event-id"], shown
    terminal = harness.on_terminal(site, "parked", "show", row["id"])
    assert "\x00" not in terminal and "\\x00\\xff" in terminal, terminal


def test_what_is_requeued_is_parked_again_and_dropped(site):
    first = parked_row(site)
    header = site.run("parked", "show", first["id"], "-o", "json").json()[0]["headers"][0]
    site.run("parked", "requeue", first["id"])
    wait_for(lambda: [row["id"] for row in site.run(
        "parked", "list", "-o", "json").json()] not in ([first["id"]], []), "it is back")
    again = parked_row(site)
    shown = site.run("parked", "show", again["id"], "-o", "json").json()[0]
    assert header in shown["headers"], shown  # it keeps the id that it had first
    assert base64.b64decode(shown["body_base64"]) == (site.dir / "noise").read_bytes()
    site.run("parked", "requeue", "--all")
    again = parked_row(site)
    site.run("parked", "drop", again["id"])
    assert site.run("parked", "list").out == ""
    site.run("parked", "show", again["id"], code=3)
    mixed = site.run("parked", "drop", again["id"], code=3)
    assert again["id"] in mixed.err, mixed


def test_a_failed_task_is_tried_again(site):
    site.template("MANUAL", [{"task_name": "paint", "task_queue": "paint_queue"}])
    site.run("start", "MANUAL", "M1")
    site.run("fail", "MANUAL", "M1", "paint", "--reason", "no\tcolour ✔")
    assert site.task("MANUAL", "M1", "paint")["reason"] == "no\tcolour ✔"
    assert site.document("MANUAL", "M1")["status"] == "FAILED"
    assert "! paint" in site.run("show", "MANUAL", "M1").out
    site.run("retry", "MANUAL", "M1", "paint", "--reason", "bought some")
    assert site.task("MANUAL", "M1", "paint")["attempt"] == 2
    stale = site.run("fail", "MANUAL", "M1", "paint", "--attempt", "1", "-r", "x", code=1)
    assert "ignored: " in stale.out, stale
    site.run("complete", "MANUAL", "M1", "paint", "--attempt", "2")
    assert site.document("MANUAL", "M1")["status"] == "COMPLETED"


def test_output_that_cannot_be_written_is_exit_1(site):
    with open("/dev/full", "wb") as full:
        done = subprocess.run([site.swm, "list"], stdout=full, stderr=subprocess.PIPE,
                              env={**site.env, "SWM_CONFIG": str(site.dir / "swm.json")},
                              check=False, timeout=harness.WAIT_S)
    assert done.returncode == 1 and b"cannot write" in done.stderr, done


if __name__ == "__main__":
    sys.exit(harness.main(sys.modules[__name__], lambda: harness.Site(
        sys.argv[1], sys.argv[2], lease="30s")))
