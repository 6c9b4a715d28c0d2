"""Process-wide provided values: made once, shared, closed in reverse order; and overrides."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from unittest.mock import Mock

import pytest

from butler import Butler, Provide, task
from butler.errors import ButlerError, DefinitionError
from butler.testing import run_pending

PROCESS = "process"


@pytest.fixture
def butler():
    with Butler.in_memory() as butler:
        yield butler


@pytest.fixture
def log():
    return []


@pytest.fixture
def get_pool(log):
    def get_pool():
        log.append("open pool")
        yield object()
        log.append("close pool")

    return get_pool


def results(butler, definition, *, times=1):
    for _ in range(times):
        definition.enqueue()
    return [execution.result for execution in run_pending(butler)]


def test_a_value_is_made_once_and_closed_at_the_end(butler, log, get_pool):
    @butler.task
    def work(pool=Provide(get_pool, scope=PROCESS)) -> int:
        log.append("work")
        return id(pool)

    assert len(set(results(butler, work, times=3))) == 1
    assert log == ["open pool", "work", "work", "work", "close pool"]


def test_nothing_is_made_before_it_is_needed(butler, log, get_pool):
    @butler.task
    def idle() -> None: ...

    @butler.task
    def work(pool=Provide(get_pool, scope=PROCESS)) -> None: ...

    results(butler, idle)
    assert log == []


def test_values_are_closed_in_reverse_order_of_their_making(butler, log, get_pool):
    async def get_session(pool=Provide(get_pool, scope=PROCESS)):
        log.append("open session")
        yield "session"
        await asyncio.sleep(0)
        log.append("close session")

    @butler.task
    async def work(session=Provide(get_session, scope=PROCESS)) -> str:
        return session

    assert results(butler, work, times=2) == ["session", "session"]
    assert log == ["open pool", "open session", "close session", "close pool"]


def test_an_attempts_value_may_be_made_of_a_process_wide_one(butler, log, get_pool):
    def get_connection(pool=Provide(get_pool, scope=PROCESS)):
        log.append("borrow")
        yield pool
        log.append("give back")

    @butler.task
    def work(connection=Provide(get_connection)) -> None: ...

    results(butler, work, times=2)
    assert log == ["open pool", "borrow", "give back", "borrow", "give back", "close pool"]


@pytest.mark.parametrize("is_async", [False, True])
def test_many_attempts_that_need_it_first_at_once_share_one(butler, log, is_async):
    everybody = threading.Barrier(4)

    def get_slowly():
        log.append("made")
        time.sleep(0.05)
        return len(log)

    async def aget_slowly():
        log.append("made")
        await asyncio.sleep(0.05)
        return len(log)

    if is_async:

        @butler.task
        async def work(value=Provide(aget_slowly, scope=PROCESS)) -> int:
            return value
    else:

        @butler.task
        def work(value=Provide(get_slowly, scope=PROCESS)) -> int:
            everybody.wait(5)
            return value

    with butler.worker(concurrency=4):
        handles = butler.enqueue_many([(work, None)] * 4)
        assert [handle.result(timeout_s=10) for handle in handles] == [1, 1, 1, 1]
    assert log == ["made"]


def test_what_failed_is_made_anew_by_the_next_attempt(butler, log):
    def flaky():
        log.append("made")
        if len(log) == 1:
            raise OSError("not yet")
        return len(log)

    @butler.task
    def work(value=Provide(flaky, scope=PROCESS)) -> int:
        return value

    work.enqueue()
    (execution,) = run_pending(butler, fast_forward=True)
    assert (execution.result, execution.attempts[0].error.message) == (2, "not yet")


def test_an_attempt_that_is_cancelled_meanwhile_takes_the_value_from_nobody(butler):
    entered, go_on = threading.Event(), threading.Event()

    async def get_slowly():
        entered.set()
        await asyncio.to_thread(go_on.wait, 10)
        return "value"

    @butler.task
    async def work(value=Provide(get_slowly, scope=PROCESS)) -> str:
        return value

    with butler.worker():
        first, second = work.enqueue(), work.enqueue()
        assert entered.wait(10)
        first.cancel()
        with pytest.raises(ButlerError, match="was cancelled"):
            first.result(timeout_s=10)
        go_on.set()
        assert second.result(timeout_s=10) == "value"


def test_an_error_of_a_closing_is_logged_and_stops_no_other(butler, log, get_pool, caplog):
    def get_broken(pool=Provide(get_pool, scope=PROCESS)):
        yield
        raise OSError("cannot close")

    @butler.task
    def work(value=Provide(get_broken, scope=PROCESS)) -> None: ...

    with caplog.at_level(logging.ERROR):
        results(butler, work)
    assert log == ["open pool", "close pool"]
    assert "provider.not_closed" in caplog.text
    assert "cannot close" in caplog.text


def test_async_values_are_closed_on_the_loop_they_were_made_on(butler):
    loops = []

    async def get_session():
        loops.append(asyncio.get_running_loop())
        yield
        loops.append(asyncio.get_running_loop())

    @butler.task
    async def work(value=Provide(get_session, scope=PROCESS)) -> bool:
        return asyncio.get_running_loop() is loops[0]

    with butler.worker():
        assert work.enqueue().result(timeout_s=10) is True
    assert loops[0] is loops[1]


# Overrides


def get_real():
    return "real"


def define(butler, provider=get_real, *, scope="attempt"):
    @butler.task
    def work(value: str = Provide(provider, scope=scope)) -> str:
        return str(value)

    return work


@pytest.mark.parametrize("scope", ["attempt", PROCESS])
def test_a_fake_stands_in_for_a_provider_within_the_block(butler, scope):
    work = define(butler, scope=scope)
    assert results(butler, work) == ["real"]
    with butler.override(get_real, "fake"):
        assert results(butler, work) == ["fake"]
    assert results(butler, work) == ["real"]


def test_a_fake_may_be_a_function_a_class_a_generator_or_any_value(butler, log):
    def fake():
        yield "yielded"
        log.append("closed")

    class Fake:
        def __str__(self):
            return "made"

    work = define(butler)
    for stand_in, expected in ((fake, "yielded"), (Fake, "made"), (lambda: "called", "called")):
        with butler.override(get_real, stand_in):
            assert results(butler, work) == [expected]
    assert log == ["closed"]
    with butler.override(get_real, Mock(__str__=lambda _: "a mock")):
        assert results(butler, work) == ["a mock"]


def test_the_newest_override_holds(butler):
    work = define(butler)
    with butler.override(get_real, "outer"), butler.override(get_real, "inner"):
        assert results(butler, work) == ["inner"]


def test_a_fake_is_seen_by_whatever_needs_the_provider_also_process_wide(butler):
    def get_users(db=Provide(get_real, scope=PROCESS)):
        return f"users of {db}"

    work = define(butler, get_users, scope=PROCESS)
    assert results(butler, work) == ["users of real"]
    with butler.override(get_real, lambda: "fake"):
        assert results(butler, work) == ["users of fake"]
    assert results(butler, work) == ["users of real"]


def test_a_fake_holds_in_a_worker_in_the_background(butler):
    work = define(butler)
    with butler.worker(), butler.override(get_real, "fake"):
        assert work.enqueue().result(timeout_s=10) == "fake"


def test_an_async_fake_in_a_def_task_is_the_attempts_error(butler):
    async def fake(): ...

    work = define(butler)
    with butler.override(get_real, fake):
        work.enqueue()
        (execution,) = run_pending(butler)
    assert "is async, and it is needed by a def task" in execution.error.message


def test_a_fake_that_needs_what_it_replaces_is_refused(butler):
    def wrap(real=Provide(get_real)): ...

    with (
        pytest.raises(DefinitionError, match="needs what it replaces; call get_real"),
        butler.override(get_real, wrap),
    ):
        pass


def test_what_is_no_provider_cannot_be_overridden(butler):
    with (
        pytest.raises(DefinitionError, match="takes the function that is passed to Provide"),
        butler.override("get_real", "fake"),
    ):
        pass
    with (
        pytest.raises(DefinitionError, match="takes the function that is passed to Provide"),
        butler.override(Provide(get_real), "fake"),
    ):
        pass


def test_an_override_is_of_one_butler():
    @task
    def work(value: str = Provide(get_real)) -> str:
        return value

    with Butler.in_memory() as one, Butler.in_memory() as other:
        for butler in (one, other):
            butler.register(work)
            butler.enqueue(work)
        with one.override(get_real, "fake"):
            assert [each.result for each in run_pending(one)] == ["fake"]
            assert [each.result for each in run_pending(other)] == ["real"]
