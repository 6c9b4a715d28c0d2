"""Async connections that an enqueue can join, made callable from the thread that enqueues.

An enqueue is blocking work and so is done in a thread; the connection belongs to the event loop. So
the thread hands its one statement to the loop and waits for it, while the coroutine that enqueues
waits for the thread: the loop goes on, and nobody else uses the connection meanwhile.

A coroutine that is cancelled gives its connection up, most likely to be rolled back and used by
somebody else. `LoopCaller.abandon` is what it must wait for then: after it nothing of this enqueue
runs on the connection.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from butler.errors import TransactionRefused
from butler.storage.postgres.callers import (
    check_psycopg,
    check_sqlalchemy,
    is_sqlalchemy,
    sqlalchemy_text,
    why_not_async,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import psycopg

    from butler.storage.postgres.callers import Params

    Ask = Callable[[str, Params], Awaitable[str | None]]


async def async_caller_of(transaction: Any) -> LoopCaller:
    """How to speak in a transaction of an async connection; raises `TransactionRefused`."""
    import psycopg

    if isinstance(transaction, psycopg.AsyncCursor | psycopg.AsyncTransaction):
        transaction = transaction.connection
    if isinstance(transaction, psycopg.AsyncConnection):
        check_psycopg(transaction)
        return LoopCaller(raw=transaction, ask=_psycopg_ask(transaction))
    if is_sqlalchemy(transaction, "AsyncSession", "async_scoped_session"):
        transaction = await transaction.connection()
    if is_sqlalchemy(transaction, "AsyncConnection"):
        raw = check_sqlalchemy(transaction, await transaction.get_raw_connection())
        return LoopCaller(raw=raw, ask=_sqlalchemy_ask(transaction))
    raise TransactionRefused(why_not_async(transaction))


class LoopCaller:
    """A `Caller` for other threads, whose statements run in the event loop that made it."""

    def __init__(self, *, raw: Any, ask: Ask) -> None:
        self.raw = raw
        self._ask = ask
        self._loop = asyncio.get_running_loop()
        self._running: asyncio.Task[str | None] | None = None
        self._abandoned = False

    def ask(self, statement: str, params: Params) -> str | None:
        """Run it in the loop and wait; not for the loop's own thread."""
        asked = asyncio.run_coroutine_threadsafe(self._run(statement, params), self._loop)
        return asked.result()

    async def abandon(self) -> None:
        """Let nothing more run on the connection; cancels what does, and waits for its end."""
        self._abandoned = True
        if self._running is not None:
            self._running.cancel()
            with contextlib.suppress(BaseException):
                await self._running

    async def _run(self, statement: str, params: Params) -> str | None:
        # In the loop's thread, as abandon() is: one of them is first.
        if self._abandoned:
            raise TransactionRefused("the enqueue was cancelled; nothing was written")
        self._running = asyncio.ensure_future(self._ask(statement, params))
        try:
            return await self._running
        finally:
            self._running = None


def _psycopg_ask(connection: psycopg.AsyncConnection[Any]) -> Ask:
    async def ask(statement: str, params: Params) -> str | None:
        import psycopg
        from psycopg.rows import tuple_row

        async with psycopg.AsyncCursor(connection, row_factory=tuple_row) as cursor:
            await cursor.execute(statement.encode(), params)
            row = await cursor.fetchone()
        return None if row is None else row[0]

    return ask


def _sqlalchemy_ask(connection: Any) -> Ask:
    async def ask(statement: str, params: Params) -> str | None:
        result = await connection.execute(*sqlalchemy_text(statement, params))
        value: str | None = result.scalar()
        return value

    return ask
