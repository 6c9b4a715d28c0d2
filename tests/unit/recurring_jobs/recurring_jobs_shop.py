"""A shop with recurring jobs, for the tests of this folder."""

from __future__ import annotations

from datetime import UTC, datetime

from pydantic import BaseModel

from butler import TaskContext  # noqa: TC001 - read from annotations
from butler.queues import WireKeys
from butler.schedules import Cron

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Report(BaseModel):
    kind: str
    pages: int = 1


def report(request: Report, context: TaskContext) -> int:
    return request.pages


def ping() -> None: ...


def only_one(request: Report) -> None: ...


def create(butler, name="nightly", task="report", schedule=None, **options):
    if task != "ping":
        options.setdefault("request", Report(kind="sales"))
    return butler.recurring.create(name, task, schedule or Cron("0 2 * * *"), **options)


# Triggering


def waiting(butler, queue):
    return [raw.decode() for raw in butler.redis.lrange(WireKeys.list(queue), 0, -1)]
