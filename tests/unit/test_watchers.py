"""Which steps somebody who follows an execution is told, from what is heard and what is read."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from butler.changes import ChangeKind, Word
from butler.clock import ManualClock
from butler.executions import ExecutionStatus, Progress
from butler.listening import watchers
from butler.listening.watchers import EndWatcher, StepWatcher
from butler.storage.logs import LogLine
from butler.storage.records import Standing

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def standing(status, *, attempt=1, percent=None, message=None):
    progress = None if percent is None else Progress(percent=percent, message=message)
    return Standing(
        id="an-id",
        task="t",
        queue="default",
        tags=(),
        status=ExecutionStatus(status),
        attempt=attempt,
        progress=progress,
    )


def progress(percent, *, attempt=1, message=None):
    return Word(kind=ChangeKind.PROGRESS, attempt=attempt, percent=percent, message=message)


def taken(watcher):
    """All steps there are, as (kind, status, attempt, percent)."""
    steps = []
    while (step := watcher.take()) is not None:
        steps.append((str(step.kind), str(step.status), step.attempt, step.percent))
    return steps


@pytest.fixture
def watcher():
    return StepWatcher("an-id", clock=ManualClock(NOW))


def test_the_first_step_is_the_present_state(watcher):
    watcher.stands(standing("running", percent=30.0, message="reading"))
    step = watcher.take()
    assert (step.kind, step.execution_id, step.at) == (ChangeKind.STATE, "an-id", NOW)
    assert (step.percent, step.message) == (30.0, "reading")
    assert watcher.take() is None


def test_a_state_is_told_once_however_often_it_is_read(watcher):
    for status in ("queued", "queued", "running", "running", "succeeded"):
        watcher.stands(standing(status))
    states = ["queued", "running", "succeeded"]
    assert [("state", status, 1, None) for status in states] == taken(watcher)
    assert watcher.over


def test_another_attempt_is_another_step(watcher):
    watcher.stands(standing("running", attempt=1))
    watcher.stands(standing("running", attempt=2))
    assert taken(watcher) == [("state", "running", 1, None), ("state", "running", 2, None)]


def test_progress_that_is_heard_is_told_before_the_ledger_has_it(watcher):
    watcher.stands(standing("running"))
    assert watcher.heard(progress(10.0)) is False
    assert taken(watcher) == [("state", "running", 1, None), ("progress", "running", 1, 10.0)]


def test_the_ledger_does_not_take_back_what_was_heard_a_moment_ago(watcher, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(watchers.time, "monotonic", lambda: now[0])
    watcher.stands(standing("running"))
    watcher.heard(progress(40.0))
    taken(watcher)
    watcher.stands(standing("running", percent=20.0))
    assert taken(watcher) == []
    now[0] += watchers.WRITTEN_AFTER_S + 0.1
    watcher.stands(standing("running", percent=60.0))
    assert taken(watcher) == [("progress", "running", 1, 60.0)]


def test_what_was_heard_and_is_then_read_is_one_step(watcher, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(watchers.time, "monotonic", lambda: now[0])
    watcher.stands(standing("running"))
    watcher.heard(progress(40.0))
    now[0] += 60
    watcher.stands(standing("running", percent=40.0))
    assert taken(watcher) == [("state", "running", 1, None), ("progress", "running", 1, 40.0)]


def test_progress_of_an_attempt_that_is_not_known_yet_waits_for_the_ledger(watcher):
    assert watcher.heard(progress(1.0)) is True
    watcher.stands(standing("queued", attempt=0))
    assert watcher.heard(progress(2.0, attempt=1)) is True
    watcher.stands(standing("running", attempt=1))
    assert taken(watcher) == [
        ("state", "queued", 0, None),
        ("state", "running", 1, None),
        ("progress", "running", 1, 2.0),
    ]


@pytest.mark.parametrize("status", ["queued", "retrying", "succeeded"])
def test_late_progress_of_an_attempt_that_is_over_is_not_told(watcher, status):
    watcher.stands(standing(status, attempt=1))
    assert watcher.heard(progress(99.0, attempt=1)) is False
    assert [("state", status, 1, None)] == taken(watcher)


def test_late_progress_of_an_older_attempt_is_not_told(watcher):
    watcher.stands(standing("running", attempt=2))
    assert watcher.heard(progress(99.0, attempt=1)) is False
    assert taken(watcher) == [("state", "running", 2, None)]


def test_a_slow_reader_gets_the_newest_progress_and_every_state(watcher):
    watcher.stands(standing("running"))
    for percent in range(1_000):
        watcher.heard(progress(percent / 10))
    watcher.stands(standing("succeeded", percent=100.0))
    assert taken(watcher) == [
        ("state", "running", 1, None),
        ("progress", "running", 1, 99.9),
        ("state", "succeeded", 1, 100.0),
    ]


def lines(*messages, attempt=1):
    told = tuple(
        LogLine(
            execution_id="an-id",
            attempt=attempt,
            number=number,
            at=NOW,
            level=20,
            logger="shop",
            message=message,
        )
        for number, message in enumerate(messages, start=1)
    )
    return Word(kind=ChangeKind.LOG, attempt=attempt, lines=told)


def told_lines(watcher):
    """All steps there are: the lines' messages, the states of the others."""
    steps = []
    while (step := watcher.take()) is not None:
        steps.append(step.line.message if step.line else str(step.status))
    return steps


def test_every_line_that_is_heard_is_a_step_with_the_newest_progress(watcher):
    watcher.stands(standing("running", percent=30.0, message="reading"))
    assert watcher.heard(lines("a", "b")) is False
    watcher.take()
    step = watcher.take()
    assert (step.kind, step.attempt, step.line.message) == (ChangeKind.LOG, 1, "a")
    assert (step.percent, step.message) == (30.0, "reading")
    assert told_lines(watcher) == ["b"]


def test_lines_of_an_attempt_that_is_not_known_yet_wait_for_the_ledger(watcher):
    assert watcher.heard(lines("a")) is True
    watcher.stands(standing("queued", attempt=0))
    assert watcher.heard(lines("b")) is True
    watcher.stands(standing("running"))
    watcher.heard(lines("c"))
    assert told_lines(watcher) == ["queued", "running", "a", "b", "c"]


def test_lines_come_before_the_end_of_which_nothing_else_was_heard(watcher):
    watcher.stands(standing("queued", attempt=0))
    watcher.heard(lines("a", "b"))
    watcher.stands(standing("succeeded"))
    assert told_lines(watcher) == ["queued", "a", "b", "succeeded"]
    assert watcher.over


def test_lines_do_not_hide_progress_nor_count_as_progress(watcher):
    watcher.stands(standing("running"))
    watcher.heard(progress(10.0))
    watcher.heard(lines("a"))
    watcher.heard(progress(20.0))
    watcher.stands(standing("running", percent=20.0))
    assert [step[0] for step in taken(watcher)] == ["state", "progress", "log", "progress"]


def test_a_reader_who_takes_no_step_fills_no_memory(watcher):
    watcher.stands(standing("running"))
    for _ in range(100):
        watcher.heard(lines(*["x"] * 100))
    watcher.stands(standing("succeeded"))
    steps = told_lines(watcher)
    assert len(steps) == watchers.MAX_LINES_KEPT + 2
    assert steps[-1] == "succeeded"


def test_a_line_wakes_a_sleeper(watcher):
    watcher.stands(standing("running"))
    taken(watcher)
    woken = []
    watcher.wake_by(lambda: woken.append("line"))
    watcher.heard(lines("a"))
    assert woken == ["line"]


def test_a_failure_comes_after_the_steps_that_are_left(watcher):
    watcher.stands(standing("running"))
    watcher.failed(LookupError("gone"))
    assert not watcher.over
    assert watcher.take() is not None
    with pytest.raises(LookupError, match="gone"):
        watcher.take()


def test_a_sleeper_is_woken_once_by_whatever_comes(watcher):
    woken = []
    watcher.wake_by(lambda: woken.append("step"))
    assert woken == []
    watcher.stands(standing("queued"))
    watcher.stands(standing("running"))
    assert woken == ["step"]
    watcher.wake_by(lambda: woken.append("at once"))
    assert woken == ["step", "at once"]
    taken(watcher)
    watcher.wake_by(lambda: woken.append("failure"))
    watcher.failed(LookupError())
    assert woken == ["step", "at once", "failure"]


def test_a_wait_that_was_given_up_is_told_nothing_more():
    watcher = EndWatcher("an-id")
    watcher.end.cancel()
    watcher.begun.cancel()
    watcher.stands(standing("running"))
    watcher.failed(LookupError())
    assert watcher.end.cancelled()
    assert watcher.last.status is ExecutionStatus.RUNNING


def test_an_end_that_is_seen_but_not_read_yet_does_not_begin_the_wait():
    # With no time to wait, it would be called late though it is over.
    watcher = EndWatcher("an-id")
    watcher.stands(standing("succeeded"))
    assert not watcher.began
    assert not watcher.begun.done()
    watcher.failed(LookupError("gone"))
    with pytest.raises(LookupError, match="gone"):
        watcher.begun.result(0)


def test_a_wait_begins_when_the_ledger_was_asked():
    watcher = EndWatcher("an-id")
    assert not watcher.began
    watcher.stands(standing("running"))
    assert watcher.began
    assert watcher.begun.done()
    assert not watcher.end.done()
