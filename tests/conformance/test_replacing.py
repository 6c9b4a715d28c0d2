"""``replace``: the execution that holds a unique key and still waits does the new one's work."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from ledger_driver import eventually, new_execution, race

from butler.executions import ExecutionStatus, Priority
from butler.storage.records import ExecutionQuery

S = ExecutionStatus
WAITING = [S.SCHEDULED, S.QUEUED, S.RETRYING]


def replacing(storage, **options):
    """Insert one that replaces; what became of it."""
    [reply] = storage.insert([new_execution(unique_key="k", replace=True, **options)])
    return reply


def test_without_a_holder_it_is_an_ordinary_insert(storage, ledger):
    reply = replacing(storage)
    assert (reply.created, reply.replaced, reply.status) == (True, False, S.QUEUED)
    assert ledger.won(reply.id)


@pytest.mark.parametrize("status", WAITING)
def test_a_waiting_holder_takes_over_all_that_was_asked_for(storage, ledger, status):
    holder = ledger.put_in(status, unique_key="k")
    before = ledger.get(holder)
    run_at = datetime.now(UTC) + timedelta(hours=1)
    reply = replacing(
        storage,
        request='{"n": 2}',
        run_at=run_at,
        expires_at=run_at + timedelta(hours=1),
        queue="mail",
        priority=Priority.HIGH,
        max_attempts=7,
        timeout_s=9.0,
        user_id="u",
        tags=("b",),
        fingerprint="f2",
    )
    assert (holder, False, True) == (reply.id, reply.created, reply.replaced)
    execution = ledger.get(holder)
    assert execution.request == {"n": 2}
    assert (run_at, run_at + timedelta(hours=1)) == (execution.run_at, execution.expires_at)
    assert (execution.queue, execution.priority) == ("mail", Priority.HIGH)
    assert (
        execution.max_attempts,
        execution.timeout_s,
        execution.user_id,
        execution.tags,
    ) == (7, 9.0, "u", ("b",))
    assert before.created_at == execution.created_at
    assert before.attempts == execution.attempts
    assert sum(storage.count(ExecutionQuery()).values()) == 1


@pytest.mark.parametrize("status", WAITING)
def test_for_now_the_holder_is_queued_and_needs_a_push(storage, ledger, status):
    holder = ledger.put_in(status, unique_key="k")
    reply = replacing(storage, request='{"n": 2}', queue="mail")
    assert (reply.status, ledger.status(holder)) == (S.QUEUED, S.QUEUED)
    attempt = 1 if status is S.RETRYING else 0
    assert (holder, "mail", attempt) == (reply.entry.id, reply.entry.queue, reply.entry.attempt)
    [claimed] = ledger.won(holder)
    assert claimed.request == '{"n": 2}'


def test_a_queued_holder_that_is_put_off_leaves_its_queue(storage, ledger):
    holder = ledger.put_in(S.QUEUED, unique_key="k", queue="mail", priority=Priority.HIGH)
    reply = replacing(storage, delay_s=3600)
    assert (reply.status, reply.entry) == (S.SCHEDULED, None)
    assert (holder, "mail", Priority.HIGH) == (
        reply.left.id,
        reply.left.queue,
        reply.left.priority,
    )
    [refused] = ledger.claim(holder).refused
    assert S.SCHEDULED is refused.status


def test_a_scheduled_holder_was_on_no_queue(storage, ledger):
    ledger.put_in(S.SCHEDULED, unique_key="k")
    assert replacing(storage).left is None


def test_each_call_puts_it_off_again_until_the_last_one(storage, ledger):
    first = replacing(storage, delay_s=3600, request='{"n": 1}')
    for n in (2, 3):
        reply = replacing(storage, delay_s=3600 * n, request=f'{{"n": {n}}}')
        assert first.id == reply.id
    execution = ledger.get(first.id)
    assert execution.request == {"n": 3}
    assert execution.run_at - execution.created_at > timedelta(hours=2)


def test_a_retrying_holder_stays_so_until_its_new_time(storage, ledger):
    holder = ledger.put_in(S.RETRYING, unique_key="k")
    reply = replacing(storage, delay_s=0.2, max_attempts=1)
    assert (reply.status, ledger.status(holder)) == (S.RETRYING, S.RETRYING)
    epoch = ledger.lead()
    eventually(lambda: storage.stage(epoch=epoch, limit=10))
    [claimed] = ledger.won(holder)
    assert (claimed.attempt, claimed.max_attempts) == (2, 2)


def test_a_running_holder_is_left_alone(storage, ledger):
    claimed = ledger.running(unique_key="k")
    before = ledger.get(claimed.id)
    reply = replacing(storage, request='{"n": 2}')
    assert (claimed.id, False, False, S.RUNNING) == (
        reply.id,
        reply.created,
        reply.replaced,
        reply.status,
    )
    assert before == ledger.get(claimed.id)


def test_without_replace_a_waiting_holder_is_left_alone(storage, ledger):
    holder = ledger.put_in(S.SCHEDULED, unique_key="k")
    before = ledger.get(holder)
    [reply] = storage.insert([new_execution(unique_key="k", request='{"n": 2}')])
    assert (holder, False, False) == (reply.id, reply.created, reply.replaced)
    assert before == ledger.get(holder)


def test_while_redis_is_away_it_is_left_to_the_stager(storage, ledger):
    holder = ledger.put_in(S.QUEUED, unique_key="k")
    reply = replacing(storage, unpushed=True)
    assert (reply.status, reply.entry) == (S.SCHEDULED, None)
    assert [holder] == [entry.id for entry in ledger.stage()]


def test_of_a_batch_the_last_one_counts(storage, ledger):
    batch = [new_execution(unique_key="k", replace=True, request=f'{{"n": {n}}}') for n in range(3)]
    replies = storage.insert(batch)
    assert {batch[0].id} == {reply.id for reply in replies}
    assert [reply.created for reply in replies] == [True, False, False]
    assert ledger.get(batch[0].id).request == {"n": 2}


def test_a_replacement_that_races_a_claim_is_run_or_refused(storage, ledger):
    worker = ledger.worker()
    for index in range(10):
        key = f"k{index}"
        holder = ledger.enqueue(unique_key=key)
        new = new_execution(unique_key=key, replace=True, request='{"n": 2}')
        reply, [inserted] = race(
            lambda holder=holder: ledger.claim(holder, worker=worker),
            lambda new=new: storage.insert([new]),
        )
        [claimed] = reply.won
        assert inserted.replaced == ("2" in claimed.request)


def test_what_replaces_holds_the_key(storage, ledger):
    replacing(storage, delay_s=60)
    holder = replacing(storage, delay_s=120).id
    [third] = storage.insert([new_execution(unique_key="k")])
    assert (holder, False) == (third.id, third.created)
    ledger.cancel(holder)
    assert replacing(storage).created
