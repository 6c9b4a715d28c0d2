"""What ``butler top`` shows: one look at a ledger, and what has ended since the look before."""

from __future__ import annotations

import time
from collections import Counter, deque
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from butler.cli.forms import time_form, worker_state
from butler.executions import ExecutionStatus
from butler.storage.records import ExecutionQuery

if TYPE_CHECKING:
    from datetime import datetime

    from butler.app import Butler
    from butler.executions import Execution
    from butler.storage.records import WorkerRow

HISTORY = 60
_A_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueLine:
    """One queue; ``oldest_s`` is None where nothing waits."""

    name: str
    queued: int
    oldest_s: float | None
    running: int
    workers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A ledger at one moment; ``rates`` are executions that ended a second, oldest first."""

    now: datetime
    leader: str | None
    queues: tuple[QueueLine, ...]
    workers: tuple[WorkerRow, ...]
    running: tuple[Execution, ...]
    running_total: int
    rates: tuple[float, ...]
    failed_per_s: float
    run_p95_s: float | None
    wait_p95_s: float | None


class Looker:
    """Looks again and again; the first look's rates are those of the last minute."""

    def __init__(self, butler: Butler, *, limit: int) -> None:
        self._butler = butler
        self._limit = limit
        self._rates: deque[float] = deque(maxlen=HISTORY)
        self._before: tuple[float, int, int] | None = None

    def look(self) -> Look:
        """How it stands now; raises `StorageUnavailable`."""
        storage = self._butler.storage
        picture = storage.picture()
        alive = tuple(w for w in picture.workers if worker_state(w) == "alive")
        running = Counter(execution.queue for execution in picture.running)
        serving = Counter(queue for worker in alive for queue in worker.queues)
        waiting = {queue.queue: queue for queue in picture.queues}
        lines = []
        for name in sorted({*waiting, *running, *serving}):
            known = waiting.get(name)
            oldest_s = (picture.now - known.oldest_queued_at).total_seconds() if known else None
            lines.append(
                QueueLine(
                    name=name,
                    queued=known.depth if known else 0,
                    oldest_s=None if oldest_s is None else max(0.0, oldest_s),
                    running=running[name],
                    workers=serving[name],
                )
            )
        query = ExecutionQuery(status=frozenset({ExecutionStatus.RUNNING}), limit=self._limit)
        recent = self._butler.stats.summary(since=5 * _A_MINUTE)
        return Look(
            now=picture.now,
            leader=picture.leader,
            queues=tuple(lines),
            workers=alive,
            running=storage.find(query).executions,
            running_total=running.total(),
            failed_per_s=self._count(),
            rates=tuple(self._rates),
            run_p95_s=recent.run.p95_s,
            wait_p95_s=recent.wait.p95_s,
        )

    def _count(self) -> float:
        """Note how many ended a second since the look before; how many of them failed."""
        day = self._butler.stats.summary(since=timedelta(days=1))
        now, before = time.monotonic(), self._before
        self._before = now, day.ended, day.failed
        if before is None:
            minute = self._butler.stats.summary(since=_A_MINUTE)
            self._rates.append(minute.ended_per_s)
            return minute.failed / max(1.0, (minute.until - minute.since).total_seconds())
        elapsed_s = max(now - before[0], 0.001)
        # The window's first minute falls out of it now and then.
        self._rates.append(max(0.0, (day.ended - before[1]) / elapsed_s))
        return max(0.0, (day.failed - before[2]) / elapsed_s)


def look_form(look: Look) -> dict[str, Any]:
    """A look as JSON."""
    return {
        "now": time_form(look.now),
        "leader": look.leader,
        "ended_per_s": look.rates[-1],
        "failed_per_s": look.failed_per_s,
        "wait_p95_s": look.wait_p95_s,
        "run_p95_s": look.run_p95_s,
        "queues": [
            {
                "name": queue.name,
                "queued": queue.queued,
                "oldest_s": queue.oldest_s,
                "running": queue.running,
                "workers": queue.workers,
            }
            for queue in look.queues
        ],
        "workers": [
            {
                "name": worker.name,
                "host": worker.host,
                "running": worker.running,
                "slots": worker.concurrency,
                "queues": list(worker.queues),
            }
            for worker in look.workers
        ],
        "running_total": look.running_total,
        "running": [
            {
                "id": execution.id,
                "task": execution.task,
                "queue": execution.queue,
                "attempt": execution.attempt,
                "for_s": age_s(execution, look),
                "progress": None if execution.progress is None else execution.progress.percent,
                "message": None if execution.progress is None else execution.progress.message,
            }
            for execution in look.running
        ],
    }


def age_s(execution: Execution, look: Look) -> float:
    """How long an execution has run."""
    started = execution.started_at or execution.created_at
    return max(0.0, (look.now - started).total_seconds())
