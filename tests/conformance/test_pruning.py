"""What is over its retention is forgotten. A retention of an instant makes everything so."""

from __future__ import annotations

from datetime import timedelta

import pytest
from ledger_driver import eventually, fail_or_retry, race, registration
from recurring_kit import PAST, add, fire, fired, plan

from butler.errors import InvalidOption
from butler.executions import ExecutionStatus
from butler.recurring.job import FireOutcome
from butler.storage.recurring_records import FireQuery, FireRow
from butler.storage.retention import Retention

S = ExecutionStatus
INSTANT = 1e-9
AGED = (S.SUCCEEDED, S.FAILED, S.CANCELLED)


@pytest.fixture
def short(storage):
    """A storage that keeps nothing."""
    storage.retention = Retention.of(INSTANT)
    return storage


def prune(storage, epoch, *, limit=100, **options):
    """Prune to the end; how many executions went."""
    removed, after = 0, None
    while True:
        page = storage.prune_executions(epoch=epoch, after=after, limit=limit, **options)
        removed, after = removed + page.removed, page.last
        if not page.more:
            return removed


def test_what_has_ended_goes_and_what_has_not_stays(short, ledger):
    ids = {status: ledger.put_in(status) for status in S}
    epoch = ledger.lead()
    gone = []
    eventually(lambda: gone.append(prune(short, epoch)) or sum(gone) == 3)
    left = {status for status, id_ in ids.items() if short.get(id_) is not None}
    assert left == set(S) - set(AGED)


def test_nothing_goes_before_its_time(storage, ledger):
    ids = [ledger.put_in(status) for status in AGED]
    assert prune(storage, ledger.lead()) == 0
    assert all(storage.get(id_) for id_ in ids)


@pytest.mark.parametrize("status", AGED)
def test_each_way_to_end_has_its_own_retention(storage, ledger, status):
    days = {each.value: 30.0 for each in AGED} | {status.value: INSTANT}
    storage.retention = Retention(**days)
    ids = {each: ledger.put_in(each) for each in AGED}
    epoch = ledger.lead()
    eventually(lambda: prune(storage, epoch) == 1)
    assert {each for each, id_ in ids.items() if storage.get(id_) is None} == {status}


def test_what_a_task_says_of_itself_holds_where_the_ledger_says_nothing_of_it(storage, ledger):
    storage.retention = Retention(tasks={"Invoice": 30})
    doomed = ledger.put_in(S.FAILED, task="Ping")
    kept = [ledger.put_in(S.FAILED, task=task) for task in ("Invoice", "Other")]
    epoch = ledger.lead()
    said = {"Ping": INSTANT, "Invoice": INSTANT}
    eventually(lambda: prune(storage, epoch, tasks=said) == 1)
    assert storage.get(doomed) is None
    assert all(storage.get(id_) for id_ in kept)


def test_a_task_can_have_a_retention_of_its_own(storage, ledger):
    storage.retention = Retention(
        succeeded=INSTANT,
        tasks={"Invoice": 30, "Mixed": Retention(succeeded=30, cancelled=INSTANT)},
    )
    kept = [ledger.put_in(S.SUCCEEDED, task=task) for task in ("Invoice", "Mixed")]
    doomed = [ledger.put_in(S.SUCCEEDED), ledger.put_in(S.CANCELLED, task="Mixed")]
    epoch = ledger.lead()
    gone = []
    eventually(lambda: gone.append(prune(storage, epoch)) or sum(gone) == 2)
    assert all(storage.get(id_) for id_ in kept)
    assert not any(storage.get(id_) for id_ in doomed)


def test_history_goes_with_its_execution(short, ledger):
    claimed = ledger.running()
    ledger.done(fail_or_retry(claimed))
    assert short.get(claimed.id).attempts
    ledger.cancel(claimed.id)
    epoch = ledger.lead()
    eventually(lambda: prune(short, epoch) == 1)
    assert short.get(claimed.id) is None
    assert short.events(claimed.id) == []


def test_only_the_present_leader_prunes(short, ledger):
    id_ = ledger.put_in(S.SUCCEEDED)
    old = ledger.lead("a")
    epoch = ledger.lead("b")
    assert prune(short, old) == 0
    assert short.prune_fires(epoch=old, limit=10) == 0
    assert short.prune_workers(epoch=old) == 0
    assert short.prune_limits(epoch=old, limit=10) == 0
    assert short.get(id_) is not None
    eventually(lambda: prune(short, epoch) == 1)


def test_pages_cover_everything_once(short, ledger):
    ids = [ledger.put_in(S.CANCELLED) for _ in range(7)]
    waiting = ledger.put_in(S.QUEUED)
    epoch = ledger.lead()
    gone = []
    eventually(lambda: gone.append(prune(short, epoch, limit=2)) or sum(gone) == 7)
    assert not any(short.get(id_) for id_ in ids)
    assert short.get(waiting) is not None


def test_an_execution_that_is_retried_meanwhile_is_retried_or_gone(short, ledger):
    epoch = ledger.lead()
    for _ in range(10):
        id_ = ledger.put_in(S.CANCELLED)
        moved, _ = race(lambda id_=id_: ledger.retry(id_), lambda: prune(short, epoch))
        execution = short.get(id_)
        if moved.changed:
            assert execution.status == S.QUEUED
        else:
            assert execution is None


def test_old_fires_go_and_waiting_ones_stay(short, ledger):
    said = add(short)
    rows = [fired(PAST + timedelta(minutes=n)) for n in range(3)]
    waiting = FireRow(fire_at=PAST + timedelta(hours=1), outcome=FireOutcome.WAITING)
    fire(short, plan(said, *rows, waiting))
    epoch = ledger.lead()
    gone = []
    eventually(lambda: gone.append(short.prune_fires(epoch=epoch, limit=2)) or sum(gone) == 3)
    assert max(gone) <= 2
    left = short.recurring_fires(FireQuery(job_id=said.id))
    assert [each.outcome for each in left] == [FireOutcome.WAITING]


def test_fires_are_kept_as_long_as_the_longest_kept_executions(storage, ledger):
    storage.retention = Retention(succeeded=INSTANT, failed=30)
    fire(storage, plan(add(storage), fired()))
    assert storage.prune_fires(epoch=ledger.lead(), limit=10) == 0


def test_workers_that_live_or_have_just_ended_are_kept(storage, ledger):
    alive, lost = registration(), registration()
    for worker in (alive, lost):
        storage.register_worker(worker)
    storage.lose_worker(lost.id)
    assert storage.prune_workers(epoch=ledger.lead()) == 0
    assert {row.id for row in storage.workers()} == {alive.id, lost.id}


@pytest.mark.parametrize("days", [0, -1, True, "30", float("inf")])
def test_a_retention_is_a_number_of_days(days):
    with pytest.raises(InvalidOption, match="must be days, > 0"):
        Retention.of(days)
    with pytest.raises(InvalidOption, match="must be days, > 0"):
        Retention(tasks={"t": days})


def test_a_tasks_retention_holds_no_others():
    with pytest.raises(InvalidOption, match="holds others' retentions"):
        Retention(tasks={"t": Retention(tasks={"u": 1})})
    assert Retention(tasks={"t": 2}).of_task("t") == Retention.of(2)
    assert (Retention(failed=9, tasks={"t": 2}).shortest, Retention(failed=90).longest) == (2, 90)
