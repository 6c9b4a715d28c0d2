from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ledger_driver import eventually, fail_or_retry, new_execution, race

from butler import lifecycle
from butler.executions import ExecutionStatus, Priority
from butler.storage.records import ExecutionQuery

S = ExecutionStatus


def drain_queued(storage, *, limit=3, min_age_s=0.0, between=lambda: None):
    """All of ``queued()``, page by page; ids in order."""
    ids, after = [], None
    while page := storage.queued(min_age_s=min_age_s, after=after, limit=limit):
        assert len(page) <= limit
        ids += [entry.id for _, entry in page]
        after = (page[-1][0], page[-1][1].id)
        between()
    return ids


def test_due_executions_become_queued(storage, ledger):
    id_ = ledger.enqueue(unpushed=True, queue="mail", priority=Priority.HIGH, timeout_s=3.0)
    [entry] = ledger.stage()
    execution = ledger.get(id_)
    assert (id_, "Send Mail", "mail", Priority.HIGH, 0, 3.0, execution.created_at) == (
        entry.id,
        entry.task,
        entry.queue,
        entry.priority,
        entry.attempt,
        entry.timeout_s,
        entry.created_at,
    )
    assert execution.status == S.QUEUED
    assert execution.queued_at >= execution.created_at


def test_a_due_retry_becomes_queued_with_its_attempt(ledger):
    claimed = ledger.running()
    ledger.done(fail_or_retry(claimed))
    [entry] = ledger.stage()
    assert (claimed.id, 1) == (entry.id, entry.attempt)


def test_what_is_not_due_stays(storage, ledger):
    id_ = ledger.enqueue(delay_s=3600)
    assert ledger.stage() == []
    assert ledger.status(id_) == S.SCHEDULED


def test_what_is_staged_is_not_staged_again(ledger):
    ledger.enqueue(unpushed=True)
    assert len(ledger.stage()) == 1
    assert ledger.stage() == []


def test_a_delay_passes(storage, ledger):
    id_ = ledger.enqueue(delay_s=0.1)
    assert ledger.status(id_) == S.SCHEDULED
    epoch = ledger.lead()
    entries = eventually(lambda: storage.stage(epoch=epoch, limit=10))
    assert [id_] == [entry.id for entry in entries]
    execution = ledger.get(id_)
    assert execution.queued_at - execution.created_at >= timedelta(seconds=0.1)


def test_the_oldest_are_staged_first_and_no_more_than_asked_for(storage, ledger):
    past = datetime(2020, 1, 1, tzinfo=UTC)
    order = [3, 0, 4, 1, 2]
    ids = {
        minute: ledger.enqueue(unpushed=True, run_at=past + timedelta(minutes=minute))
        for minute in order
    }
    epoch = ledger.lead()
    staged = [storage.stage(epoch=epoch, limit=2) for _ in range(3)]
    assert [{ids[0], ids[1]}, {ids[2], ids[3]}, {ids[4]}] == [
        {entry.id for entry in batch} for batch in staged
    ]


def test_only_the_present_leader_stages(storage, ledger):
    id_ = ledger.enqueue(unpushed=True)
    old = ledger.lead("a")
    epoch = ledger.lead("b")
    assert storage.stage(epoch=old, limit=10) == []
    assert storage.stage(epoch=epoch + 1, limit=10) == []
    assert ledger.status(id_) == S.SCHEDULED
    storage.resign_leadership("b", epoch=epoch)
    assert storage.stage(epoch=epoch, limit=10) == []
    assert ledger.status(id_) == S.SCHEDULED


def test_without_a_leader_nothing_is_staged(storage, ledger):
    ledger.enqueue(unpushed=True)
    assert storage.stage(epoch=storage.leadership().epoch, limit=10) == []


def test_two_stages_at_once_share_the_due_ones(storage, ledger):
    storage.insert([new_execution(unpushed=True) for _ in range(50)])
    epoch = ledger.lead()
    batches = race(*[lambda: storage.stage(epoch=epoch, limit=50)] * 3)
    ids = [entry.id for batch in batches for entry in batch]
    ids += [entry.id for entry in storage.stage(epoch=epoch, limit=50)]
    assert 50 == len(ids) == len(set(ids))


def test_a_cancel_that_races_the_stager_is_obeyed(storage, ledger):
    epoch = ledger.lead()
    for _ in range(10):
        id_ = ledger.enqueue(unpushed=True)
        moved, _ = race(
            lambda id_=id_: ledger.cancel(id_), lambda: storage.stage(epoch=epoch, limit=10)
        )
        assert moved.changed
        assert ledger.status(id_) == S.CANCELLED


def test_nothing_waits_in_an_empty_ledger(storage, ledger):
    assert storage.next_due_in_s() is None
    ledger.put_in(S.QUEUED)
    ledger.put_in(S.SUCCEEDED)
    assert storage.next_due_in_s() is None


def test_the_next_due_time_is_the_earliest(storage, ledger):
    ledger.enqueue(delay_s=7200)
    assert 7100 < storage.next_due_in_s() <= 7200
    ledger.enqueue(delay_s=3600)
    assert 3500 < storage.next_due_in_s() <= 3600
    claimed = ledger.running()
    ledger.done(lifecycle.reschedule(claimed, delay_s=600, reason=None))
    assert 500 < storage.next_due_in_s() <= 600
    ledger.put_in(S.RETRYING)
    assert storage.next_due_in_s() <= 0


def test_only_queued_executions_are_listed_to_be_pushed(storage, ledger):
    ids = {status: ledger.put_in(status) for status in S}
    assert [ids[S.QUEUED]] == drain_queued(storage)


def test_young_ones_are_left_alone(storage, ledger):
    id_ = ledger.enqueue()
    assert drain_queued(storage, min_age_s=3600) == []
    eventually(lambda: [id_] == drain_queued(storage, min_age_s=0.05))


def test_a_listed_entry_carries_when_it_was_queued(storage, ledger):
    id_ = ledger.enqueue(queue="mail")
    [(queued_at, entry)] = storage.queued(min_age_s=0, after=None, limit=10)
    assert ledger.get(id_).queued_at == queued_at
    assert (id_, "mail", 0) == (entry.id, entry.queue, entry.attempt)


def test_the_cursor_sees_each_queued_execution_once(storage, ledger):
    inserted = storage.insert([new_execution() for _ in range(10)])
    ids = [reply.id for reply in inserted]
    ids += [ledger.enqueue() for _ in range(10)]
    assert sorted(ids) == drain_queued(storage, limit=7)
    assert sorted(ids) == drain_queued(storage, limit=1)


def test_the_cursor_sees_each_once_while_others_are_inserted(storage, ledger):
    ids = [ledger.enqueue() for _ in range(20)]
    pages = iter(range(5))

    def insert_more():
        if next(pages, None) is not None:
            ledger.enqueue()

    seen = drain_queued(storage, limit=3, between=insert_more)
    assert len(seen) == len(set(seen))
    assert set(ids) <= set(seen)


def test_an_execution_that_is_queued_again_goes_to_the_end(storage, ledger):
    first, second = ledger.enqueue(), ledger.enqueue()
    [claimed] = ledger.won(first)
    ledger.done(lifecycle.hand_back(claimed, reason="drain"))
    assert [second, first] == drain_queued(storage)
    assert storage.count(ExecutionQuery()) == {S.QUEUED: 2}
