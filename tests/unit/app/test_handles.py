"""Waiting for the end of an execution, with its result in the type of its task."""

from __future__ import annotations

import threading

import pytest

from butler.errors import (
    ExecutionNotFound,
    InvalidOption,
    TaskCancelled,
    TaskFailed,
    WaitTimeout,
)
from butler.ids import new_id
from tests.unit.app.app_kit import Email, Receipt, SendEmail, fail_it, finish, ping, send


def test_a_result_is_of_the_tasks_type(butler, storage):
    handle = send.enqueue(Email(to="a"))
    finish(storage, handle.id, '{"id": "7"}')
    assert handle.result(timeout_s=0) == Receipt(id="7")
    assert send.handle(handle.id).result() == Receipt(id="7")
    assert butler.handle(handle.id).result() == {"id": "7"}


def test_a_result_is_waited_for(butler, storage):
    handle = SendEmail.enqueue(Email(to="a"))
    waiting = threading.Event()
    get = storage.get

    def watched(execution_id):
        waiting.set()
        return get(execution_id)

    storage.get = watched

    def finish_later():
        waiting.wait(30)
        finish(storage, handle.id, '{"id": "7"}')

    thread = threading.Thread(target=finish_later)
    thread.start()
    assert handle.result(timeout_s=30) == Receipt(id="7")
    thread.join()


def test_waiting_ends_with_its_timeout(butler):
    handle = ping.enqueue()
    with pytest.raises(WaitTimeout, match=r"ping .* is still queued after 0\.01 s; it goes on"):
        handle.result(timeout_s=0.01)
    with pytest.raises(InvalidOption, match="timeout_s must be >= 0"):
        handle.result(timeout_s=-1)


def test_a_failed_execution_raises_with_what_went_wrong(butler, storage):
    handle = ping.enqueue()
    fail_it(storage, handle.id)
    with pytest.raises(TaskFailed, match="failed: ValueError: no") as caught:
        handle.result()
    assert caught.value.execution.id == handle.id


def test_a_cancelled_execution_raises(butler):
    handle = ping.enqueue()
    assert handle.cancel() is True
    with pytest.raises(TaskCancelled):
        handle.result()


def test_the_handle_of_nothing_raises(butler):
    for execution_id in (new_id(), "nonsense"):
        with pytest.raises(ExecutionNotFound):
            butler.handle(execution_id).result()
        assert butler.get(execution_id) is None
