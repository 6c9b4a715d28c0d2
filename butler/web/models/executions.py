"""Executions, as HTTP knows them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from butler.changes import ChangeKind
from butler.executions import AttemptOutcome, ExecutionStatus, Priority
from butler.option_texts import MAX_KEY_CHARS
from butler.options import MAX_ATTEMPTS, MAX_DELAY_S, MAX_TIMEOUT_S
from butler.storage.limits import LimitPart
from butler.web.models.base import Given, Moment, Shown, given_like

MAX_MANY = 1_000
_ASKED = frozenset({"task", "request"})
_EXAMPLE_ID = "01a20ce4-0f0f-7136-b583-20899cea7136"


class NewExecution(Given):
    """One execution to be enqueued; what is left out is the task's."""

    model_config = given_like({"task": "send_receipt", "request": {"number": 7}})

    task: str = Field(description="The task's name.", min_length=1, max_length=200)
    request: Any = Field(None, description="What the task's request schema says.")
    delay_s: float | None = Field(None, ge=0, le=MAX_DELAY_S, description="Run it so much later.")
    run_at: Moment | None = Field(None, description="Run it then; not with `delay_s`.")
    expires_at: Moment | None = Field(None, description="No attempt starts after this.")
    queue: str | None = Field(None, pattern=r"^[A-Za-z0-9_-]{1,100}$")
    priority: Priority | None = None
    unique_key: str | None = Field(None, min_length=1, max_length=MAX_KEY_CHARS)
    replace: bool | None = Field(None, description="Let the waiting holder of the key do this.")
    concurrency_key: str | None = Field(
        None,
        min_length=1,
        max_length=MAX_KEY_CHARS,
        description="What the task's `max_concurrency` holds for.",
    )
    fair_key: str | None = Field(
        None, min_length=1, max_length=MAX_KEY_CHARS, description="What takes turns on its queue."
    )
    user_id: str | None = Field(None, min_length=1, max_length=200)
    tags: list[Annotated[str, Field(min_length=1, max_length=100)]] | None = Field(
        None, max_length=50, description="Besides the task's own."
    )
    max_attempts: int | None = Field(None, ge=1, le=MAX_ATTEMPTS)
    timeout_s: float | None = Field(None, gt=0, le=MAX_TIMEOUT_S)

    def options(self) -> dict[str, Any]:
        """What was set besides the task and its request."""
        if self.model_fields_set <= _ASKED:
            return {}
        return self.model_dump(exclude={"task", "request"}, exclude_none=True)


class NewExecutions(Given):
    """Up to 1,000 executions, all of which are checked before any is written."""

    model_config = given_like({"executions": [{"task": "send_receipt", "request": {"number": 7}}]})

    executions: list[NewExecution] = Field(min_length=1, max_length=MAX_MANY)


class Enqueued(Shown):
    """What became of one that was to be enqueued.

    ``created`` is false when an unfinished execution holds the unique key: then ``id`` is that
    one's.
    """

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [{"id": _EXAMPLE_ID, "created": True, "replaced": False, "pushed": True}]
        },
    )

    id: str
    created: bool
    replaced: bool = Field(description="The holder of the key waited, and does this instead.")
    pushed: bool = Field(description="It is on its queue already.")


class EnqueuedMany(Shown):
    """One for each that was given, in order."""

    executions: list[Enqueued]


class ShownError(Shown):
    """What went wrong in an attempt."""

    type: str
    message: str
    traceback: str | None = None
    details: list[dict[str, Any]] = Field([])


class ShownProgress(Shown):
    """How far a running execution says it is."""

    percent: float
    message: str | None


class ShownAttempt(Shown):
    """One attempt that is over."""

    number: int
    outcome: AttemptOutcome
    counted: bool = Field(description="Whether it used up one of `max_attempts`.")
    worker_id: str | None
    started_at: datetime | None
    finished_at: datetime
    error: ShownError | None


class ShownWait(Shown):
    """A limit, a rate or a pause that keeps a queued execution from starting."""

    limit: str = Field(description="Its name: a task's, a key's, or `queue:` and a queue's.")
    part: LimitPart
    wait_s: float = Field(description="At least so long; 0 where only a free slot can tell.")
    held_by: list[str] = Field(description="Up to ten executions that hold its slots.")


class ExecutionSummary(Shown):
    """An execution as listings show it."""

    id: str
    task: str
    status: ExecutionStatus
    queue: str
    priority: Priority
    request: Any = Field(description="Secrets are `***`.")
    error: ShownError | None = Field(description="In listings without its traceback.")
    attempt: int
    attempts_used: int
    max_attempts: int
    timeout_s: float | None
    progress: ShownProgress | None
    tags: list[str]
    user_id: str | None
    unique_key: str | None
    parent_id: str | None
    rerun_of: str | None
    worker_id: str | None
    reason: str | None = Field(description="Why it waits, or was cancelled by itself.")
    run_at: datetime
    created_at: datetime
    queued_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    cancel_requested_at: datetime | None
    expires_at: datetime | None
    waits_for: list[ShownWait] = Field(
        [], description="What keeps it from starting while it is queued; else empty."
    )


class ExecutionDetail(ExecutionSummary):
    """All that is known of an execution."""

    result: Any = Field(description="Secrets are `***`.")
    crashes: int
    attempts: list[ShownAttempt] = Field(description="Each attempt that is over.")


class ExecutionPage(Shown):
    """A page of executions, newest first."""

    executions: list[ExecutionSummary]
    next_cursor: str | None = Field(description="Of the next page; null on the last one.")
    truncated: bool = Field(
        description="It ends here because enough rows were looked at: go on with the cursor."
    )


class ExecutionEvents(Shown):
    """The recorded progress of an execution, oldest first."""

    events: list[ExecutionEventShown]


class ExecutionEventShown(Shown):
    """One line of an execution's history."""

    attempt: int
    kind: str
    at: datetime
    percent: float | None
    message: str | None


class ShownLine(Shown):
    """Something a task has logged."""

    id: int
    attempt: int
    at: datetime
    level: int = Field(description="10 debug, 20 info, 30 warning, 40 error.")
    logger: str
    message: str
    cut: bool = Field(description="More was logged than is kept.")


class LogPage(Shown):
    """What an execution has logged, oldest first."""

    lines: list[ShownLine]
    next_after: int | None = Field(description="`after` for the lines behind these, if any.")


class ShownTree(Shown):
    """An execution and what it has enqueued, each with its own."""

    id: str
    task: str
    status: ExecutionStatus
    attempt: int
    progress: ShownProgress | None
    children: list[ShownTree]
    cut: bool = Field(description="There are more children than are shown.")


class Cancelled(Shown):
    """Whether it is cancelled now, or was asked to end; false when it was over."""

    id: str
    cancelled: bool


class ShownChange(Shown):
    """One step of an execution, as a stream tells it. More kinds will come: skip unknown ones."""

    kind: ChangeKind = Field(description="The event's name, too.")
    execution_id: str
    task: str
    queue: str
    status: ExecutionStatus
    attempt: int
    percent: float | None = Field(description="How far the attempt is, 0 to 100.")
    message: str | None = Field(description="What it said about that.")
    at: datetime = Field(description="When it was learned of; of a line, when it was logged.")
    line: ShownLine | None = Field(None, description="What was logged, where `kind` is `log`.")


class ShownMoment(Shown):
    """A time, as a stream tells it."""

    at: datetime


class Selection(Given):
    """Which executions: by their ids, or all that a filter lets through."""

    model_config = given_like(
        {"filter": {"task": "send_receipt", "status": ["failed"]}, "dry_run": True}
    )

    ids: list[Annotated[str, Field(max_length=36)]] | None = Field(
        None, min_length=1, max_length=MAX_MANY
    )
    filter: ExecutionFilter | None = None
    dry_run: bool = Field(False, description="Count, and change nothing.")
    limit: int = Field(10_000, ge=1, le=10_000, description="At most so many of a filter.")
    cursor: str | None = Field(None, max_length=36, description="The `next_cursor` before.")


class ExecutionFilter(Given):
    """Every filter that is given must hold; an empty one is refused."""

    status: list[ExecutionStatus] = Field([], max_length=7)
    task: str | None = Field(None, max_length=200)
    queue: str | None = Field(None, max_length=100)
    tag: str | None = Field(None, max_length=100)
    user_id: str | None = Field(None, max_length=200)
    parent_id: str | None = Field(None, max_length=36)
    recurring_job: str | None = Field(None, max_length=200, description="A name or an id.")
    unique_key: str | None = Field(None, max_length=MAX_KEY_CHARS)
    text: str | None = Field(
        None,
        min_length=2,
        max_length=200,
        description="In the error message; needs a task or a time range.",
    )
    created_after: Moment | None = None
    created_before: Moment | None = None
    started_after: Moment | None = None
    started_before: Moment | None = None
    finished_after: Moment | None = None
    finished_before: Moment | None = None


class BulkStep(Shown):
    """What a step for many did, or with ``dry_run`` would do.

    After a filter that found more than ``limit``, or looked at too many rows, ``next_cursor`` goes
    on.
    """

    dry_run: bool
    matched: int
    changed: int = Field(description="With `dry_run`, how many would be tried.")
    unchanged: dict[str, int] = Field(
        description="How many were left as they are, by their status; `unknown` do not exist."
    )
    next_cursor: str | None
