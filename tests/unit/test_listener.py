"""The listener: how it hears, how often it reads, and what it does without either server."""

from __future__ import annotations

import threading
import time

import pytest

from butler.changes import Word, progress_word, state_word
from butler.errors import ButlerError, ExecutionNotFound, StorageUnavailable
from butler.ids import new_id
from butler.in_memory import memory_redis
from butler.lifecycle import succeed
from butler.listening import Listener
from butler.listening.watchers import EndWatcher, Watcher
from butler.queues import QueueWire
from butler.storage.memory import MemoryStorage
from butler.storage.records import NewExecution
from tests.unit.app.app_kit import claim


class CountingStorage(MemoryStorage):
    """Counts the statements that a wait costs; fails them all while it is away."""

    def __init__(self):
        super().__init__()
        self.asked = []
        self.away = False

    def standings(self, ids):
        self.asked.append(("standings", len(ids)))
        if self.away:
            raise StorageUnavailable("the ledger is away")
        return super().standings(ids)

    def get_many(self, ids):
        self.asked.append(("get_many", len(ids)))
        if self.away:
            raise StorageUnavailable("the ledger is away")
        return super().get_many(ids)


class Deaf(Watcher):
    """Watches, and keeps what it is told."""

    needs_execution = False

    def __init__(self, execution_id):
        super().__init__(execution_id)
        self.told = []
        self.words = []

    def stands(self, standing):
        self.began = True
        self.told.append(str(standing.status))

    def heard(self, word: Word):
        self.words.append(word.percent)
        return False

    def ended(self, execution):
        self.told.append("ended")

    def failed(self, error):
        self.told.append(error)


@pytest.fixture
def storage():
    return CountingStorage()


@pytest.fixture
def redis():
    return memory_redis()


@pytest.fixture
def wire(redis, storage):
    return QueueWire(redis, ledger_id=storage.ledger_id())


@pytest.fixture
def listener(storage, redis):
    listener = Listener(storage=lambda: storage, redis=lambda: redis, idle_s=0.05)
    yield listener
    listener.close()


def enqueue(storage):
    execution = NewExecution(id=new_id(), task="send", queue="default", request=None)
    return storage.insert([execution])[0].id


def end(storage, execution_id):
    storage.finish([succeed(claim(storage, execution_id), result="1")])


def until(condition, timeout_s=30.0):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def listener_threads():
    return {thread for thread in threading.enumerate() if thread.name == "butler-listener"}


@pytest.fixture
def threads():
    """The threads of this test's listeners; those of others in the process may still idle."""
    others = listener_threads()
    return lambda: listener_threads() - others


def test_an_end_is_heard_at_once_and_told_with_the_whole_execution(listener, storage, wire):
    watcher = EndWatcher(enqueue(storage))
    listener.watch(watcher)
    watcher.begun.result(30)
    end(storage, watcher.execution_id)
    began = time.monotonic()
    wire.publish([(watcher.execution_id, state_word(over=True))])
    assert watcher.end.result(30).result == 1
    assert time.monotonic() - began < 0.9, "it was polled, not heard"


def test_an_end_that_nobody_published_is_found_in_the_ledger(listener, storage):
    watcher = EndWatcher(enqueue(storage))
    listener.watch(watcher)
    watcher.begun.result(30)
    end(storage, watcher.execution_id)
    assert watcher.end.result(30).result == 1


def test_what_was_over_before_is_told_at_once(listener, storage):
    execution_id = enqueue(storage)
    end(storage, execution_id)
    watcher = EndWatcher(execution_id)
    began = time.monotonic()
    listener.watch(watcher)
    assert watcher.end.result(30).id == execution_id
    assert time.monotonic() - began < 0.9


def test_what_does_not_exist_is_not_found(listener):
    watcher = EndWatcher(new_id())
    listener.watch(watcher)
    with pytest.raises(ExecutionNotFound):
        watcher.end.result(30)


def test_what_is_deleted_meanwhile_is_not_found(listener, storage, wire):
    watcher = EndWatcher(enqueue(storage))
    listener.watch(watcher)
    watcher.begun.result(30)
    storage.cancel([watcher.execution_id])
    storage.delete([watcher.execution_id])
    wire.publish([(watcher.execution_id, state_word(over=True))])
    with pytest.raises(ExecutionNotFound):
        watcher.end.result(30)


def test_a_thousand_waits_are_one_thread_and_few_statements(listener, storage, threads):
    watchers = [EndWatcher(enqueue(storage)) for _ in range(1_000)]
    for watcher in watchers:
        listener.watch(watcher)
    for watcher in watchers:
        watcher.begun.result(30)
    assert len(threads()) == 1
    # One look for each after its channel is heard, in batches; not one statement each.
    assert len(storage.asked) < 100
    storage.asked.clear()
    until(lambda: sum(count for _, count in storage.asked) >= 1_000)
    assert len(storage.asked) < 50


def test_a_word_that_says_nothing_true_ends_nothing(listener, storage, wire):
    watcher = EndWatcher(enqueue(storage))
    listener.watch(watcher)
    watcher.begun.result(30)
    asked = len(storage.asked)
    wire.publish([(watcher.execution_id, state_word(over=True))])
    until(lambda: len(storage.asked) > asked)
    assert not watcher.end.done()
    end(storage, watcher.execution_id)
    wire.publish([(watcher.execution_id, state_word(over=True))])
    assert watcher.end.result(30).result == 1


def test_progress_is_told_without_asking_the_ledger(listener, storage, wire):
    watcher = Deaf(enqueue(storage))
    listener.watch(watcher)
    until(lambda: watcher.told)
    asked = len(storage.asked)
    for percent in (10.0, 20.0):
        wire.publish([(watcher.execution_id, progress_word(percent, None, attempt=1))])
    until(lambda: len(watcher.words) == 2)
    assert watcher.words == [10.0, 20.0]
    assert len(storage.asked) <= asked + 1


def test_two_who_wait_for_one_execution_are_both_told(listener, storage, wire):
    execution_id = enqueue(storage)
    first, second = EndWatcher(execution_id), Deaf(execution_id)
    listener.watch(first)
    first.begun.result(30)
    listener.watch(second)
    until(lambda: second.told)
    end(storage, execution_id)
    wire.publish([(execution_id, state_word(over=True))])
    first.end.result(30)
    until(lambda: "ended" in second.told)
    assert second.told.count("ended") == 1


def test_who_waits_no_more_is_told_no_more(listener, storage, wire):
    execution_id = enqueue(storage)
    gone, other = Deaf(execution_id), EndWatcher(execution_id)
    listener.watch(gone)
    until(lambda: gone.told)
    listener.watch(other)
    listener.unwatch(gone)
    listener.unwatch(gone)
    told = len(gone.told)
    end(storage, execution_id)
    wire.publish([(execution_id, state_word(over=True))])
    other.end.result(30)
    assert len(gone.told) == told


def test_the_thread_ends_when_nobody_waits_and_begins_again(listener, storage, wire, threads):
    for _ in range(2):
        watcher = EndWatcher(enqueue(storage))
        listener.watch(watcher)
        watcher.begun.result(30)
        assert len(threads()) == 1
        end(storage, watcher.execution_id)
        wire.publish([(watcher.execution_id, state_word(over=True))])
        watcher.end.result(30)
        until(lambda: not threads())


def test_without_redis_the_ledger_ends_the_wait_within_seconds(listener, storage, redis):
    redis.connection_pool.connection_kwargs["server"].connected = False
    watcher = EndWatcher(enqueue(storage))
    listener.watch(watcher)
    watcher.begun.result(30)
    end(storage, watcher.execution_id)
    assert watcher.end.result(10).result == 1


def test_redis_is_heard_again_when_it_is_back(listener, storage, redis, wire):
    server = redis.connection_pool.connection_kwargs["server"]
    watcher = Deaf(enqueue(storage))
    listener.watch(watcher)
    until(lambda: watcher.told)
    server.connected = False
    until(lambda: listener._subscription is None)
    server.connected = True

    def tell():
        wire.publish([(watcher.execution_id, progress_word(50.0, None, attempt=1))])
        return watcher.words

    until(tell)


def test_a_wait_that_begins_while_the_ledger_is_away_fails_like_any_call(listener, storage):
    storage.away = True
    watcher = EndWatcher(enqueue(storage))
    listener.watch(watcher)
    with pytest.raises(StorageUnavailable, match="the ledger is away"):
        watcher.end.result(30)


def test_a_wait_outlives_an_outage_of_the_ledger(listener, storage, wire):
    watcher = EndWatcher(enqueue(storage))
    listener.watch(watcher)
    watcher.begun.result(30)
    end(storage, watcher.execution_id)
    storage.away = True
    asked = len(storage.asked)
    wire.publish([(watcher.execution_id, state_word(over=True))])
    until(lambda: len(storage.asked) > asked)
    assert not watcher.end.done()
    storage.away = False
    assert watcher.end.result(30).result == 1


def test_an_error_nobody_expected_reaches_whoever_waits_and_the_next_wait_works(
    listener, storage, monkeypatch, threads
):
    broken = EndWatcher(enqueue(storage))
    with monkeypatch.context() as patch:
        patch.setattr(storage, "standings", lambda ids: 1 / 0)
        listener.watch(broken)
        with pytest.raises(ZeroDivisionError):
            broken.end.result(30)
    until(lambda: not threads())
    watcher = EndWatcher(enqueue(storage))
    listener.watch(watcher)
    watcher.begun.result(30)


def test_closing_fails_whoever_waits_and_refuses_the_next(listener, storage, threads):
    watcher = EndWatcher(enqueue(storage))
    listener.watch(watcher)
    watcher.begun.result(30)
    listener.close()
    listener.close()
    with pytest.raises(ButlerError, match="this Butler was closed while somebody waited"):
        watcher.end.result(30)
    with pytest.raises(ButlerError, match="this Butler is closed"):
        listener.watch(EndWatcher(enqueue(storage)))
    assert not threads()
