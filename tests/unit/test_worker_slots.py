"""The slots of a worker: how many run at once, in which order, and how they are ended."""

import asyncio
import threading
import time

import pytest
from worker_kit import Item, make_butler, make_worker, wait_for

from butler import RetryPolicy, TaskContext
from butler.errors import TaskFailed
from butler.executions import AttemptOutcome, ExecutionStatus


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


class Gauge:
    """How many are inside at once."""

    def __init__(self):
        self.now = self.most = 0
        self._lock = threading.Lock()

    def __enter__(self):
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)

    def __exit__(self, *_):
        with self._lock:
            self.now -= 1


def test_a_concurrency_of_one_is_one_at_a_time_whatever_the_form(butler, start):
    gauge = Gauge()

    @butler.task
    def plain(request: Item) -> None:
        with gauge:
            time.sleep(0.01)

    @butler.task
    async def coroutine(request: Item) -> None:
        with gauge:
            await asyncio.sleep(0.01)

    handles = [butler.enqueue(task, Item()) for _ in range(15) for task in (plain, coroutine)]
    start(concurrency=1)
    for handle in handles:
        handle.result(timeout_s=20)
    assert gauge.most == 1


def test_every_slot_is_used_while_long_tasks_run_in_the_others(butler, start):
    start(concurrency=4)
    handles = [butler.enqueue("wait", Item()) for _ in range(4)]
    wait_for(
        lambda: all(h.execution().status is ExecutionStatus.RUNNING for h in handles),
        timeout_s=5,
    )


def test_what_was_claimed_ahead_of_a_long_task_is_handed_back_uncounted(butler, start):
    @butler.task
    def quick_then_long(request: Item, context: TaskContext) -> None:
        if request.n >= 300:
            context.sleep(30)

    handles = butler.enqueue_many([(quick_then_long, Item(n=n)) for n in range(400)])
    start(concurrency=1)
    wait_for(lambda: handles[300].execution().status is ExecutionStatus.RUNNING, timeout_s=20)
    wait_for(
        lambda: all(h.execution().status is ExecutionStatus.QUEUED for h in handles[301:]),
        timeout_s=10,
    )
    assert {handle.execution().attempts_used for handle in handles[301:]} == {0}


def test_a_result_whose_own_methods_raise_fails_its_attempt_and_not_the_slot(butler, start):
    class Broken:
        def __eq__(self, other):
            raise RuntimeError("no comparing")

        __hash__ = None

    @butler.task(retry=RetryPolicy(max_attempts=1))
    def strange(request: Item) -> int:
        return Broken()

    start(concurrency=1)
    with pytest.raises(TaskFailed):
        butler.enqueue(strange, Item()).result(timeout_s=10)
    assert butler.enqueue("double", Item(n=1)).result(timeout_s=10) == 2


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_no_exception_of_a_task_ends_the_worker(butler, start, error):
    @butler.task(retry=RetryPolicy(max_attempts=1))
    def leave(request: Item) -> None:
        raise error

    start(concurrency=1)
    with pytest.raises(TaskFailed, match=type(error).__name__):
        butler.enqueue(leave, Item()).result(timeout_s=10)
    assert butler.enqueue("double", Item(n=1)).result(timeout_s=10) == 2


def test_a_task_whose_timeout_strikes_again_and_again_leaves_its_thread_usable(butler, start):
    @butler.task(timeout_s=0.02, retry=RetryPolicy(max_attempts=1))
    def about_to_end(request: Item) -> int:
        end = time.monotonic() + 0.1 + request.n / 10_000
        while time.monotonic() < end:
            pass
        return request.n

    start(concurrency=1)
    handles = butler.enqueue_many([(about_to_end, Item(n=n)) for n in range(12)])
    for handle in handles:
        wait_for(lambda handle=handle: handle.execution().status.finished, timeout_s=20)
    assert butler.enqueue("double", Item(n=1)).result(timeout_s=10) == 2


def test_a_coroutine_that_blocks_its_loop_is_named_once(butler, start, caplog):
    @butler.task
    async def blocking(request: Item) -> None:
        time.sleep(1.5)  # noqa: ASYNC251 - what this is about

    start(concurrency=2)
    butler.enqueue(blocking, Item()).result(timeout_s=10)
    warnings = [r.getMessage() for r in caplog.records if "loop.blocked" in r.getMessage()]
    assert len(warnings) == 1
    assert "task=blocking" in warnings[0]


def test_a_drain_hands_back_what_it_could_not_start(butler, start):
    handles = butler.enqueue_many([("block", Item()) for _ in range(6)])
    worker = start(concurrency=2)
    wait_for(lambda: sum(h.execution().status is ExecutionStatus.RUNNING for h in handles) >= 2)
    assert worker.drain(0)
    states = {handle.execution().status for handle in handles}
    assert states == {ExecutionStatus.QUEUED}
    assert butler.wire.depth("default") == 6


def test_a_thread_that_ignores_a_cancel_for_the_grace_is_interrupted(butler, start):
    ended = []

    @butler.task
    def busy(request: Item) -> None:
        try:
            while True:
                time.sleep(0.01)
        finally:
            ended.append(True)

    worker = start(grace_s=0.05)
    handle = butler.enqueue("busy", Item())
    wait_for(lambda: (a := worker._attempts.get(handle.id)) and a.thread_id)
    worker.cancel(handle.id)
    wait_for(lambda: ended)
    wait_for(lambda: worker.idle)
    (attempt,) = handle.execution().attempts
    assert attempt.outcome is AttemptOutcome.CANCELLED


def test_a_coroutine_that_swallows_a_cancel_is_cancelled_once_more_after_the_grace(butler, start):
    times = []

    @butler.task
    async def stubborn(request: Item) -> None:
        while len(times) < 2:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                times.append(True)
        raise asyncio.CancelledError

    worker = start(grace_s=0.05)
    handle = butler.enqueue("stubborn", Item())
    wait_for(lambda: (a := worker._attempts.get(handle.id)) and a.task and a.started_at)
    worker.cancel(handle.id)
    wait_for(lambda: handle.execution().status is ExecutionStatus.CANCELLED)
    assert len(times) == 2
