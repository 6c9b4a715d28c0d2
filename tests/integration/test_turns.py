"""Turns on a real Redis: whose id is taken next, and what each script leaves behind."""

import random
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import rq
from butler_scheduler.held import read_held
from butler_workers.strangers import Strangers

from butler.executions import Priority
from butler.hands import Hand, Hands
from butler.ids import new_id, new_token
from butler.queue_facts import QueueFacts
from butler.queues import QueueWire, WireKeys
from butler.storage.records import QueueEntry
from butler.turns import Turns

LEDGER = "11111111-2222-4333-8444-555555555555"


@pytest.fixture
def wire(redis):
    return QueueWire(redis, ledger_id=LEDGER)


@pytest.fixture
def hand(redis):
    hand = Hand(redis, worker_id=new_id(), worker_name="host.1.abcdef", queues=["mail"])
    hand.open()
    return hand


def entries(key, count=1, **fields):
    known = {"task": "send", "queue": "mail", "priority": Priority.NORMAL, "attempt": 0}
    known |= {"timeout_s": 30.0, "created_at": datetime.now(UTC), "fair_key": key, **fields}
    return [QueueEntry(id=new_id(), **known) for _ in range(count)]


def keys_of(pushed):
    return {entry.id: entry.fair_key for entry in pushed}


def take(hand, count):
    return [execution_id for execution_id, _ in hand.pop(count, token=new_token())]


def kept(redis):
    """The keys that only turns have."""
    return redis.keys("butler:turns:*") + redis.keys("butler:waiting:*")


def test_one_of_another_key_is_next_but_one_however_many_of_the_first_wait(wire, hand):
    wire.push(entries("a", 5_000))
    first = take(hand, 1)
    late = entries("b")
    wire.push(late)
    assert len(first) == 1
    assert late[0].id in take(hand, 3)


def test_keys_share_evenly_and_each_key_is_taken_in_the_order_of_age(wire, hand):
    pushed = [*entries("a", 40), *entries("b", 40), *entries("c", 40)]
    shuffled = random.Random(6).sample(pushed, len(pushed))
    for first in range(0, len(shuffled), 30):
        wire.push(shuffled[first : first + 30])
    taken, of = [], keys_of(pushed)
    for count in (1, 2, 3, 5, 7, 11, 13, 18, 30):
        taken += take(hand, count)
        # One lay on its list before the others came.
        shares = Counter(of[execution_id] for execution_id in taken)
        assert max(shares.values()) - min(shares[key] for key in "abc") <= 2
    taken += take(hand, 1_000)
    assert sorted(taken) == sorted(of)
    for key in "abc":
        ids = [execution_id for execution_id in taken if of[execution_id] == key]
        assert ids[2:] == sorted(ids[2:])


def test_a_key_that_keeps_coming_back_holds_up_nobody(wire, hand):
    backlog = entries("a", 50)
    wire.push(backlog)
    of, taken = keys_of(backlog), []
    for _ in range(20):
        (again,) = entries("b")
        of[again.id] = "b"
        wire.push([again])
        taken += take(hand, 2)
    assert 18 <= Counter(of[execution_id] for execution_id in taken)["a"] <= 22


def test_what_has_no_key_takes_one_turn_together_and_keeps_a_place_it_had(redis, wire, hand):
    early = entries(None, 3)
    wire.push(early)
    assert kept(redis) == []
    wire.push(entries("a", 10))
    late = entries(None, 10)
    wire.push(late)
    assert take(hand, 3) == [entry.id for entry in early]
    taken = take(hand, 8)
    assert len({entry.id for entry in late} & set(taken)) in (3, 4, 5)


def test_priorities_come_before_turns(wire, hand):
    low, high = entries("a", 3, priority=Priority.LOW), entries("a", 3, priority=Priority.HIGH)
    wire.push([*low, *high])
    (other,) = entries("b", priority=Priority.LOW)
    wire.push([other])
    taken = take(hand, 6)
    assert taken[:3] == [entry.id for entry in high]
    assert other.id in taken[3:6]


def test_nothing_is_left_when_the_last_of_a_key_is_taken(redis, wire, hand):
    pushed = [*entries("a", 3), *entries("b")]
    wire.push(pushed)
    assert len(kept(redis)) == 2
    assert sorted(take(hand, 10)) == sorted(entry.id for entry in pushed)
    assert kept(redis) == []
    assert not redis.exists(WireKeys.list("mail"))


def test_rqs_tools_see_what_comes_next(redis, wire, hand):
    (first, *rest) = entries("a", 3)
    wire.push([first, *rest])
    queue = rq.Queue("mail", connection=redis)
    assert queue.job_ids == [first.id]
    assert queue.fetch_job(rest[1].id).get_status() == "queued"
    take(hand, 1)
    assert queue.job_ids == [rest[0].id]
    assert wire.depth("mail") == 2
    facts = QueueFacts(redis)
    assert facts.depths("mail")[Priority.NORMAL] == 2
    assert facts.fair_keys("mail") == 1


def test_a_list_that_others_have_emptied_gets_what_comes_next(redis, wire):
    pushed = entries("a", 3)
    wire.push(pushed)
    assert redis.lpop(WireKeys.list("mail")).decode() == pushed[0].id
    turns = Turns(redis)
    turns.lay(["mail", "other"])
    turns.lay(["mail"])
    assert redis.lrange(WireKeys.list("mail"), 0, -1) == [pushed[1].id.encode()]


def test_what_is_cancelled_has_no_turn_any_more(redis, wire, hand):
    a, b = entries("a", 4), entries("b", 2)
    wire.push([*a, *b])
    wire.withdraw([*a[:3], b[1]])
    assert sorted(take(hand, 10)) == sorted([a[3].id, b[0].id])
    wire.push(c := entries("c", 3))
    wire.withdraw(c)
    assert kept(redis) == []
    assert take(hand, 10) == []
    assert rq.job.Job.fetch(c[0].id, connection=redis).get_status() == "canceled"


def test_what_is_pushed_twice_waits_once(wire, hand):
    pushed = entries("a", 5)
    wire.push(pushed)
    wire.push(pushed[1:])
    assert take(hand, 10) == [entry.id for entry in pushed]


def test_a_paused_queue_deals_nothing(redis, wire, hand):
    wire.push(entries("a", 3))
    redis.sadd(WireKeys.paused, "mail")
    assert take(hand, 10) == []
    assert wire.depth("mail") == 3


def test_a_pop_whose_reply_was_lost_takes_no_second_turn(wire, hand):
    wire.push(entries("a", 5))
    token = new_token()
    assert hand.pop(3, token=token) == hand.pop(3, token=token)
    assert wire.depth("mail") == 2


def test_a_dead_workers_hand_goes_back_and_all_of_it_counts_as_held(redis, wire, hand):
    pushed = [*entries("a", 6), *entries("b", 2)]
    wire.push(pushed)
    taken = take(hand, 3)
    hands = Hands(redis)
    held = read_held(redis, hands)
    assert all(entry.id in held for entry in pushed)
    assert len(held) == len(pushed)
    assert hands.give_back_all(hand.worker_id) == 3
    assert sorted(take(hand, 3)) == sorted(taken)


def test_a_retry_is_the_next_of_its_key(wire, hand):
    pushed = entries("a", 4)
    wire.push(pushed)
    first, second = take(hand, 2)
    hand.drop([first])
    wire.push([replace(pushed[0], attempt=1)])
    hand.drop([second])
    # The third lay on the list already.
    assert take(hand, 3) == [pushed[2].id, first, pushed[3].id]


def test_ours_get_their_turn_on_a_list_that_strangers_crowd(redis, wire, hand):
    queue = rq.Queue("mail", connection=redis)
    for _ in range(3):
        queue.enqueue(print)
    pushed = entries("a", 4)
    wire.push(pushed)
    strangers = Strangers(hand, ledger_id=LEDGER)
    strangers.sort(hand.pop(3, token=new_token()))
    assert strangers.crowded == {"mail"}
    turns, taken = Turns(redis), []
    for _ in range(4):
        turns.deal("mail", 1)
        taken += [execution_id for execution_id, _ in strangers.pick("mail", 1)]
    assert taken == [entry.id for entry in pushed]
    assert queue.count == 3
