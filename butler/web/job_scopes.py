"""Which recurring jobs and tasks exist for a caller with a scope."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from butler.errors import RecurringJobNotFound
from butler.queue_names import DEFAULT_QUEUE
from butler.web.problems import FORBIDDEN, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable

    from butler.recurring import RecurringJob
    from butler.web.callers import Caller
    from butler.web.services import Web


def job_for(web: Web, caller: Caller, job: str) -> RecurringJob:
    """The job; raises `RecurringJobNotFound` also outside of the scope."""
    found = web.butler.recurring.get(job)
    if not is_visible(web, caller, found):
        raise RecurringJobNotFound(job)
    return found


def is_visible(web: Web, caller: Caller, job: RecurringJob) -> bool:
    """Whether what the job makes is in the caller's scope."""
    return _holds(web, caller, task=job.task, queue=job.queue, tags=job.tags)


def is_task_visible(web: Web, caller: Caller, task: str) -> bool:
    """Whether what that task makes, unless it is told otherwise, is in the caller's scope."""
    known = caller.scope.everything or web.butler.definition_of(task) is not None
    return known and _holds(web, caller, task=task, queue=None, tags=())


def check_may_be(web: Web, caller: Caller, *, task: str, options: dict[str, Any]) -> None:
    """Raise a `Problem` where a job would make what is outside of the caller's scope."""
    queue, tags = options.get("queue"), options.get("tags") or ()
    if not _holds(web, caller, task=task, queue=queue, tags=tags):
        detail = f"executions of {task!r} would be outside of the token's scope"
        raise Problem(FORBIDDEN, detail)


def _holds(web: Web, caller: Caller, *, task: str, queue: str | None, tags: Iterable[str]) -> bool:
    if caller.scope.everything:
        return True
    definition = web.butler.definition_of(task)
    its_queue = DEFAULT_QUEUE if definition is None else definition.options.get("queue")
    its_tags = () if definition is None else definition.tags
    return caller.scope.holds(queue=queue or its_queue or DEFAULT_QUEUE, tags=(*its_tags, *tags))
