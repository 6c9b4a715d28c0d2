"""Removing what is over its retention from the memory ledger."""

from __future__ import annotations

from datetime import timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING

from butler.executions import TERMINAL, ExecutionStatus
from butler.recurring.job import FireOutcome
from butler.storage.recurring_records import PrunedPage

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping
    from datetime import datetime

    from butler.clock import Clock
    from butler.storage.memory.limits import LimitTable
    from butler.storage.memory.recurring_rows import JobTable
    from butler.storage.memory.rows import Row, RowTable
    from butler.storage.memory.workers import LeaderSeat, WorkerTable
    from butler.storage.retention import Retention


class MemoryPruning:
    """What makes a `MemoryStorage` a `PrunableStorage`; everything happens under its lock."""

    _clock: Clock
    _lock: threading.Lock
    _rows: RowTable
    _limits: LimitTable
    _workers: WorkerTable
    _seat: LeaderSeat
    _jobs: JobTable
    retention: Retention

    def prune_executions(
        self,
        *,
        epoch: int,
        after: str | None,
        limit: int,
        tasks: Mapping[str, float] = MappingProxyType({}),
    ) -> PrunedPage:
        """Remove those of the next executions that are over their retention."""
        with self._lock:
            if not self._seat.holds(epoch):
                return PrunedPage(removed=0, last=after, more=False)
            now = self._clock.now()
            rows = [r for r in reversed(self._rows.newest_first()) if after is None or r.id > after]
            page = rows[:limit]
            kept = self.retention.joined(tasks)
            doomed = [row for row in page if _is_over(row, kept, now=now)]
            for row in doomed:
                self._rows.remove(row)
            last = page[-1].id if page else after
            return PrunedPage(removed=len(doomed), last=last, more=len(page) == limit)

    def prune_fires(self, *, epoch: int, limit: int) -> int:
        """Remove recorded fires that are older than the longest retention."""
        with self._lock:
            if not self._seat.holds(epoch):
                return 0
            before = self._clock.now() - timedelta(days=self.retention.longest)
            old = sorted(
                (fire.recorded_at, fire.fire_at, job.definition.id)
                for job in self._jobs
                for fire in job.recorded.values()
                if fire.recorded_at < before and fire.outcome is not FireOutcome.WAITING
            )[:limit]
            for _, fire_at, job_id in old:
                job = self._jobs.get(job_id)
                assert job is not None
                del job.recorded[fire_at]
            return len(old)

    def prune_workers(self, *, epoch: int) -> int:
        """Remove workers that ended a week ago."""
        with self._lock:
            if not self._seat.holds(epoch):
                return 0
            running = {row.worker_id for row in self._rows.in_status(ExecutionStatus.RUNNING)}
            before = self._clock.now() - timedelta(days=7)
            return self._workers.forget(ended_before=before, keep=running)

    def prune_limits(self, *, epoch: int, limit: int) -> int:
        """Forget limits' names under which nothing runs and whose rate is unused."""
        with self._lock:
            if not self._seat.holds(epoch):
                return 0
            return self._limits.forget(before=self._clock.now().timestamp(), limit=limit)


def _is_over(row: Row, retention: Retention, *, now: datetime) -> bool:
    if row.status not in TERMINAL or row.finished_at is None:
        return False
    days: float = getattr(retention.of_task(row.new.task), row.status.value)
    return row.finished_at < now - timedelta(days=days)
