"""Idle workers on a real Redis: a push that finds one puts its id into that worker's hand."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from butler_workers.seat import Seat

from butler.executions import Priority
from butler.hands import Hand, Hands, Settled
from butler.ids import new_id, new_token
from butler.queues import QueueWire, WireKeys
from butler.storage.records import QueueEntry

QUEUES = ["mail", "rest"]


@pytest.fixture
def wire(redis):
    return QueueWire(redis, ledger_id=new_id())


@pytest.fixture
def hand(redis):
    return open_hand(redis)


@pytest.fixture
def seat(hand):
    return Seat(hand, QUEUES)


def open_hand(redis):
    hand = Hand(redis, worker_id=new_id(), worker_name="host.1.abcdef", queues=QUEUES)
    hand.open()
    return hand


def entry(queue="mail", *, priority=Priority.NORMAL, fair_key=None):
    return QueueEntry(
        id=new_id(),
        task="send",
        queue=queue,
        priority=priority,
        attempt=0,
        timeout_s=30.0,
        created_at=datetime.now(UTC),
        fair_key=fair_key,
    )


def pop(hand, limit=10, *, sit_s=60.0, received=""):
    return hand.pop(limit, token=new_token(), sit_s=sit_s, received=received)


def held(redis, hand):
    return Hands(redis).ids(hand.worker_id)


def push(wire, **options):
    pushed = entry(**options)
    assert wire.push([pushed]) == 1
    return pushed.id


def waiting(redis, name="mail"):
    return [raw.decode() for raw in redis.lrange(WireKeys.list(name), 0, -1)]


def test_a_push_puts_its_id_into_the_hand_of_an_idle_worker_and_calls_it(redis, wire, hand, seat):
    assert pop(hand) == []
    pushed = push(wire, priority=Priority.HIGH)
    assert held(redis, hand) == {pushed}
    assert waiting(redis, "mail.high") == []
    assert redis.hget(WireKeys.job(pushed), "status") == b"queued"
    assert seat.wait() == [(pushed, "mail.high")]
    assert pop(hand, received=seat.received) == []
    assert held(redis, hand) == {pushed}
    assert not redis.exists(WireKeys.offer(hand.worker_id))


def test_a_worker_is_offered_one_execution_whatever_the_number_of_its_queues(redis, wire, hand):
    pop(hand)
    first, second, third = push(wire), push(wire, queue="rest"), push(wire)
    assert held(redis, hand) == {first}
    assert (waiting(redis, "rest"), waiting(redis)) == ([second], [third])


def test_each_of_two_idle_workers_is_offered_one(redis, wire, hand):
    other = open_hand(redis)
    assert (pop(hand), pop(other)) == ([], [])
    pushed = {push(wire), push(wire, queue="rest")}
    assert held(redis, hand) | held(redis, other) == pushed
    assert len(held(redis, hand)) == 1


def test_an_offer_whose_call_was_lost_is_what_the_next_pop_takes(redis, wire, hand, seat):
    pop(hand)
    pushed = push(wire)
    # The worker died not, its connection did: Redis has sent what nobody read.
    redis.delete(WireKeys.call(hand.worker_id))
    assert pop(hand, received=seat.received) == [(pushed, "mail")]
    assert held(redis, hand) == {pushed}
    assert pop(hand) == []


def test_an_offered_retry_is_not_lost_when_the_attempt_before_it_is_settled_late(
    redis, wire, hand, seat
):
    pop(hand)
    retry = replace(entry(), attempt=1)
    assert wire.push([retry]) == 1
    ended = Settled(
        id=retry.id, attempt=1, queue="mail", priority=retry.priority, status="scheduled"
    )
    hand.settle([ended])
    # A token that lay on the wake list ended the wait before the call came.
    assert pop(hand, received=seat.received) == [(retry.id, "mail")]
    assert held(redis, hand) == {retry.id}


def test_a_pop_that_is_repeated_does_not_lose_what_was_offered_in_between(redis, wire, hand):
    token = new_token()
    assert hand.pop(10, token=token, sit_s=60) == []
    pushed = push(wire)
    assert hand.pop(10, token=token, sit_s=60) == [(pushed, "mail")]
    assert hand.pop(10, token=token, sit_s=60) == [(pushed, "mail")]
    assert held(redis, hand) == {pushed}


def test_an_execution_that_is_offered_to_the_same_worker_again_is_not_taken_for_known(
    redis, wire, hand, seat
):
    pop(hand)
    again = entry()
    wire.push([again])
    assert seat.wait() == [(again.id, "mail")]
    assert pop(hand, received=seat.received) == []
    wire.push([replace(again, attempt=1)], from_hand=hand.worker_id)
    redis.delete(WireKeys.call(hand.worker_id))
    assert pop(hand, received=seat.received) == [(again.id, "mail")]


def test_the_offer_of_a_worker_that_died_before_it_woke_goes_back_with_its_hand(redis, wire, hand):
    pop(hand)
    pushed = push(wire)
    assert Hands(redis).give_back_all(hand.worker_id) == 1
    assert waiting(redis) == [pushed]
    assert not redis.keys(f"butler:*:{hand.worker_id}")


def test_nothing_is_put_into_the_hand_of_a_worker_whose_hand_was_given_back(redis, wire, hand):
    pop(hand)
    Hands(redis).give_back_all(hand.worker_id)
    pushed = push(wire)
    assert waiting(redis) == [pushed]
    assert held(redis, hand) == set()


def test_a_worker_that_gave_no_sign_of_life_since_is_offered_nothing(redis, wire, hand):
    pop(hand)
    assert 0 < redis.pttl(WireKeys.seat(hand.worker_id)) <= 60_000
    redis.delete(WireKeys.seat(hand.worker_id))  # as if it had expired
    pushed = push(wire)
    assert waiting(redis) == [pushed]
    assert redis.llen(WireKeys.wake("mail")) == 1


def test_a_worker_that_found_something_or_does_not_sit_is_offered_nothing(redis, wire, hand):
    pop(hand)
    push(wire, queue="rest")
    assert pop(hand, received="") != []
    first = push(wire)
    assert pop(hand, sit_s=0) == [(first, "mail")]
    assert pop(hand, sit_s=0) == []
    second = push(wire)
    assert waiting(redis) == [second]


def test_what_waits_already_comes_first(redis, wire, hand, seat):
    pop(hand)
    redis.rpush(WireKeys.list("mail"), older := new_id())
    pushed = push(wire)
    assert waiting(redis) == [older, pushed]
    assert seat.wait() == []
    assert pop(hand) == [(older, "mail"), (pushed, "mail")]


def test_what_waits_its_turn_comes_first(redis, wire, hand):
    wire.push([entry(fair_key="a"), entry(fair_key="a")])
    redis.delete(WireKeys.list("mail"))
    assert hand.pop(10, token=new_token(), lists=["rest"], sit_s=60) == []
    push(wire, fair_key="b")
    assert held(redis, hand) == set()


def test_one_with_a_fair_key_is_offered_where_nothing_waits(redis, wire, hand):
    pop(hand)
    pushed = push(wire, fair_key="a")
    assert held(redis, hand) == {pushed}
    assert not redis.exists(WireKeys.turns("mail"), WireKeys.waiting("mail"))


def test_many_pushed_at_once_are_not_offered_to_one(redis, wire, hand, seat):
    pop(hand)
    pushed = [entry(), entry()]
    wire.push(pushed)
    assert waiting(redis) == [each.id for each in pushed]
    assert seat.wait() == []


@pytest.mark.parametrize("halt", ["paused", "suspended"])
def test_nothing_is_offered_of_a_queue_that_is_paused_nor_while_rq_is_suspended(
    redis, wire, hand, halt
):
    pop(hand)
    if halt == "paused":
        redis.sadd(WireKeys.paused, "mail")
    else:
        redis.set(WireKeys.suspended, 1)
    pushed = push(wire)
    assert waiting(redis) == [pushed]
    assert held(redis, hand) == set()


def test_a_call_without_an_offer_ends_the_wait(hand, seat):
    seat.rouse()
    assert seat.wait() == []
    assert hand.read_call(b"") is None


def test_workers_that_left_or_sat_down_long_ago_are_forgotten(redis, hand):
    seats = WireKeys.seats("mail")
    redis.zadd(seats, {new_id(): 1_000})
    pop(hand)
    assert redis.zrange(seats, 0, -1) == [hand.worker_id.encode()]
    assert 0 < redis.ttl(seats) <= 60
    pop(hand, limit=0, sit_s=0)
    assert not redis.exists(seats)
