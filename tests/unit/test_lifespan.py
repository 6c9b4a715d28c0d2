"""The lifespan: around a worker's life, on the loop of its tasks, and what it leaves in a task."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading

import pytest

from butler import Butler, Provide, TaskContext
from butler.errors import ButlerError, DefinitionError
from butler.testing import arun_pending, make_context, run_pending


@pytest.fixture
def butler():
    with Butler.in_memory() as butler:
        yield butler


@pytest.fixture
def log():
    return []


def use_sync(butler, log):
    @butler.lifespan
    def lifespan():
        log.append("open")
        yield {"name": "state"}
        log.append("close")


def use_async(butler, log):
    @butler.lifespan
    async def lifespan(given):
        assert given is butler
        log.append("open")
        await asyncio.sleep(0)
        yield {"name": "state"}
        log.append("close")


def use_manager(butler, log):
    @butler.lifespan
    @contextlib.asynccontextmanager
    async def lifespan(_butler):
        log.append("open")
        yield {"name": "state"}
        log.append("close")


FORMS = pytest.mark.parametrize("use", [use_sync, use_async, use_manager])


@FORMS
@pytest.mark.parametrize("runs", ["pending", "awaited", "background"])
def test_it_is_opened_before_the_first_attempt_and_closed_after_the_last(butler, log, use, runs):
    use(butler, log)

    @butler.task
    def work(context: TaskContext) -> str:
        log.append("work")
        return context.state["name"]

    @butler.task
    async def awork(context: TaskContext) -> str:
        log.append("work")
        return context.state["name"]

    handles = [work.enqueue(), awork.enqueue()]
    if runs == "pending":
        run_pending(butler)
    elif runs == "awaited":
        asyncio.run(arun_pending(butler))
    else:
        with butler.worker():
            for handle in handles:
                handle.result(timeout_s=10)
    assert [handle.execution().result for handle in handles] == ["state", "state"]
    assert log == ["open", "work", "work", "close"]


def test_what_an_async_one_makes_belongs_to_the_loop_of_the_tasks(butler):
    @butler.lifespan
    async def lifespan():
        yield asyncio.get_running_loop()

    @butler.task
    async def work(context: TaskContext) -> bool:
        return context.state is asyncio.get_running_loop()

    with butler.worker():
        assert work.enqueue().result(timeout_s=10) is True
    handle = work.enqueue()
    run_pending(butler)
    assert handle.execution().result is True


def test_it_is_closed_after_what_is_provided_for_the_process(butler, log):
    use_async(butler, log)

    async def get_session():
        log.append("open session")
        yield butler.state["name"]
        log.append("close session")

    @butler.task
    async def work(session: str = Provide(get_session, scope="process")) -> str:
        return session

    work.enqueue()
    assert run_pending(butler)[0].result == "state"
    assert log == ["open", "open session", "close session", "close"]


@FORMS
def test_it_is_the_constructors_argument_as_well(log, use):
    kept = []

    class Catcher:
        def lifespan(self, fn):
            kept.append(fn)

    use(Catcher(), log)
    butler = Butler(lifespan=kept[0])
    assert butler.life.is_async is (use is not use_sync)


@pytest.mark.parametrize("is_async", [False, True])
def test_one_that_fails_to_open_lets_no_worker_start(butler, caplog, is_async):
    if is_async:

        @butler.lifespan
        async def lifespan():
            raise OSError("no database")
            yield
    else:

        @butler.lifespan
        def lifespan():
            raise OSError("no database")
            yield

    expected = "the lifespan failed before the worker started: OSError: no database"
    with pytest.raises(ButlerError, match=expected), butler.worker():
        pass
    with pytest.raises(ButlerError, match=expected):
        run_pending(butler)
    assert butler.storage.workers() == []
    # The traceback is for whoever has to mend it.
    assert "in lifespan" in caplog.text


def test_an_error_of_its_closing_is_logged_and_the_worker_ends_in_good_order(butler, caplog):
    @butler.lifespan
    async def lifespan():
        yield
        raise OSError("cannot close")

    with caplog.at_level(logging.ERROR), butler.worker():
        pass
    assert "lifespan.not_closed" in caplog.text
    assert [worker.stopped_at is None for worker in butler.storage.workers()] == [False]


def test_a_worker_that_cannot_register_closes_what_it_has_opened(butler, log, monkeypatch):
    use_sync(butler, log)

    def refuse(_definitions):
        raise ButlerError("no ledger")

    monkeypatch.setattr(butler.storage, "register_tasks", refuse)
    with pytest.raises(ButlerError, match="no ledger"), butler.worker():
        pass
    assert log == ["open", "close"]


def test_there_is_no_state_without_one_and_outside_of_workers(butler, log):
    with pytest.raises(ButlerError, match="this Butler has none"):
        _ = butler.state
    use_sync(butler, log)
    with pytest.raises(ButlerError, match="it runs in workers only"):
        _ = butler.state
    with pytest.raises(ButlerError, match="it runs in workers only"):
        _ = make_context(butler).state
    assert make_context(butler, state="mine").state == "mine"
    assert make_context(state=None).state is None


def test_a_def_one_is_opened_in_the_thread_that_starts_the_worker(butler):
    threads = []

    @butler.lifespan
    def lifespan():
        threads.append(threading.current_thread())
        yield
        threads.append(threading.current_thread())

    with butler.worker():
        pass
    run_pending(butler)
    assert set(threads) == {threading.current_thread()}


# What is refused


def test_what_does_not_yield_or_takes_too_much_is_refused(butler):
    with pytest.raises(DefinitionError, match="must be a def or async def that yields once"):
        butler.lifespan(lambda: None)
    with pytest.raises(DefinitionError, match="must take the Butler, or nothing"):

        @butler.lifespan
        def lifespan(one, two):
            yield


def test_a_second_one_is_refused(butler, log):
    use_sync(butler, log)
    with pytest.raises(DefinitionError, match="has a lifespan already"):
        use_sync(butler, log)


def test_one_that_ends_without_a_yield_says_so(butler):
    @butler.lifespan
    def lifespan():
        return
        yield

    with pytest.raises(ButlerError, match="ended without a yield"):
        run_pending(butler)
