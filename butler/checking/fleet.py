"""Checks of what runs: a scheduler that leads, and a worker for each task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from butler.checking.findings import ok, warning

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from butler.checking.findings import Finding
    from butler.storage.records import Leadership, TaskDefinition, WorkerRow


def check_scheduler(leadership: Leadership) -> Finding:
    """Whether somebody leads."""
    if leadership.holder is not None:
        return ok("scheduler", f"{leadership.holder} leads")
    return warning(
        "scheduler",
        "none leads: what is delayed, retried or lost waits",
        "start butler-scheduler",
    )


def check_workers(
    tasks: Sequence[TaskDefinition], workers: Sequence[WorkerRow]
) -> Iterator[Finding]:
    """Whether each task has a living worker that knows it and serves its queue."""
    alive = [worker for worker in workers if not worker.lost and worker.stopped_at is None]
    orphans = [task for task in tasks if not any(_runs(worker, task) for worker in alive)]
    if not orphans:
        yield ok("workers", f"{len(alive)} alive, {len(tasks)} tasks, each with a worker")
    for task in orphans:
        knowing = [worker for worker in alive if task.name in worker.tasks]
        queue = task.options.get("queue", "default")
        if knowing:
            found = f"nobody who knows {task.name!r} serves its queue {queue!r}"
        else:
            found = f"no worker knows {task.name!r}"
        yield warning("workers", found, f"start butler-worker --queues {queue} with its app")


def _runs(worker: WorkerRow, task: TaskDefinition) -> bool:
    return task.name in worker.tasks and task.options.get("queue", "default") in worker.queues
