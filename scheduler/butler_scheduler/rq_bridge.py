"""All that the scheduler has to do with RQ and rq-scheduler; nothing else here imports them.

`RqBridge` is an rq-scheduler to everybody who looks: it registers like one, and fires the jobs that
an application scheduled with rq-scheduler. rq-scheduler's own ``run`` is never called: it polls
once a minute, stops for ever at the first entry it cannot read, and loses a recurring job when it
is killed between taking its entry out and putting it in again. Here:

- The push and the entry's next time are one transaction. A kill loses neither a fire nor the
  recurrence. (A job with dependencies or a rate limit cannot be enqueued in a transaction of
  others: its entry moves after the push, so that a kill in between fires it twice, never not.)
- An entry is only moved if it is still there: one that was cancelled meanwhile stays cancelled.
- An entry that cannot be read stays where it is, is reported once, and stops no other.
- What a job calls is not unpickled (rq-scheduler does, to log it), only its ``meta``, and of that
  only plain values: the scheduler needs, and runs, none of the application's code.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, ClassVar

from redis.exceptions import ConnectionError, TimeoutError  # noqa: A004 - redis-py's names
from rq.exceptions import NoSuchJobError
from rq_scheduler import Scheduler
from rq_scheduler.utils import get_next_scheduled_time, to_unix

from butler.clock import SYSTEM_CLOCK
from butler.log import log_event
from butler.plain_pickle import PlainPickle
from butler.queues import as_text, wire_errors
from butler_scheduler.service import Service

if TYPE_CHECKING:
    from redis import Redis
    from rq.job import Job

    from butler.clock import Clock
    from butler_scheduler.leader import Leader

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
HEARTBEAT_S = 5.0
PAGE = 500


class UnreadableEntry(Exception):
    """A scheduled job that cannot be fired as it stands."""


class BridgeScheduler(Scheduler):  # type: ignore[misc]  # rq-scheduler has no types
    """rq-scheduler with a safe way to fire; `fire_due` instead of ``run``."""

    def __init__(self, connection: Redis, *, name: str) -> None:
        super().__init__(connection=connection, interval=HEARTBEAT_S, name=name)
        self._reported: set[str] = set()

    def heartbeat(self) -> None:
        """Stay registered, also when Redis was emptied."""
        if not self.connection.expire(self.key, int(self._interval) + 10):
            self.register_birth()

    def fire_due(self, leader: Leader) -> int:
        """Fire what is due while this scheduler leads; returns how many jobs were enqueued."""
        fired, stuck, now = 0, set[str](), int(time.time())
        if not self.connection.zcount(self.scheduled_jobs_key, 0, now) or not self.acquire_lock():
            return 0
        try:
            while ids := self.connection.zrangebyscore(
                # What is stuck stays at the head: step over it.
                self.scheduled_jobs_key,
                0,
                now,
                start=len(stuck),
                num=PAGE,
            ):
                for job_id in map(as_text, ids):
                    if leader.epoch() is None:
                        return fired
                    try:
                        fired += self._fire(job_id)
                    except (ConnectionError, TimeoutError):
                        raise
                    except Exception as error:  # noqa: BLE001 - an entry may hold anything
                        stuck.add(job_id)
                        self._report(job_id, error)
        finally:
            self.remove_lock()
        self._reported &= stuck
        return fired

    def enqueue_job(self, job: Job) -> None:
        """Push a scheduled job and move its entry to its next time, in one transaction."""
        next_at = self._next_time(job)
        queue = self.queue_class(job.origin, connection=self.connection, job_class=self.job_class)
        at_front = bool(job.enqueue_at_front)
        alone = bool(job._dependency_ids) or job.has_rate_limit  # noqa: SLF001 - RQ has no name for it
        if alone:
            queue.enqueue_job(job, at_front=at_front)
        with self.connection.pipeline() as pipe:
            if not alone:
                queue.enqueue_job(job, pipeline=pipe, at_front=at_front)
            if next_at is None:
                pipe.zrem(self.scheduled_jobs_key, job.id)
            else:
                pipe.zadd(self.scheduled_jobs_key, {job.id: next_at}, xx=True)
            pipe.execute()

    def _fire(self, job_id: str) -> int:
        try:
            job = self.job_class.fetch(job_id, connection=self.connection, serializer=PlainPickle)
        except NoSuchJobError as error:
            if self.connection.exists(self.job_class.key_for(job_id)):
                raise UnreadableEntry(str(error)) from error
            # As rq-scheduler does: the job was deleted, its entry is all that is left.
            self.cancel(job_id)
            return 0
        if "unserialized" in job.meta:
            raise UnreadableEntry("its meta holds something else than plain values")
        self.enqueue_job(job)
        return 1

    def _next_time(self, job: Job) -> int | None:
        """When a recurring job fires again; None when this is its last time. Counts down repeat."""
        repeat = job.meta.get("repeat")
        if repeat is not None:
            job.meta["repeat"] = int(repeat) - 1
            if job.meta["repeat"] <= 0:
                return None
        if interval := job.meta.get("interval"):
            return int(time.time()) + int(interval)
        if cron := job.meta.get("cron_string"):
            local = job.meta.get("use_local_timezone")
            return int(to_unix(get_next_scheduled_time(cron, use_local_timezone=local)))
        return None

    def _report(self, job_id: str, error: Exception) -> None:
        if job_id not in self._reported:
            self._reported.add(job_id)
            log_event(logger, logging.ERROR, "rq_bridge.stuck", job=job_id, error=error)


class RqBridge(Service):
    """Shows this scheduler to rq-scheduler's users, and fires their jobs while leading."""

    name: ClassVar[str] = "rq bridge"

    def __init__(self, redis: Redis, *, leader: Leader, clock: Clock = SYSTEM_CLOCK) -> None:
        super().__init__(clock=clock)
        self.scheduler = BridgeScheduler(redis, name=f"butler-{leader.holder}")
        self._leader = leader
        self._heartbeat_due = 0.0

    def tick(self, now: float) -> float:
        """Heartbeat every few seconds; fire what is due."""
        with wire_errors("rq-scheduler's part"):
            if now >= self._heartbeat_due:
                self.scheduler.heartbeat()
                self._heartbeat_due = now + HEARTBEAT_S
            if self._leader.epoch() is not None:
                fired = self.scheduler.fire_due(self._leader)
                if fired:
                    log_event(logger, logging.INFO, "rq_bridge.fired", count=fired)
        return LOOK_EVERY_S

    def wind_down(self) -> None:
        """Register this scheduler's death."""
        with wire_errors("rq-scheduler's part"):
            self.scheduler.register_death()
