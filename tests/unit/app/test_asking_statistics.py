from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from butler import lifecycle
from butler.errors import BlockingCallWarning, InvalidOption
from butler.executions import AttemptOutcome, ErrorRecord
from butler.ids import new_id, new_token
from butler.storage.records import Claim, NewExecution, WorkerRegistration

BOOM = ErrorRecord(type="ValueError", message="boom")


@pytest.fixture
def ends(storage, clock):
    """``ends(task, "fail", run_s=2)`` lets an execution of a task end like that, after a second."""
    worker = WorkerRegistration(
        id=new_id(),
        name="w",
        host="h",
        pid=1,
        supervisor_id=new_id(),
        queues=("q",),
        tasks=(),
        concurrency=1,
    )
    storage.register_worker(worker)

    def end(task, how="succeed", *, run_s=1.0, queue="q", outcome=AttemptOutcome.FAILED):
        id_ = new_id()
        storage.insert([NewExecution(id=id_, task=task, queue=queue, request=None)])
        if how == "cancel":
            storage.cancel([id_])
            return
        clock.advance(1)
        [claimed] = storage.claim(Claim(worker_id=worker.id, token=new_token(), ids=(id_,))).won
        clock.advance(run_s)
        transition = {
            "succeed": lambda: lifecycle.succeed(claimed, result=None),
            "fail": lambda: lifecycle.fail(claimed, error=BOOM, outcome=outcome),
            "lose": lambda: lifecycle.lose(claimed, reason="lease"),
        }[how]()
        storage.finish([transition])

    return end


def test_a_summary_counts_executions_attempts_and_times(butler, ends):
    for run_s in (1, 2, 3):
        ends("a", run_s=run_s)
    ends("a", "fail", run_s=4, outcome=AttemptOutcome.TIMED_OUT)
    ends("b", "lose", run_s=100)
    ends("b", "cancel")
    found = butler.stats.summary()
    assert (found.succeeded, found.failed, found.cancelled, found.ended) == (3, 1, 1, 5)
    assert (found.attempts, found.lost, found.timed_out, found.retries) == (5, 1, 1, 0)
    assert found.failure_rate == 0.25
    assert (found.wait.mean_s, found.run.total_s, found.run.mean_s) == (1.0, 10.0, 2.5)
    assert found.run.p50_s == pytest.approx(2, rel=0.01)
    assert found.run.p99_s == pytest.approx(4, rel=0.01)
    assert butler.stats.summary(task="b").ended == 1
    assert butler.stats.summary(queue="other").ended == 0


def test_a_summary_of_nothing_has_no_times_and_no_rate(butler):
    found = butler.stats.summary()
    assert (found.ended, found.failure_rate, found.ended_per_s) == (0, None, 0.0)
    assert (found.run.p50_s, found.run.mean_s, found.run.total_s) == (None, None, 0)


def test_a_summary_knows_what_ended_before_its_window_and_in_it(butler, ends, clock):
    ends("a")
    clock.advance(7_200)
    ends("a")
    assert butler.stats.summary(since=timedelta(minutes=5)).succeeded == 1
    assert butler.stats.summary(since=timedelta(hours=3)).succeeded == 2
    assert (
        butler.stats.summary(
            since=timedelta(hours=3), until=clock.now() - timedelta(hours=1)
        ).succeeded
        == 1
    )
    clock.advance(40 * 86_400)
    assert butler.stats.summary(since=timedelta(days=60)).succeeded == 2


def test_a_series_has_its_empty_steps_too(butler, ends, clock):
    ends("a")
    clock.advance(120)
    ends("a", "fail")
    series = butler.stats.timeseries(since=timedelta(minutes=5))
    assert [point.ended for point in series][-3:] == [1, 0, 1]
    assert {point.until - point.since for point in series} == {timedelta(minutes=1)}
    assert sum(point.ended for point in butler.stats.timeseries(step="day")) == 2


def test_the_top_can_be_ordered(butler, ends):
    ends("slow", run_s=60)
    for _ in range(3):
        ends("often")
    ends("bad", "fail", queue="r")
    names = lambda **o: [row.name for row in butler.stats.top(**o)]  # noqa: E731
    assert names() == ["slow", "often", "bad"]
    assert names(order="ended")[0] == "often"
    assert names(order="failed", limit=1) == ["bad"]
    assert names(by="queue") == ["q", "r"]
    assert names(order="run_p95", queue="r") == ["bad"]


def test_errors_are_grouped(butler, ends, clock):
    ends("a", "fail")
    ends("a", "fail")
    ends("b", "fail")
    first, _ = butler.stats.errors()
    assert (first.task, first.type, first.number) == ("a", "ValueError", 2)
    assert [error.number for error in butler.stats.errors(task="b")] == [1]
    clock.advance(7_200)
    assert butler.stats.errors(since=timedelta(hours=1)) == []


@pytest.mark.parametrize(
    ("method", "options", "said"),
    [
        ("timeseries", {"step": "week"}, "step must be one of minute, hour, day, got 'week'"),
        ("top", {"by": "host"}, "by must be one of task, queue"),
        ("top", {"order": "luck"}, "order must be one of run_time"),
        ("top", {"limit": 0}, r"limit must be in 1\.\.1000, got 0"),
        ("errors", {"order": "luck"}, "order must be one of number"),
        ("errors", {"limit": 0}, r"limit must be in 1\.\.1000, got 0"),
        ("summary", {"since": timedelta(-1)}, "since must be > 0"),
    ],
)
def test_what_cannot_be_asked_is_refused(butler, method, options, said):
    with pytest.raises(InvalidOption, match=said):
        getattr(butler.stats, method)(**options)


def test_coroutines_await_the_same(butler, ends):
    ends("a")
    ends("a", "fail")

    async def ask():
        stats = butler.aio.stats
        summary = await stats.summary(task="a")
        [row] = await stats.top(order="failed")
        series = await stats.timeseries(step="hour")
        [error] = await stats.errors()
        return summary.ended, row.name, series[-1].ended, error.number

    assert asyncio.run(ask()) == (2, "a", 2, 1)


@pytest.mark.parametrize("method", ["summary", "timeseries", "top", "errors"])
def test_asking_on_an_event_loop_is_warned_of(butler, method):
    async def ask():
        with pytest.warns(BlockingCallWarning, match=rf"await butler\.aio\.stats\.{method}\(\)"):
            getattr(butler.stats, method)()

    asyncio.run(ask())
