"""What can be said about an enqueue, a filter and a recurring job, as type checkers know it.

A test holds each to the API's own models.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime, timedelta

    from butler.options import PriorityLike


class RemoteOptions(TypedDict, total=False):
    """What one enqueue may set, as `EnqueueOptions`; what is None is the task's."""

    delay_s: float | timedelta | None
    run_at: datetime | None
    expires_at: datetime | None
    queue: str | None
    priority: PriorityLike | None
    unique_key: str | None
    replace: bool | None
    user_id: str | None
    concurrency_key: str | None
    fair_key: str | None
    tags: Iterable[str] | None
    max_attempts: int | None
    timeout_s: float | timedelta | None


class Filters(TypedDict, total=False):
    """Which executions, as `ListFilters`: every filter must hold, what is None is left out.

    ``status`` is one status or several. ``recurring_job`` is a name or an id. ``text`` is looked
    for in the error message, and needs a task or a time range. ``…_after`` is inclusive,
    ``…_before`` is not.
    """

    status: str | Iterable[str]
    task: str | None
    queue: str | None
    tag: str | None
    user_id: str | None
    parent_id: str | None
    recurring_job: str | None
    unique_key: str | None
    text: str | None
    created_after: datetime | None
    created_before: datetime | None
    started_after: datetime | None
    started_before: datetime | None
    finished_after: datetime | None
    finished_before: datetime | None


class JobFilters(TypedDict, total=False):
    """Which recurring jobs: every filter must hold. ``text`` is in the name or description."""

    status: str | Iterable[str]
    task: str | None
    queue: str | None
    tag: str | None
    owner: str | None
    source: str | None
    text: str | None
