"""``butler.testing``: what is due runs here and now, and what was enqueued can be asserted."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass

import pytest

from butler import Butler, ExecutionStatus, RetryPolicy, Task, TaskContext, TaskResult
from butler.clock import SYSTEM_CLOCK
from butler.errors import AttemptCancelled, ButlerError, UnknownTask
from butler.executions import AttemptOutcome
from butler.testing import (
    arun_pending,
    assert_enqueued,
    assert_not_enqueued,
    in_memory,
    make_context,
    run_pending,
)


@dataclass
class Email:
    to: str
    copies: int = 1


@pytest.fixture
def butler():
    with Butler.in_memory() as butler:
        yield butler


@pytest.fixture
def log():
    return []


# Running what is due


def test_everything_runs_in_the_calling_thread(butler):
    @butler.task
    def work() -> int:
        return threading.get_ident()

    @butler.task
    async def awork() -> int:
        await asyncio.sleep(0)
        return threading.get_ident()

    work.enqueue()
    awork.enqueue()
    assert {execution.result for execution in run_pending(butler)} == {threading.get_ident()}


def test_it_goes_by_priority_then_by_time(butler, log):
    @butler.task
    def work(request: str) -> None:
        log.append(request)

    for name, priority in (("a", "low"), ("b", "normal"), ("c", "high"), ("d", "normal")):
        work.enqueue(name, priority=priority, queue="some" if name == "d" else "other")
    run_pending(butler)
    assert log == ["c", "b", "d", "a"]


def test_what_a_task_enqueues_runs_too(butler):
    @butler.task
    def child(request: int) -> int:
        return request

    @butler.task
    def parent(context: TaskContext) -> None:
        context.enqueue(child, 1)

    handle = parent.enqueue()
    first, second = run_pending(butler)
    assert (first.task, second.task) == ("parent", "child")
    assert second.parent_id == handle.id
    assert run_pending(butler) == []


def test_what_is_due_later_waits_unless_the_clock_is_moved(butler, log):
    @butler.task
    def work(request: str) -> None:
        log.append(request)

    work.enqueue("in an hour", delay_s=3600)
    work.enqueue("tomorrow", delay_s=86_400)
    work.enqueue("now")
    run_pending(butler)
    assert log == ["now"]
    started = time.monotonic()
    run_pending(butler, fast_forward=True)
    assert log == ["now", "in an hour", "tomorrow"]
    assert time.monotonic() - started < 60
    assert 86_390 < (butler.clock.now() - SYSTEM_CLOCK.now()).total_seconds() < 86_400


def test_a_retry_waits_for_its_pause_unless_the_clock_is_moved(butler):
    @butler.task(retry=RetryPolicy(max_attempts=3, base_s=60, jitter="none"))
    def flaky(context: TaskContext) -> int:
        if context.attempt < 3:
            raise ValueError(f"attempt {context.attempt}")
        return context.attempt

    flaky.enqueue()
    assert [each.status for each in run_pending(butler)] == [ExecutionStatus.RETRYING]
    assert run_pending(butler) == []
    (execution,) = run_pending(butler, fast_forward=True)
    assert (execution.status, execution.result) == (ExecutionStatus.SUCCEEDED, 3)
    messages = [attempt.error.message for attempt in execution.attempts if attempt.error]
    assert messages == ["attempt 1", "attempt 2"]


@pytest.mark.parametrize("is_async", [False, True])
def test_a_timeout_ends_an_attempt(butler, is_async):
    if is_async:

        @butler.task(timeout_s=0.05, retry=RetryPolicy(max_attempts=1))
        async def work() -> None:
            await asyncio.sleep(60)
    else:

        @butler.task(timeout_s=0.05, retry=RetryPolicy(max_attempts=1))
        def work() -> None:
            while True:
                time.sleep(0.001)

    work.enqueue()
    (execution,) = run_pending(butler)
    assert execution.status is ExecutionStatus.FAILED
    assert execution.attempts[0].outcome is AttemptOutcome.TIMED_OUT


def test_progress_is_kept(butler):
    @butler.task
    def work(context: TaskContext) -> None:
        context.report_progress(40, "almost")
        raise ValueError

    work.enqueue()
    (execution,) = run_pending(butler)
    assert (execution.progress.percent, execution.progress.message) == (40, "almost")


def test_what_never_ends_is_stopped(butler):
    @butler.task
    def again() -> TaskResult[None]:
        return TaskResult.retry(after_s=0)

    again.enqueue()
    with pytest.raises(ButlerError, match=r"10 attempts were run and there is still more .*again"):
        run_pending(butler, max_attempts=10)


def test_a_task_that_is_not_registered_here_says_so(butler):
    stranger = Butler(storage=butler.storage, redis=butler.redis)

    @stranger.task
    def work() -> None: ...

    work.enqueue()
    with pytest.raises(UnknownTask, match="no task named 'work'"):
        run_pending(butler)


def test_a_worker_afterwards_finds_nothing_on_the_wire(butler, log):
    @butler.task
    def work() -> None:
        log.append("work")

    work.enqueue()
    run_pending(butler)
    assert butler.wire.depth("default") == 0
    with butler.worker():
        work.enqueue().result(timeout_s=10)
    assert log == ["work", "work"]


def test_a_coroutine_awaits_it(butler):
    @butler.task
    def work() -> bool:
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        return True

    @butler.task
    async def awork() -> int:
        return id(asyncio.get_running_loop())

    async def main():
        await work.aenqueue()
        await awork.aenqueue()
        with pytest.raises(ButlerError, match=r"await arun_pending\(butler\)"):
            run_pending(butler)
        first, second = await arun_pending(butler)
        assert (first.result, second.result) == (True, id(asyncio.get_running_loop()))

    asyncio.run(main())


def test_the_clock_of_a_real_ledger_is_not_moved():
    with pytest.raises(ButlerError, match="fast_forward needs a Butler in memory"):
        run_pending(Butler("redis://localhost"), fast_forward=True)


# A worker in the background


def test_a_background_worker_runs_delays_retries_and_other_queues(butler):
    @butler.task(queue="mail", retry=RetryPolicy(base_s=0.01, jitter="none"))
    def flaky(context: TaskContext) -> int:
        if context.attempt == 1:
            raise ValueError
        return context.attempt

    with butler.worker():
        assert flaky.enqueue(delay_s=0.05).result(timeout_s=10) == 2


def test_a_background_worker_lets_what_runs_end(butler):
    running = threading.Event()

    @butler.task
    def work() -> int:
        running.set()
        time.sleep(0.05)
        return 1

    with butler.worker():
        handle = work.enqueue()
        assert running.wait(10)
    assert handle.execution().result == 1


# Asserting


@pytest.fixture
def send(butler):
    @butler.task(tags=["mail"])
    def send(request: Email) -> None: ...

    return send


def test_an_enqueued_execution_is_found_by_its_fields(butler, send):
    send.enqueue(Email(to="a"), user_id="ann", tags=["x"])
    handle = send.enqueue(Email(to="b"), user_id="ann", priority="high")
    assert assert_enqueued(send).id == handle.id
    assert assert_enqueued(send, user_id="ann", priority="high").id == handle.id
    assert assert_enqueued(send, request=Email(to="b")).id == handle.id
    assert assert_enqueued(send, request={"to": "b"}).id == handle.id
    assert assert_enqueued(send, tags=["mail", "x"]).request == {"to": "a", "copies": 1}
    assert assert_enqueued(send, tags="x").request["to"] == "a"
    assert assert_enqueued("send", butler=butler, request={"to": "a"}).user_id == "ann"
    run_pending(butler)
    assert_enqueued(send, status="succeeded")
    assert_not_enqueued(send, request={"to": "c"})


def test_a_class_is_found_too(butler):
    @butler.register
    class Send(Task[Email, None]):
        def execute(self, request: Email, context: TaskContext) -> None: ...

    Send.enqueue(Email(to="a"))
    assert_enqueued(Send, request={"to": "a"})


def test_a_failure_shows_what_there_is(send):
    with pytest.raises(AssertionError) as caught:
        assert_enqueued(send)
    assert str(caught.value) == "send was not enqueued"
    handle = send.enqueue(Email(to="a"), user_id="ann")
    with pytest.raises(AssertionError) as caught:
        assert_enqueued(send, request={"to": "b"}, user_id="ann")
    assert str(caught.value) == (
        "send was not enqueued with request={'to': 'b'}, user_id='ann'; there is\n"
        f"  {handle.id}: request={{'to': 'a', 'copies': 1}}, user_id='ann'"
    )
    with pytest.raises(AssertionError, match="send was enqueued 1 times with user_id='ann'"):
        assert_not_enqueued(send, user_id="ann")


def test_an_unknown_field_and_a_task_of_no_known_butler_are_errors_of_the_test(send):
    with pytest.raises(TypeError, match="an execution has no 'user'; did you mean \"user_id\""):
        assert_enqueued(send, user="ann")
    with pytest.raises(TypeError, match="which Butler knows 'send'"):
        assert_enqueued("send")


# Contexts for direct calls


def test_a_function_is_called_directly_with_a_made_context(butler):
    @butler.task
    def work(request: int, context: TaskContext) -> str:
        context.report_progress(10, "one")
        context.report_progress(20)
        return f"{context.task} {context.attempt} {context.user_id} {context.state}"

    context = make_context(task="work", attempt=2, user_id="ann", state="mine")
    assert work(1, context) == "work 2 ann mine"
    assert context.progress == [(10.0, "one"), (20.0, None)]
    assert make_context().deadline is None
    assert make_context(timeout_s=60).deadline is not None


def test_a_made_context_can_be_cancelled(butler):
    @butler.task
    def work(context: TaskContext) -> None:
        for _ in context.track(range(3)):
            context.cancel()

    with pytest.raises(AttemptCancelled, match="cancelled by the test"):
        work(make_context())


def test_a_made_context_enqueues_where_it_was_told(butler, send):
    make_context(butler, execution_id="0192f000-0000-7000-8000-000000000001").enqueue(
        send, Email(to="a")
    )
    assert_enqueued(send, parent_id="0192f000-0000-7000-8000-000000000001")
    with pytest.raises(ButlerError, match=r"make_context\(butler\)"):
        make_context().enqueue(send, Email(to="a"))
    with pytest.raises(ButlerError, match=r"make_context\(butler\)"):
        asyncio.run(make_context().aenqueue(send, Email(to="a")))
    with pytest.raises(ButlerError, match=r"make_context\(state=\.\.\.\)"):
        _ = make_context().state


# An application's own Butler


def test_an_applications_own_butler_is_in_memory_for_the_length_of_the_block():
    butler = Butler("redis://localhost", "nonsense://localhost")

    @butler.task
    def work(request: int) -> int:
        return request

    with in_memory(butler) as same:
        assert same is butler
        work.enqueue(1)
        assert run_pending(butler)[0].result == 1
    with in_memory(butler):
        assert butler.list().executions == ()
    with pytest.raises(ButlerError):
        work.enqueue(1)
