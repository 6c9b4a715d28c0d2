"""`butler.aio` and the awaited forms: same names, same ledger, no thread for a wait."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect
import threading
import time
import warnings
from functools import partial

import pytest

from butler import blocking
from butler.aio import AsyncButler, AsyncHandle
from butler.app import Butler
from butler.attempt_control import AttemptControl
from butler.changes import state_word
from butler.context import TaskContext
from butler.errors import (
    BlockingCallWarning,
    ButlerError,
    ExecutionNotFound,
    InvalidOption,
    InvalidRequest,
    TaskCancelled,
    TaskFailed,
    WaitTimeout,
)
from butler.executions import ExecutionStatus
from butler.ids import new_id
from tests.unit.app.app_kit import (
    Email,
    Receipt,
    SendEmail,
    claim,
    fail_it,
    finish,
    ping,
    send,
)


@pytest.fixture(autouse=True)
def nothing_warned(monkeypatch):
    monkeypatch.setattr(blocking, "_warned", set())


def finish_aloud(butler, execution_id, result):
    finish(butler.storage, execution_id, result)
    butler.wire.publish([(execution_id, state_word(over=True))])


def test_what_is_enqueued_awaited_has_its_type(butler):
    async def main():
        handle = await butler.aio.enqueue(send, Email(to="a"))
        assert isinstance(handle, AsyncHandle)
        assert (handle.created, handle.pushed) == (True, True)
        assert await handle.status() is ExecutionStatus.QUEUED
        await butler.in_thread(lambda: finish_aloud(butler, handle.id, '{"id": "7"}'))
        return await handle.result(timeout_s=30)

    assert asyncio.run(main()) == Receipt(id="7")


def test_each_awaited_enqueue_gives_a_handle_that_can_be_awaited(butler, storage):
    control = AttemptControl()

    async def main():
        parent = await ping.aenqueue()
        context = TaskContext(claim(storage, parent.id), control, butler, None)
        handles = [
            await send.aenqueue(Email(to="a")),
            await SendEmail.aenqueue(Email(to="a")),
            await butler.aenqueue("send", {"to": "a"}),
            await context.aenqueue(send, Email(to="a")),
            *await context.aenqueue_many([(send, Email(to="a")), (SendEmail, Email(to="b"))]),
            *await butler.aenqueue_many([(send, Email(to="a"))]),
        ]
        for handle in handles:
            await butler.in_thread(partial(finish_aloud, butler, handle.id, '{"id": "7"}'))
        parents = [(await handle.aexecution()).parent_id for handle in handles]
        assert parents == [None, None, None, *[parent.id] * 3, None]
        return await asyncio.gather(*(handle.aresult(timeout_s=30) for handle in handles))

    assert asyncio.run(main()) == [Receipt(id="7")] * 7


def test_the_operators_steps_are_awaited_under_the_same_names(butler):
    async def main():
        aio = butler.aio
        first, second = await aio.enqueue_many([(ping, None), (send, Email(to="a"))], tags=["x"])
        assert (await aio.get(first.id)).task == "ping"
        assert await aio.get(new_id()) is None
        with pytest.raises(ExecutionNotFound):
            await aio.get_or_raise(new_id())
        assert len((await aio.list(tag="x", limit=5)).executions) == 2
        with pytest.raises(InvalidOption, match="limit must be in"):
            await aio.list(limit=0)
        assert await aio.cancel(first.id) is True
        assert (await aio.retry(first.id)) == first
        assert [move.changed for move in await aio.cancel_many([first.id, second.id])] == [True] * 2
        assert [move.changed for move in await aio.retry_many([second.id])] == [True]
        again = await aio.rerun(first.id)
        assert (await again.execution()).rerun_of == first.id
        await aio.delete(first.id)
        assert [move.changed for move in await aio.delete_many([second.id])] == [False]
        assert await aio.handle(second.id).cancel() is True

    asyncio.run(main())


def test_every_blocking_name_of_a_butler_is_there_to_be_awaited():
    steps = {
        name
        for name, member in inspect.getmembers(Butler, inspect.isfunction)
        if not name.startswith("_") and "warn_if_loop_blocked" in member.__code__.co_names
    }
    assert {"enqueue", "get", "list", "cancel", "rerun", "delete_many"} <= steps
    awaited = {
        name
        for name, member in inspect.getmembers(AsyncButler, inspect.isfunction)
        if inspect.iscoroutinefunction(member)
    }
    assert steps <= awaited


def test_errors_are_those_of_the_butler(butler):
    async def main():
        with pytest.raises(InvalidRequest):
            await butler.aio.enqueue("send", {"to": 5})
        with pytest.raises(InvalidOption, match='did you mean "delay_s"'):
            await butler.aio.enqueue(ping, delay=1)
        failed, cancelled = await butler.aio.enqueue_many([(ping, None)] * 2)
        await butler.in_thread(lambda: fail_it(butler.storage, failed.id))
        await butler.aio.cancel(cancelled.id)
        with pytest.raises(TaskFailed, match="ValueError: no"):
            await failed.result()
        with pytest.raises(TaskCancelled):
            await cancelled.result()
        for execution_id in (new_id(), "nonsense", "a:b"):
            with pytest.raises(ExecutionNotFound):
                await butler.aio.handle(execution_id).result()

    asyncio.run(main())


def test_a_wait_ends_with_its_timeout_and_looks_at_least_once(butler):
    async def main():
        waiting = await butler.aio.enqueue(ping)
        with pytest.raises(WaitTimeout, match=r"ping .* is still queued after 0\.01 s; it goes on"):
            await waiting.result(timeout_s=0.01)
        over = await butler.aio.enqueue(ping)
        await butler.in_thread(lambda: finish(butler.storage, over.id, None))
        assert await over.result(timeout_s=0) is None
        with pytest.raises(InvalidOption, match="timeout_s must be >= 0"):
            await over.result(timeout_s=-1)

    asyncio.run(main())


def test_two_hundred_waits_take_no_thread_and_leave_the_enqueues_alone(butler):
    async def main():
        handles = await butler.aio.enqueue_many([(ping, None)] * 200)
        waits = [asyncio.ensure_future(handle.result(timeout_s=60)) for handle in handles]
        await butler.aio.enqueue(ping)
        before = threading.active_count()
        await asyncio.sleep(0)
        for _ in range(20):
            await butler.aio.enqueue(ping)
        assert threading.active_count() <= before + 8, "a wait has taken a thread"
        for handle in handles:
            await butler.in_thread(partial(finish_aloud, butler, handle.id, None))
        assert await asyncio.gather(*waits) == [None] * 200

    asyncio.run(main())


def test_a_cancelled_wait_leaves_nothing_behind(butler):
    async def main():
        handle = await butler.aio.enqueue(ping)
        wait = asyncio.ensure_future(handle.result())
        stream = handle.events()
        await anext(stream)
        assert len(butler.listener._list) == 1
        wait.cancel()
        with pytest.raises(asyncio.CancelledError):
            await wait
        stream.close()
        assert len(butler.listener._list) == 0

    asyncio.run(main())


def test_a_loop_that_ends_while_it_waits_troubles_nobody(butler, caplog):
    handle = ping.enqueue()

    async def leave():
        stream = handle.events()
        await anext(stream)
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        waiting.cancel()
        return stream

    left = asyncio.run(leave())
    finish_aloud(butler, handle.id, None)
    assert handle.result(timeout_s=30) is None
    left.close()
    assert "exception" not in caplog.text.lower()


def test_context_variables_go_along_into_the_thread(butler):
    who = contextvars.ContextVar("who")

    async def main():
        who.set("me")
        return await butler.in_thread(who.get)

    assert asyncio.run(main()) == "me"


def test_closing_ends_the_waits(butler):
    async def main():
        async with butler.aio as aio:
            handle = await aio.enqueue(ping)
            wait = asyncio.ensure_future(handle.result())
            await anext(handle.events())
        with pytest.raises(ButlerError, match="closed while somebody waited"):
            await wait
        with pytest.raises(ButlerError, match="this Butler is closed"):
            await aio.enqueue(ping)
        with pytest.raises(ButlerError, match="this Butler is closed"):
            await handle.result()

    asyncio.run(main())


# Steps


def test_events_begin_with_the_present_state_and_end_after_the_last(butler, storage):
    handle = ping.enqueue()
    steps = handle.events(timeout_s=30)
    first = next(steps)
    assert (first.status, first.attempt) == (ExecutionStatus.QUEUED, 0)
    finish_aloud(butler, handle.id, None)
    assert [step.status for step in steps] == [ExecutionStatus.SUCCEEDED]
    with pytest.raises(StopIteration):
        next(steps)
    assert [step.status for step in handle.events()] == [ExecutionStatus.SUCCEEDED]


def test_events_are_the_same_for_async_for(butler):
    async def main():
        handle = await butler.aio.enqueue(ping)
        steps = []
        async for step in handle.events(timeout_s=30):
            steps.append(str(step.status))
            if len(steps) == 1:
                await butler.in_thread(lambda: finish_aloud(butler, handle.id, None))
        return steps

    assert asyncio.run(main()) == ["queued", "succeeded"]


def test_an_operators_steps_are_seen_as_they_happen(butler):
    handle = ping.enqueue()
    steps = handle.events(timeout_s=30)
    assert next(steps).status is ExecutionStatus.QUEUED
    began = time.monotonic()
    handle.cancel()
    assert next(steps).status is ExecutionStatus.CANCELLED
    assert time.monotonic() - began < 0.9, "it was polled, not heard"


def test_events_of_nothing_and_of_too_long_a_wait_raise(butler):
    handle = ping.enqueue()
    for steps in (butler.handle(new_id()).events(), butler.handle("nonsense").events()):
        with pytest.raises(ExecutionNotFound):
            next(steps)
    with pytest.raises(WaitTimeout, match=r"is not over after 0\.05 s; it goes on"):
        list(handle.events(timeout_s=0.05))

    async def main():
        with pytest.raises(WaitTimeout):
            async for _ in handle.events(timeout_s=0.05):
                pass

    asyncio.run(main())


def test_a_stream_that_is_let_go_of_is_heard_no_more(butler):
    steps = ping.enqueue().events()
    next(steps)
    assert len(butler.listener._list) == 1
    del steps
    gc.collect()
    assert len(butler.listener._list) == 0


# Blocking calls on a loop's thread


BLOCKING = {
    "task.enqueue": (lambda butler, handle: ping.enqueue(), r"await task\.aenqueue\(\.\.\.\)"),
    "Task.enqueue": (
        lambda butler, handle: SendEmail.enqueue(Email(to="a")),
        r"await task\.aenqueue\(\.\.\.\)",
    ),
    "butler.enqueue": (lambda butler, handle: butler.enqueue(ping), r"\.aenqueue\(\.\.\.\)"),
    "butler.enqueue_many": (
        lambda butler, handle: butler.enqueue_many([(ping, None)]),
        r"\.aenqueue_many\(\.\.\.\)",
    ),
    "butler.get": (
        lambda butler, handle: butler.get(handle.id),
        r"await butler\.aio\.get\(\.\.\.\)",
    ),
    "butler.cancel": (
        lambda butler, handle: butler.cancel(handle.id),
        r"await butler\.aio\.cancel\(\.\.\.\)",
    ),
    "handle.result": (
        lambda butler, handle: handle.result(timeout_s=30),
        r"await handle\.aresult\(\)",
    ),
    "handle.execution": (
        lambda butler, handle: handle.execution(),
        r"await handle\.aexecution\(\)",
    ),
    "handle.status": (lambda butler, handle: handle.status, r"await handle\.aexecution\(\)"),
    "handle.cancel": (lambda butler, handle: handle.cancel(), r"await handle\.acancel\(\)"),
    "for": (lambda butler, handle: next(handle.events()), r"async for"),
}


@pytest.mark.parametrize("call", BLOCKING)
def test_a_blocking_call_on_a_loops_thread_warns_once_and_names_the_awaited_form(butler, call):
    make, awaited = BLOCKING[call]
    handle = ping.enqueue()
    finish(butler.storage, handle.id, None)

    async def main():
        make(butler, handle)

    with pytest.warns(BlockingCallWarning, match=awaited) as caught:
        asyncio.run(main())
    assert [warning.filename for warning in caught] == [__file__]
    with warnings.catch_warnings(record=True) as again:
        warnings.simplefilter("always")
        asyncio.run(main())
    assert again == []


def test_a_blocking_call_elsewhere_does_not_warn(butler):
    for make, _ in BLOCKING.values():
        handle = ping.enqueue()
        finish(butler.storage, handle.id, None)
        make(butler, handle)
    asyncio.run(butler.in_thread(lambda: butler.get(new_id())))


def test_a_warning_that_is_an_error_is_raised_each_time(butler):
    async def main():
        with pytest.raises(BlockingCallWarning):
            butler.enqueue(ping)

    for _ in range(2):
        asyncio.run(main())
    assert butler.list().executions == ()
