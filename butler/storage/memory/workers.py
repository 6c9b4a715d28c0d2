"""Workers and leadership in the memory ledger.

Liveness is a counter that grows; nothing here reads it against a clock. Lost is final, and so is
stopped: a worker id serves one process life.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from butler.storage.records import Leadership, WorkerPulse, WorkerRow

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime

    from butler.storage.records import WorkerRegistration

_SHOWN_AFTER_THE_END = timedelta(hours=1)


@dataclass(slots=True, kw_only=True)
class Worker:
    """One worker process and how it stands."""

    registration: WorkerRegistration
    started_at: datetime
    heartbeat_at: datetime
    counter: int = 0
    lost_at: datetime | None = None
    stopped_at: datetime | None = None

    @property
    def over(self) -> bool:
        """Lost or stopped: it may not claim any more."""
        return self.lost_at is not None or self.stopped_at is not None


class WorkerTable:
    """All workers that were ever registered, by id."""

    def __init__(self) -> None:
        self._workers: dict[str, Worker] = {}

    def register(self, registration: WorkerRegistration, *, now: datetime) -> None:
        """Add a worker; a repeated registration changes nothing, and revives nobody."""
        worker = Worker(registration=registration, started_at=now, heartbeat_at=now)
        self._workers.setdefault(registration.id, worker)

    def may_work(self, worker_id: str) -> bool:
        """Whether this worker is registered and neither lost nor stopped."""
        worker = self._workers.get(worker_id)
        return worker is not None and not worker.over

    def beat(self, worker_id: str, *, now: datetime) -> bool:
        """Raise the counter of a worker that lives; False when it is unknown or over."""
        worker = self._workers.get(worker_id)
        if worker is None or worker.over:
            return False
        worker.counter += 1
        worker.heartbeat_at = now
        return True

    def stop(self, worker_id: str, *, now: datetime) -> None:
        """Note that a worker ended in good order."""
        worker = self._workers.get(worker_id)
        if worker is not None and not worker.over:
            worker.stopped_at = now

    def lose(self, worker_id: str, *, counter: int | None, now: datetime) -> bool:
        """Mark a worker lost if its counter still stands there; whether it is lost now."""
        worker = self._workers.get(worker_id)
        if worker is None:
            return False
        if worker.lost_at is None and counter in (None, worker.counter):
            worker.lost_at = now
        return worker.lost_at is not None

    def name(self, worker_id: str | None) -> str | None:
        """What a worker is called."""
        worker = None if worker_id is None else self._workers.get(worker_id)
        return None if worker is None else worker.registration.name

    def pulses(self, *, running: Mapping[str, int]) -> list[WorkerPulse]:
        """The counters of all workers but those that are over with nothing running."""
        return [
            WorkerPulse(
                id=id_,
                name=worker.registration.name,
                counter=worker.counter,
                lost=worker.lost_at is not None,
                stopped=worker.stopped_at is not None,
            )
            for id_, worker in self._workers.items()
            if not worker.over or running.get(id_)
        ]

    def forget(self, *, ended_before: datetime, keep: Collection[str | None]) -> int:
        """Forget workers that ended before that moment; how many."""
        old = []
        for id_, worker in self._workers.items():
            ended_at = worker.lost_at or worker.stopped_at
            if ended_at is not None and ended_at < ended_before and id_ not in keep:
                old.append(id_)
        for id_ in old:
            del self._workers[id_]
        return len(old)

    def rows(self, *, running: Mapping[str, int], now: datetime) -> list[WorkerRow]:
        """Those that live, and those that ended within the last hour."""
        shown = []
        for id_, worker in self._workers.items():
            ends = [at for at in (worker.lost_at, worker.stopped_at) if at is not None]
            if not ends or max(ends) > now - _SHOWN_AFTER_THE_END:
                shown.append(_to_row(worker, running=running.get(id_, 0)))
        return shown


class LeaderSeat:
    """Who leads; the epoch grows with each taking, and fences what the leader does."""

    def __init__(self) -> None:
        self._now = Leadership(holder=None, epoch=0, counter=0)

    def read(self) -> Leadership:
        """Who leads now."""
        return self._now

    def holds(self, epoch: int) -> bool:
        """Whether the leader of this epoch still leads."""
        return self._now.holder is not None and self._now.epoch == epoch

    def take(self, holder: str, *, observed: Leadership) -> int | None:
        """Lead if nothing moved since ``observed``; the new epoch."""
        if self._now != observed:
            return None
        self._now = Leadership(holder=holder, epoch=observed.epoch + 1, counter=0)
        return self._now.epoch

    def renew(self, holder: str, *, epoch: int) -> bool:
        """Raise the counter; False when somebody else leads."""
        if self._now.holder != holder or self._now.epoch != epoch:
            return False
        self._now = Leadership(holder=holder, epoch=epoch, counter=self._now.counter + 1)
        return True

    def resign(self, holder: str, *, epoch: int) -> None:
        """Leave the seat empty, if it is still held."""
        if self._now.holder == holder and self._now.epoch == epoch:
            self._now = Leadership(holder=None, epoch=epoch, counter=self._now.counter)


def _to_row(worker: Worker, *, running: int) -> WorkerRow:
    registration = worker.registration
    return WorkerRow(
        id=registration.id,
        name=registration.name,
        host=registration.host,
        pid=registration.pid,
        queues=registration.queues,
        tasks=registration.tasks,
        concurrency=registration.concurrency,
        running=running,
        lost=worker.lost_at is not None,
        started_at=worker.started_at,
        heartbeat_at=worker.heartbeat_at,
        stopped_at=worker.stopped_at,
    )
