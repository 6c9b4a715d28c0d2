"""Tasks, and steps of a worker that is not there, for the tests of this folder."""

from __future__ import annotations

from datetime import UTC, datetime

from pydantic import BaseModel

from butler.context import TaskContext  # noqa: TC001 - tasks' annotations are read
from butler.errors import (
    QueueUnavailable,
)
from butler.executions import ErrorRecord
from butler.function_tasks import task
from butler.ids import new_id
from butler.lifecycle import fail, succeed
from butler.queues import WireKeys
from butler.retries import RetryPolicy
from butler.storage.records import Claim, WorkerRegistration
from butler.tasks import Task

NOW = datetime(2030, 1, 1, tzinfo=UTC)


class Email(BaseModel):
    to: str


class Receipt(BaseModel):
    id: str


@task(tags=["mail"], queue="mail", priority="high", timeout_s=7, retry=RetryPolicy(max_attempts=5))
def send(request: Email) -> Receipt:
    return Receipt(id=request.to)


@task
def ping() -> None: ...


@task(unique_key=lambda request: request.to if request.to != "anybody" else None)
async def sync_user(request: Email) -> None: ...


class SendEmail(Task[Email, Receipt]):
    def execute(self, request: Email, context: TaskContext) -> Receipt:
        return Receipt(id=request.to)


class Mail(Task[Email, Receipt]):
    def __init__(self, host: str) -> None:
        self.host = host

    def execute(self, request: Email, context: TaskContext) -> Receipt:
        return Receipt(id=self.host)


class Sender:
    name = "sender"

    def execute(self, request: Email, context: TaskContext) -> Receipt:
        return Receipt(id="1")


def on_queue(redis, name="default"):
    return [item.decode() for item in redis.lrange(WireKeys.list(name), 0, -1)]


def claim(storage, execution_id, *, worker="w"):
    worker_id = new_id()
    storage.register_worker(
        WorkerRegistration(
            id=worker_id,
            name=worker,
            host="h",
            pid=1,
            supervisor_id="s",
            queues=("default",),
            tasks=("send",),
            concurrency=1,
        )
    )
    return storage.claim(Claim(worker_id=worker_id, token=new_id(), ids=(execution_id,))).won[0]


def finish(storage, execution_id, result):
    storage.finish([succeed(claim(storage, execution_id), result=result)])


def fail_it(storage, execution_id):
    error = ErrorRecord(type="ValueError", message="no")
    storage.finish([fail(claim(storage, execution_id), error=error)])


def break_redis(butler, monkeypatch):
    """Every push fails from now on; returns the list of attempts to reach Redis."""
    attempts = []

    def refuse(*args, **kwargs):
        attempts.append(args)
        raise QueueUnavailable("Redis is away")

    for step in ("push", "withdraw", "forget", "request_stop"):
        monkeypatch.setattr(butler.pusher._wire, step, refuse)
    return attempts
