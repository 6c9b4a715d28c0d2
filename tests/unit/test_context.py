"""What a running task may do, and the control that the worker holds."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from butler.attempt_control import AttemptControl
from butler.clock import ManualClock
from butler.context import TaskContext, current_context, running_context
from butler.errors import AttemptCancelled, ButlerError, InvalidOption
from butler.executions import Priority
from butler.producing import Parent, Producer
from butler.storage.records import Claimed

NOW = datetime(2030, 1, 1, tzinfo=UTC)
LONG_S = 60.0


class RecordingProducer(Producer):
    """Keeps what it was asked to enqueue, and for whom."""

    def __init__(self):
        self.placed = []

    def _place(self, orders, *, parent=None, transaction=None):
        self.placed.append((list(orders), parent))
        return list(orders)

    async def _aplace(self, orders, *, parent=None, transaction=None):
        return self._place(orders, parent=parent)


@pytest.fixture
def control():
    return AttemptControl()


@pytest.fixture
def producer():
    return RecordingProducer()


@pytest.fixture
def context(control, producer):
    return make_context(control, producer)


def make_context(control, producer, *, deadline=None, clock=None):
    claimed = Claimed(
        id="01a20be7-8f81-75a1-bdbd-6aa47f66c229",
        attempt=2,
        claim_token="token",
        task="send",
        queue="mail",
        priority=Priority.NORMAL,
        request=None,
        uncounted=0,
        max_attempts=3,
        crashes=0,
        alone=False,
        timeout_s=None,
        user_id="user",
        tags=("a",),
        parent_id="parent",
        fingerprint=None,
        created_at=NOW,
    )
    return TaskContext(claimed, control, producer, deadline, clock=clock or ManualClock(NOW))


def cancel_when_waiting(control):
    """Cancel from another thread, once something waits."""

    def run():
        while control._event is None and not control._wakers:
            time.sleep(0.001)
        control.request_cancel("asked to")

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_a_context_tells_what_runs(context):
    assert context.execution_id == "01a20be7-8f81-75a1-bdbd-6aa47f66c229"
    assert (context.attempt, context.max_attempts) == (2, 3)
    assert (context.task, context.queue, context.user_id) == ("send", "mail", "user")
    assert (context.tags, context.parent_id) == (("a",), "parent")


def test_the_deadline_is_wall_time_and_moves_with_neither_clock(control, producer):
    clock = ManualClock(NOW)
    context = make_context(control, producer, deadline=5.0, clock=clock)
    assert context.deadline == NOW + timedelta(seconds=5)
    clock.advance(3)
    assert context.deadline == NOW + timedelta(seconds=5)


def test_there_is_no_deadline_without_a_timeout(context):
    assert context.deadline is None


def test_a_cancel_is_seen_and_raised(context, control):
    context.raise_if_cancelled()
    assert not context.cancelled
    control.request_cancel("asked to")
    assert context.cancelled
    with pytest.raises(AttemptCancelled, match="asked to"):
        context.raise_if_cancelled()


def test_a_cancel_calls_what_was_asked_for_once_and_from_who_cancels(context, control):
    called = []
    context.on_cancel(lambda: called.append(threading.current_thread()))
    assert called == []
    canceller = threading.Thread(target=control.request_cancel, args=("stop",))
    canceller.start()
    canceller.join()
    control.request_cancel("again")
    assert called == [canceller]


def test_what_is_asked_for_after_the_cancel_is_called_at_once(context, control):
    control.request_cancel("stop")
    called = []
    context.on_cancel(lambda: called.append(1))
    assert called == [1]


def test_what_fails_about_a_cancel_is_logged_and_holds_up_nothing(context, control, caplog):
    called = []
    context.on_cancel(lambda: 1 / 0)
    context.on_cancel(lambda: called.append(1))
    control.request_cancel("stop")
    assert called == [1]
    assert context.cancelled
    assert "task.on_cancel_failed" in caplog.text


def test_what_a_task_is_blocked_on_can_be_closed_by_a_cancel(context, control):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        context.on_cancel(lambda: theirs.shutdown(socket.SHUT_RDWR))
        threading.Timer(0.05, control.request_cancel, args=("stop",)).start()
        assert ours.recv(1) == b""
        with pytest.raises(AttemptCancelled):
            context.raise_if_cancelled()


def test_the_first_reason_of_a_cancel_stays(control):
    control.request_cancel("first")
    control.request_cancel("second")
    assert control.reason == "first"


def test_an_except_exception_in_a_task_does_not_swallow_a_cancel():
    assert not issubclass(AttemptCancelled, Exception)


def test_a_blocking_wait_ends_with_the_cancel(control):
    thread = cancel_when_waiting(control)
    assert control.wait_cancelled(LONG_S) is True
    assert control.wait_cancelled(LONG_S) is True
    thread.join()


def test_a_blocking_wait_ends_with_its_timeout(control):
    assert control.wait_cancelled(0.001) is False


def test_sleep_in_a_def_task_blocks_and_may_be_awaited(context):
    started = time.monotonic()
    done = context.sleep(timedelta(seconds=0.02))
    assert time.monotonic() - started >= 0.02

    async def await_it():
        await done

    asyncio.run(await_it())


def test_sleep_in_a_def_task_ends_with_the_cancel(context, control):
    thread = cancel_when_waiting(control)
    started = time.monotonic()
    with pytest.raises(AttemptCancelled, match="asked to"):
        context.sleep(LONG_S)
    assert time.monotonic() - started < LONG_S / 2
    thread.join()


def test_sleep_raises_at_once_when_already_cancelled(context, control):
    control.request_cancel("asked to")
    with pytest.raises(AttemptCancelled):
        context.sleep(0)
    with pytest.raises(AttemptCancelled):
        asyncio.run(sleep_in_loop(context, LONG_S))


async def sleep_in_loop(context, duration_s):
    await context.sleep(duration_s)


def test_sleep_in_an_async_task_lets_the_loop_go_on(context):
    async def both():
        order = []

        async def other():
            order.append("other")

        await asyncio.gather(context.sleep(0.02), other())
        order.append("slept")
        return order

    assert asyncio.run(both()) == ["other", "slept"]


def test_sleep_in_an_async_task_ends_with_a_cancel_from_another_thread(context, control):
    thread = cancel_when_waiting(control)
    started = time.monotonic()
    with pytest.raises(AttemptCancelled, match="asked to"):
        asyncio.run(sleep_in_loop(context, LONG_S))
    assert time.monotonic() - started < LONG_S / 2
    thread.join()


def test_a_sleep_that_ended_leaves_nothing_to_wake(context, control):
    asyncio.run(sleep_in_loop(context, 0.001))
    assert control._wakers == []
    # Its loop is closed by now.
    control.request_cancel("asked to")
    assert context.cancelled


def test_sleep_refuses_what_is_no_duration(context):
    with pytest.raises(InvalidOption, match="duration_s must be >= 0, got -1"):
        context.sleep(-1)


def test_the_newest_progress_is_taken_once(context, control):
    assert control.take_progress() is None
    context.report_progress(1, "one")
    context.report_progress(2.5, "two")
    assert control.take_progress() == (2.5, "two")
    assert control.take_progress() is None
    context.report_progress(100)
    assert control.take_progress() == (100.0, None)


@pytest.mark.parametrize("percent", [-0.1, 100.1, float("nan"), float("inf")])
def test_a_percent_outside_of_0_to_100_is_refused(context, control, percent):
    with pytest.raises(InvalidOption, match=r"percent must be in 0\.\.100"):
        context.report_progress(percent)
    assert control.take_progress() is None


def test_a_message_is_cleaned_and_cut_never_refused(context, control):
    context.report_progress(1, "a\0b\ud800c" + "x" * 5_000)
    _, message = control.take_progress()
    assert message.startswith("a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c")
    assert len(message) <= 1_000


def test_track_reports_after_each_item(context, control):
    items = context.track("abcd", message="letters")
    seen = [(item, control.take_progress()) for item in items]
    assert seen == [
        ("a", None),
        ("b", (25.0, "letters")),
        ("c", (50.0, "letters")),
        ("d", (75.0, "letters")),
    ]
    assert control.take_progress() == (100.0, "letters")


def test_track_takes_a_total_for_what_has_no_length(context, control):
    assert list(context.track(iter("ab"), total=4)) == ["a", "b"]
    assert control.take_progress() == (50.0, None)
    assert list(context.track(iter("abc"), total=1)) == ["a", "b", "c"]
    assert control.take_progress() == (100.0, None)


def test_track_without_a_total_reports_nothing(context, control):
    assert list(context.track(iter("ab"))) == ["a", "b"]
    assert list(context.track([])) == []
    assert control.take_progress() is None


def test_track_raises_between_items_when_cancelled(context, control):
    items = context.track("abc")
    assert next(items) == "a"
    control.request_cancel("asked to")
    with pytest.raises(AttemptCancelled):
        next(items)


def test_track_takes_async_items(context, control):
    async def letters():
        for letter in "ab":
            yield letter

    async def collect():
        return [item async for item in context.track(letters(), total=2)]

    assert asyncio.run(collect()) == ["a", "b"]
    assert control.take_progress() == (100.0, None)


def test_what_a_task_enqueues_has_it_as_parent_and_its_user(context, producer):
    context.enqueue("send", {"to": "a"}, delay_s=1)
    asyncio.run(context.aenqueue("send"))
    context.enqueue_many([("a", 1), ("b", 2)])
    parent = Parent(execution_id=context.execution_id, user_id="user")
    assert [given for _, given in producer.placed] == [parent] * 3
    order = producer.placed[0][0][0]
    assert (order.task, order.request, order.options) == ("send", {"to": "a"}, {"delay_s": 1})
    assert [order.task for order in producer.placed[2][0]] == ["a", "b"]


def test_the_current_context_is_found_in_a_task(context):
    token = running_context.set(context)
    try:
        assert current_context() is context
    finally:
        running_context.reset(token)


def test_there_is_no_current_context_outside_of_a_task():
    with pytest.raises(ButlerError, match="outside a running task"):
        current_context()


def test_progress_is_told_once_also_when_it_was_written_before():
    control = AttemptControl()
    control.report(50, "half")
    assert control.take_progress() == (50, "half")
    assert control.untold_progress() == (50, "half")
    assert control.untold_progress() is None
