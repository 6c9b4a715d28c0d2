"""Plain RQ jobs under ``butler-worker --rq-jobs``: RQ's own worker, on Butler's queues.

A process of this module is RQ's fork worker, loop, work-horse and all, with two changes:

- It takes only jobs that carry no ledger. Butler's executions stay where they are, and the jobs
  keep their order among themselves. What it takes goes through RQ's intermediate list, so that a
  kill between taking a job and starting it loses nothing (with several queues RQ itself would).
- What RQ's scheduler process would do (delayed jobs, retries after a pause) is done by a thread.
  A process of its own would outlive a killed worker, and hold the scheduler's locks for ever.

So results, failures, retries, callbacks, timeouts, stop-job, and what dashboards show of all that,
are RQ's. One process runs one job at a time; the supervisor's side is ``rq_processes.py``.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import sys
import threading
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import redis as redis_driver
from rq.exceptions import DequeueTimeout
from rq.intermediate_queue import IntermediateQueue
from rq.queue import Queue
from rq.scheduler import RQScheduler
from rq.suspension import is_suspended
from rq.worker import Worker

from butler.app_loading import load_app
from butler.connections import clone_redis
from butler.errors import ButlerError
from butler.log import configure_logging, log_event
from butler.queues import WireKeys, as_text, list_names, load_script
from butler_workers.exits import EXIT_CONFIG

if TYPE_CHECKING:
    from collections.abc import Iterable

    from redis import Redis
    from rq.job import Job
    from rq.serializers import Serializer
    from rq.timeouts import BaseDeathPenalty

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 0.5
# How far behind the head of a list a job may stand to be seen.
WINDOW = 500
SCHEDULER_TICK_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RqJobsConfig:
    """What the supervisor tells such a process at start, as JSON in its arguments."""

    app: str
    app_dir: str | None
    queues: tuple[str, ...]
    log_level: str
    log_format: str = "console"

    def to_argument(self) -> str:
        """For the command line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_argument(cls, argument: str) -> RqJobsConfig:
        """Read what `to_argument` wrote."""
        data = json.loads(argument)
        return cls(**{**data, "queues": tuple(data["queues"])})


class PlainQueue(Queue):
    """An RQ queue of which only plain jobs are taken."""

    @classmethod
    def dequeue_any(
        cls,
        queues: Iterable[Queue],
        timeout: int | None,
        connection: Redis,
        job_class: type[Job] | None = None,
        serializer: Serializer | str | None = None,
        death_penalty_class: type[BaseDeathPenalty] | None = None,
    ) -> tuple[Job, Queue] | None:
        """As RQ's: the next job and its queue, None in burst mode, `DequeueTimeout` in time."""
        served = list(queues)
        deadline = time.monotonic() + (timeout or 0)
        while True:
            # RQ looks once before it waits, and takes one more job while it is suspended.
            for queue in served if not is_suspended(connection) else ():
                job_id = take_plain(connection, queue.name)
                if job_id is not None:
                    found = cls._fetch_dequeued_job(
                        connection,
                        queue.key,
                        job_id,
                        job_class=job_class,
                        serializer=serializer,
                        death_penalty_class=death_penalty_class,
                    )
                    if found is not None:
                        return found
            if timeout is None:
                return None
            if time.monotonic() >= deadline:
                raise DequeueTimeout(timeout, [queue.key for queue in served])
            time.sleep(LOOK_EVERY_S)


class PlainWorker(Worker):
    """RQ's fork worker for plain jobs."""

    queue_class = PlainQueue

    def prepare_job_execution(
        self,
        job: Job,
        remove_from_intermediate_queue: bool = True,  # noqa: FBT001, FBT002 - RQ's signature
    ) -> None:
        """RQ clears the intermediate list only for one queue; here each has one."""
        del remove_from_intermediate_queue
        super().prepare_job_execution(job, remove_from_intermediate_queue=True)


def take_plain(connection: Redis, name: str) -> str | None:
    """The first plain RQ job near a list's head, moved to RQ's intermediate list."""
    key = WireKeys.list(name)
    ids = [as_text(raw) for raw in connection.lrange(key, 0, WINDOW - 1)]
    if not ids:
        return None
    with connection.pipeline(transaction=False) as pipe:
        for job_id in ids:
            pipe.hmget(WireKeys.job(job_id), ["ledger", "data"])
        answers = pipe.execute()
    script = load_script(connection, "take_plain")
    for job_id, (ledger, data) in zip(ids, answers, strict=True):
        if ledger is None and data is not None:
            between = IntermediateQueue.get_intermediate_queue_key(key)
            if script(keys=[key, between, WireKeys.job(job_id)], args=[job_id]):
                return job_id
    return None


class ScheduledJobs:
    """A thread that queues RQ's scheduled jobs when they are due, while it holds RQ's locks."""

    def __init__(self, lists: Iterable[str], client: Redis) -> None:
        self._scheduler = RQScheduler(list(lists), connection=client, logging_level=logging.WARNING)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rq-scheduled", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more, and let another scheduler have the locks at once."""
        self._stopping.set()
        self._thread.join(5.0)

    def _run(self) -> None:
        while not self._stopping.wait(SCHEDULER_TICK_S):
            try:
                self._tick()
            except (redis_driver.RedisError, OSError) as error:
                log_event(logger, logging.WARNING, "rq_scheduled.waiting", error=error)
            except Exception:
                logger.exception("rq_scheduled.failed; going on")
        try:
            self._scheduler.release_locks()  # type: ignore[no-untyped-call]
            self._scheduler.register_death()
        except (redis_driver.RedisError, OSError) as error:
            log_event(logger, logging.WARNING, "rq_scheduled.not_ended", error=error)

    def _tick(self) -> None:
        scheduler = self._scheduler
        if scheduler.should_reacquire_locks:
            scheduler.acquire_locks()  # type: ignore[no-untyped-call]
            if scheduler.acquired_locks:
                scheduler.register_birth()
        if scheduler.acquired_locks:
            scheduler.heartbeat()  # type: ignore[no-untyped-call]
            scheduler.enqueue_scheduled_jobs()  # type: ignore[no-untyped-call]


def main() -> None:
    """Entry of ``python -m butler_workers.rq_jobs CONFIG``; ends when its standard input does."""
    config = RqJobsConfig.from_argument(sys.argv[1])
    configure_logging(config.log_level, form=config.log_format)
    _end_with_parent()
    try:
        client = load_app(config.app, config.app_dir).redis
    except ButlerError as error:
        log_event(logger, logging.ERROR, "rq_jobs.not_started", error=error)
        sys.exit(EXIT_CONFIG)
    lists = [name for queue in config.queues for name in list_names(queue)]
    scheduled = ScheduledJobs(lists, _client_for_rq(client))
    worker = PlainWorker(
        lists,
        name=f"{socket.gethostname()}.{os.getpid()}.rq-jobs",
        connection=_client_for_rq(client),
    )
    scheduled.start()
    try:
        worker.work(logging_level="WARNING")
    finally:
        scheduled.stop()


def _client_for_rq(client: Redis) -> Redis:
    """A client of RQ's own: it raises timeouts, and reads bytes."""
    twin = clone_redis(client, timeout_s=None)
    twin.connection_pool.connection_kwargs["decode_responses"] = False
    return twin


def _end_with_parent() -> None:
    """Stop, as on SIGTERM, when the supervisor's end of standard input closes: it is dead."""
    line = os.dup(0)
    devnull = os.open(os.devnull, os.O_RDONLY)
    os.dup2(devnull, 0)
    os.close(devnull)

    def watch() -> None:
        while os.read(line, 64):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="supervisor-watch", daemon=True).start()


if __name__ == "__main__":
    main()
