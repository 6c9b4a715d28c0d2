"""Who hears of all executions: one pattern on the listener's one connection."""

from __future__ import annotations

import threading
import time

import pytest

from butler.changes import progress_word, state_word
from butler.errors import StorageUnavailable
from butler.ids import new_id
from butler.in_memory import memory_redis
from butler.listening import Listener
from butler.listening.followers import Follower
from butler.listening.watchers import EndWatcher
from butler.queues import QueueWire
from butler.storage.memory import MemoryStorage


class Everything(Follower):
    """Keeps what it is told; its turns fail as long as it has errors."""

    def __init__(self, *errors):
        self.told = []
        self.turns = 0
        self.errors = list(errors)

    def connected(self, *, hears):
        self.told.append("hears" if hears else "deaf")

    def heard(self, words):
        self.told += [id_ for id_, _ in words]

    def turn(self, storage):
        self.turns += 1
        if self.errors:
            raise self.errors.pop()
        return 30.0


@pytest.fixture
def redis():
    return memory_redis()


@pytest.fixture
def wire(redis):
    return QueueWire(redis, ledger_id="ledger")


@pytest.fixture
def listener(redis):
    storage = MemoryStorage()
    listener = Listener(storage=lambda: storage, redis=lambda: redis, idle_s=0.05)
    yield listener
    listener.close()


def test_a_follower_goes_on_after_an_error_that_ended_somebodys_wait(listener, wire, monkeypatch):
    follower = Everything()
    listener.follow(follower)
    until(lambda: follower.told == ["hears"])
    with monkeypatch.context() as patch:
        patch.setattr(listener, "_look", lambda ids, over: 1 / 0)
        broken = EndWatcher(new_id())
        listener.watch(broken)
        with pytest.raises(ZeroDivisionError):
            broken.end.result(30)
    execution_id = new_id()

    def is_heard():
        wire.publish([(execution_id, state_word(over=False))])
        return execution_id in follower.told

    until(is_heard)


def until(condition, timeout_s=30.0):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def names_of(threads):
    return {thread.name for thread in threads}


def followed(listener, *errors):
    follower = Everything(*errors)
    listener.follow(follower)
    until(lambda: "hears" in follower.told)
    return follower


def test_a_follower_hears_of_every_execution_and_gets_a_turn(listener, wire):
    follower = followed(listener)
    turns = follower.turns
    ids = [new_id(), new_id()]
    wire.publish([(ids[0], state_word(over=False)), (ids[1], progress_word(1, None, attempt=1))])
    until(lambda: ids[1] in follower.told)
    assert follower.told[-2:] == ids
    until(lambda: follower.turns > turns)


def test_all_followers_share_one_pattern_which_ends_with_the_last(listener, redis):
    others = set(threading.enumerate())
    one, other = followed(listener), followed(listener)
    assert redis.pubsub_numpat() == 1
    listener.unfollow(one)
    listener.unfollow(other)
    until(lambda: redis.pubsub_numpat() == 0)
    until(lambda: "butler-listener" not in names_of(set(threading.enumerate()) - others))


def test_a_follower_is_told_when_redis_goes_and_when_it_is_back(listener, redis, wire):
    follower = followed(listener)
    server = redis.connection_pool.connection_kwargs["server"]
    server.connected = False
    until(lambda: follower.told[-1] == "deaf")
    server.connected = True
    until(lambda: follower.told[-1] == "hears")
    execution_id = new_id()
    wire.publish([(execution_id, state_word(over=True))])
    until(lambda: execution_id in follower.told)


@pytest.mark.parametrize("error", [StorageUnavailable("away"), RuntimeError("a mistake")])
def test_a_turn_that_fails_is_given_again_and_hurts_nobody(listener, error):
    follower = followed(listener, error)
    until(lambda: follower.turns >= 2 and not follower.errors)
    other = followed(listener)
    until(lambda: other.turns > 0)


def test_following_again_gives_a_turn_at_once(listener):
    follower = followed(listener)
    turns = follower.turns
    listener.follow(follower)
    until(lambda: follower.turns > turns)
