"""Waiting for an execution: the stream, and what holds where there is none, without a socket."""

from __future__ import annotations

import json

import pytest

from butler.changes import ChangeKind
from butler.client.exchange import Manner
from butler.client.following import Following
from butler.client.steps import Answer, Done, Item, Pause, ReadLine, Send, Unanswered, advance
from butler.errors import ApiUnavailable, ExecutionNotFound, WaitTimeout
from butler.executions import ExecutionStatus

MANNER = Manner(url="http://jobs", headers={}, timeout_s=3, retries=0)
AWAY = Unanswered(why="ConnectError: refused", sent=False)
STREAM = Answer(status=200, headers={"content-type": "text/event-stream; charset=utf-8"}, body=b"")
NONE = Answer(status=404, headers={}, body=b"{}")
UNCHANGED = Answer(status=304, headers={}, body=b"")
AT = "2026-11-24T12:00:00Z"
ID = "01a20ce4-0f0f-7136-b583-20899cea7136"


def stands(status, attempt=1, etag='"1"'):
    empty = dict.fromkeys(
        [
            "error",
            "timeout_s",
            "progress",
            "user_id",
            "unique_key",
            "parent_id",
            "rerun_of",
            "worker_id",
            "reason",
            "queued_at",
            "started_at",
            "finished_at",
            "cancel_requested_at",
            "expires_at",
            "result",
            "request",
        ]
    )
    body = empty | {
        "id": ID, "task": "pay", "status": status, "queue": "default", "priority": "normal",
        "attempt": attempt, "attempts_used": attempt, "max_attempts": 3, "tags": [],
        "run_at": AT, "created_at": AT, "crashes": 0, "attempts": [],
    }  # fmt: skip
    return Answer(status=200, headers={"etag": etag}, body=json.dumps(body).encode())


def event(id_, **change):
    said = {
        "kind": "state", "execution_id": ID, "task": "pay", "queue": "default",
        "status": "running", "attempt": 1, "percent": None, "message": None, "at": AT, "line": None,
    }  # fmt: skip
    return [f"id: {id_}", f"event: {change['kind']}", f"data: {json.dumps(said | change)}", ""]


def follow(*replies, lines=(), timeout_s=None):
    """What comes of it, the changes, and the steps taken; a broken stream gives one None."""
    talk = Following(ID, manner=MANNER, timeout_s=timeout_s).talk()
    replies, lines, changes, steps = [*replies], [*lines], [], []
    step = advance(talk, None)
    while not isinstance(step, Done):
        steps.append(step)
        reply = None
        if isinstance(step, Send):
            reply = replies.pop(0)
        elif isinstance(step, ReadLine):
            reply = lines.pop(0) if lines else None
        elif isinstance(step, Item):
            changes.append(step.value)
        step = advance(talk, reply)
    assert not replies
    return step.value, changes, steps


def test_a_stream_tells_of_each_change_and_the_ledger_of_the_end():
    lines = [
        ": hello", "",
        *event("1.running.0", kind="state"),
        *event("1.running.0", kind="progress", percent=50.0, message="half"),
        *event("1.running.0", kind="something-new"),
        *event("2.succeeded.0", kind="state", status="succeeded"),
    ]  # fmt: skip
    execution, changes, steps = follow(stands("running"), STREAM, stands("succeeded"), lines=lines)
    assert execution.status is ExecutionStatus.SUCCEEDED
    assert [(change.kind, change.status, change.percent) for change in changes] == [
        (ChangeKind.STATE, "running", None),
        (ChangeKind.PROGRESS, "running", 50.0),
        (ChangeKind.STATE, "succeeded", None),
    ]
    assert not [step for step in steps if isinstance(step, Pause)]


def test_lines_that_come_with_the_end_are_told_before_it():
    line = {"attempt": 1, "at": AT, "level": 20, "logger": "shop", "cut": False}
    lines = [
        *event(
            "0.none.1", kind="log", status="failed", line=line | {"id": 1 << 20, "message": "a"}
        ),
        *event(
            "0.none.2", kind="log", status="failed", line=line | {"id": 2 << 20, "message": "b"}
        ),
        *event("1.failed.2", kind="state", status="failed"),
    ]
    _, changes, _ = follow(stands("running"), STREAM, stands("failed"), lines=lines)
    told = [each.line.message if each.line else each.status for each in changes]
    assert told == ["running", "a", "b", "failed"]


def test_a_broken_stream_goes_on_where_it_was():
    execution, _, steps = follow(
        stands("running"), STREAM, UNCHANGED, STREAM, stands("failed"),
        lines=[*event("1.running.4", kind="progress", percent=1.0), None],
    )  # fmt: skip
    assert execution.status is ExecutionStatus.FAILED
    streams = [each for each in steps if isinstance(each, Send) and each.stream]
    assert [each.headers.get("Last-Event-ID") for each in streams] == [None, "1.running.4"]


def test_without_a_stream_it_asks_again_and_gets_only_what_is_new():
    execution, changes, steps = follow(
        stands("queued", 0), NONE, UNCHANGED, UNCHANGED, stands("running", etag='"2"'),
        stands("succeeded", etag='"3"'),
    )  # fmt: skip
    assert execution.status is ExecutionStatus.SUCCEEDED
    assert [change.status for change in changes] == ["queued", "running", "succeeded"]
    asked = [step.headers.get("If-None-Match") for step in steps if isinstance(step, Send)]
    assert asked == [None, None, '"1"', '"1"', '"1"', '"2"']
    pauses = [step.seconds for step in steps if isinstance(step, Pause)]
    assert pauses == sorted(pauses)
    assert len(pauses) == 4


def test_a_server_that_goes_away_while_it_is_waited_for_is_waited_for():
    execution, _, _ = follow(stands("running"), AWAY, AWAY, STREAM, stands("succeeded"))
    assert execution.status is ExecutionStatus.SUCCEEDED


def test_one_that_is_away_at_the_beginning_is_an_error_and_so_is_an_execution_that_is_not_there():
    with pytest.raises(ApiUnavailable):
        follow(AWAY)
    missing = json.dumps({"type": "urn:butler:problem:not-found", "detail": "no execution"})
    with pytest.raises(ExecutionNotFound, match="no execution"):
        follow(Answer(status=404, headers={}, body=missing.encode()))


def test_the_server_is_told_how_long_the_stream_is_wanted():
    with pytest.raises(WaitTimeout, match="not over after 0 s"):
        follow(stands("running"), timeout_s=0)
    _, _, steps = follow(stands("running"), STREAM, stands("succeeded"), timeout_s=30)
    [stream] = [step for step in steps if isinstance(step, Send) and step.stream]
    assert 0 < float(dict(stream.query)["timeout_s"]) <= 30
