from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from ledger_driver import new_execution

from butler.executions import ExecutionStatus, Priority
from butler.ids import is_id, new_id
from butler.storage import Storage
from butler.storage.base import MAX_BATCH
from butler.storage.records import ExecutionQuery

S = ExecutionStatus


def test_the_backend_has_every_method_of_the_protocol(storage):
    assert isinstance(storage, Storage)


def test_preparing_again_keeps_what_was_written(storage, ledger):
    id_ = ledger.enqueue()
    storage.prepare()
    assert id_ == ledger.get(id_).id


def test_closing_twice_is_fine(storage):
    storage.close()
    storage.close()


def test_a_ledger_keeps_its_id(storage):
    first = storage.ledger_id()
    assert is_id(first)
    assert first == storage.ledger_id()


def test_everything_that_was_asked_for_can_be_read_back(storage, ledger):
    parent, origin = ledger.enqueue(), ledger.enqueue()
    new = new_execution(
        task="Résumé ✓",
        queue="mail",
        request='{"a": [1, 2.5, null, true, "ü"], "b": {"c": "\\\\u0000"}}',
        priority=Priority.HIGH,
        max_attempts=7,
        timeout_s=12.5,
        unique_key="k",
        user_id="u-1",
        tags=("red", "blue"),
        parent_id=parent,
        rerun_of=origin,
    )
    storage.insert([new])
    execution = ledger.get(new.id)
    for name in ("id", "task", "queue", "priority", "max_attempts", "timeout_s", "unique_key"):
        assert getattr(new, name) == getattr(execution, name)
    for name in ("user_id", "tags", "parent_id", "rerun_of"):
        assert getattr(new, name) == getattr(execution, name)
    assert execution.request == {"a": [1, 2.5, None, True, "ü"], "b": {"c": "\\u0000"}}
    assert isinstance(execution.priority, Priority)
    assert isinstance(execution.status, ExecutionStatus)


def test_a_new_execution_has_done_nothing_yet(ledger):
    execution = ledger.get(ledger.enqueue())
    assert (
        execution.attempt,
        execution.uncounted,
        execution.crashes,
        execution.attempts_used,
    ) == (0, 0, 0, 0)
    nothing = ("result", "error", "progress", "worker_id", "cancel_requested_at")
    for name in (*nothing, "started_at", "finished_at"):
        assert getattr(execution, name) is None
    assert execution.attempts == ()


def test_an_execution_without_a_request_is_kept_as_none(ledger):
    assert ledger.get(ledger.enqueue(request=None)).request is None


def test_times_are_aware_and_in_utc(ledger):
    before = datetime.now(UTC) - timedelta(minutes=1)
    execution = ledger.get(ledger.enqueue())
    for at in (execution.created_at, execution.run_at, execution.queued_at):
        assert at.utcoffset() == timedelta(0)
        assert before < at < before + timedelta(minutes=2)


def test_without_a_time_an_execution_is_queued(storage, ledger):
    [inserted] = storage.insert([new_execution()])
    assert (inserted.created, inserted.status) == (True, S.QUEUED)
    assert ledger.get(inserted.id).queued_at is not None


def test_a_delay_schedules_from_the_ledgers_now(storage, ledger):
    [inserted] = storage.insert([new_execution(delay_s=3600)])
    execution = ledger.get(inserted.id)
    assert S.SCHEDULED == inserted.status == execution.status
    assert timedelta(seconds=3600) == execution.run_at - execution.created_at
    assert execution.queued_at is None


@pytest.mark.parametrize("delay_s", [0.0, -5.0])
def test_no_delay_and_a_negative_one_mean_now(storage, delay_s):
    [inserted] = storage.insert([new_execution(delay_s=delay_s)])
    assert inserted.status == S.QUEUED


def test_a_time_to_come_is_kept(storage, ledger):
    run_at = datetime(2100, 1, 1, 12, 30, 15, 250_000, tzinfo=UTC)
    [inserted] = storage.insert([new_execution(run_at=run_at)])
    assert inserted.status == S.SCHEDULED
    assert run_at == ledger.get(inserted.id).run_at


def test_a_time_in_the_past_means_queued_now(storage):
    [inserted] = storage.insert([new_execution(run_at=datetime(2001, 1, 1, tzinfo=UTC))])
    assert inserted.status == S.QUEUED


def test_an_unpushed_execution_waits_for_the_stager(storage, ledger):
    [inserted] = storage.insert([new_execution(unpushed=True)])
    assert inserted.status == S.SCHEDULED
    assert storage.next_due_in_s() <= 0
    assert [inserted.id] == [entry.id for entry in ledger.stage()]


def test_an_unpushed_execution_with_a_delay_waits_for_its_time(storage, ledger):
    storage.insert([new_execution(unpushed=True, delay_s=3600)])
    assert ledger.stage() == []


def test_replies_come_in_the_order_of_the_batch(storage):
    batch = [new_execution(delay_s=index % 2 * 60) for index in range(20)]
    replies = storage.insert(list(reversed(batch)))
    assert [new.id for new in reversed(batch)] == [reply.id for reply in replies]
    assert {S.QUEUED, S.SCHEDULED} == {reply.status for reply in replies}


def test_inserting_the_same_id_again_changes_nothing(storage, ledger):
    new = new_execution()
    storage.insert([new])
    first = ledger.get(new.id)
    [again] = storage.insert([new])
    assert (new.id, True, S.QUEUED) == (again.id, again.created, again.status)
    assert first == ledger.get(new.id)
    assert storage.count(ExecutionQuery()) == {S.QUEUED: 1}


def test_inserting_the_id_of_an_execution_that_moved_on_tells_its_status(storage, ledger):
    new = new_execution(unique_key="k")
    storage.insert([new])
    ledger.won(new.id)
    [again] = storage.insert([new])
    assert (new.id, True, S.RUNNING) == (again.id, again.created, again.status)


def test_a_repeated_batch_adds_only_what_is_new(storage):
    known, fresh = new_execution(), new_execution()
    storage.insert([known])
    assert [known.id, fresh.id] == [reply.id for reply in storage.insert([known, fresh])]
    assert storage.count(ExecutionQuery()) == {S.QUEUED: 2}


def test_a_full_batch_is_inserted(storage):
    replies = storage.insert([new_execution() for _ in range(MAX_BATCH)])
    assert sum(reply.created for reply in replies) == MAX_BATCH
    assert storage.count(ExecutionQuery()) == {S.QUEUED: MAX_BATCH}


def test_an_empty_batch_is_fine(storage):
    assert storage.insert([]) == []


NO_UUIDS = {
    "empty": "",
    "a word": "nonsense",
    "SQL": "' OR 1=1 --",
    "a letter beyond ASCII": "ü",
    "too long": "0" * 5_000,
    "NUL": "a\x00b",
}


@pytest.mark.parametrize("id_", NO_UUIDS.values(), ids=NO_UUIDS)
def test_what_is_no_uuid_is_nobodys_id(storage, ledger, id_):
    assert storage.get(id_) is None
    assert storage.events(id_) == []
    for move in (storage.cancel, storage.retry, storage.delete):
        [moved] = move([id_])
        assert (id_, False, None, None) == (moved.id, moved.changed, moved.before, moved.after)
    reply = ledger.claim(id_)
    assert ((), [(id_, None)]) == (reply.won, [(r.id, r.status) for r in reply.refused])


def test_a_nonsense_id_takes_no_neighbour_with_it(storage, ledger):
    id_ = ledger.enqueue()
    moved = storage.cancel(["nonsense", id_, new_id()])
    assert [move.changed for move in moved] == [False, True, False]
    assert ledger.status(id_) == S.CANCELLED
