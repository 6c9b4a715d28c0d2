"""Workers' rows: registration, heartbeats, loss, and what runs under an id."""

from __future__ import annotations

from typing import TYPE_CHECKING

from butler.errors import InvalidOption
from butler.lifecycle import WAITING_FOR_WORKER
from butler.storage.postgres import literals, rows
from butler.storage.records import HeartbeatReply

if TYPE_CHECKING:
    from collections.abc import Sequence

    from butler.storage.postgres.connections import PostgresConnections
    from butler.storage.records import RunningAttempt, WorkerPulse, WorkerRegistration, WorkerRow


class PostgresWorkers:
    """The workers of one ledger."""

    def __init__(self, connections: PostgresConnections) -> None:
        self._connections = connections

    def register(self, worker: WorkerRegistration) -> None:
        """Add a worker, and make due what waits for one that knows one of its tasks."""
        if not literals.is_uuid(worker.id):
            raise InvalidOption(f"a worker's id must be a canonical UUID, got {worker.id!r}")
        tasks = literals.texts(worker.tasks)
        params = {
            "id": worker.id,
            "name": worker.name,
            "host": worker.host,
            "pid": str(worker.pid),
            "supervisor_id": worker.supervisor_id,
            "queues": literals.texts(worker.queues),
            "tasks": tasks,
            "concurrency": str(worker.concurrency),
            "solo": "t" if worker.solo else "f",
        }
        self._connections.run("register_worker", params)
        reasons = literals.texts(sorted(WAITING_FOR_WORKER))
        self._connections.run("release_waiting", {"tasks": tasks, "reasons": reasons})

    def heartbeat(self, worker_ids: Sequence[str]) -> list[HeartbeatReply]:
        """Raise the counters of those that live; the rest is lost, stopped or unknown."""
        if not worker_ids:
            return []
        params = {"ids": literals.uuids(worker_ids)}
        living = {row[0] for row in self._connections.run("heartbeat", params, hot=True)}
        running = self._running(worker_ids)
        return [
            HeartbeatReply(
                worker_id=id_, lost=id_ not in living, running=tuple(running.get(id_, ()))
            )
            for id_ in worker_ids
        ]

    def stop(self, worker_id: str) -> None:
        """Note that a worker ended in good order."""
        if literals.is_uuid(worker_id):
            self._connections.run("stop_worker", {"id": worker_id})

    def lose(self, worker_id: str, *, counter: int | None) -> bool:
        """Mark a worker lost if its counter still stands there; whether it is lost now."""
        if not literals.is_uuid(worker_id):
            return False
        params = {"id": worker_id, "counter": None if counter is None else str(counter)}
        return bool(self._connections.run("lose_worker", params))

    def running(self, worker_id: str) -> list[RunningAttempt]:
        """What runs under a worker's id."""
        return self._running([worker_id]).get(worker_id, [])

    def workers(self) -> list[WorkerRow]:
        """Workers that live, and those that ended within the last hour."""
        return [rows.worker(row) for row in self._connections.run("workers")]

    def pulses(self) -> list[WorkerPulse]:
        """The counters of all workers but those that are over with nothing running."""
        return [rows.pulse(row) for row in self._connections.run("pulses")]

    def _running(self, worker_ids: Sequence[str]) -> dict[str, list[RunningAttempt]]:
        found: dict[str, list[RunningAttempt]] = {}
        for row in self._connections.run("running", {"ids": literals.uuids(worker_ids)}, hot=True):
            found.setdefault(row[0], []).append(rows.running(row))
        return found
