"""What is not started by its ``expires_at`` is not started any more, and says so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from ledger_driver import eventually, fail, fail_or_retry, new_execution

from butler import lifecycle
from butler.executions import ExecutionStatus
from butler.storage.records import ExecutionQuery

S = ExecutionStatus
PAST = datetime(2020, 1, 1, tzinfo=UTC)
WAITING = [S.SCHEDULED, S.QUEUED, S.RETRYING]


def far():
    return datetime.now(UTC) + timedelta(hours=1)


def soon():
    return datetime.now(UTC) + timedelta(seconds=0.3)


def expired_in(ledger, status, **options):
    """An execution in that state whose time has come."""
    id_ = ledger.put_in(status, expires_at=soon(), **options)
    eventually(lambda: ledger.get(id_).expires_at < datetime.now(UTC) - timedelta(seconds=0.05))
    return id_


def test_the_time_is_read_back_in_utc(ledger):
    expires_at = far().replace(microsecond=7)
    assert expires_at == ledger.get(ledger.enqueue(expires_at=expires_at)).expires_at
    assert ledger.get(ledger.enqueue()).expires_at is None


def test_before_its_time_it_starts(ledger):
    assert ledger.won(ledger.enqueue(expires_at=far()))


def test_a_claim_that_comes_too_late_is_refused_and_cancels(ledger):
    id_ = ledger.enqueue(expires_at=PAST, queue="mail")
    reply = ledger.claim(id_)
    assert reply.won == ()
    [refused] = reply.refused
    assert (id_, S.CANCELLED) == (refused.id, refused.status)
    assert (id_, "mail", 0) == (refused.expired.id, refused.expired.queue, refused.expired.attempt)
    execution = ledger.get(id_)
    assert (execution.status, execution.reason) == (S.CANCELLED, lifecycle.EXPIRED)
    assert execution.finished_at is not None
    assert execution.started_at is None
    assert execution.cancel_requested_at is None


def test_a_claim_that_is_repeated_after_that_says_cancelled(ledger):
    id_ = ledger.enqueue(expires_at=PAST)
    ledger.claim(id_)
    [refused] = ledger.claim(id_).refused
    assert (refused.status, refused.expired) == (S.CANCELLED, None)


def test_what_expired_takes_no_neighbour_with_it(ledger):
    late, fresh = ledger.enqueue(expires_at=PAST), ledger.enqueue(expires_at=far())
    reply = ledger.claim(late, fresh)
    assert [fresh] == [claimed.id for claimed in reply.won]
    assert [late] == [refused.id for refused in reply.refused]


def test_what_has_started_may_run_past_its_time(ledger):
    claimed = ledger.running(expires_at=soon())
    eventually(lambda: ledger.get(claimed.id).expires_at < datetime.now(UTC))
    assert ledger.storage.expire(epoch=ledger.lead(), limit=10) == []
    assert ledger.done(lifecycle.succeed(claimed, result="1")).status is S.SUCCEEDED


def test_what_expired_is_not_staged_and_does_not_count_as_due(storage, ledger):
    id_ = ledger.enqueue(unpushed=True, expires_at=PAST)
    assert storage.next_due_in_s() is None
    assert ledger.stage() == []
    assert ledger.status(id_) is S.SCHEDULED


@pytest.mark.parametrize("status", WAITING)
def test_the_leader_cancels_what_waits_too_long(storage, ledger, status):
    id_ = expired_in(ledger, status, queue="mail")
    [entry] = storage.expire(epoch=ledger.lead(), limit=10)
    assert (id_, "mail") == (entry.id, entry.queue)
    execution = ledger.get(id_)
    assert (execution.status, execution.reason) == (S.CANCELLED, lifecycle.EXPIRED)
    assert execution.finished_at is not None
    assert storage.expire(epoch=ledger.lead(), limit=10) == []


def test_a_retry_does_not_start_after_its_time_either(ledger):
    id_ = expired_in(ledger, S.RETRYING)
    assert ledger.stage() == []
    assert ledger.storage.expire(epoch=ledger.lead(), limit=10)
    execution = ledger.get(id_)
    assert S.CANCELLED is execution.status
    assert execution.attempts[0].error.message == "boom"


def test_what_does_not_expire_yet_or_ever_is_left_alone(storage, ledger):
    ids = [ledger.enqueue(), ledger.enqueue(expires_at=far()), ledger.enqueue(delay_s=60)]
    assert storage.expire(epoch=ledger.lead(), limit=10) == []
    assert storage.count(ExecutionQuery(status=frozenset({S.CANCELLED}))) == {}
    assert all(not ledger.status(id_).finished for id_ in ids)


@pytest.mark.parametrize("status", [S.SUCCEEDED, S.FAILED, S.CANCELLED])
def test_what_is_over_does_not_expire(storage, ledger, status):
    id_ = expired_in(ledger, status)
    untouched = ledger.get(id_)
    assert storage.expire(epoch=ledger.lead(), limit=10) == []
    assert untouched == ledger.get(id_)


def test_no_more_expire_than_asked_for(storage, ledger):
    for _ in range(5):
        ledger.enqueue(expires_at=PAST)
    epoch = ledger.lead()
    assert [len(storage.expire(epoch=epoch, limit=2)) for _ in range(4)] == [2, 2, 1, 0]


def test_only_the_present_leader_lets_expire(storage, ledger):
    id_ = ledger.enqueue(expires_at=PAST)
    old = ledger.lead("a")
    epoch = ledger.lead("b")
    assert storage.expire(epoch=old, limit=10) == []
    assert storage.expire(epoch=epoch + 1, limit=10) == []
    assert ledger.status(id_) is S.QUEUED


@pytest.mark.parametrize("by", ["claim", "leader"])
def test_what_expired_gives_its_unique_key_back(storage, ledger, by):
    id_ = ledger.enqueue(unique_key="k", expires_at=PAST)
    if by == "claim":
        ledger.claim(id_)
    else:
        storage.expire(epoch=ledger.lead(), limit=10)
    [second] = storage.insert([new_execution(unique_key="k")])
    assert second.created


def test_an_operators_retry_forgets_a_time_that_has_passed(ledger):
    id_ = ledger.enqueue(expires_at=PAST)
    ledger.claim(id_)
    assert ledger.retry(id_).changed
    execution = ledger.get(id_)
    assert (execution.status, execution.expires_at, execution.reason) == (S.QUEUED, None, None)
    assert ledger.won(id_)


def test_an_operators_retry_keeps_a_time_that_is_to_come(ledger):
    expires_at = far()
    [claimed] = ledger.won(ledger.enqueue(expires_at=expires_at))
    ledger.done(fail(claimed))
    ledger.retry(claimed.id)
    assert expires_at == ledger.get(claimed.id).expires_at


def test_a_reason_is_shown_while_it_holds(ledger):
    claimed = ledger.running()
    assert ledger.get(claimed.id).reason is None
    ledger.done(lifecycle.reschedule(claimed, delay_s=0, reason="the shop is closed"))
    assert ledger.get(claimed.id).reason == "the shop is closed"
    assert ledger.stage()
    assert ledger.get(claimed.id).reason == "the shop is closed"
    [again] = ledger.won(claimed.id)
    assert ledger.get(claimed.id).reason is None
    ledger.done(lifecycle.hand_back(again, reason="drain"))
    assert ledger.get(claimed.id).reason == "drain"
    [page] = ledger.storage.find(ExecutionQuery()).executions
    assert page.reason == "drain"


def test_a_reason_ends_with_the_execution(ledger):
    claimed = ledger.running()
    ledger.done(lifecycle.reschedule(claimed, delay_s=60, reason="later"))
    ledger.cancel(claimed.id)
    assert ledger.get(claimed.id).reason is None
    claimed = ledger.running()
    ledger.done(fail_or_retry(claimed))
    assert ledger.get(claimed.id).reason is None
