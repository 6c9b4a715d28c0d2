"""A producer in a hurry does not wait for its pushes; nothing that was promised depends on them."""

from datetime import UTC, datetime

import pytest
from redis import Redis, RedisError

from butler.connections import clone_redis
from butler.errors import QueueUnavailable
from butler.executions import Priority
from butler.ids import new_id
from butler.producer_wire import MOST_OWED, LateAnswers, ProducerWire
from butler.queues import PUSH_BATCH, WireKeys
from butler.storage.records import QueueEntry

LEDGER = new_id()
COUNT = "return redis.call('INCR', KEYS[1])"


def entry(**fields):
    known = {"id": new_id(), "task": "noop", "queue": "mail", "priority": Priority.NORMAL}
    now = datetime.now(UTC)
    return QueueEntry(**known | {"attempt": 0, "timeout_s": None, "created_at": now} | fields)


@pytest.fixture
def redis(redis_url):
    with Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def wire(redis):
    return ProducerWire(clone_redis(redis, timeout_s=5), ledger_id=LEDGER)


def queued(redis, name="mail"):
    return [raw.decode() for raw in redis.lrange(WireKeys.list(name), 0, -1)]


def test_pushes_in_a_hurry_arrive_complete_and_in_their_order(redis, wire):
    entries = [entry() for _ in range(3 * MOST_OWED)]
    for each in entries:
        assert wire.push([each]) == 1
    wire.settle()
    assert [each.id for each in entries] == queued(redis)
    first, last = (redis.hgetall(WireKeys.job(each.id)) for each in (entries[0], entries[-1]))
    assert first.keys() == last.keys()
    assert first[b"data"].replace(entries[0].id.encode(), entries[-1].id.encode()) == last[b"data"]


def test_many_arrive_complete_and_in_their_order(redis, wire):
    entries = [entry() for _ in range(2 * PUSH_BATCH + 1)]
    assert wire.push(entries) == len(entries)
    wire.settle()
    assert [each.id for each in entries] == queued(redis)
    assert redis.hget(WireKeys.job(entries[-1].id), "status") == b"queued"


def test_a_connection_that_the_server_has_closed_is_replaced(redis, wire):
    entries = [entry() for _ in range(3)]
    wire.push(entries[:1])
    wire.push(entries[1:2])
    wire.settle()
    redis.client_kill_filter(_type="normal", skipme=True)
    assert wire.push(entries[2:]) == 1
    wire.settle()
    assert [each.id for each in entries] == queued(redis)


def test_a_withdrawal_does_not_overtake_the_push_before_it(redis, wire):
    entries = [entry() for _ in range(5)]
    for each in entries:
        wire.push([each])
    wire.withdraw(entries)
    assert queued(redis) == []


@pytest.mark.parametrize("broken", ["refused", "cut off"])
def test_an_error_is_told_once_and_the_next_call_has_a_new_connection(redis, broken):
    pushes = LateAnswers(clone_redis(redis, timeout_s=5), script=redis.register_script(COUNT))
    pushes.send(pushes.packed(["count"], []))
    if broken == "refused":
        redis.set("count", "no number")
    else:
        redis.client_kill_filter(_type="normal", skipme=True)
    with pytest.raises(RedisError):
        send_and_settle(pushes)
    redis.delete("count")
    send_and_settle(pushes)
    assert redis.get("count") == b"1"


def test_what_redis_did_not_take_is_said_to_the_pusher(redis, wire):
    wire.push([entry()])
    redis.config_set("maxmemory", 1)
    try:
        with pytest.raises(QueueUnavailable):
            push_and_settle(wire)
    finally:
        redis.config_set("maxmemory", 0)
    assert wire.push([entry()]) == 1


def send_and_settle(pushes):
    pushes.take_in()
    pushes.send(pushes.packed(["count"], []))
    pushes.settle()


def push_and_settle(wire):
    wire.push([entry()])
    wire.settle()
