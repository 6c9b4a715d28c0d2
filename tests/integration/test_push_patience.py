"""A Redis that takes connections and never answers costs an enqueue half a second, once."""

from __future__ import annotations

import socket
import time

import pytest
import redis

from butler import Butler, task
from butler.executions import ExecutionStatus
from butler.pushing import PUSH_TIMEOUT_S
from butler.storage.memory import MemoryStorage

# Half a second, and as much again for a machine that is busy; a client that retries needs seven.
PATIENCE_S = 1.0


@task
def ping() -> None: ...


@pytest.fixture
def black_hole():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(50)
        yield server.getsockname()[1]


def test_the_promise_of_half_a_second_leaves_room_for_the_rest_of_a_push():
    assert PUSH_TIMEOUT_S < 0.5


@pytest.mark.parametrize("made_by", ["butler", "application"])
def test_a_redis_that_never_answers_is_given_up_soon_and_then_left_alone(black_hole, made_by):
    url = f"redis://127.0.0.1:{black_hole}"
    # An application's client has redis-py's own timeouts and retries.
    options = {"redis_url": url} if made_by == "butler" else {"redis": redis.Redis(port=black_hole)}
    with Butler(storage=MemoryStorage(), **options) as butler:
        butler.register(ping)
        # Drivers are imported and the client is made before anything is measured.
        assert not butler.pusher.resting
        before = time.monotonic()
        first = butler.enqueue(ping)
        between = time.monotonic()
        second = butler.enqueue(ping)
        after = time.monotonic()
        assert first.status is ExecutionStatus.QUEUED
        assert second.status is ExecutionStatus.SCHEDULED
    assert not first.pushed
    assert not second.pushed
    assert between - before < PATIENCE_S
    assert after - between < PUSH_TIMEOUT_S / 2
