"""The connection class and what psycopg's errors mean here.

This is the only module that imports psycopg at its top, and so is itself imported at first use,
inside functions.

A command's time limit is kept on this side. ``statement_timeout`` would need session state, which
PgBouncer shares between clients, or a transaction block, which costs a round trip; and it ends
nothing when the server itself is stopped or out of reach.
"""

from __future__ import annotations

import contextlib
import select
import time
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Self, TypeVar

import psycopg
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus
from psycopg.rows import TupleRow

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from psycopg.abc import PQGen
    from psycopg.pq.abc import PGresult

    from butler.storage.postgres.statements import NumberedStatement

_Value = TypeVar("_Value")

_LOOK_UP_EVERY_S = 0.1
_CANCEL_WITHIN_S = 1.0
_DONE = frozenset({ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK})
_NO_ANSWER = "the server did not answer in time"


class DeadlinePassed(psycopg.OperationalError):
    """The server did not answer in time; the connection is of no more use."""


class LedgerConnection(psycopg.Connection[TupleRow]):
    """A connection whose statements end at ``deadline`` (monotonic), and whose birth is watched.

    ``meanwhile`` is called once, as soon as `ask` or `write` has sent its statement: a commit takes
    some 300 µs in which this process has nothing else to do.
    """

    deadline: float = float("inf")
    meanwhile: Callable[[], object] | None = None
    _watched: select.poll | None = None
    _known_there: frozenset[bytes] = frozenset()

    @classmethod
    def connect(  # type: ignore[override]  # everything but ours is passed on
        cls,
        conninfo: str = "",
        *,
        on_failure: Callable[[psycopg.Error], None] = lambda _: None,
        **kwargs: Any,
    ) -> Self:
        """Connect; a failure is also told to ``on_failure``, since a pool keeps it to itself."""
        try:
            return super().connect(conninfo, **kwargs)
        except psycopg.Error as error:
            on_failure(error)
            raise

    def has_something_to_say(self) -> bool:
        """Whether the socket can be read, or is broken; costs a microsecond."""
        if self._watched is None:
            self._watched = select.poll()
            self._watched.register(self.fileno(), select.POLLIN)
        return bool(self._watched.poll(0))

    def write(
        self, statement: NumberedStatement, params: Mapping[str, str | None], *, prepare: bool
    ) -> int:
        """How many rows one statement wrote, which returns none.

        psycopg's cursor reads the statement and finds a form for each parameter each time, and
        waits in a generator: a quarter of what an INSERT takes. Here texts go to libpq as they are.
        """
        self._send(statement, params, prepare=prepare)
        return self._result().command_tuples or 0

    def ask(
        self, statement: NumberedStatement, params: Mapping[str, str | None], *, prepare: bool
    ) -> list[tuple[Any, ...]]:
        """The rows that one statement returns; sent as `write` does, read as psycopg reads."""
        self._send(statement, params, prepare=prepare)
        result = self._result()
        reader = Transformer(self)
        reader.set_pgresult(result)
        return reader.load_rows(0, result.ntuples, tuple)

    def _send(
        self, statement: NumberedStatement, params: Mapping[str, str | None], *, prepare: bool
    ) -> None:
        values = [
            None if (text := params[name]) is None else text.encode()
            for name in statement.parameters
        ]
        if b"\0" in b"".join(filter(None, values)):  # libpq would take what is before it for all
            raise psycopg.DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes")
        if not prepare:
            self.pgconn.send_query_params(statement.text, values)
            return
        if statement.name not in self._known_there:
            self.pgconn.send_prepare(statement.name, statement.text)
            self._result()
            self._known_there |= {statement.name}
        self.pgconn.send_query_prepared(statement.name, values)

    def _result(self) -> PGresult:
        """What the statement that was sent has led to; raises where that is an error."""
        try:
            results = self._results()
        except DeadlinePassed:
            self._give_up()
            raise
        for result in results:
            if result.status not in _DONE:
                raise error_from_result(result)
        return results[-1]

    def _results(self) -> list[PGresult]:
        while self.pgconn.flush():
            self._await(select.POLLIN | select.POLLOUT)
            self.pgconn.consume_input()  # a server that speaks must be heard, or it stops reading
        self._use_the_time()
        results: list[PGresult] = []
        while True:
            while self.pgconn.is_busy():
                self._await(select.POLLIN)
                self.pgconn.consume_input()
            result = self.pgconn.get_result()
            if result is None:
                return results
            results.append(result)

    def _await(self, events: int) -> None:
        socket = select.poll()
        socket.register(self.pgconn.socket, events)
        while not socket.poll(_LOOK_UP_EVERY_S * 1000):
            if time.monotonic() > self.deadline:
                raise DeadlinePassed(_NO_ANSWER)

    def _use_the_time(self) -> None:
        call, self.meanwhile = self.meanwhile, None
        if call is not None:
            call()

    def wait(self, gen: PQGen[_Value], *args: Any, **kwargs: Any) -> _Value:
        """Wait for the server, not longer than until ``deadline``."""
        kwargs.setdefault("interval", _LOOK_UP_EVERY_S)
        try:
            return super().wait(self._until_deadline(gen), *args, **kwargs)
        except DeadlinePassed:
            self._give_up()
            raise

    def _give_up(self) -> None:
        self.deadline = float("inf")
        with contextlib.suppress(psycopg.Error):
            self._ask_to_cancel()
        self.close()

    def _until_deadline(self, gen: PQGen[_Value]) -> PQGen[_Value]:
        """``gen``, looking at the clock whenever the server had nothing to say."""
        ready: Any = None
        while True:
            try:
                awaited = gen.send(ready)
            except StopIteration as end:
                value: _Value = end.value
                return value
            ready = yield awaited
            if not ready and time.monotonic() > self.deadline:
                raise DeadlinePassed(_NO_ANSWER)

    def _ask_to_cancel(self) -> None:
        """Spare a server that lives the work of a statement nobody waits for."""
        self.cancel_safe(timeout=_CANCEL_WITHIN_S)


class Verdict(Enum):
    """What to do about an error."""

    AGAIN = auto()  # the statement changed nothing and may succeed when repeated
    UNPREPARED = auto()  # a pooler gave the session that held the prepared statement to others
    RECONNECT = auto()  # the connection works, but the statement never will on it
    LOST = auto()  # the connection broke; whether the statement was done is unknown
    SCHEMA = auto()  # a table or column is missing
    DATA = auto()  # a value cannot be stored
    BUSY = auto()  # a unique key is being written by somebody whose transaction stays open
    REFUSED = auto()  # nothing that waiting or repeating could mend


# cached plan must not change result type: a migration ran beside us; 25006: a failover made the
# server a standby. Both end with a new connection.
_RECONNECT = {"0A000", "25006"}
_UNPREPARED = {"26000", "42P05"}
_SCHEMA = {"3F000", "42P01", "42703"}
_AGAIN_CLASSES = {"40", "53", "58"}
_AGAIN = {"55P03", "55006"}
_LOST_CLASSES = {"08"}
_LOST = {"57P01", "57P02", "57P03", "57P04", "57P05", "25P03"}
_DATA_CLASSES = {"22", "23", "54"}


def verdict(error: psycopg.Error, *, broken: bool) -> Verdict:
    """What an error means; ``broken`` says that the connection is gone."""
    code = error.sqlstate or ""
    if is_key_wait(error):
        return Verdict.BUSY
    if code[:2] in _LOST_CLASSES or code in _LOST:
        return Verdict.LOST
    for found, codes in (
        (Verdict.RECONNECT, _RECONNECT),
        (Verdict.UNPREPARED, _UNPREPARED),
        (Verdict.SCHEMA, _SCHEMA),
        (Verdict.AGAIN, _AGAIN),
    ):
        if code in codes:
            return found
    if code[:2] in _AGAIN_CLASSES:
        return Verdict.AGAIN
    if code[:2] in _DATA_CLASSES or isinstance(error, psycopg.DataError):
        return Verdict.DATA
    if broken and isinstance(error, psycopg.OperationalError):
        return Verdict.LOST
    return Verdict.REFUSED


def is_duplicate(error: BaseException) -> bool:
    """Whether a row with the same key is there already."""
    return isinstance(error, psycopg.Error) and error.sqlstate == "23505"


def is_key_wait(error: BaseException) -> bool:
    """Whether a unique key was waited for in vain: another transaction has written it."""
    if not isinstance(error, psycopg.Error) or error.sqlstate != "55P03":
        return False
    return "unique_keys" in (error.diag.context or "")


def message_of(error: BaseException) -> str:
    """The error's own words in one line, without the server's context lines."""
    if isinstance(error, psycopg.Error) and error.diag.message_primary:
        detail = error.diag.message_detail
        return error.diag.message_primary + (f" ({detail})" if detail else "")
    return " ".join(str(error).split())


def data_refusal(error: BaseException) -> str | None:
    """Why a value could not be stored, if that is what the error says.

    psycopg itself refuses NUL, and Python lone surrogates, before anything is sent.
    """
    if isinstance(error, UnicodeEncodeError):
        return f"text must hold no lone surrogate, got {error.object[error.start : error.end]!a}"
    if isinstance(error, psycopg.Error) and verdict(error, broken=False) is Verdict.DATA:
        return message_of(error)
    return None
