"""Connections to the ledger, and the one place where its statements are run and repeated.

`PostgresConnections.run` sends one statement, which is one transaction, and repeats it while that
may help: after a deadlock, and after a connection that broke, until the command timeout is over.
Repeating is right because every statement is written so that its second run finds what the first
one did. What a caller must know, it is told: `StorageUnavailable` where nothing was sent,
`ReplyLost` where the statement may have been done.

The pool opens at first use, so that a process that forks before it shares no socket; a child that
was forked later finds no pool and opens its own. A connection is looked at before it is used (has
its socket something to say? then it is probably an end) without a round trip; what that misses is
repeated.

No session state, anywhere: behind PgBouncer in transaction mode the next statement may run in
another session. Rejected: ``SET`` at connect, session advisory locks, temporary tables, and pinning
one connection to a thread. Prepared statements are the exception, so they are not used behind a
pooler: clients number theirs alike, and a shared session would run another one's statement. A
pooler shows itself at connect, because the process it names is not the one that answers.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any, TypeVar

from butler.errors import SchemaOutdated, StorageUnavailable
from butler.storage.postgres.statements import Statements
from butler.storage.postgres.url import connect_options, described, redacted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import psycopg
    from psycopg_pool import ConnectionPool

    from butler.storage.postgres.driver import LedgerConnection

_Answer = TypeVar("_Answer")

logger = logging.getLogger("butler.storage")

_FIRST_PAUSE_S = 0.02
_LONGEST_PAUSE_S = 1.0
_POOL_SLICE_S = 0.25
_POOL_NAME = "butler ledger"
_NONE: Mapping[str, Any] = {}  # not None: then psycopg would leave the statement's %% doubled
_HOPELESS = ("authentication failed", "no password supplied", "does not exist", "no pg_hba.conf")


class ReplyLost(StorageUnavailable):
    """The connection broke after a statement was sent, and the ledger could not be asked again."""


class PostgresConnections:
    """Runs statements on a pool of at most ``size`` connections, each within ``timeout_s``."""

    def __init__(
        self, url: str, *, schema: str, timeout_s: float, size: int, prepared_statements: bool
    ) -> None:
        self.url = url
        self.schema = schema
        self.statements = Statements(schema)
        self._timeout_s = timeout_s
        self._size = size
        self._prepared = prepared_statements
        self._lock = threading.Lock()
        self._pools: list[ConnectionPool[LedgerConnection]] = []
        self._failure: psycopg.Error | None = None
        self._finalizer = weakref.finalize(self, _close_all, self._pools)
        _instances.add(self)

    def close(self) -> None:
        """Give connections back; the next statement would open new ones."""
        with self._lock:
            _close_all(self._pools)

    def give_up_preparing(self, reason: str) -> None:
        """Send statements unprepared from now on: slower by their planning, and always right."""
        if self._prepared:
            self._prepared = False
            logger.info("no prepared statements on %s: %s", described(self.url), reason)

    def run(
        self, name: str, params: Mapping[str, Any] = _NONE, *, hot: bool = False
    ) -> list[tuple[Any, ...]]:
        """The rows of one statement, or an empty one for each row it wrote; ``hot`` is prepared.

        Raises psycopg's error for a value that cannot be stored, `SchemaOutdated`, `ReplyLost` and
        `StorageUnavailable`.
        """

        def ask(connection: LedgerConnection) -> list[tuple[Any, ...]]:
            prepare = hot and self._prepared
            cursor = connection.execute(self.statements[name], params, prepare=prepare)
            # Asking for the result costs less than for its description.
            returned = cursor.pgresult is not None and cursor.pgresult.nfields > 0
            return cursor.fetchall() if returned else [()] * cursor.rowcount

        return self._repeated(name, ask)

    def ask(
        self,
        name: str,
        params: Mapping[str, str | None],
        *,
        meanwhile: Callable[[], object] | None = None,
    ) -> list[tuple[Any, ...]]:
        """As `run` with ``hot``, for parameters that are texts: a tenth of a millisecond less.

        ``meanwhile`` is called when it has been sent, the first time it is tried.
        """
        statement = self.statements.numbered(name)

        def ask(connection: LedgerConnection) -> list[tuple[Any, ...]]:
            return connection.ask(statement, params, prepare=self._prepared)

        return self._repeated(name, ask, meanwhile)

    def write(
        self,
        name: str,
        params: Mapping[str, str | None],
        *,
        meanwhile: Callable[[], object] | None = None,
    ) -> int:
        """As `ask`, for a statement that returns nothing: how many rows it wrote."""
        statement = self.statements.numbered(name)

        def write(connection: LedgerConnection) -> int:
            return connection.write(statement, params, prepare=self._prepared)

        return self._repeated(name, write, meanwhile)

    def _repeated(
        self,
        name: str,
        statement: Callable[[LedgerConnection], _Answer],
        meanwhile: Callable[[], object] | None = None,
    ) -> _Answer:
        """What a statement answers, once it does."""
        deadline = time.monotonic() + self._timeout_s
        pause_s = _FIRST_PAUSE_S
        sent = False
        while True:
            connection, pool = self._checkout(deadline, sent=sent)
            try:
                connection.deadline = deadline
                connection.meanwhile = meanwhile
                return statement(connection)
            except Exception as error:
                meanwhile = None
                lost = self._settle(error, connection, name=name)
                sent = sent or lost
                if time.monotonic() + pause_s > deadline:
                    raise self._given_up(error, sent=sent) from error
            finally:
                connection.meanwhile = None
                pool.putconn(connection)
            time.sleep(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    def _settle(self, error: Exception, connection: LedgerConnection, *, name: str) -> bool:
        """Return if the statement may be repeated, else raise what the caller should see.

        True when the statement may have been done nevertheless.
        """
        from psycopg import Error

        from butler.storage.postgres.driver import Verdict, message_of, verdict

        if not isinstance(error, Error):
            raise error
        found = verdict(error, broken=connection.closed)
        match found:
            case Verdict.DATA | Verdict.BUSY:
                raise error
            case Verdict.SCHEMA:
                message = (
                    f"schema {self.schema!r} of {described(self.url)} is not what this release "
                    f"of Butler works on: {message_of(error)}. Run: butler migrate"
                )
                raise SchemaOutdated(message) from error
            case Verdict.REFUSED:
                message = f"{described(self.url)} refused {name}: {redacted(message_of(error))}"
                raise StorageUnavailable(message) from error
            case Verdict.UNPREPARED:
                self.give_up_preparing("the server no longer knew one")
                connection.close()
            case Verdict.RECONNECT | Verdict.LOST:
                connection.close()
            case Verdict.AGAIN:
                pass
        return found is Verdict.LOST

    def _checkout(
        self, deadline: float, *, sent: bool
    ) -> tuple[LedgerConnection, ConnectionPool[LedgerConnection]]:
        """A connection that seems to work, and its pool."""
        while True:
            pool = self._pool()
            remaining_s = deadline - time.monotonic()
            try:
                connection = pool.getconn(timeout=max(min(remaining_s, _POOL_SLICE_S), 0.001))
            except Exception as error:  # noqa: BLE001 - raised again where it is not the pool's
                self._wait_on(error, pool, last=remaining_s <= _POOL_SLICE_S, sent=sent)
            else:
                self._failure = None
                return connection, pool

    def _wait_on(
        self, error: Exception, pool: ConnectionPool[LedgerConnection], *, last: bool, sent: bool
    ) -> None:
        """Return if a connection may still be had, else raise why not."""
        from psycopg_pool import PoolClosed, PoolTimeout

        if isinstance(error, PoolClosed):
            self._drop(pool)
        elif isinstance(error, PoolTimeout):
            failure = self._failure
            hopeless = failure is not None and any(words in str(failure) for words in _HOPELESS)
            if hopeless or last:
                raise self._given_up(failure or error, sent=sent, hopeless=hopeless) from failure
        else:
            raise error

    def _given_up(
        self, error: Exception, *, sent: bool, hopeless: bool = False
    ) -> StorageUnavailable:
        from psycopg_pool import PoolTimeout

        from butler.storage.postgres.driver import message_of

        reason = redacted(message_of(error))
        if isinstance(error, PoolTimeout):
            reason = f"all {self._size} connections of this process are busy (pool_size)"
        outcome = "a statement was sent and may have been done" if sent else "nothing was changed"
        what = "cannot be used" if hopeless else f"gave no answer within {self._timeout_s:g} s"
        message = f"the ledger at {described(self.url)} {what}: {reason}; {outcome}"
        return ReplyLost(message) if sent else StorageUnavailable(message)

    def _pool(self) -> ConnectionPool[LedgerConnection]:
        with self._lock:
            if not self._pools:
                self._pools.append(self._open())
            return self._pools[0]

    def _drop(self, pool: ConnectionPool[LedgerConnection]) -> None:
        with self._lock:
            if pool in self._pools:
                self._pools.remove(pool)

    def _open(self) -> ConnectionPool[LedgerConnection]:
        from psycopg_pool import ConnectionPool

        from butler.storage.postgres.driver import LedgerConnection

        _quiet_pools_logger()
        return ConnectionPool(
            "",
            connection_class=LedgerConnection,
            kwargs=connect_options(self.url, timeout_s=self._timeout_s)
            | {"autocommit": True, "on_failure": self._note_failure},
            min_size=0,
            max_size=self._size,
            name=_POOL_NAME,
            # Failing at once hands the failure to us, who repeat; a pool's own repeats wait longer.
            reconnect_timeout=0,
            num_workers=1,
            configure=self._look_for_pooler,
            check=_check,
            open=True,
        )

    def _look_for_pooler(self, connection: LedgerConnection) -> None:
        if self._prepared:
            connection.deadline = time.monotonic() + self._timeout_s
            answering = connection.execute("SELECT pg_backend_pid()").fetchone()
            if answering != (connection.info.backend_pid,):
                self.give_up_preparing("a connection pooler stands before it")

    def _note_failure(self, error: psycopg.Error) -> None:
        from butler.storage.postgres.driver import message_of

        if self._failure is None:
            reason = redacted(message_of(error))
            logger.warning("the ledger at %s cannot be reached: %s", described(self.url), reason)
        self._failure = error

    def forget(self) -> None:
        """In a forked child: leave the parent's pool alone, unclosed, and start without one."""
        _parents_pools.extend(self._pools)
        self._pools.clear()
        self._lock = threading.Lock()


_parents_pools: list[Any] = []
"""Kept for ever: a pool that is collected would say goodbye on its parent's sockets."""


def _check(connection: LedgerConnection) -> None:
    """Raise if the server has ended this connection while nobody used it.

    An idle connection's socket has nothing to read. If it does, it is a notice or the end, and one
    round trip tells which.
    """
    if connection.has_something_to_say():
        connection.deadline = time.monotonic() + 1.0
        connection.execute("")


def _quiet_pools_logger() -> None:
    """Keep the pool from saying at each try what `PostgresConnections` says once an outage."""
    logging.getLogger("psycopg.pool").addFilter(_not_about_our_pools)


def _not_about_our_pools(record: logging.LogRecord) -> bool:
    from butler.storage.postgres.driver import LedgerConnection

    about = record.args[0] if isinstance(record.args, tuple) and record.args else None
    return about != _POOL_NAME and not isinstance(about, LedgerConnection)


def _close_all(pools: list[Any]) -> None:
    while pools:
        pools.pop().close()


def _forget_in_child() -> None:
    for connections in list(_instances):
        connections.forget()


_instances: weakref.WeakSet[PostgresConnections] = weakref.WeakSet()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
