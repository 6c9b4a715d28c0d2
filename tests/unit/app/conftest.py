"""A `Butler` on a ledger and a Redis in memory, and a second one that has none of the code."""

from __future__ import annotations

import pytest

from butler.app import Butler
from butler.clock import ManualClock
from butler.in_memory import memory_redis
from butler.storage.memory import MemoryStorage
from tests.unit.app.app_kit import NOW, SendEmail, ping, send, sync_user


@pytest.fixture
def clock():
    return ManualClock(NOW)


@pytest.fixture
def redis():
    return memory_redis()


@pytest.fixture
def storage(clock):
    return MemoryStorage(clock=clock)


@pytest.fixture
def butler(redis, storage, clock):
    with Butler(redis=redis, storage=storage, clock=clock) as butler:
        for each in (send, ping, sync_user, SendEmail):
            butler.register(each)
        yield butler


@pytest.fixture
def stranger(redis, storage, clock):
    """Another process: the same ledger and Redis, none of the code."""
    with Butler(redis=redis, storage=storage, clock=clock) as butler:
        yield butler
