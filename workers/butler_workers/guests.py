"""A guest: one execution run inside somebody else's process, a plain ``rq worker``.

RQ has popped the id, shows the job as started, and keeps its wip entry alive; all of that is left
to RQ. The guest is a worker of its own to the ledger: it registers a row, beats while it runs,
claims this one execution, ends it and leaves. It runs through the same slots, completer and ticker
as any other worker.

What must not happen afterwards is RQ's own ending. It would write ``finished`` over an execution
that is to be retried, or over one that has been queued again and runs elsewhere by now. So the job
object that RQ holds is muted (`mute`): its methods that write do nothing from there on.

When RQ kills the work-horse (stop-job, a crash), the guest cannot say anything. It has written into
``butler:guests`` whom it runs, so that the scheduler finds RQ's verdict beside it
(``butler_scheduler.rq_orders``); without a verdict the lease ends, as for any lost worker.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import signal
import threading
from typing import TYPE_CHECKING, Any

import redis

from butler.clock import SYSTEM_CLOCK
from butler.connections import clone_redis
from butler.executions import ExecutionStatus
from butler.hands import FINISHED_TTL_S, Hand
from butler.log import log_event
from butler.queues import (
    FAILED_TTL_S,
    WireKeys,
    list_name,
    load_script,
    rq_time,
    wire_errors,
)
from butler_workers.heart import Heart
from butler_workers.presence import Presence
from butler_workers.worker import Worker, worker_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rq.job import Job

    from butler.app import Butler
    from butler.hands import Announcement, OnWire
    from butler.storage.records import Claimed

logger = logging.getLogger(__name__)

# How a row that is not this guest's to run is shown again, after RQ has shown it as started: its
# status in RQ's words, and for how long (0: as long as it is needed).
_SHOWN = {
    ExecutionStatus.SUCCEEDED: ("finished", FINISHED_TTL_S),
    ExecutionStatus.FAILED: ("failed", FAILED_TTL_S),
    ExecutionStatus.CANCELLED: ("canceled", FAILED_TTL_S),
    ExecutionStatus.SCHEDULED: ("scheduled", 0),
    ExecutionStatus.RETRYING: ("scheduled", 0),
}
_GONE = ("canceled", FINISHED_TTL_S)


class GuestHand(Hand):
    """The hand of a worker that RQ shows, under the name of RQ's worker."""

    def __init__(
        self, redis: redis.Redis, *, worker_id: str, worker_name: str, queue: str, rq_worker: str
    ) -> None:
        super().__init__(redis, worker_id=worker_id, worker_name=worker_name, queues=(queue,))
        self._rq_worker = rq_worker
        self._still_started = load_script(redis, "still_started")

    def hold(self, execution_id: str) -> None:
        """Take an id that RQ has popped, so that it is found if this process dies."""
        with wire_errors("registration"), self.redis.pipeline(transaction=True) as pipe:
            pipe.sadd(WireKeys.hand(self.worker_id), execution_id)
            pipe.hset(WireKeys.guests, self.worker_id, execution_id)
            pipe.execute()

    def close(self) -> None:
        """Forget the hand, and that there was a guest."""
        super().close()
        with wire_errors("registration"):
            self.redis.hdel(WireKeys.guests, self.worker_id)

    def announce(self, announcements: Sequence[Announcement]) -> None:
        """RQ has done it; here only what a push of the same id may have covered since."""
        keys = list[str]()
        args: list[str | int] = [self._rq_worker]
        for item in announcements:
            name = list_name(item.queue, item.priority)
            keys += (WireKeys.job(item.id), WireKeys.registry("failed", name))
            args += (item.id, item.attempt, rq_time(item.started_at))
        with wire_errors("announcement"):
            self._still_started(keys=keys, args=args)

    def retract(self, announced: Sequence[OnWire]) -> None:
        """RQ will do it."""


class GuestPresence(Presence):
    """Hears stop-job on a channel of its own; is not registered, as RQ's worker is."""

    def __init__(self, client: redis.Redis, *, name: str, on_stop: Callable[[str], None]) -> None:
        super().__init__(client, name=name, queues=(), on_stop=on_stop, on_shutdown=_nothing)
        self._redis = clone_redis(client, timeout_s=None)
        self._channel = WireKeys.commands(name)
        self._stop = on_stop
        self._thread: Any = None

    def keep(self, now: float, *, busy: bool) -> None:  # noqa: ARG002 - RQ shows both
        """Listen, once Redis lets it."""
        if self._thread is not None:
            return
        try:
            pubsub = self._redis.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
            pubsub.subscribe(**{self._channel: self._hear})
            self._thread = pubsub.run_in_thread(sleep_time=1.0, daemon=True)
        except (redis.RedisError, OSError) as error:
            log_event(logger, logging.WARNING, "presence.waiting", error=error)

    def end(self) -> None:
        """Listen no more."""
        if self._thread is not None:
            self._thread.stop()

    def _hear(self, message: dict[str, Any]) -> None:
        payload = json.loads(message["data"])
        if payload.get("command") in ("stop-job", "stop-execution"):
            self._stop(str(payload.get("job_id")))


class Guest(Worker):
    """Runs one execution of one list in this process, then is gone."""

    def __init__(self, butler: Butler, *, worker_id: str, queue: str, rq_worker: str) -> None:
        name = worker_name(worker_id)
        self._won = False
        hand = GuestHand(
            butler.redis, worker_id=worker_id, worker_name=name, queue=queue, rq_worker=rq_worker
        )
        super().__init__(
            butler,
            queues=(queue,),
            concurrency=1,
            worker_id=worker_id,
            solo=True,
            lease_s=butler.settings.lease_s,
            grace_s=butler.settings.grace_s,
            hand=hand,
            presence=GuestPresence(butler.redis, name=name, on_stop=self.cancel),
        )

    def run(self, execution_id: str, list_name: str) -> bool:
        """Run it if the ledger lets this worker have it; returns whether it did."""
        assert isinstance(self.hand, GuestHand)
        every_s = self._butler.settings.heartbeat_every_s
        heart = Heart(self, self._storage, SYSTEM_CLOCK, every_s=every_s)
        heart.start()
        try:
            # From before the claim on: what is won is handed back, whenever that comes.
            with _sigterm_hands_back(self):
                self.hand.hold(execution_id)
                self._fetcher.claim([(execution_id, list_name)])
                if not self._won:
                    self._show_as_it_is(execution_id)
                self.drain(math.inf)
        finally:
            heart.stop()
        return self._won

    def _claimed(self, won: Sequence[Claimed]) -> None:
        self._won = self._won or bool(won)
        super()._claimed(won)

    def _show_as_it_is(self, execution_id: str) -> None:
        """RQ said started when it popped the id; the ledger says that it is not."""
        execution = self._storage.get(execution_id)
        shown = _GONE if execution is None else _SHOWN.get(execution.status)
        if shown is None:
            return
        script = load_script(self.hand.redis, "unstart")
        with wire_errors("correction"):
            script(keys=[WireKeys.job(execution_id)], args=[*shown])


class _Muted:
    """What a job object becomes whose end Butler has written itself."""

    def heartbeat(self, *_: object, **__: object) -> None:
        """Write nothing."""

    def set_status(self, *_: object, **__: object) -> None:
        """Write nothing."""

    def save(self, *_: object, **__: object) -> None:
        """Write nothing."""

    def cleanup(self, *_: object, **__: object) -> None:
        """Write nothing."""

    def _handle_success(self, *_: object, **__: object) -> None:
        """Write nothing."""

    def _handle_failure(self, *_: object, **__: object) -> None:
        """Write nothing."""


def mute(job: Job) -> None:
    """Have RQ write nothing more about a job through this object."""
    job.__class__ = type("MutedJob", (_Muted, type(job)), {})


@contextlib.contextmanager
def _sigterm_hands_back(guest: Guest) -> Iterator[None]:
    """In a work-horse SIGTERM kills at once; where RQ has a handler of its own it is left alone."""
    here = threading.current_thread() is threading.main_thread()
    if not here or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, lambda *_: guest.hurry(0))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _nothing() -> None:
    return None
