"""Hearing that somebody's transaction has committed executions: LISTEN, on its own connection.

A row that was written an hour before its commit lies far behind the moment up to which the stager
has read the due index. The notice carries the earliest due time of what was written, so that the
stager reads from there, and at once.

Everything here only saves time: whatever is not heard is found by looking, within a second. So the
listener never raises. It connects again when its connection breaks, reports that it may have missed
something, and gives up where nothing can be heard: behind a pooler, which hands the session that
listens to others. For that there is a URL of its own (``database_direct_url``).
"""

from __future__ import annotations

import contextlib
import logging
import selectors
import socket
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from butler.log import log_event
from butler.storage.postgres.statements import quoted_schema
from butler.storage.postgres.url import connect_options, described, redacted

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg

logger = logging.getLogger("butler.storage")

EVERYTHING = datetime.min.replace(tzinfo=UTC)
"""What is reported when notices may have been missed."""

_CONNECT_WITHIN_S = 5.0
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0


class DueListener:
    """Calls ``on_due`` with the due time from which on there is news, in a thread of its own.

    ``place`` is where the ledger is, as `PostgresTransactions` knows it: a URL that leads elsewhere
    is not listened to.
    """

    def __init__(
        self,
        url: str,
        *,
        schema: str,
        ledger_id: str,
        place: str,
        on_due: Callable[[datetime], None],
    ) -> None:
        self._url = url
        self._schema = quoted_schema(schema)
        self._channel = f"butler_due_{ledger_id}"
        self._place = place
        self._on_due = on_due
        self._receiver, self._sender = socket.socketpair()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="butler-due", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def close(self) -> None:
        """Stop; closing twice is fine."""
        self._closed.set()
        self._sender.close()
        if self._thread.is_alive():
            # Connecting may hold it for longer; it is a daemon.
            self._thread.join(1.0)

    def _run(self) -> None:
        try:
            self._listen()
        finally:
            self._receiver.close()

    def _listen(self) -> None:
        from psycopg import Error

        from butler.storage.postgres.driver import message_of

        pause_s = _FIRST_PAUSE_S
        while not self._closed.is_set():
            try:
                with self._connected() as connection:
                    if not self._listens(connection):
                        return
                    pause_s = _FIRST_PAUSE_S
                    self._on_due(EVERYTHING)
                    self._hear(connection)
            except (Error, OSError) as error:
                reason = redacted(message_of(error))
                log_event(logger, logging.WARNING, "due_listener.reconnecting", error=reason)
                self._closed.wait(pause_s)
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    def _connected(self) -> psycopg.Connection[Any]:
        import psycopg

        options = connect_options(self._url, timeout_s=_CONNECT_WITHIN_S)
        return psycopg.connect("", **options, autocommit=True, prepare_threshold=None)

    def _listens(self, connection: psycopg.Connection[Any]) -> bool:
        """Whether anything will be heard here."""
        statement = f"SELECT pg_backend_pid(), {self._schema.replace('%', '%%')}.ledger_place()"
        ((answering, place),) = connection.execute(statement.encode(), ()).fetchall()
        problem = None
        if answering != connection.info.backend_pid:
            problem = "a connection pooler stands before it"
        elif place != self._place:
            problem = f"another ledger is there ({place})"
        if problem is not None:
            log_event(
                logger,
                logging.WARNING,
                "due_listener.off",
                server=described(self._url),
                problem=problem,
                effect="transactional enqueues are found within a second, not at their commit",
                remedy="set BUTLER_DATABASE_DIRECT_URL to the server itself",
            )
            return False
        connection.execute(f'LISTEN "{self._channel}"'.encode())
        return True

    def _hear(self, connection: psycopg.Connection[Any]) -> None:
        """Report notices until the listener is closed; raises when the connection breaks."""
        with selectors.DefaultSelector() as selector:
            selector.register(connection.fileno(), selectors.EVENT_READ)
            selector.register(self._receiver, selectors.EVENT_READ)
            while not self._closed.is_set():
                connection.pgconn.consume_input()
                heard = []
                while (notice := connection.pgconn.notifies()) is not None:
                    heard.append(_due_time(notice.extra))
                if heard:
                    self._on_due(min(heard))
                selector.select()


def _due_time(payload: bytes) -> datetime:
    """The time a notice carries; anybody may send notices, so whatever else it says is news."""
    with contextlib.suppress(ValueError):
        due_at = datetime.fromisoformat(payload.decode())
        if due_at.tzinfo is not None:
            return due_at
    return EVERYTHING
