"""Picking one's own out of a crowded list, against a real Redis."""

from datetime import UTC, datetime

import pytest
import rq
from butler_workers.strangers import END_PAGES, PAGE, Strangers
from rq_app import add

from butler.errors import QueueUnavailable
from butler.executions import Priority
from butler.hands import Hand
from butler.ids import new_id, new_token
from butler.queues import QueueWire, WireKeys
from butler.storage.records import QueueEntry

LEDGER = "11111111-2222-4333-8444-555555555555"


@pytest.fixture
def queue(redis):
    return rq.Queue("mail", connection=redis)


@pytest.fixture
def hand(redis):
    hand = Hand(redis, worker_id=new_id(), worker_name="host.1.abcdef", queues=["mail"])
    hand.open()
    return hand


@pytest.fixture
def strangers(hand):
    return Strangers(hand, ledger_id=LEDGER)


def push(redis, count=1, ledger=LEDGER):
    entries = [
        QueueEntry(
            id=new_id(),
            task="send",
            queue="mail",
            priority=Priority.NORMAL,
            attempt=0,
            timeout_s=30.0,
            created_at=datetime.now(UTC),
        )
        for _ in range(count)
    ]
    QueueWire(redis, ledger_id=ledger).push(entries)
    return [entry.id for entry in entries]


def meet(hand, strangers):
    """Pop what stands at the head, as a worker does that does not know yet."""
    strangers.sort(hand.pop(1, token=new_token()))
    assert strangers.crowded == {"mail"}


def picked(strangers, limit=10):
    return [execution_id for execution_id, _ in strangers.pick("mail", limit)]


def in_hand(redis, hand):
    return {raw.decode() for raw in redis.smembers(WireKeys.hand(hand.worker_id))}


def calls(redis):
    stats = redis.info("commandstats")
    return sum(row["calls"] for name, row in stats.items() if name != "cmdstat_info")


def test_strangers_keep_their_places_and_ours_come_in_order(redis, queue, hand, strangers):
    first = [queue.enqueue(add, 1, 1).id for _ in range(3)]
    mine = push(redis, 2)
    last = queue.enqueue(add, 1, 1).id
    mine += push(redis)
    meet(hand, strangers)
    assert picked(strangers) == mine
    assert queue.job_ids == [*first, last]
    assert in_hand(redis, hand) == set(mine)


def test_no_more_are_picked_than_were_asked_for(redis, queue, hand, strangers):
    queue.enqueue(add, 1, 1)
    mine = push(redis, 5)
    meet(hand, strangers)
    assert picked(strangers, limit=2) == mine[:2]
    assert picked(strangers, limit=2) == mine[2:4]


def test_an_execution_behind_many_pages_of_strangers_is_found(redis, queue, hand, strangers):
    with redis.pipeline() as pipe:
        for n in range(PAGE * 2 + 10):
            queue.enqueue(add, n, 1, pipeline=pipe)
        pipe.execute()
    mine = push(redis)
    meet(hand, strangers)
    assert picked(strangers) == mine
    assert queue.count == PAGE * 2 + 10


def test_what_comes_to_the_ends_of_a_long_crowd_is_found_without_looking_through_it(
    redis, queue, hand, strangers
):
    with redis.pipeline() as pipe:
        for n in range(PAGE * 6):
            queue.enqueue(add, n, 1, pipeline=pipe)
        pipe.execute()
    meet(hand, strangers)
    assert picked(strangers) == []
    mine = push(redis, 3)
    queue.enqueue(add, 1, 1)
    mine += push(redis, 2)
    before = calls(redis)
    assert picked(strangers) == mine
    assert calls(redis) - before < PAGE
    (front,) = push(redis)
    redis.lrem(WireKeys.list("mail"), 1, front)
    redis.lpush(WireKeys.list("mail"), front)
    assert picked(strangers) == [front]


def test_more_than_the_ends_can_tell_is_found_by_looking_through_everything(
    redis, queue, hand, strangers
):
    queue.enqueue(add, 1, 1)
    meet(hand, strangers)
    assert picked(strangers) == []
    mine = push(redis)
    with redis.pipeline() as pipe:
        for n in range(PAGE * (END_PAGES + 2)):
            queue.enqueue(add, n, 1, pipeline=pipe)
        pipe.execute()
    assert picked(strangers) == mine


def test_a_crowd_that_does_not_change_is_looked_through_once(redis, queue, hand, strangers):
    for n in range(100):
        queue.enqueue(add, n, 1)
    meet(hand, strangers)
    assert picked(strangers) == []
    before = calls(redis)
    for _ in range(10):
        assert picked(strangers) == []
    assert calls(redis) - before <= 10 * 3
    mine = push(redis)
    assert picked(strangers) == mine


def test_a_list_without_strangers_is_popped_again(redis, queue, hand, strangers):
    job = queue.enqueue(add, 1, 1)
    meet(hand, strangers)
    queue.remove(job)
    assert picked(strangers) == []
    assert strangers.crowded == frozenset()


def test_what_was_taken_and_not_answered_is_asked_for_again(
    redis, queue, hand, strangers, monkeypatch
):
    queue.enqueue(add, 1, 1)
    mine = push(redis, 2)
    meet(hand, strangers)
    really = hand.pick

    def lose_the_answer(ids, **where):
        really(ids, **where)
        raise QueueUnavailable("the answer was lost")

    monkeypatch.setattr(hand, "pick", lose_the_answer)
    with pytest.raises(QueueUnavailable):
        picked(strangers)
    monkeypatch.setattr(hand, "pick", really)
    assert picked(strangers) == mine


def test_what_another_worker_took_is_not_picked(redis, queue, hand, strangers):
    queue.enqueue(add, 1, 1)
    taken, left = push(redis, 2)
    meet(hand, strangers)
    assert picked(strangers, limit=0) == []
    redis.lrem(WireKeys.list("mail"), 1, taken)
    assert picked(strangers) == [left]


def test_nothing_is_picked_while_rq_is_suspended(redis, queue, hand, strangers):
    queue.enqueue(add, 1, 1)
    push(redis)
    meet(hand, strangers)
    redis.set(WireKeys.suspended, 1)
    assert picked(strangers) == []
    assert queue.count == 2


def test_executions_of_another_ledger_are_strangers_and_lost_hashes_are_dropped(
    redis, queue, hand, strangers, caplog
):
    (other,) = push(redis, ledger="22222222-2222-4333-8444-555555555555")
    (gone,) = push(redis)
    redis.delete(WireKeys.job(gone))
    strangers.sort(hand.pop(2, token=new_token()))
    assert (queue.job_ids, in_hand(redis, hand)) == ([other], set())
    assert "executions of another ledger share this queue" in caplog.text
