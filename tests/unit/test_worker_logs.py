"""What tasks log in a worker: written while they run and before they end, and told live."""

from __future__ import annotations

import asyncio
import logging
import threading

import pytest
from worker_kit import Item, make_butler, make_worker, wait_for

from butler import TaskContext  # noqa: TC001 - tasks' annotations are read
from butler.changes import ChangeKind
from butler.log_buffer import MAX_LINES
from butler.testing.pending import arun_pending, run_pending

library = logging.getLogger("shop.library")


@pytest.fixture
def butler():
    with make_butler() as butler:
        yield butler


@pytest.fixture
def start(butler):
    workers = []

    def start(**options):
        worker = make_worker(butler, **options)
        workers.append(worker)
        worker.start()
        return worker

    yield start
    for worker in workers:
        worker.drain(0)


@pytest.fixture
def gate():
    gate = threading.Event()
    yield gate
    gate.set()


def messages(handle):
    return [(line.attempt, line.message) for line in handle.logs()]


def waits(butler, gate):
    """A task that logs, and goes on when it is let."""

    @butler.task
    def talk(request: Item, context: TaskContext) -> None:
        context.log.info("begun")
        gate.wait(30)
        context.log.info("done")

    return talk


def test_lines_are_there_when_the_end_is_and_belong_to_their_attempts(butler, start):
    @butler.task
    def talk(request: Item, context: TaskContext) -> int:
        context.log.info("n = %d", request.n)
        library.warning("careful with %d", request.n)
        return request.n

    @butler.task
    async def atalk(request: Item, context: TaskContext) -> int:
        context.log.info("n = %d", request.n)
        await asyncio.to_thread(library.warning, "careful with %d", request.n)
        return request.n

    start(concurrency=8)
    handles = [butler.enqueue(task, Item(n=n)) for n in range(20) for task in (talk, atalk)]
    for handle in handles:
        n = handle.result(timeout_s=30)
        assert messages(handle) == [(1, f"n = {n}"), (1, f"careful with {n}")]


def test_lines_of_a_running_attempt_are_written_and_told(butler, start, gate):
    talk = waits(butler, gate)
    handle = talk.enqueue(Item())
    stream = handle.events(timeout_s=30)
    next(stream)
    start()
    wait_for(lambda: messages(handle))
    assert messages(handle) == [(1, "begun")]
    gate.set()
    steps = list(stream)
    told = [step.line.message for step in steps if step.kind is ChangeKind.LOG]
    assert told == ["begun", "done"]
    assert steps[-1].status.finished
    line = next(step.line for step in steps if step.kind is ChangeKind.LOG)
    assert line == handle.logs(limit=1)[0]


def test_a_retry_logs_under_the_next_attempt(butler, start):
    @butler.task
    def fails(request: Item, context: TaskContext) -> None:
        context.log.info("try %d", context.attempt)
        raise ValueError

    with butler.worker():
        handle = fails.enqueue(Item(), max_attempts=1)
        wait_for(lambda: handle.status.finished)
        butler.retry(handle.id)
        wait_for(lambda: handle.status.finished)
    assert messages(handle) == [(1, "try 1"), (2, "try 2")]


def test_a_ledger_that_is_away_for_a_moment_costs_no_line(butler, start, gate):
    talk = waits(butler, gate)
    butler.storage.fail("write_logs", times=3)
    start()
    handle = talk.enqueue(Item())
    wait_for(lambda: messages(handle))
    butler.storage.fail("write_logs", times=1, after=True)
    gate.set()
    handle.result(timeout_s=30)
    wait_for(lambda: len(messages(handle)) == 2)
    assert messages(handle) == [(1, "begun"), (1, "done")]


def test_lines_that_cannot_be_written_keep_no_end_from_being_written(butler, start, monkeypatch):
    def refuse(lines):
        raise LookupError("no such table")

    monkeypatch.setattr(butler.storage, "write_logs", refuse, raising=False)

    @butler.task
    def talk(request: Item, context: TaskContext) -> int:
        context.log.info("lost")
        return 1

    start()
    assert talk.enqueue(Item()).result(timeout_s=30) == 1


def test_the_last_progress_is_there_when_the_end_is(butler, start):
    @butler.task
    async def report(request: Item, context: TaskContext) -> None:
        context.report_progress(100, "done")

    start()
    handle = report.enqueue(Item())
    handle.result(timeout_s=30)
    assert handle.execution().progress.message == "done"


def test_what_is_cut_is_counted_when_the_attempt_is_over(butler, start):
    @butler.task
    def flood(request: Item, context: TaskContext) -> None:
        for n in range(MAX_LINES + 234):
            context.log.info("line %d", n)

    start()
    handle = flood.enqueue(Item())
    handle.result(timeout_s=30)
    lines = handle.logs(limit=MAX_LINES + 10)
    assert len(lines) == MAX_LINES + 1
    assert lines[-1].cut
    assert lines[-1].message == "… [cut: 234 lines]"
    assert handle.logs(after=lines[-3].id) == lines[-2:]


def test_a_drain_writes_what_is_left(butler, gate):
    talk = waits(butler, gate)
    worker = make_worker(butler)
    worker.start()
    handle = talk.enqueue(Item())
    wait_for(lambda: handle.execution().started_at)
    threading.Timer(0.05, gate.set).start()
    worker.drain(30)
    assert messages(handle) == [(1, "begun"), (1, "done")]


def test_run_pending_keeps_lines_in_both_forms(butler, gate):
    gate.set()
    talk = waits(butler, gate)
    first = talk.enqueue(Item())
    run_pending(butler)
    second = talk.enqueue(Item())
    asyncio.run(arun_pending(butler))
    for handle in (first, second):
        assert messages(handle) == [(1, "begun"), (1, "done")]


# Waiting without a slot


def make_parents(butler):
    @butler.task
    def parent(request: Item, context: TaskContext) -> int:
        child = context.enqueue("double", Item(n=request.n))
        for _ in range(2):
            result = child.result(timeout_s=20)
        return result

    @butler.task
    async def aparent(request: Item, context: TaskContext) -> int:
        child = await context.aenqueue("double", Item(n=request.n))
        for _ in range(2):
            result = await child.aresult(timeout_s=20)
        return result


@pytest.mark.parametrize("task", ["parent", "aparent"])
def test_a_task_that_waits_while_all_slots_are_taken_is_warned_of_once(butler, start, caplog, task):
    make_parents(butler)
    start(concurrency=1)
    handle = butler.enqueue(task, Item(n=4))
    wait_for(lambda: "task.waits_without_slot" in caplog.text)
    start(concurrency=1)
    assert handle.result(timeout_s=30) == 8
    [warning] = [text for text in caplog.messages if "waits_without_slot" in text]
    for part in (f"id={handle.id}", f"task={task}", "awaited_task=double", "slots=1"):
        assert part in warning
    assert "raise --concurrency" in warning


@pytest.mark.parametrize("task", ["parent", "aparent"])
def test_a_task_that_waits_while_a_slot_is_free_is_not_warned_of(butler, start, caplog, task):
    make_parents(butler)
    start(concurrency=2)
    assert butler.enqueue(task, Item(n=4)).result(timeout_s=30) == 8
    assert "waits_without_slot" not in caplog.text
