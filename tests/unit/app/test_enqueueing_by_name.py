"""Enqueueing by name where the code is elsewhere: checked against what workers announced."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydantic import BaseModel, Field

from butler.errors import (
    InvalidOption,
    InvalidRequest,
    UnknownTask,
)
from butler.executions import Priority
from butler.function_tasks import task
from tests.unit.app.app_kit import Email, claim, ping, send


class Aliased(BaseModel):
    to: str = Field(validation_alias="recipient")


class Patterned(BaseModel):
    code: str = Field(pattern=r"^\p{Lu}+$")


@task
def aliased(request: Aliased) -> None: ...


@task
def patterned(request: Patterned) -> None: ...


@pytest.fixture
def announced(butler, storage):
    storage.register_tasks([spec.definition(app="shop") for spec in butler.registry])


def test_a_task_is_enqueued_by_name_without_its_code(announced, stranger, storage):
    handle = stranger.enqueue("send", {"to": "a"}, tags=["x"])
    assert handle.pushed
    execution = handle.execution()
    assert (execution.task, execution.request) == ("send", {"to": "a"})
    assert (execution.queue, execution.priority) == ("mail", Priority.HIGH)
    assert (execution.timeout_s, execution.max_attempts) == (7, 5)
    assert execution.tags == ("mail", "x")
    assert claim(storage, handle.id).fingerprint == send.spec.fingerprint
    assert stranger.enqueue("ping").execution().request is None
    assert stranger.enqueue("send", Email(to="model")).execution().request == {"to": "model"}


def test_a_request_is_checked_against_the_stored_schema(announced, stranger):
    with pytest.raises(InvalidRequest, match=r"does not fit its schema: to: 5 is not of type") as e:
        stranger.enqueue("send", {"to": 5})
    assert e.value.errors == [{"loc": ("to",), "msg": "5 is not of type 'string'", "type": "type"}]
    with pytest.raises(InvalidRequest):
        stranger.enqueue("ping", 5)
    assert stranger.list().executions == ()


@pytest.mark.parametrize("request_", [{"to": "a\0"}, {"to": "\ud800"}, {"to": object()}])
def test_a_request_that_no_ledger_can_hold_is_refused_by_name_too(announced, stranger, request_):
    with pytest.raises(InvalidRequest):
        stranger.enqueue("send", request_)


def test_a_key_that_only_code_can_compute_must_be_given(announced, stranger):
    with pytest.raises(InvalidOption, match="computes its unique_key from the request"):
        stranger.enqueue("sync_user", {"to": "a"})
    assert stranger.enqueue("sync_user", {"to": "a"}, unique_key="a").created


def test_an_unknown_name_says_what_was_meant(announced, stranger):
    with pytest.raises(UnknownTask, match="no task named 'sned'; did you mean \"send\""):
        stranger.enqueue("sned", {"to": "a"})


def test_definitions_are_read_once_a_minute_but_a_new_name_is_found_sooner(
    announced, stranger, storage, clock, monkeypatch
):
    reads = []
    read = storage.task_definitions
    monkeypatch.setattr(storage, "task_definitions", lambda: reads.append(1) or read())
    stranger.enqueue("ping")
    stranger.enqueue("send", {"to": "a"})
    assert len(reads) == 1

    @task
    def fresh() -> None: ...

    storage.register_tasks([fresh.spec.definition()])
    with pytest.raises(UnknownTask):
        stranger.enqueue("fresh")
    assert len(reads) == 1
    clock.advance(1.5)
    assert stranger.enqueue("fresh").created
    assert len(reads) == 2
    clock.advance(61)
    stranger.enqueue("ping")
    assert len(reads) == 3


def test_a_request_by_schema_is_what_a_worker_reads(stranger, storage):
    storage.register_tasks([aliased.spec.definition()])
    handle = stranger.enqueue("aliased", {"to": "a"})
    text = claim(storage, handle.id).request
    assert aliased.spec.request.decode(text) == Aliased(recipient="a")
    with pytest.raises(InvalidRequest, match="'to' is a required property"):
        stranger.enqueue("aliased", {"recipient": "a"})


def test_a_pattern_that_python_cannot_read_is_left_to_the_worker(stranger, storage):
    storage.register_tasks([patterned.spec.definition()])
    assert stranger.enqueue("patterned", {"code": "ABC"}).created


def test_a_schema_is_never_fetched_from_elsewhere(stranger, storage):
    definition = ping.spec.definition()
    remote = {"$ref": "http://127.0.0.1:9/schema.json"}
    storage.register_tasks([replace(definition, request_schema=remote)])
    with pytest.raises(InvalidRequest, match="stored schema of 'ping' cannot be used"):
        stranger.enqueue("ping")
