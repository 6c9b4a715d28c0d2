from __future__ import annotations

import pytest
from ledger_driver import fail, fail_or_retry, new_execution, race

from butler import lifecycle
from butler.executions import ExecutionStatus
from butler.storage.records import ExecutionQuery

S = ExecutionStatus
UNFINISHED = [status for status in S if not status.finished]
FINISHED = [status for status in S if status.finished]


@pytest.mark.parametrize("status", UNFINISHED)
def test_an_unfinished_execution_holds_its_key(storage, ledger, status):
    holder = ledger.put_in(status, unique_key="k")
    [second] = storage.insert([new_execution(unique_key="k")])
    assert (holder, False, status) == (second.id, second.created, second.status)


@pytest.mark.parametrize("status", FINISHED)
def test_a_finished_execution_has_given_its_key_back(storage, ledger, status):
    ledger.put_in(status, unique_key="k")
    [second] = storage.insert([new_execution(unique_key="k")])
    assert second.created


def test_a_key_is_free_after_a_cancelled_run(ledger):
    claimed = ledger.running(unique_key="k")
    ledger.cancel(claimed.id)
    ledger.done(fail_or_retry(claimed))
    assert ledger.enqueue(unique_key="k")


def test_a_key_belongs_to_its_task(ledger):
    assert ledger.enqueue(task="A", unique_key="k") != ledger.enqueue(task="B", unique_key="k")


def test_executions_without_a_key_do_not_meet(storage):
    replies = storage.insert([new_execution(), new_execution()])
    assert [reply.created for reply in replies] == [True, True]


def test_the_first_of_a_batch_gets_the_key(storage):
    batch = [new_execution(unique_key="k") for _ in range(3)]
    replies = storage.insert(batch)
    assert [reply.created for reply in replies] == [True, False, False]
    assert {batch[0].id} == {reply.id for reply in replies}
    assert storage.count(ExecutionQuery()) == {S.QUEUED: 1}


def test_a_taken_key_takes_no_neighbour_with_it(storage, ledger):
    holder = ledger.enqueue(unique_key="k")
    other = new_execution()
    replies = storage.insert([new_execution(unique_key="k"), other])
    assert [(holder, False), (other.id, True)] == [(r.id, r.created) for r in replies]


def test_of_eight_threads_one_creates(storage):
    batch = [new_execution(unique_key="k") for _ in range(8)]
    replies = [reply for [reply] in race(*[lambda new=new: storage.insert([new]) for new in batch])]
    created = [reply.id for reply in replies if reply.created]
    assert len(created) == 1
    assert set(created) == {reply.id for reply in replies}
    assert sum(storage.count(ExecutionQuery()).values()) == 1


def test_batches_that_want_the_same_keys_in_other_orders_do_not_deadlock(storage):
    keys = [f"k{index}" for index in range(40)]
    batches = [
        [new_execution(unique_key=key) for key in order]
        for order in (keys, list(reversed(keys)), keys[20:] + keys[:20], keys[::2] + keys[1::2])
    ]
    race(*[lambda batch=batch: storage.insert(batch) for batch in batches])
    assert {S.QUEUED: len(keys)} == storage.count(ExecutionQuery())


def test_an_insert_that_races_the_holders_end_is_created_or_finds_the_holder(storage, ledger):
    for index in range(10):
        claimed = ledger.running(unique_key=f"k{index}")
        ending = lifecycle.succeed(claimed, result=None)
        new = new_execution(unique_key=f"k{index}")
        _, [reply] = race(
            lambda ending=ending: storage.finish([ending]),
            lambda new=new: storage.insert([new]),
        )
        assert reply.id == (new.id if reply.created else claimed.id)
        assert reply.created == (storage.get(new.id) is not None)


def test_an_operators_retry_takes_the_key_again(storage, ledger):
    id_ = ledger.put_in(S.FAILED, unique_key="k")
    assert ledger.retry(id_).changed
    [second] = storage.insert([new_execution(unique_key="k")])
    assert (id_, False) == (second.id, second.created)


def test_an_operators_retry_is_refused_while_another_execution_holds_the_key(ledger):
    id_ = ledger.put_in(S.FAILED, unique_key="k")
    other = ledger.enqueue(unique_key="k")
    before = ledger.get(id_)
    moved = ledger.retry(id_)
    assert (moved.changed, moved.before, moved.after) == (False, S.FAILED, S.FAILED)
    assert before == ledger.get(id_)
    ledger.cancel(other)
    assert ledger.retry(id_).changed


def test_of_two_failed_executions_with_one_key_a_batch_opens_one(storage, ledger):
    first = ledger.put_in(S.FAILED, unique_key="k")
    second = ledger.put_in(S.FAILED, unique_key="k")
    moved = storage.retry([first, second])
    assert sorted(move.changed for move in moved) == [False, True]
    assert sorted([ledger.status(first), ledger.status(second)]) == [S.FAILED, S.QUEUED]


def test_a_retried_attempt_gives_its_key_back_at_the_end(ledger):
    id_ = ledger.put_in(S.FAILED, unique_key="k")
    ledger.retry(id_)
    [claimed] = ledger.won(id_)
    ledger.done(fail(claimed))
    assert ledger.enqueue(unique_key="k")


def test_a_retry_and_an_insert_at_once_leave_one_holder(storage, ledger):
    for index in range(10):
        key = f"k{index}"
        id_ = ledger.put_in(S.CANCELLED, unique_key=key)
        new = new_execution(unique_key=key)
        moved, [inserted] = race(
            lambda id_=id_: ledger.retry(id_), lambda new=new: storage.insert([new])
        )
        assert moved.changed != inserted.created
        assert inserted.id == (new.id if inserted.created else id_)
