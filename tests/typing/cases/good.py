"""What users write and both type checkers must take, with the types they must infer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar, assert_type

import psycopg
from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import Session

from butler import (
    AsyncButler,
    AsyncHandle,
    Butler,
    Execution,
    ExecutionChange,
    Handle,
    RetryPolicy,
    Task,
    TaskContext,
    TaskResult,
    task,
)


@dataclass
class Email:
    to: str


@dataclass
class Receipt:
    id: str


butler = Butler()


# async def, request and context

@butler.task
async def send(request: Email, context: TaskContext) -> Receipt:
    context.report_progress(50, "half")
    await context.sleep(0.1)
    async_child = await context.aenqueue(send, Email(to="b"))
    assert_type(async_child, Handle[Receipt])
    assert_type(context.enqueue(send, Email(to="a")), Handle[Receipt])
    return Receipt(id="1")


assert_type(send.enqueue(Email(to="a")), Handle[Receipt])
assert_type(send.enqueue(Email(to="a"), delay_s=5, priority="high", tags=["x"]), Handle[Receipt])
assert_type(butler.enqueue(send, Email(to="a"), run_at=datetime.now(UTC)), Handle[Receipt])
assert_type(send.enqueue(Email(to="a")).result(timeout_s=timedelta(seconds=1)), Receipt)
assert_type(send.handle("id"), Handle[Receipt])


async def produce() -> None:
    assert_type(await send.aenqueue(Email(to="a")), Handle[Receipt])
    assert_type(await butler.aenqueue(send, Email(to="a")), Handle[Receipt])
    # It stays callable, with its own signature.


async def call_it(context: TaskContext) -> None:
    assert_type(await send(Email(to="a"), context), Receipt)


# def, with options, TaskResult

@butler.task(name="Send", timeout_s=5, retry=RetryPolicy(max_attempts=5), tags=("mail",))
def send_sync(request: Email) -> TaskResult[Receipt]:
    if not request.to:
        return TaskResult.failure("nobody", retry=False)
    return TaskResult.success(Receipt(id="1"))


assert_type(send_sync.enqueue(Email(to="a")), Handle[Receipt])
assert_type(butler.enqueue(send_sync, Email(to="a")), Handle[Receipt])
assert_type(send_sync(Email(to="a")), TaskResult[Receipt])


@task
async def send_later(request: Email) -> TaskResult[Receipt]:
    return TaskResult.retry(after_s=5)


assert_type(send_later.enqueue(Email(to="a")), Handle[Receipt])
assert_type(butler.register(send_later).enqueue(Email(to="a")), Handle[Receipt])


# No request

@task()
def ping() -> None: ...


@task
async def tick(context: TaskContext) -> int:
    return context.attempt


@task(unique_key="tock")
def tock(context: TaskContext) -> TaskResult[int]:
    context.sleep(1)
    return TaskResult.success(1)


@task
async def nothing() -> TaskResult[None]:
    return TaskResult.success()


assert_type(ping.enqueue(), Handle[None])
assert_type(tick.enqueue(user_id="u"), Handle[int])
assert_type(tock.enqueue(), Handle[int])
assert_type(nothing.enqueue(), Handle[None])
assert_type(butler.enqueue(ping), Handle[None])
assert_type(butler.enqueue(tick, delay_s=1), Handle[int])
assert_type(butler.enqueue(tock), Handle[int])


# Any request type

@task
def add(request: tuple[int, int]) -> int:
    return sum(request)


@task(unique_key=lambda request: f"user-{request}")
def one(request: int, *, context: TaskContext) -> list[str]:
    return [str(item) for item in context.track([request])]


assert_type(add.enqueue((1, 2)), Handle[int])
assert_type(one.enqueue(1), Handle[list[str]])


# Classes

@butler.register
class SendEmail(Task[Email, Receipt]):
    """Sends one."""

    name = "SendEmail"
    tags = ["mail"]
    timeout_s = 5
    priority = "low"
    queue = "mail"
    retry = RetryPolicy(max_attempts=1)
    aliases = ("send-email",)

    @staticmethod
    def unique_key(request: Email) -> str | None:
        return request.to

    def execute(self, request: Email, context: TaskContext) -> Receipt:
        return Receipt(id=context.execution_id)


class SendAsync(Task[Email, Receipt]):
    async def execute(self, request: Email, context: TaskContext) -> TaskResult[Receipt]:
        return TaskResult.success(Receipt(id="1"))


class Beat(Task[None, int]):
    timeout_s = None
    unique_key = "beat"

    async def execute(self, request: None, context: TaskContext) -> int:
        return 1


assert_type(SendEmail.enqueue(Email(to="a")), Handle[Receipt])
assert_type(butler.enqueue(SendEmail, Email(to="a")), Handle[Receipt])
assert_type(SendAsync.enqueue(Email(to="a"), max_attempts=1), Handle[Receipt])
assert_type(butler.enqueue(SendAsync, Email(to="a")), Handle[Receipt])
assert_type(SendEmail.handle("id"), Handle[Receipt])
assert_type(Beat.enqueue(), Handle[int])
assert_type(butler.enqueue(Beat), Handle[int])


async def produce_classes() -> None:
    assert_type(await SendEmail.aenqueue(Email(to="a")), Handle[Receipt])
    assert_type(await Beat.aenqueue(), Handle[int])


Item = TypeVar("Item")


class Export(Task[Item, str], Generic[Item]):
    def execute(self, request: Item, context: TaskContext) -> str:
        return str(request)


class ExportEmail(Export[Email]):
    tags = ("export",)


assert_type(ExportEmail.enqueue(Email(to="a")), Handle[str])
assert_type(butler.enqueue(ExportEmail, Email(to="a")), Handle[str])


# An instance of a class whose constructor takes something

class Mail(Task[Email, Receipt]):
    def __init__(self, host: str) -> None:
        self.host = host

    def execute(self, request: Email, context: TaskContext) -> Receipt:
        return Receipt(id=self.host)


mail = butler.register(Mail("localhost"))
assert_type(butler.enqueue(mail, Email(to="a")), Handle[Receipt])


# Any object

class Sender:
    name = "sender"

    def execute(self, request: Email, context: TaskContext) -> Receipt:
        return Receipt(id="1")


class AsyncSender:
    async def execute(self, request: Email, context: TaskContext) -> Receipt:
        return Receipt(id="1")


class ResultSender:
    def execute(self, request: Email, context: TaskContext) -> TaskResult[Receipt]:
        return TaskResult.success(Receipt(id="1"))


class AsyncResultSender:
    async def execute(self, request: Email, context: TaskContext) -> TaskResult[Receipt]:
        return TaskResult.success(Receipt(id="1"))


assert_type(butler.enqueue(butler.register(Sender()), Email(to="a")), Handle[Receipt])
assert_type(butler.enqueue(AsyncSender(), Email(to="a")), Handle[Receipt])
assert_type(butler.enqueue(ResultSender(), Email(to="a")), Handle[Receipt])
assert_type(butler.enqueue(AsyncResultSender(), Email(to="a")), Handle[Receipt])


# By name, many, operating

assert_type(butler.enqueue("send", {"to": "a"}), Handle[Any])
assert_type(butler.enqueue("ping"), Handle[Any])
assert_type(butler.enqueue_many([(send, Email(to="a"))], delay_s=1), list[Handle[Receipt]])
assert_type(butler.enqueue_many([(SendEmail, Email(to="a"))]), list[Handle[Receipt]])
assert_type(butler.enqueue_many([(send, Email(to="a")), ("ping", None)]), list[Handle[Any]])
assert_type(butler.cancel("id"), bool)
assert_type(butler.retry("id"), Handle[Any])
assert_type(butler.handle("id"), Handle[Any])


# Awaited, and followed

async def use_aio() -> None:
    aio = butler.aio
    assert_type(aio, AsyncButler)
    handle = await aio.enqueue(send, Email(to="a"), delay_s=1)
    assert_type(handle, AsyncHandle[Receipt])
    assert_type(await handle.result(timeout_s=1), Receipt)
    assert_type(await aio.enqueue(send_sync, Email(to="a")), AsyncHandle[Receipt])
    assert_type(await aio.enqueue(ping), AsyncHandle[None])
    assert_type(await aio.enqueue(SendEmail, Email(to="a")), AsyncHandle[Receipt])
    assert_type(await aio.enqueue(Sender(), Email(to="a")), AsyncHandle[Receipt])
    assert_type(await aio.enqueue(AsyncSender(), Email(to="a")), AsyncHandle[Receipt])
    assert_type(await aio.enqueue(ResultSender(), Email(to="a")), AsyncHandle[Receipt])
    assert_type(await aio.enqueue(AsyncResultSender(), Email(to="a")), AsyncHandle[Receipt])
    assert_type(await aio.enqueue("send", {"to": "a"}), AsyncHandle[Any])
    assert_type(await aio.enqueue_many([(send, Email(to="a"))]), list[AsyncHandle[Receipt]])
    assert_type(await aio.enqueue_many([("ping", None)]), list[AsyncHandle[Any]])
    assert_type(await butler.aenqueue_many([(send, Email(to="a"))]), list[Handle[Receipt]])
    assert_type(await send.handle("id").aresult(), Receipt)
    assert_type(await aio.get("id"), Execution | None)
    assert_type(await aio.cancel("id"), bool)
    assert_type(await aio.retry("id"), AsyncHandle[Any])
    await aio.list(status="queued", limit=5)
    async for change in handle.events():
        assert_type(change, ExecutionChange)
    async for change in send.handle("id").events(timeout_s=1):
        assert_type(change, ExecutionChange)


for step in send.handle("id").events():
    assert_type(step, ExecutionChange)


# In the user's own transaction, later, or instead of what waits

def use_transactions(
    connection: psycopg.Connection, cursor: psycopg.Cursor[Any], session: Session, engine: Engine
) -> None:
    assert_type(send.enqueue(Email(to="a"), transaction=connection), Handle[Receipt])
    assert_type(SendEmail.enqueue(Email(to="a"), transaction=cursor), Handle[Receipt])
    assert_type(butler.enqueue(send, Email(to="a"), transaction=session), Handle[Receipt])
    with engine.begin() as begun:
        butler.enqueue_many([(send, Email(to="a"))], transaction=begun)
    soon = datetime.now(UTC)
    handle = send.enqueue(Email(to="a"), expires_at=soon, unique_key="k", replace=True)
    assert_type(handle.replaced, bool)
    assert_type(send.statement(Email(to="a"), delay_s=1), tuple[str, tuple[str | None, ...]])
    SendEmail.statement(Email(to="a"), placeholders="%s")
    ping.statement()
    butler.statement("ping")


async def use_async_transactions(
    connection: psycopg.AsyncConnection, session: AsyncSession, begun: AsyncConnection
) -> None:
    assert_type(await send.aenqueue(Email(to="a"), transaction=connection), Handle[Receipt])
    await butler.aio.enqueue(send, Email(to="a"), transaction=session)
    await butler.aio.enqueue_many([(send, Email(to="a"))], transaction=begun)
