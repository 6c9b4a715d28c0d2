"""``butler limits`` and ``butler queues limit`` on real servers."""

from __future__ import annotations

import pytest
from postgres_scenes import add_worker

from butler.cli import EXIT_FAILED, EXIT_USAGE
from butler.ids import new_token
from butler.limiting import make_rule
from butler.storage.records import Claim, TaskDefinition


@pytest.fixture
def announced(butler):
    limit = make_rule(max_concurrency=3).to_json()
    butler.storage.register_tasks([TaskDefinition(name="render", options={"limit": limit})])
    return butler


def rows(ran):
    return [row.split() for row in ran.lines[1:]]


def test_limits_are_listed_with_who_said_them_until_they_are_removed(run_butler, announced):
    assert rows(run_butler("limits", "list")) == [
        ["render", "task", "0", "3", "-", "0", "code", "-"]
    ]
    ran = run_butler("limits", "set", "render", "--max-concurrency", "2", "--rate", "5/second")
    assert (ran.out, ran.err) == ("", "render: 2 at once, 5/second\n")
    assert rows(run_butler("limits", "list")) == [
        ["render", "task", "0", "2", "5/second", "0", "operator", "-"]
    ]
    (form,) = run_butler("limits", "list", "--json").json["limits"]
    assert form["given"] == {"max_concurrency": 2, "rate": "5/second", "rate_burst": 1}
    assert form["declared"]["max_concurrency"] == 3
    ran = run_butler("limits", "remove", "render", "--dry-run")
    assert ran.out == "render: would be removed; code allows 3 at once\n"
    assert run_butler("limits", "remove", "render", "--json").json["was"] == "2 at once, 5/second"
    (form,) = run_butler("limits", "list", "--json").json["limits"]
    assert (form["max_concurrency"], form["given"]) == (3, None)


def test_a_limit_can_be_lifted_whatever_code_says(run_butler, announced):
    form = run_butler("limits", "set", "render", "--unlimited", "--json").json
    assert (form["max_concurrency"], form["declared"]["max_concurrency"]) == (None, 3)


def test_a_queue_is_limited_and_the_list_of_queues_shows_it(run_butler, announced):
    ran = run_butler("queues", "limit", "mail", "--rate", "100/minute", "--rate-burst", "20")
    assert ran.err.splitlines() == [
        'nothing has named a queue "mail" yet; known: default',
        "queue mail: 100/minute, 20 together",
    ]
    (row,) = [row for row in run_butler("queues", "list").lines if row.startswith("mail")]
    assert "100/minute, 20 together" in row
    form = run_butler("queues", "limit", "mail", "--remove", "--json").json
    assert form["limit"] == {"max_concurrency": None, "rate": None, "rate_burst": None}
    assert [form["name"] for form in run_butler("limits", "list", "--json").json["limits"]] == [
        "render"
    ]


def test_what_is_paused_by_a_misspelt_name_is_said(run_butler, announced):
    assert run_butler("queues", "pause", "default").err == "queue default is paused\n"
    ran = run_butler("queues", "pause", "defalt")
    assert ran.err.splitlines() == [
        'nothing has named a queue "defalt" yet; did you mean "default"?',
        "queue defalt is paused",
    ]
    assert len(run_butler("queues", "limit", "defalt", "--rate", "5/second").err.splitlines()) == 2
    assert len(run_butler("queues", "limit", "defalt", "--remove").err.splitlines()) == 1


def test_what_still_runs_under_a_queues_former_limit_is_listed_as_the_queues(run_butler, announced):
    butler = announced
    butler.queues.limit("mail", max_concurrency=2)
    id_ = butler.enqueue("work", {"n": 1}, queue="mail").id
    claim = Claim(worker_id=add_worker(butler.storage), token=new_token(), ids=(id_,))
    assert len(butler.storage.claim(claim).won) == 1
    run_butler("queues", "limit", "mail", "--remove")
    assert rows(run_butler("limits", "list")) == [
        ["queue:mail", "queue", "1", "-", "-", "0", "-", "-"],
        ["render", "task", "0", "3", "-", "0", "code", "-"],
    ]


def test_what_is_left_of_a_removed_limit_is_said(run_butler, butler):
    keyed = make_rule(max_concurrency=1).to_json() | {"computed": True}
    butler.storage.register_tasks([TaskDefinition(name="charge", options={"limit": keyed})])
    run_butler("limits", "set", "customer:42", "--max-concurrency", "2")
    assert run_butler("limits", "remove", "customer:42").out == (
        "customer:42: removed; each task keeps to its own limit for it\n"
    )
    run_butler("limits", "set", "queue:mail", "--rate", "5/second")
    assert (
        run_butler("limits", "remove", "queue:mail").out == "queue:mail: removed; anything goes\n"
    )


def test_names_and_rules_that_make_no_sense_are_answered_with_what_would(run_butler, announced):
    ran = run_butler("limits", "set", "rendr", "--max-concurrency", "2")
    assert 'no task named "rendr": taken for a key; did you mean "render"?' in ran.err
    ran = run_butler("limits", "remove", "render")
    assert (ran.code, "declared by code" in ran.err) == (EXIT_FAILED, True)
    ran = run_butler("limits", "remove", "ren")
    assert (ran.code, "did you mean" in ran.err) == (EXIT_FAILED, True)
    for wrong in (
        (),
        ("--rate-burst", "3"),
        ("--rate", "often"),
        ("--max-concurrency", "0"),
        ("--unlimited", "--rate", "1/minute"),
    ):
        assert run_butler("limits", "set", "render", *wrong).code == EXIT_USAGE
    assert run_butler("queues", "limit", "mail").code == EXIT_USAGE


def test_an_execution_that_waits_says_for_what(run_butler, announced):
    announced.queues.pause("mail")
    waiting = announced.enqueue("work", {"n": 1}, queue="mail")
    free = announced.enqueue("work", {"n": 1})
    assert (
        "waits for   queue mail, which is paused"
        in run_butler("executions", "show", waiting.id).lines
    )
    forms = run_butler("executions", "list", "--json").json["executions"]
    assert {form["id"]: [wait["part"] for wait in form["waits_for"]] for form in forms} == {
        waiting.id: ["paused"],
        free.id: [],
    }
    listed = {row.split()[0]: row for row in run_butler("executions", "list").lines}
    assert listed[waiting.id].endswith("waits for queue mail, which is paused")
