"""How a worker shows itself to RQ's tools, and hears their commands.

It registers as an RQ worker (``rq info`` and rq-dashboard list it), and takes RQ's stop-job,
stop-execution and shutdown. It has a connection pool of its own, because RQ's base class raises
the socket timeout of whatever pool it is given to minutes.

Being seen is not needed to work: when Redis is away or was emptied, `keep` tries again, and the
slots never wait for it.
"""

from __future__ import annotations

import json
import logging
import time
from typing import TYPE_CHECKING, Any

import redis
from rq.worker import BaseWorker, WorkerStatus

from butler.connections import clone_redis
from butler.log import Repeated, log_event
from butler.queues import list_names

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

logger = logging.getLogger(__name__)
# RQ tells each worker's life at INFO, on a logger that sets its own level; ours tells it already.
logging.getLogger("rq.worker").setLevel(logging.WARNING)

HEARTBEAT_S = 30.0
CHECK_S = 5.0
SILENCE_PAUSE_S = 2.0


class _RqWorker(BaseWorker):
    """RQ's base worker, with commands that reach any of many executions."""

    on_stop: Callable[[str], None]
    on_shutdown: Callable[[], None]

    def handle_payload(self, message: dict[str, Any]) -> None:
        """RQ's own handler reaches only the first execution of a worker."""
        payload = json.loads(message["data"])
        match payload.get("command"):
            case "stop-job" | "stop-execution":
                self.on_stop(str(payload.get("job_id")))
            case "shutdown":
                self.on_shutdown()
            case command:
                log_event(logger, logging.WARNING, "command.ignored", command=command)

    def _pubsub_exception_handler(self, exc: Exception, *_: Any) -> None:
        """Hear on, whatever it was.

        RQ's own ends the thread on a time-out, which is how a network fails, and says each two
        seconds what `Presence.keep` says of the same outage.
        """
        if not isinstance(exc, redis.RedisError | OSError):
            logger.error("command.failed", exc_info=exc)
        else:
            time.sleep(SILENCE_PAUSE_S)


class Presence:
    """Keeps a worker registered with RQ; none of its methods raises when Redis is away."""

    def __init__(
        self,
        client: redis.Redis,
        *,
        name: str,
        queues: Sequence[str],
        on_stop: Callable[[str], None],
        on_shutdown: Callable[[], None],
    ) -> None:
        self._client = clone_redis(client, timeout_s=5.0)
        self._name = name
        self._lists = [rq_queue for queue in queues for rq_queue in list_names(queue)]
        self._on_stop = on_stop
        self._on_shutdown = on_shutdown
        self._failures = Repeated(logger, "presence.waiting")
        self._worker: _RqWorker | None = None
        self._busy = False
        self._checked_at = -CHECK_S
        self._heartbeat_at = 0.0

    def keep(self, now: float, *, busy: bool) -> None:
        """Register, stay registered, and show whether the worker is busy; call it often."""
        try:
            if self._worker is None:
                if now - self._checked_at >= CHECK_S:
                    self._checked_at = now
                    self._register(now)
                return
            if busy != self._busy:
                self._show_state(self._worker, busy=busy)
            if now - self._checked_at >= CHECK_S:
                self._checked_at = now
                self._check(self._worker, now)
        except (redis.RedisError, OSError, ValueError) as error:
            self._failures.again(error=error)
        else:
            self._failures.over()

    def end(self) -> None:
        """Register the worker's death and stop listening."""
        if self._worker is None:
            return
        try:
            self._worker.teardown()  # type: ignore[no-untyped-call]
        except (redis.RedisError, OSError) as error:
            log_event(logger, logging.WARNING, "presence.not_ended", error=error)

    def _register(self, now: float) -> None:
        worker = _RqWorker(self._lists, name=self._name, connection=self._client)
        worker.on_stop = self._on_stop
        worker.on_shutdown = self._on_shutdown
        worker.register_birth()  # type: ignore[no-untyped-call]
        worker.subscribe()  # type: ignore[no-untyped-call]
        self._worker = worker
        self._heartbeat_at = now
        self._show_state(worker, busy=False)

    def _check(self, worker: _RqWorker, now: float) -> None:
        if not self._client.exists(worker.key):
            worker.register_birth()  # type: ignore[no-untyped-call]
            self._show_state(worker, busy=self._busy)
        elif now - self._heartbeat_at >= HEARTBEAT_S:
            self._heartbeat_at = now
            worker.heartbeat()

    def _show_state(self, worker: _RqWorker, *, busy: bool) -> None:
        self._busy = busy
        worker.set_state(WorkerStatus.BUSY if busy else WorkerStatus.IDLE)
