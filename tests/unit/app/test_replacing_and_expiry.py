"""Debounce and expiry as an application sees them, with what Redis is told."""

from __future__ import annotations

from datetime import timedelta

import pytest

from butler.errors import InvalidOption, TaskCancelled, TransactionRefused
from butler.executions import ExecutionStatus
from butler.function_tasks import task
from butler.lifecycle import EXPIRED
from butler.queues import WireKeys
from tests.unit.app.app_kit import NOW, Email, break_redis, claim, on_queue, ping, send, sync_user

S = ExecutionStatus


def sync(to="a", **options):
    return sync_user.enqueue(Email(to=to), replace=True, **options)


def test_each_enqueue_puts_the_one_that_waits_off_again(butler, redis, clock):
    first = sync(delay_s=5)
    assert (first.created, first.replaced) == (True, False)
    clock.advance(4)
    second = sync(delay_s=5, user_id="u")
    assert (second.id, second.created, second.replaced) == (first.id, False, True)
    execution = first.execution()
    assert execution.run_at == NOW + timedelta(seconds=9)
    assert execution.user_id == "u"
    assert on_queue(redis) == []


def test_what_is_replaced_for_now_is_pushed(butler, redis):
    first = sync(delay_s=5)
    second = sync()
    assert second.pushed
    assert on_queue(redis) == [first.id]


def test_what_waits_on_its_queue_is_not_pushed_twice(butler, redis):
    first = sync()
    second = sync(user_id="u")
    assert (second.replaced, second.pushed) == (True, False)
    assert on_queue(redis) == [first.id]


def test_what_is_put_off_leaves_its_queue(butler, redis):
    first = sync()
    sync(delay_s=60)
    assert on_queue(redis) == []
    assert redis.exists(WireKeys.job(first.id)) == 0
    assert first.status is S.SCHEDULED


def test_what_is_replaced_for_another_queue_moves_there(butler, redis):
    first = sync()
    assert sync(queue="fast", priority="high").pushed
    assert on_queue(redis) == []
    assert on_queue(redis, "fast.high") == [first.id]


def test_what_runs_is_left_alone(butler, storage):
    first = sync()
    claim(storage, first.id)
    second = sync(user_id="u")
    assert (second.id, second.created, second.replaced) == (first.id, False, False)
    assert first.execution().user_id is None


def test_without_redis_it_is_replaced_in_the_ledger(butler, monkeypatch):
    first = sync(delay_s=60)
    break_redis(butler, monkeypatch)
    second = sync(user_id="u")
    assert (second.replaced, second.pushed) == (True, False)
    assert first.execution().user_id == "u"


@pytest.mark.parametrize("given", ["yes", 1])
def test_replace_is_yes_or_no(butler, given):
    with pytest.raises(InvalidOption, match="replace must be True or False"):
        sync_user.enqueue(Email(to="a"), replace=given)


def test_replace_without_a_unique_key_would_replace_nothing_and_is_refused(butler, stranger):
    with pytest.raises(InvalidOption, match="replace needs a unique_key, and ping has none"):
        ping.enqueue(replace=True)
    ping.enqueue(replace=True, unique_key="k")


def test_a_request_without_a_key_of_its_own_is_simply_enqueued(butler):
    assert sync("anybody").created
    assert sync("anybody").created


def test_a_key_that_is_a_function_holds_for_enqueues_by_name(butler):
    first = sync_user.enqueue(Email(to="a"))
    second = butler.enqueue("sync_user", {"to": "a"})
    assert (second.id, second.created) == (first.id, False)


def test_an_execution_ends_as_cancelled_when_it_expires(butler, storage, clock):
    handle = ping.enqueue(expires_at=NOW + timedelta(seconds=10))
    clock.advance(10)
    assert storage.expire(epoch=_lead(storage), limit=10)[0].id == handle.id
    execution = handle.execution()
    assert (execution.status, execution.reason) == (S.CANCELLED, EXPIRED)
    with pytest.raises(TaskCancelled, match="was cancelled: expired"):
        handle.result()


def _lead(storage):
    return storage.take_leadership("us", observed=storage.leadership())


def test_a_rerun_of_what_expired_does_not_expire(butler, storage, clock):
    handle = ping.enqueue(expires_at=NOW + timedelta(seconds=10))
    clock.advance(10)
    storage.expire(epoch=_lead(storage), limit=10)
    assert butler.rerun(handle.id).execution().expires_at is None


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"expires_at": "tomorrow"}, "expires_at must be a datetime"),
        ({"expires_at": NOW.replace(tzinfo=None)}, "expires_at must carry a time zone"),
        ({"expires_at": NOW, "run_at": NOW}, "expires_at must be later than run_at"),
        ({"expires": NOW}, "write expires_at=..."),
        ({"debounce": 5}, r"write unique_key=..., replace=True, delay_s=..."),
    ],
)
def test_what_cannot_be_is_refused(butler, options, problem):
    with pytest.raises(InvalidOption, match=problem):
        ping.enqueue(**options)


@pytest.mark.parametrize("option", ["expires_at", "replace", "transaction"])
def test_a_task_does_not_take_what_an_enqueue_takes(option):
    with pytest.raises(TypeError, match=f"write {option}=.*where the task is enqueued"):
        task(name="t", **{option: True})(lambda: None)


def test_a_ledger_in_memory_joins_no_transaction(butler):
    with pytest.raises(TransactionRefused, match="MemoryStorage keeps no ledger in a database"):
        send.statement(Email(to="a"))
