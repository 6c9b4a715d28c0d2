"""Enqueueing one or many: what is checked, written and pushed, and what happens without Redis."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta

import pytest

from butler.attempt_control import AttemptControl
from butler.context import TaskContext
from butler.errors import (
    InvalidOption,
    InvalidRequest,
    StorageUnavailable,
)
from butler.executions import ExecutionStatus, Priority
from butler.producing import Order
from butler.pushing import REST_S
from butler.storage.base import MAX_BATCH
from butler.writing import MAX_CHUNK_CHARS
from tests.unit.app.app_kit import (
    NOW,
    Email,
    SendEmail,
    Sender,
    break_redis,
    claim,
    on_queue,
    ping,
    send,
    sync_user,
)


def test_each_form_of_task_is_enqueued_and_pushed(butler, redis):
    sender = butler.register(Sender())
    handles = [
        ping.enqueue(),
        SendEmail.enqueue(Email(to="a")),
        butler.enqueue(sender, Email(to="a")),
        butler.enqueue("SendEmail", {"to": "a"}),
        asyncio.run(SendEmail.aenqueue(Email(to="a"))),
        asyncio.run(ping.aenqueue()),
        asyncio.run(butler.aenqueue("ping")),
    ]
    assert all(handle.created and handle.pushed for handle in handles)
    assert sorted(on_queue(redis)) == sorted(handle.id for handle in handles)
    tasks = [handle.execution().task for handle in handles]
    assert tasks == ["ping", "SendEmail", "sender", "SendEmail", "SendEmail", "ping", "ping"]


def test_the_options_of_the_task_apply(butler, redis):
    execution = send.enqueue(Email(to="a")).execution()
    assert (execution.queue, execution.priority) == ("mail", Priority.HIGH)
    assert (execution.timeout_s, execution.max_attempts) == (7, 5)
    assert execution.tags == ("mail",)
    assert on_queue(redis, "mail.high") == [execution.id]


def test_the_options_of_the_enqueue_go_before_those_of_the_task(butler, redis):
    execution = send.enqueue(
        Email(to="a"),
        queue="other",
        priority="low",
        timeout_s=1,
        max_attempts=1,
        tags=["more"],
        user_id="u",
        unique_key="k",
    ).execution()
    assert (execution.queue, execution.priority) == ("other", Priority.LOW)
    assert (execution.timeout_s, execution.max_attempts) == (1, 1)
    assert (execution.tags, execution.user_id) == (("mail", "more"), "u")
    assert execution.unique_key == "k"
    assert on_queue(redis, "other.low") == [execution.id]


@pytest.mark.parametrize("option", ["delay_s", "run_at"])
def test_what_is_not_due_waits_and_is_not_pushed(butler, redis, option):
    value = 60 if option == "delay_s" else NOW + timedelta(seconds=60)
    handle = ping.enqueue(**{option: value})
    assert (handle.created, handle.pushed) == (True, False)
    execution = handle.execution()
    assert execution.status is ExecutionStatus.SCHEDULED
    assert execution.run_at == NOW + timedelta(seconds=60)
    assert on_queue(redis) == []


def test_a_run_at_in_the_past_runs_now(butler):
    assert ping.enqueue(run_at=NOW - timedelta(days=1)).status is ExecutionStatus.QUEUED


def test_an_invalid_request_writes_nothing_and_names_the_field(butler):
    with pytest.raises(InvalidRequest) as caught:
        butler.enqueue("send", {"to": 5})
    assert caught.value.errors[0]["loc"] == ("to",)
    assert butler.list().executions == ()


def test_a_request_over_one_mebibyte_is_refused(butler):
    with pytest.raises(InvalidRequest, match="the limit is 1048576"):
        send.enqueue(Email(to="x" * 1024 * 1024))


def test_an_invalid_option_writes_nothing(butler):
    with pytest.raises(InvalidOption, match='did you mean "delay_s"'):
        send.enqueue(Email(to="a"), delay=5)
    assert butler.list().executions == ()


def test_a_request_given_to_a_task_without_one_is_refused(butler):
    with pytest.raises(InvalidRequest):
        butler.enqueue("ping", {"to": "a"})


def test_a_held_unique_key_gives_the_handle_of_its_holder(butler, redis):
    first = ping.enqueue(unique_key="k")
    second = ping.enqueue(unique_key="k")
    assert (first.created, second.created) == (True, False)
    assert (second.id, second.pushed) == (first.id, False)
    assert on_queue(redis) == [first.id]
    assert first == second


def test_a_unique_key_may_be_computed_from_the_request(butler):
    first = sync_user.enqueue(Email(to="ann"))
    assert butler.enqueue("sync_user", {"to": "ann"}).id == first.id
    assert sync_user.enqueue(Email(to="bob")).created
    assert sync_user.enqueue(Email(to="ann"), unique_key="other").created


def test_a_computed_unique_key_of_none_means_no_key(butler):
    handles = [sync_user.enqueue(Email(to="anybody")) for _ in range(2)]
    assert all(handle.created for handle in handles)
    assert handles[0].execution().unique_key is None


def test_an_enqueue_may_name_what_the_concurrency_is_for(butler):
    @butler.task(max_concurrency=1, concurrency_key=lambda email: f"to:{email.to}", rate="9/second",
                 rate_key="mail server")  # fmt: skip
    def deliver(email: Email) -> None: ...

    def names(**options):
        [draft] = butler.drafts([Order(task=deliver, request=Email(to="ann"), options=options)])
        return draft.limit_keys.concurrency, draft.limit_keys.rate

    assert names() == ("to:ann", "mail server")
    assert names(concurrency_key="customer:7") == ("customer:7", "mail server")
    with pytest.raises(InvalidOption, match="must not begin with 'queue:'"):
        deliver.enqueue(Email(to="ann"), concurrency_key="queue:a")


def test_a_key_for_a_task_that_limits_nothing_is_refused(butler):
    message = "concurrency_key needs max_concurrency, and send has none"
    with pytest.raises(InvalidOption, match=message):
        send.enqueue(Email(to="ann"), concurrency_key="k")
    with pytest.raises(InvalidOption, match=message):
        butler.enqueue("send", {"to": "ann"}, concurrency_key="k")


def test_a_computed_unique_key_is_checked(butler):
    with pytest.raises(InvalidOption, match="unique_key must have 1 to 500 characters"):
        sync_user.enqueue(Email(to="x" * 501))


def test_a_fingerprint_is_written_with_the_request(butler, storage):
    handle = send.enqueue(Email(to="a"))
    assert claim(storage, handle.id).fingerprint == send.spec.fingerprint


def test_what_a_task_enqueues_carries_parent_and_user(butler, storage):
    parent = ping.enqueue(user_id="u")
    context = TaskContext(claim(storage, parent.id), AttemptControl(), butler, None)
    child = context.enqueue(send, Email(to="a")).execution()
    assert (child.parent_id, child.user_id) == (parent.id, "u")
    other = asyncio.run(context.aenqueue(send, Email(to="a"), user_id="v")).execution()
    assert (other.parent_id, other.user_id) == (parent.id, "v")


def test_an_awaited_enqueue_leaves_the_event_loop_running(butler, storage, monkeypatch):
    released = threading.Event()
    insert = storage.insert

    def slow(executions):
        assert released.wait(30)
        return insert(executions)

    monkeypatch.setattr(storage, "insert", slow)

    async def both():
        waiting = asyncio.create_task(ping.aenqueue())
        await asyncio.sleep(0)
        released.set()
        return await waiting

    assert asyncio.run(both()).created


# Many


def test_many_are_written_in_chunks_in_their_order(butler, storage, redis, monkeypatch):
    sizes = []
    insert = storage.insert
    monkeypatch.setattr(storage, "insert", lambda new: sizes.append(len(new)) or insert(new))
    items = [("send", {"to": str(n)}) for n in range(MAX_BATCH + 5)]
    handles = butler.enqueue_many(items, tags=["bulk"])
    assert sizes == [MAX_BATCH, 5]
    assert [handle.execution().request["to"] for handle in handles[:3]] == ["0", "1", "2"]
    assert handles[-1].execution().tags == ("mail", "bulk")
    assert len(on_queue(redis, "mail.high")) == MAX_BATCH + 5


def test_chunks_are_bounded_by_size_too(butler, storage, monkeypatch):
    sizes = []
    insert = storage.insert
    monkeypatch.setattr(storage, "insert", lambda new: sizes.append(len(new)) or insert(new))
    big = Email(to="x" * 1_000_000)
    butler.enqueue_many([(send, big)] * 10)
    assert sizes == [8, 2]
    assert MAX_CHUNK_CHARS == 8 * 1024 * 1024


def test_many_are_all_checked_before_any_is_written(butler):
    with pytest.raises(InvalidRequest):
        butler.enqueue_many([("send", {"to": "a"}), ("send", {})])
    assert butler.list().executions == ()
    assert butler.enqueue_many([]) == []


def test_an_error_after_the_first_chunk_says_how_many_are_written(butler, storage, monkeypatch):
    insert = storage.insert
    calls = []

    def fail_second(new):
        calls.append(new)
        if len(calls) == 2:
            raise StorageUnavailable("away")
        return insert(new)

    monkeypatch.setattr(storage, "insert", fail_second)
    with pytest.raises(StorageUnavailable) as caught:
        butler.enqueue_many([(ping, None)] * (MAX_BATCH + 1))
    assert caught.value.__notes__ == ["the first 1000 of 1001 are written"]


# Redis away


def test_a_failed_push_is_no_error_and_redis_is_left_alone_for_a_while(
    butler, clock, monkeypatch, caplog
):
    attempts = break_redis(butler, monkeypatch)
    first = ping.enqueue()
    assert (first.created, first.pushed) == (True, False)
    assert first.status is ExecutionStatus.QUEUED
    assert "redis_skipped step=push executions=1" in caplog.text

    second = ping.enqueue()
    assert len(attempts) == 1
    assert second.pushed is False
    # The stager pushes what is scheduled for now.
    assert second.status is ExecutionStatus.SCHEDULED

    clock.advance(REST_S)
    ping.enqueue()
    assert len(attempts) == 2


def test_redis_is_used_again_when_it_is_back(butler, clock, redis, monkeypatch):
    with monkeypatch.context() as away:
        break_redis(butler, away)
        ping.enqueue()
    clock.advance(REST_S)
    handle = ping.enqueue()
    assert handle.pushed
    assert on_queue(redis) == [handle.id]
    assert ping.enqueue().pushed


def test_a_cancel_counts_although_redis_is_away(butler, monkeypatch):
    handle = ping.enqueue()
    break_redis(butler, monkeypatch)
    assert butler.cancel(handle.id) is True
    assert handle.status is ExecutionStatus.CANCELLED
