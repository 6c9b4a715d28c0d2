"""Statistics agree with the executions they are about, folded or not, and outlive them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from ledger_driver import BOOM, eventually, fail, fail_or_retry, race

from butler import lifecycle
from butler.errors import InvalidOption
from butler.executions import ErrorRecord, ExecutionStatus
from butler.histograms import Histogram
from butler.storage.records import ExecutionQuery
from butler.storage.retention import Retention
from butler.storage.stats import ErrorQuery, Span, StatsQuery, Step

S = ExecutionStatus
ALWAYS = tuple(
    Span(step=Step.DAY, since=since, until=until)
    for since, until in [(datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))]
)
PLACED = ErrorRecord(
    type="shop.Broken",
    message="order 7 is broken",
    traceback='Traceback (most recent call last):\n  File "/srv/shop/mail.py", line 3, in send\n'
    "    raise Broken\nshop.Broken: order 7 is broken",
)


def endings(storage, **filters):
    """How often each way to end and status were counted."""
    query = StatsQuery(**({"spans": ALWAYS} | filters))
    counted = Counter()
    for cell in storage.stats(query):
        counted[(cell.ending.value, cell.status.value)] += cell.number
    return dict(counted)


def fold(storage, ledger):
    """Fold whatever is there."""
    epoch = ledger.lead()
    while storage.fold_stats(epoch=epoch, limit=3):
        pass


@pytest.fixture
def pack(storage, ledger, monkeypatch):
    """Packs whatever is folded, this hour's minutes too."""
    monkeypatch.setattr("butler.storage.postgres.stats.PLAIN_FOR", timedelta(hours=-1))

    def pack():
        epoch = ledger.lead()
        while storage.pack_stats(epoch=epoch, limit=3):
            pass

    return pack


def cells(storage, **options):
    """All that is read of minutes, in one order."""
    spans = (replace(ALWAYS[0], step=Step.MINUTE),)
    found = storage.stats(StatsQuery(**({"spans": spans, "by": ("task", "queue")} | options)))
    return sorted(found, key=lambda c: (c.at, c.task, c.queue, c.ending, c.status))


def errors(storage, **filters):
    return storage.errors(ErrorQuery(**({"since": datetime(2020, 1, 1, tzinfo=UTC)} | filters)))


def end_in_every_way(ledger):
    """One execution for each way an attempt, or a wait, can end."""
    ledger.done(lifecycle.succeed(ledger.running(), result=None))
    ledger.done(fail(ledger.running(queue="mail")))
    ledger.done(fail_or_retry(ledger.running()))
    ledger.done(lifecycle.reschedule(ledger.running(), delay_s=9, reason=None))
    ledger.done(lifecycle.hand_back(ledger.running(), reason="drain"))
    ledger.done(lifecycle.lose(ledger.running(), reason="lease"))
    ledger.done(lifecycle.crash(ledger.running(), cause="killed by signal 11"))
    ledger.done(lifecycle.cancel(ledger.running()))
    asked = ledger.running()
    ledger.cancel(asked.id)
    ledger.done(fail(asked))
    ledger.cancel(ledger.enqueue())


EVERY_WAY = {
    ("succeeded", "succeeded"): 1,
    ("failed", "failed"): 1,
    ("failed", "retrying"): 1,
    ("rescheduled", "scheduled"): 1,
    ("handed_back", "queued"): 1,
    ("lost", "queued"): 1,
    ("crashed", "queued"): 1,
    ("cancelled", "cancelled"): 1,
    ("failed", "cancelled"): 1,
    ("withdrawn", "cancelled"): 1,
}


def test_each_way_to_end_is_counted_once_folded_or_not(storage, ledger):
    end_in_every_way(ledger)
    assert endings(storage) == EVERY_WAY
    fold(storage, ledger)
    assert endings(storage) == EVERY_WAY
    end_in_every_way(ledger)
    twice = dict.fromkeys(EVERY_WAY, 2)
    assert endings(storage) == twice
    fold(storage, ledger)
    assert endings(storage) == twice
    for step in Step:
        spans = tuple(Span(step=step, since=s.since, until=s.until) for s in ALWAYS)
        assert endings(storage, spans=spans) == twice


def test_statistics_are_a_recount_of_the_ledger(storage, ledger):
    for task in ("A", "B"):
        for _ in range(3):
            claimed = ledger.running(task=task)
            ledger.done(fail_or_retry(claimed))
            ledger.stage()
            [again] = ledger.won(claimed.id)
            ledger.done(lifecycle.succeed(again, result=None))
    fold(storage, ledger)
    recount = Counter()
    for execution in storage.find(ExecutionQuery()).executions:
        for attempt in storage.get(execution.id).attempts:
            recount[(execution.task, attempt.outcome.value)] += 1
    counted = Counter()
    for cell in storage.stats(StatsQuery(spans=ALWAYS, by=("task",))):
        counted[(cell.task, cell.ending.value)] += cell.number
        assert cell.wait.total == cell.run.total == cell.number
    assert recount == counted


def test_a_zombie_and_a_repeat_are_not_counted(storage, ledger):
    claimed = ledger.running()
    ledger.done(lifecycle.lose(claimed, reason="lease"))
    ledger.finish(lifecycle.succeed(claimed, result=None))
    ledger.finish(lifecycle.lose(claimed, reason="lease"))
    assert endings(storage) == {("lost", "queued"): 1}


def test_a_value_that_is_refused_counts_as_the_failure_it_becomes(storage, ledger):
    ledger.done(lifecycle.succeed(ledger.running(), result='"\\u0000"'))
    assert endings(storage) == {("failed", "failed"): 1}
    [group] = errors(storage)
    assert (group.type, group.number) == ("ResultNotStorable", 1)


def test_times_are_sums_and_histograms(storage, ledger):
    ids = [ledger.enqueue() for _ in range(4)]
    ledger.storage.finish([lifecycle.succeed(c, result=None) for c in ledger.won(*ids)])
    for _ in range(2):
        [cell] = storage.stats(StatsQuery(spans=ALWAYS))
        taken = [storage.get(id_) for id_ in ids]
        waits = [(e.started_at - e.run_at).total_seconds() for e in taken]
        runs = [(e.finished_at - e.started_at).total_seconds() for e in taken]
        assert cell.wait_s == pytest.approx(sum(waits), abs=1e-5)
        assert cell.run_s == pytest.approx(sum(runs), abs=1e-5)
        for histogram, exact in ((cell.wait, waits), (cell.run, runs)):
            assert histogram.total == 4
            assert histogram.quantile(1.0) == pytest.approx(max(exact), rel=0.011, abs=2e-6)
        fold(storage, ledger)


def test_what_is_asked_for_can_be_one_task_or_queue_and_kept_apart(storage, ledger):
    for task, queue in (("A", "x"), ("A", "y"), ("B", "x")):
        ledger.done(lifecycle.succeed(ledger.running(task=task, queue=queue), result=None))
    assert endings(storage, task="A") == {("succeeded", "succeeded"): 2}
    assert endings(storage, queue="x", task="B") == {("succeeded", "succeeded"): 1}
    assert endings(storage, task="\x00") == {}
    by_queue = storage.stats(StatsQuery(spans=ALWAYS, by=("queue",)))
    assert {cell.queue: cell.number for cell in by_queue} == {"x": 2, "y": 1}
    by_both = storage.stats(StatsQuery(spans=ALWAYS, by=("task", "queue"), queue="x"))
    assert {(cell.task, cell.queue): cell.number for cell in by_both} == {
        ("A", "x"): 1,
        ("B", "x"): 1,
    }
    [cell] = storage.stats(StatsQuery(spans=ALWAYS, by=("queue",), every=Step.DAY, queue="x"))
    assert cell.at == Step.DAY.begin(cell.at)


def test_butlers_own_deliveries_count_only_where_they_are_asked_for(storage, ledger):
    ledger.done(lifecycle.succeed(ledger.running(queue="_butler"), result=None))
    for _ in range(2):
        assert endings(storage) == {}
        assert endings(storage, queue="_butler") == {("succeeded", "succeeded"): 1}
        fold(storage, ledger)


def test_a_span_without_an_end_in_it_holds_nothing(storage, ledger):
    ledger.done(lifecycle.succeed(ledger.running(), result=None))
    long_ago = Span(step=Step.DAY, since=ALWAYS[0].since, until=datetime(2021, 1, 1, tzinfo=UTC))
    assert endings(storage, spans=(long_ago,)) == {}
    assert endings(storage, spans=()) == {}


def test_errors_of_one_type_and_place_are_one(storage, ledger):
    for n in range(3):
        claimed = ledger.running()
        error = ErrorRecord(type=PLACED.type, message=f"order {n}", traceback=PLACED.traceback)
        ledger.done(fail_or_retry(claimed, error=error))
    ledger.done(fail(ledger.running(task="Other"), error=PLACED))
    ledger.done(fail(ledger.running(), error=BOOM))
    for _ in range(2):
        first, *others = errors(storage)
        assert (first.type, first.place, first.number) == ("shop.Broken", "shop/mail.py:send", 3)
        assert (first.message, first.execution_id) == ("order 2", claimed.id)
        assert first.first_seen <= first.last_seen
        assert {(e.task, e.number) for e in others} == {("Other", 1), ("Send Mail", 1)}
        assert [e.number for e in errors(storage, task="Other")] == [1]
        assert len(errors(storage, limit=2)) == 2
        assert errors(storage, order="last_seen")[0].type == "ValueError"
        fold(storage, ledger)


def test_what_was_cancelled_or_handed_back_is_no_error(storage, ledger):
    ledger.done(lifecycle.cancel(ledger.running(), error=BOOM))
    ledger.done(lifecycle.hand_back(ledger.running(), reason="drain"))
    assert errors(storage) == []


def test_errors_outside_the_asked_time_are_not_listed(storage, ledger):
    ledger.done(fail(ledger.running()))
    soon = datetime.now(UTC) + timedelta(minutes=2)
    assert errors(storage, since=soon) == []
    assert errors(storage, until=datetime(2021, 1, 1, tzinfo=UTC)) == []
    fold(storage, ledger)
    assert errors(storage, since=soon) == []
    assert [group.number for group in errors(storage, until=soon)] == [1]


@pytest.mark.parametrize("limit", [0, 1_001])
def test_a_list_of_errors_has_a_size(storage, limit):
    with pytest.raises(InvalidOption, match=r"limit must be in 1\.\.1000"):
        errors(storage, limit=limit)


def test_statistics_outlive_executions_that_are_pruned_or_deleted(storage, ledger):
    storage.retention = Retention.of(1e-9)
    for _ in range(3):
        ledger.done(fail(ledger.running()))
    ledger.delete(ledger.put_in(S.SUCCEEDED))
    epoch = ledger.lead()
    gone = []
    eventually(
        lambda: (
            gone.append(storage.prune_executions(epoch=epoch, after=None, limit=10).removed)
            or sum(gone) == 3
        )
    )
    assert endings(storage) == {("failed", "failed"): 3, ("succeeded", "succeeded"): 1}
    assert [group.number for group in errors(storage)] == [3]


def test_statistics_are_not_pruned_before_their_time(storage, ledger):
    end_in_every_way(ledger)
    fold(storage, ledger)
    assert storage.prune_stats(epoch=ledger.lead(), limit=100) == 0
    assert storage.pack_stats(epoch=ledger.lead(), limit=100) == 0
    assert endings(storage) == EVERY_WAY


def test_packed_minutes_read_as_before_and_what_is_counted_late_is_added(storage, ledger, pack):
    ways = [{"every": Step.MINUTE}, {"every": Step.HOUR, "queue": "mail"}, {"task": "Send Mail"}]
    ways.append({"every": Step.MINUTE, "with_times": False})
    for times in (1, 2):
        end_in_every_way(ledger)
        fold(storage, ledger)
        before = [cells(storage, **way) for way in ways]
        pack()
        assert [cells(storage, **way) for way in ways] == before
        counted = endings(storage, spans=(replace(ALWAYS[0], step=Step.MINUTE),))
        assert counted == {way: number * times for way, number in EVERY_WAY.items()}


def test_only_the_present_leader_folds_packs_and_prunes(storage, ledger, monkeypatch):
    monkeypatch.setattr("butler.storage.postgres.stats.PLAIN_FOR", timedelta(hours=-1))
    end_in_every_way(ledger)
    fold(storage, ledger)
    old = ledger.lead("a")
    ledger.lead("b")
    assert storage.fold_stats(epoch=old, limit=100) == 0
    assert storage.pack_stats(epoch=old, limit=100) == 0
    assert storage.prune_stats(epoch=old, limit=100) == 0
    assert endings(storage) == EVERY_WAY


def test_folds_packs_and_finishes_at_once_count_everything_once(storage, ledger, pack):
    epoch = ledger.lead()
    batches = [ledger.won(*(ledger.enqueue() for _ in range(5))) for _ in range(6)]

    def finish(batch):
        storage.finish([lifecycle.succeed(claimed, result=None) for claimed in batch])

    def fold_often():
        for _ in range(10):
            storage.fold_stats(epoch=epoch, limit=2)
            storage.pack_stats(epoch=epoch, limit=2)

    race(*(lambda b=batch: finish(b) for batch in batches), fold_often, fold_often)
    assert endings(storage) == {("succeeded", "succeeded"): 30}
    fold(storage, ledger)
    for _ in range(2):
        for found in (storage.stats(StatsQuery(spans=ALWAYS)), cells(storage, by=())):
            numbers = [(cell.number, cell.wait.total, cell.run.total) for cell in found]
            assert numbers == [(30, 30, 30)]
        pack()


def test_without_times_numbers_and_sums_are_the_same(storage, ledger):
    end_in_every_way(ledger)
    for _ in range(2):
        whole = storage.stats(StatsQuery(spans=ALWAYS, by=("task",)))
        bare = storage.stats(StatsQuery(spans=ALWAYS, by=("task",), with_times=False))
        plain = [replace(cell, wait=Histogram(), run=Histogram()) for cell in whole]
        assert sorted(map(repr, bare)) == sorted(map(repr, plain))
        assert any(cell.run != Histogram() for cell in whole)
        fold(storage, ledger)
