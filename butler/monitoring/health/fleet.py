"""Checks of who does the work: a leader, workers, and a worker for whatever waits (pure)."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from butler.durations import seconds_text
from butler.lifecycle import UNKNOWN_TASK
from butler.monitoring.health import limits
from butler.monitoring.health.verdict import degraded, healthy, unhealthy
from butler.storage.monitoring_records import INTERNAL_QUEUE
from butler.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from butler.monitoring.health.verdict import HealthCheck
    from butler.storage.monitoring_records import LedgerPicture
    from butler.storage.records import WorkerRow


def check_fleet(picture: LedgerPicture) -> Iterator[HealthCheck]:
    """All of them."""
    yield _leader(picture)
    yield from _no_worker(picture)
    yield from _unknown_tasks(picture)
    yield from _lost_workers(picture)
    yield from _stuck(picture)


def living(picture: LedgerPicture) -> list[WorkerRow]:
    """Workers that run; the leader's own, for the internal queue, is none of them."""
    return [
        worker
        for worker in picture.workers
        if not worker.lost and worker.stopped_at is None and INTERNAL_QUEUE not in worker.queues
    ]


def lost(picture: LedgerPicture, *, within_s: float) -> list[WorkerRow]:
    """Workers that were given up and were last heard of in that time."""
    return [
        worker
        for worker in picture.workers
        if worker.lost
        and INTERNAL_QUEUE not in worker.queues
        and (picture.now - worker.heartbeat_at).total_seconds() < within_s
    ]


def unserved(picture: LedgerPicture) -> list[tuple[str, float, int]]:
    """Queues on which something waits and that no worker serves: name, seconds, depth."""
    served = {queue for worker in living(picture) for queue in worker.queues}
    return [
        (queue.queue, (picture.now - queue.oldest_queued_at).total_seconds(), queue.depth)
        for queue in picture.queues
        if queue.queue not in served
    ]


def _leader(picture: LedgerPicture) -> HealthCheck:
    if picture.leader is not None:
        return healthy("leader", f"{picture.leader} leads")
    return unhealthy(
        "leader",
        "no scheduler leads: nothing delayed, retried, recurring or lost is started",
        "start butler-scheduler",
    )


def _no_worker(picture: LedgerPicture) -> Iterator[HealthCheck]:
    found = unserved(picture)
    for queue, waited_s, depth in found:
        words = (
            f"{depth} wait on {queue!r}, {seconds_text(waited_s)} already, and no worker serves it"
        )
        remedy = f"start butler-worker --queues {queue}"
        make = unhealthy if waited_s >= limits.NO_WORKER_S else degraded
        yield make("queue_workers", words, remedy, subject=queue)
    if not found:
        workers = living(picture)
        yield healthy(
            "queue_workers", f"{counted(len(workers), 'worker')}; each queue in use is served"
        )


def _unknown_tasks(picture: LedgerPicture) -> Iterator[HealthCheck]:
    for task in picture.waiting:
        waited_s = (picture.now - task.since).total_seconds()
        why = (
            f"no worker knows {task.task!r}"
            if task.reason == UNKNOWN_TASK
            else f"no worker has {task.task!r} with the schema of what was enqueued"
        )
        words = f"{why}: {task.count} wait, {seconds_text(waited_s)} already"
        remedy = "deploy workers with the code that enqueued it, or cancel what waits"
        make = unhealthy if waited_s >= limits.UNKNOWN_TASK_S else degraded
        yield make("task_workers", words, remedy, subject=task.task)
    if not picture.waiting:
        yield healthy("task_workers", "each task that waits is known to a worker")


def _lost_workers(picture: LedgerPicture) -> Iterator[HealthCheck]:
    gone = lost(picture, within_s=limits.LOST_WORKER_SHOWN_S)
    for host, count in sorted(Counter(worker.host for worker in gone).items()):
        yield degraded(
            "lost_workers",
            f"{counted(count, 'worker')} of {host} died or fell silent; what they ran is run again",
            f"look at {host}: its memory, its log, its network",
            subject=host,
        )
    if not gone:
        yield healthy("lost_workers", "none lately")


def _stuck(picture: LedgerPicture) -> Iterator[HealthCheck]:
    stuck = []
    for execution in picture.running:
        ran_s = (picture.now - execution.started_at).total_seconds()
        limit_s = execution.timeout_s
        if limit_s is not None and ran_s > limit_s + limits.STUCK_AFTER_S:
            stuck.append((execution, ran_s))
    for task, count in sorted(Counter(execution.task for execution, _ in stuck).items()):
        longest_s = max(ran_s for execution, ran_s in stuck if execution.task == task)
        yield unhealthy(
            "stuck_executions",
            f"{count} of {task!r} run past their time limit, the longest for "
            f"{seconds_text(longest_s)}",
            "look at their workers' logs; butler executions cancel ends them",
            subject=task,
        )
    if not stuck:
        yield healthy("stuck_executions", f"none of the {len(picture.running)} that run")
