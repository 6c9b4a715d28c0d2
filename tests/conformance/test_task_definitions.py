from __future__ import annotations

from dataclasses import replace

from ledger_driver import race

from butler.storage.records import TaskDefinition

MAIL = TaskDefinition(
    name="Send Mail",
    description="Sends one mail.",
    tags=("mail", "slow"),
    request_schema={"type": "object", "properties": {"to": {"type": "string"}}},
    result_schema={"type": "null"},
    options={"timeout_s": 30.5, "max_attempts": 3, "retry": None},
    fingerprint="abc",
    app="shop",
)


def test_a_new_ledger_knows_no_task(storage):
    assert storage.task_definitions() == []


def test_a_definition_is_kept_as_it_was_given(storage):
    storage.register_tasks([MAIL])
    assert storage.task_definitions() == [MAIL]


def test_definitions_come_by_name(storage):
    storage.register_tasks([TaskDefinition(name="b"), MAIL, TaskDefinition(name="a")])
    assert [definition.name for definition in storage.task_definitions()] == ["Send Mail", "a", "b"]


def test_registering_again_replaces(storage):
    other = TaskDefinition(name="Other")
    storage.register_tasks([MAIL, other])
    changed = replace(MAIL, description="Sends two.", tags=(), fingerprint="def", options={})
    storage.register_tasks([changed])
    assert [other, changed] == storage.task_definitions()


def test_registering_nothing_is_fine(storage):
    storage.register_tasks([])
    assert storage.task_definitions() == []


def test_workers_that_start_together_do_not_deadlock(storage):
    names = [f"task {number:02}" for number in range(30)]
    orders = [names, list(reversed(names)), names[15:] + names[:15]]
    race(
        *[
            lambda order=order: storage.register_tasks([TaskDefinition(name=n) for n in order])
            for order in orders
        ]
    )
    assert names == [definition.name for definition in storage.task_definitions()]
