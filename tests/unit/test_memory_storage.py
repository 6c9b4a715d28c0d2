"""What `MemoryStorage` does with time and with misuse; the rest is in ``tests/conformance``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from butler import lifecycle
from butler.clock import ManualClock
from butler.errors import IllegalTransition, InvalidOption, InvalidRequest
from butler.executions import ErrorRecord, ExecutionStatus
from butler.ids import new_id, new_token
from butler.retries import RetryPolicy
from butler.storage.base import MAX_BATCH
from butler.storage.memory import MemoryStorage
from butler.storage.memory.rows import Row, RowTable
from butler.storage.records import (
    Claim,
    ExecutionQuery,
    NewExecution,
    ProgressReport,
    WorkerRegistration,
)

S = ExecutionStatus
NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


@pytest.fixture
def clock():
    return ManualClock(NOON)


@pytest.fixture
def storage(clock):
    return MemoryStorage(clock=clock)


def new(**options):
    return NewExecution(**({"id": new_id(), "task": "t", "queue": "q", "request": None} | options))


def register(storage):
    worker = WorkerRegistration(
        id=new_id(),
        name="bee",
        host="alpha",
        pid=1,
        supervisor_id=new_id(),
        queues=("q",),
        tasks=("t",),
        concurrency=1,
    )
    storage.register_worker(worker)
    return worker.id


def run(storage, execution=None):
    """Insert and claim one execution; the attempt."""
    [inserted] = storage.insert([execution or new()])
    claim = Claim(worker_id=register(storage), token=new_token(), ids=(inserted.id,))
    [claimed] = storage.claim(claim).won
    return claimed


def lead(storage):
    return storage.take_leadership("leader", observed=storage.leadership())


def test_times_are_the_clocks(storage, clock):
    clock.advance(5)
    claimed = run(storage)
    clock.advance(10)
    storage.finish([lifecycle.succeed(claimed, result=None)])
    execution = storage.get(claimed.id)
    start = NOON + timedelta(seconds=5)
    assert [start] * 4 == [
        execution.created_at,
        execution.run_at,
        execution.queued_at,
        execution.started_at,
    ]
    assert start + timedelta(seconds=10) == execution.finished_at


def test_a_delay_is_over_to_the_second(storage, clock):
    [inserted] = storage.insert([new(delay_s=60)])
    epoch = lead(storage)
    assert storage.next_due_in_s() == 60
    clock.advance(59)
    assert storage.stage(epoch=epoch, limit=10) == []
    clock.advance(1)
    assert storage.next_due_in_s() == 0
    assert [inserted.id] == [entry.id for entry in storage.stage(epoch=epoch, limit=10)]
    assert NOON + timedelta(seconds=60) == storage.get(inserted.id).queued_at


def test_what_was_due_long_ago_is_staged_first(storage, clock):
    late, later = new(delay_s=20), new(delay_s=10)
    storage.insert([late, later])
    clock.advance(3600)
    assert storage.next_due_in_s() == -3590
    staged = storage.stage(epoch=lead(storage), limit=10)
    assert [later.id, late.id] == [entry.id for entry in staged]


def test_a_retry_waits_for_its_policys_delay(storage, clock):
    policy = RetryPolicy(base_s=30, jitter="none")
    error = ErrorRecord(type="ValueError", message="boom")
    failing = lifecycle.fail_or_retry(run(storage), error=error, policy=policy, random=1.0)
    storage.finish([failing])
    assert storage.next_due_in_s() == 30
    clock.advance(29)
    epoch = lead(storage)
    assert storage.stage(epoch=epoch, limit=10) == []
    clock.advance(1)
    assert len(storage.stage(epoch=epoch, limit=10)) == 1


def test_the_age_in_the_queue_is_what_counts_for_a_second_push(storage, clock):
    storage.insert([new()])
    clock.advance(4.9)
    assert storage.queued(min_age_s=5, after=None, limit=10) == []
    clock.advance(0.1)
    assert len(storage.queued(min_age_s=5, after=None, limit=10)) == 1


@pytest.mark.parametrize("end", ["lose_worker", "stop_worker"])
def test_a_worker_is_shown_for_an_hour_after_its_end(storage, clock, end):
    worker = register(storage)
    clock.advance(86_400)
    getattr(storage, end)(worker)
    clock.advance(3599)
    assert [worker] == [row.id for row in storage.workers()]
    clock.advance(1)
    assert storage.workers() == []


def test_a_worker_that_lives_is_shown_however_long_it_was_silent(storage, clock):
    worker = register(storage)
    clock.advance(86_400)
    assert [(worker, NOON)] == [(row.id, row.heartbeat_at) for row in storage.workers()]
    storage.heartbeat([worker])
    assert [clock.now()] == [row.heartbeat_at for row in storage.workers()]


def test_a_worker_is_not_lost_by_the_clock(storage, clock):
    claimed = run(storage)
    clock.advance(86_400)
    [pulse] = storage.pulses()
    assert (pulse.counter, pulse.lost, pulse.stopped) == (0, False, False)
    assert storage.get(claimed.id).status == S.RUNNING


def test_a_release_does_not_push_back_what_is_already_due(storage, clock):
    claimed = run(storage)
    storage.finish([lifecycle.hand_back(claimed, reason=lifecycle.OTHER_SCHEMA, delay_s=10)])
    clock.advance(60)
    register(storage)
    assert NOON + timedelta(seconds=10) == storage.get(claimed.id).run_at


def test_ages_include_their_start_and_not_their_end(storage, clock):
    [inserted] = storage.insert([new()])
    for query, expected in (
        (ExecutionQuery(created_after=NOON), [inserted.id]),
        (ExecutionQuery(created_before=NOON), []),
    ):
        assert expected == [found.id for found in storage.find(query).executions]


def test_the_cap_of_progress_is_set_by_who_makes_the_storage():
    storage = MemoryStorage(max_progress_updates=2)
    claimed = run(storage)
    for percent in (10.0, 20.0, 30.0):
        report = ProgressReport(
            execution_id=claimed.id,
            attempt=claimed.attempt,
            claim_token=claimed.claim_token,
            percent=percent,
            message=None,
        )
        storage.report_progress([report])
    assert [event.percent for event in storage.events(claimed.id)] == [10.0, 20.0]
    assert storage.get(claimed.id).progress.percent == 30.0


def test_two_storages_are_two_ledgers(storage):
    other = MemoryStorage()
    [inserted] = storage.insert([new()])
    assert other.get(inserted.id) is None
    assert other.ledger_id() != storage.ledger_id()


def test_a_closed_storage_can_still_be_read(storage):
    [inserted] = storage.insert([new()])
    storage.close()
    assert inserted.id == storage.get(inserted.id).id


def test_what_was_read_does_not_change_afterwards(storage):
    claimed = run(storage)
    before, listed = storage.get(claimed.id), storage.events(claimed.id)
    storage.finish([lifecycle.hand_back(claimed, reason="drain")])
    assert (before.status, before.attempts) == (S.RUNNING, ())
    before_request = storage.insert([new(request='{"a": []}')])[0].id
    storage.get(before_request).request["a"].append(1)
    assert storage.get(before_request).request == {"a": []}
    assert listed == []


def test_a_batch_that_is_too_large_is_refused_whole(storage):
    with pytest.raises(InvalidOption, match="at most 1000 items, got 1001"):
        storage.insert([new() for _ in range(MAX_BATCH + 1)])
    assert storage.count(ExecutionQuery()) == {}


@pytest.mark.parametrize("field", ["id", "parent_id", "rerun_of"])
def test_an_id_that_is_no_uuid_is_not_inserted(storage, field):
    with pytest.raises(InvalidOption, match="canonical UUID, got 'seven'"):
        storage.insert([new(), new(**{field: "seven"})])
    assert storage.count(ExecutionQuery()) == {}


def test_a_request_that_is_nested_too_deep_is_refused(storage):
    with pytest.raises(InvalidRequest, match="no JSON"):
        storage.insert([new(request="[" * 100_000)])


def test_an_error_with_details_that_are_no_json_fails_alone(storage):
    claimed = run(storage)
    error = ErrorRecord(type="E", message="m", details=({"input": object()},))
    [finished] = storage.finish([lifecycle.fail(claimed, error=error)])
    assert (finished.status, finished.applied) == (S.FAILED, True)
    assert "details are no JSON" in finished.rejected


@pytest.mark.parametrize("before", S)
def test_the_table_refuses_every_move_that_is_not_in_the_lifecycle(before):
    for after in S:
        table = RowTable()
        row = Row(
            new=new(unique_key="k"), status=before, max_attempts=1, run_at=NOON, created_at=NOON
        )
        table.add(row)
        if after in lifecycle.MOVES[before]:
            table.move(row, after)
            assert after == row.status
        else:
            with pytest.raises(IllegalTransition, match=f"cannot become {after}"):
                table.move(row, after)
            assert before == row.status
