"""RQ's wire on a real Redis: what each script must and must not do."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
import redis as redis_driver
import rq

from butler.errors import QueueUnavailable
from butler.executions import Priority
from butler.hands import FINISHED_KEPT, Announcement, Hand, Hands, Settled
from butler.ids import new_id, new_token
from butler.queues import QueueWire, WireKeys
from butler.storage.records import QueueEntry

LEDGER = "11111111-2222-4333-8444-555555555555"


@pytest.fixture
def wire(redis):
    return QueueWire(redis, ledger_id=LEDGER)


@pytest.fixture
def hand(redis):
    hand = Hand(redis, worker_id=new_id(), worker_name="host.1.abcdef", queues=["mail", "rest"])
    hand.open()
    return hand


def entry(*, queue="mail", priority=Priority.NORMAL, attempt=0):
    return QueueEntry(
        id=new_id(),
        task="send",
        queue=queue,
        priority=priority,
        attempt=attempt,
        timeout_s=30.0,
        created_at=datetime.now(UTC),
    )


def settled(entry, *, status="finished", attempt=1):
    return Settled(
        id=entry.id, attempt=attempt, queue=entry.queue, priority=entry.priority, status=status
    )


def announced(entry, *, attempt=1):
    return Announcement(
        id=entry.id,
        attempt=attempt,
        queue=entry.queue,
        priority=entry.priority,
        started_at=datetime.now(UTC),
    )


def status(redis, entry):
    return rq.job.Job.fetch(entry.id, connection=redis).get_status().value


def popped_ids(hand, limit=10):
    return [execution_id for execution_id, _ in hand.pop(limit, token=new_token())]


def test_a_pushed_execution_reads_as_an_rq_job(redis, wire):
    pushed = entry()
    assert wire.push([pushed]) == 1
    job = rq.job.Job.fetch(pushed.id, connection=redis)
    assert (job.origin, job.description, job.get_status()) == ("mail", "send", "queued")
    assert (job.func_name, job.args) == ("butler_workers.run", (pushed.id,))
    assert redis.object("encoding", WireKeys.job(pushed.id)) == b"listpack"
    assert rq.Queue("mail", connection=redis).job_ids == [pushed.id]
    assert redis.get(WireKeys.ledger("mail")).decode() == LEDGER


def test_queues_are_drained_in_order_and_each_from_high_to_low(wire, hand):
    waiting = [
        entry(queue="rest", priority=Priority.HIGH),
        entry(priority=Priority.LOW),
        entry(),
        entry(priority=Priority.HIGH),
    ]
    wire.push(waiting)
    rest, low, normal, high = (item.id for item in waiting)
    assert popped_ids(hand) == [high, normal, low, rest]


def test_a_pop_whose_reply_was_lost_gives_the_same_ids_again(redis, wire, hand):
    wire.push([entry() for _ in range(5)])
    token = new_token()
    first = hand.pop(3, token=token)
    assert hand.pop(3, token=token) == first
    assert redis.llen(WireKeys.list("mail")) == 2
    assert redis.smembers(WireKeys.hand(hand.worker_id)) == {i.encode() for i, _ in first}


def test_nothing_is_popped_while_rq_is_suspended(redis, wire, hand):
    wire.push([entry()])
    redis.set(WireKeys.suspended, 1)
    assert popped_ids(hand) == []
    assert wire.depth("mail") == 1


def test_a_settled_execution_is_finished_and_no_longer_in_hand(redis, wire, hand):
    done = entry()
    wire.push([done])
    popped_ids(hand)
    hand.settle([settled(done)])
    assert status(redis, done) == "finished"
    assert rq.registry.FinishedJobRegistry("mail", connection=redis).get_job_ids() == [done.id]
    assert 0 < redis.ttl(WireKeys.job(done.id)) <= 60
    assert not redis.exists(WireKeys.hand(hand.worker_id))


def test_a_late_settlement_does_not_touch_an_execution_that_was_queued_again(redis, wire, hand):
    again = entry()
    wire.push([again])
    popped_ids(hand)
    wire.push([replace(again, attempt=1)])
    hand.settle([settled(again, attempt=1)])
    assert status(redis, again) == "queued"
    assert redis.ttl(WireKeys.job(again.id)) == -1


def test_a_late_settlement_makes_no_hash_out_of_nothing(redis, wire, hand):
    gone = entry()
    hand.settle([settled(gone), settled(gone, status="failed")])
    assert not redis.exists(WireKeys.job(gone.id))


def test_a_late_push_does_not_take_back_a_newer_attempt(redis, wire):
    newer = entry(attempt=2)
    wire.push([newer])
    assert wire.push([replace(newer, attempt=1)]) == 0
    assert redis.llen(WireKeys.list("mail")) == 1


def test_a_push_out_of_a_dead_hand_empties_it(redis, wire, hand):
    held = entry()
    wire.push([held])
    popped_ids(hand)
    wire.push([replace(held, attempt=1)], from_hand=hand.worker_id)
    assert Hands(redis).ids(hand.worker_id) == set()
    assert wire.depth("mail") == 1


def test_a_failed_execution_leaves_the_failed_registry_when_it_is_queued_again(redis, wire, hand):
    failed = entry()
    wire.push([failed])
    popped_ids(hand)
    hand.settle([settled(failed, status="failed")])
    registry = rq.registry.FailedJobRegistry("mail", connection=redis)
    assert registry.get_job_ids() == [failed.id]
    wire.push([replace(failed, attempt=1)])
    assert registry.get_job_ids() == []
    assert status(redis, failed) == "queued"


def test_giving_back_twice_queues_nothing_twice(redis, wire, hand):
    waiting = [entry() for _ in range(3)]
    wire.push(waiting)
    popped = hand.pop(3, token=new_token())
    hand.give_back(popped)
    hand.give_back(popped)
    assert rq.Queue("mail", connection=redis).job_ids == [item.id for item in waiting]


def test_a_whole_hand_goes_back_to_the_lists_it_came_from(redis, wire, hand):
    waiting = [entry(), entry(queue="rest", priority=Priority.HIGH)]
    wire.push(waiting)
    popped_ids(hand)
    assert Hands(redis).give_back_all(hand.worker_id) == 2
    assert rq.Queue("mail", connection=redis).job_ids == [waiting[0].id]
    assert rq.Queue("rest.high", connection=redis).job_ids == [waiting[1].id]
    assert hand.worker_id not in Hands(redis).workers()


def test_an_announced_attempt_is_shown_as_started_until_it_is_settled(redis, wire, hand):
    running = entry()
    wire.push([running])
    popped_ids(hand)
    hand.announce([announced(running)])
    started = rq.registry.StartedJobRegistry("mail", connection=redis)
    assert (status(redis, running), started.get_job_ids()) == ("started", [running.id])
    hand.settle([settled(running)])
    hand.retract([announced(running)])
    assert (status(redis, running), started.get_job_ids()) == ("finished", [])
    assert not list(redis.scan_iter("rq:execution*"))


def test_an_announcement_after_the_end_changes_nothing(redis, wire, hand):
    over = entry()
    wire.push([over])
    popped_ids(hand)
    hand.settle([settled(over)])
    hand.announce([announced(over)])
    assert status(redis, over) == "finished"
    assert not redis.exists(WireKeys.registry("wip", "mail"))


def test_a_cancelled_execution_is_off_its_queue_and_a_deleted_one_leaves_nothing(redis, wire):
    cancelled, deleted = entry(), entry()
    wire.push([cancelled, deleted])
    wire.withdraw([cancelled])
    wire.forget([deleted])
    assert wire.depth("mail") == 0
    assert status(redis, cancelled) == "canceled"
    assert rq.registry.CanceledJobRegistry("mail", connection=redis).get_job_ids() == [cancelled.id]
    assert not redis.exists(WireKeys.job(deleted.id))


def test_no_more_finished_hashes_are_kept_than_the_limit(redis, wire, hand):
    done = [entry() for _ in range(FINISHED_KEPT + 300)]
    wire.push(done)
    for first in range(0, len(done), 100):
        batch = done[first : first + 100]
        popped_ids(hand, 100)
        hand.settle([settled(item) for item in batch])
    hand.settle([])
    one_more = entry()
    wire.push([one_more])
    popped_ids(hand)
    hand.settle([settled(one_more)])
    assert redis.zcard(WireKeys.registry("finished", "mail")) == FINISHED_KEPT
    hashes = sum(1 for _ in redis.scan_iter("rq:job:*", count=1000))
    assert hashes <= FINISHED_KEPT + 1


def test_a_push_wakes_at_most_as_many_workers_as_there_are_tokens(redis, wire):
    wire.push([entry() for _ in range(3)])
    assert redis.llen(WireKeys.wake("mail")) == 3
    wire.push([entry() for _ in range(500)])
    assert redis.llen(WireKeys.wake("mail")) == 16


def test_a_silent_redis_is_a_queue_unavailable(tmp_path):
    nobody = redis_driver.Redis(unix_socket_path=str(tmp_path / "nobody.sock"))
    wire = QueueWire(nobody, ledger_id=LEDGER)
    with pytest.raises(QueueUnavailable, match="did not take the push"):
        wire.push([entry()])
