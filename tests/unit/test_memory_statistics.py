from __future__ import annotations

from datetime import UTC, datetime, timedelta

from butler.clock import ManualClock
from butler.ids import new_id
from butler.storage.memory import MemoryStorage
from butler.storage.records import NewExecution
from butler.storage.stats import STATISTICS_KEPT, Span, StatsQuery, Step

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
MARCH = Span(step=Step.DAY, since=START - timedelta(days=1), until=START + timedelta(days=200))


def test_statistics_are_forgotten_after_their_time():
    clock = ManualClock(START)
    storage = MemoryStorage(clock=clock)
    for pause in (timedelta(days=1), STATISTICS_KEPT):
        id_ = new_id()
        storage.insert([NewExecution(id=id_, task="t", queue="q", request=None)])
        storage.cancel([id_])
        clock.advance(pause.total_seconds())
    epoch = storage.take_leadership("us", observed=storage.leadership())
    assert storage.prune_stats(epoch=epoch, limit=10) == 1
    assert [cell.number for cell in storage.stats(StatsQuery(spans=(MARCH,)))] == [1]
