"""Cancel, retry, rerun, delete and list: the ledger first, Redis afterwards."""

from __future__ import annotations

from datetime import timedelta

import pytest

from butler.errors import (
    ExecutionNotFound,
    IllegalTransition,
    InvalidOption,
)
from butler.executions import ExecutionStatus
from butler.ids import new_id
from butler.queues import WireKeys
from butler.storage.base import MAX_BATCH
from tests.unit.app.app_kit import NOW, Email, claim, fail_it, finish, on_queue, ping, send


def test_a_waiting_execution_is_cancelled_and_taken_off_its_queue(butler, redis):
    handle = ping.enqueue()
    assert butler.cancel(handle.id) is True
    assert on_queue(redis) == []
    assert butler.cancel(handle.id) is False


def test_a_running_execution_is_asked_to_end(butler, storage, redis, monkeypatch):
    stops = []
    monkeypatch.setattr(butler.pusher, "request_stop", lambda *args: stops.append(args))
    handle = ping.enqueue()
    claim(storage, handle.id, worker="host.1")
    assert butler.cancel(handle.id) is True
    assert handle.execution().cancel_requested_at is not None
    assert stops == [(handle.id, "host.1")]


def test_a_failed_execution_is_retried_under_its_id(butler, storage, redis):
    handle = ping.enqueue()
    with pytest.raises(IllegalTransition, match="only a failed or cancelled"):
        butler.retry(handle.id)
    fail_it(storage, handle.id)
    redis.delete(WireKeys.list("default"))
    again = butler.retry(handle.id)
    assert (again.id, again.status) == (handle.id, ExecutionStatus.QUEUED)
    assert on_queue(redis) == [handle.id]


def test_a_retry_whose_unique_key_is_held_says_so(butler, storage):
    first = ping.enqueue(unique_key="k")
    fail_it(storage, first.id)
    ping.enqueue(unique_key="k")
    with pytest.raises(IllegalTransition, match="another execution holds its unique key"):
        butler.retry(first.id)


def test_a_rerun_is_a_new_execution_of_the_same_request(butler, storage):
    old = send.enqueue(Email(to="a"), user_id="u", tags=["x"], max_attempts=2)
    finish(storage, old.id, '{"id": "7"}')
    handle = butler.rerun(old.id)
    assert (handle.created, handle.pushed) == (True, True)
    new, before = handle.execution(), old.execution()
    assert new.id != old.id
    assert new.rerun_of == old.id
    for name in ("task", "request", "queue", "priority", "timeout_s", "tags", "user_id"):
        assert getattr(new, name) == getattr(before, name)
    assert new.max_attempts == 2
    assert claim(storage, handle.id).fingerprint == send.spec.fingerprint


def test_a_rerun_of_a_task_nobody_knows_any_more_is_possible(butler, stranger):
    old = ping.enqueue()
    assert stranger.rerun(old.id).execution().rerun_of == old.id


def test_only_a_finished_execution_is_deleted(butler, storage, redis):
    handle = ping.enqueue()
    with pytest.raises(IllegalTransition, match="is queued; cancel it first"):
        butler.delete(handle.id)
    finish(storage, handle.id, None)
    butler.delete(handle.id)
    assert butler.get(handle.id) is None
    assert not redis.exists(WireKeys.job(handle.id))


@pytest.mark.parametrize("step", ["cancel", "retry", "rerun", "delete"])
def test_steps_on_what_does_not_exist_raise(butler, step):
    for execution_id in (new_id(), "nonsense"):
        with pytest.raises(ExecutionNotFound):
            getattr(butler, step)(execution_id)


def test_several_are_moved_at_once_and_each_is_told(butler, redis):
    waiting, over = ping.enqueue(), ping.enqueue()
    butler.cancel(over.id)
    absent = new_id()
    moves = butler.cancel_many([waiting.id, over.id, absent, "nonsense", waiting.id])
    assert [move.id for move in moves] == [waiting.id, over.id, absent, "nonsense", waiting.id]
    assert [move.changed for move in moves] == [True, False, False, False, True]
    assert moves[2].before is None
    assert [move.changed for move in butler.retry_many([waiting.id, over.id])] == [True, True]
    assert sorted(on_queue(redis)) == sorted([waiting.id, over.id])
    assert [move.changed for move in butler.delete_many([waiting.id])] == [False]


def test_more_than_a_batch_is_moved_in_batches(butler):
    handles = butler.enqueue_many([(ping, None)] * (MAX_BATCH + 1))
    moves = butler.cancel_many([handle.id for handle in handles])
    assert len(moves) == MAX_BATCH + 1
    assert all(move.changed for move in moves)


# Listing


def test_executions_are_listed_newest_first_page_by_page(butler):
    ids = [ping.enqueue().id for _ in range(3)]
    first = butler.list(limit=2)
    assert [execution.id for execution in first.executions] == [ids[2], ids[1]]
    second = butler.list(limit=2, cursor=first.next_cursor)
    assert [execution.id for execution in second.executions] == [ids[0]]
    assert second.next_cursor is None


@pytest.mark.parametrize(
    "filters",
    [
        {"status": "cancelled"},
        {"status": [ExecutionStatus.CANCELLED, "failed"]},
        {"task": "send"},
        {"queue": "mail"},
        {"tag": "x"},
        {"user_id": "u"},
        {"unique_key": "k"},
        {"created_after": NOW + timedelta(seconds=1)},
    ],
)
def test_every_filter_of_a_listing_is_obeyed(butler, clock, filters):
    ping.enqueue()
    clock.advance(5)
    wanted = send.enqueue(Email(to="a"), tags=["x"], user_id="u", unique_key="k")
    butler.cancel(wanted.id)
    assert [execution.id for execution in butler.list(**filters).executions] == [wanted.id]


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"status": "done"}, "status must be one of scheduled, queued"),
        ({"limit": 0}, "limit must be in 1..1000, got 0"),
        ({"limit": 1001}, "limit must be in 1..1000"),
        ({"created_after": NOW.replace(tzinfo=None)}, "created_after must carry a time zone"),
        ({"cursor": "nonsense"}, "nonsense"),
    ],
)
def test_a_filter_that_cannot_be_is_refused(butler, filters, message):
    with pytest.raises(InvalidOption, match=message):
        butler.list(**filters)


def test_nothing_is_made_between_the_ledgers_word_of_a_cancel_and_the_workers(
    stranger, storage, monkeypatch
):
    made, cancel = [], storage.cancel

    def cancel_later(ids):
        made.append(stranger._backends._here().pusher)
        return cancel(ids)

    monkeypatch.setattr(storage, "cancel", cancel_later)
    stranger.cancel_many([new_id()])
    assert made == [stranger.pusher]
