"""`Butler.place_each`: callers who know nothing of each other share a statement, and no error."""

from __future__ import annotations

import pytest

from butler import Butler
from butler.errors import EnqueueUnknown, InvalidRequest, StorageUnavailable, UnknownTask
from butler.handles import Handle
from butler.producing import Order
from butler.storage.memory import MemoryStorage
from tests.unit.app.app_kit import send, sync_user


class Counting(MemoryStorage):
    """Counts the batches that are written; refuses them with ``error``."""

    error = None

    def __init__(self):
        super().__init__()
        self.batches = []

    def insert(self, executions):
        self.batches.append(len(executions))
        if self.error is not None:
            raise self.error
        return super().insert(executions)


@pytest.fixture
def storage():
    return Counting()


@pytest.fixture
def butler(storage):
    with Butler.in_memory() as memory, Butler(redis=memory.redis, storage=storage) as butler:
        butler.register(send)
        butler.register(sync_user)
        yield butler


def order(task="send", to="ada"):
    return Order(task=task, request={"to": to}, options={})


def test_what_many_want_is_written_in_one_statement(butler, storage):
    handles = butler.place_each([order(to=name) for name in ("ada", "ben", "cy")])
    assert storage.batches == [3]
    assert [handle.execution().request for handle in handles] == [
        {"to": "ada"},
        {"to": "ben"},
        {"to": "cy"},
    ]
    assert all(handle.pushed for handle in handles)


def test_each_gets_its_own_error_and_nobody_elses(butler, storage):
    wrong = Order(task="send", request={"from": "ada"}, options={})
    replies = butler.place_each([order(), wrong, order(task="sennd"), order(to="ben")])
    assert [type(reply) for reply in replies] == [Handle, InvalidRequest, UnknownTask, Handle]
    assert storage.batches == [2]


def test_what_has_a_unique_key_waits_for_its_holder_alone(butler, storage):
    replies = butler.place_each([order(), order(task="sync_user"), order(to="ben")])
    assert storage.batches == [2, 1]
    assert [reply.execution().task for reply in replies] == ["send", "sync_user", "send"]


def test_a_ledger_that_is_away_is_told_to_all(butler, storage):
    storage.error = StorageUnavailable("away")
    replies = butler.place_each([order(), order()])
    assert [str(reply) for reply in replies] == ["away", "away"]


def test_what_cannot_be_found_out_names_nobody_elses_execution(butler, storage):
    storage.error = EnqueueUnknown(["a", "b"])
    replies = butler.place_each([order(), order()])
    assert [len(reply.execution_ids) for reply in replies] == [1, 1]
    assert replies[0].execution_id != replies[1].execution_id


def test_middleware_sees_each_enqueue_by_itself(butler, storage):
    seen = []

    @butler.middleware
    class Count:
        def enqueue(self, orders, call_next):
            seen.append(len(orders))
            return call_next(orders)

    butler.place_each([order(), order()])
    assert seen == [1, 1]
