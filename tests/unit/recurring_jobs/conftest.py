"""A Butler in memory whose clock can be turned."""

from __future__ import annotations

import fakeredis
import pytest
from recurring_jobs_shop import NOON, only_one, ping, report

from butler import Butler
from butler.clock import ManualClock
from butler.storage.memory import MemoryStorage


@pytest.fixture
def clock():
    return ManualClock(NOON)


@pytest.fixture
def storage(clock):
    return MemoryStorage(clock=clock)


@pytest.fixture
def butler(clock, storage):
    redis = fakeredis.FakeRedis(server=fakeredis.FakeServer())
    with Butler(redis=redis, storage=storage, clock=clock, name="shop") as butler:
        butler.task(name="report", queue="reports", tags=["pdf"])(report)
        butler.task(name="ping")(ping)
        butler.task(name="sync", unique_key=lambda request: request.kind)(only_one)
        yield butler
