"""Tasks, workers, tokens, the audit log and callers, as HTTP knows them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from butler.api_tokens import Role
from butler.web.models.base import Given, Moment, Shown, given_like


class ShownTask(Shown):
    """A task as a worker announced it, or as this process's own code has it."""

    name: str
    description: str
    tags: list[str]
    request_schema: dict[str, Any] = Field(description="JSON Schema.")
    result_schema: dict[str, Any] = Field(description="JSON Schema.")
    options: dict[str, Any]
    fingerprint: str
    app: str


class TaskList(Shown):
    """All tasks that can be enqueued, by name."""

    tasks: list[ShownTask]


class ShownWorker(Shown):
    """One worker process; `state` is alive, stopped (in good order) or lost."""

    id: str
    name: str
    state: str
    host: str
    pid: int
    queues: list[str]
    tasks: list[str]
    concurrency: int
    running: int
    started_at: datetime
    heartbeat_at: datetime
    stopped_at: datetime | None


class WorkerList(Shown):
    """Workers that are alive, and those lost or stopped within the last hour."""

    workers: list[ShownWorker]


class NewTokenGiven(Given):
    """A token to be made; with queues or tags only what is in that scope exists for it."""

    model_config = given_like({"name": "ci", "role": "operator", "queues": ["mail"]})

    name: str = Field(min_length=1, max_length=200)
    role: Role = Role.VIEWER
    queues: list[Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,100}$")]] = Field(
        [], max_length=100
    )
    tags: list[Annotated[str, Field(min_length=1, max_length=100)]] = Field([], max_length=100)
    expires_at: Moment | None = None


class ShownToken(Shown):
    """A token, without what is secret of it."""

    id: str
    name: str
    role: Role
    queues: list[str]
    tags: list[str]
    created_by: str | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None = Field(description="To the minute.")


class TokenList(Shown):
    """All tokens, by name, also those that were revoked."""

    tokens: list[ShownToken]


class IssuedTokenShown(ShownToken):
    """A token that was just made."""

    secret: str = Field(description="What its owner sends. It is shown this once.")


class ShownEntry(Shown):
    """Somebody changed something, or was refused."""

    id: str
    at: datetime
    actor: str = Field(description="The token's name.")
    role: str
    action: str = Field(examples=["executions.cancel"])
    target: str | None
    status: int = Field(description="The HTTP status that it was answered with.")
    address: str | None
    request_id: str | None
    reason: str | None = Field(description="What the caller sent as `Butler-Reason`.")
    details: dict[str, Any]


class AuditLog(Shown):
    """A page of the audit log, newest first."""

    entries: list[ShownEntry]
    next_cursor: str | None


class ShownCaller(Shown):
    """Who is calling, and what exists for them."""

    name: str
    role: Role
    queues: list[str] = Field(description="Empty for all.")
    tags: list[str] = Field(description="Empty for all.")
