"""Following an execution to its end (a conversation).

It listens to the execution's stream where the server has one, and asks again and again where it has
not, or where a proxy lets no stream through: then with ``If-None-Match``, so that nothing is sent
that is known. The ledger has the last word: a stream only says that there is something to look at,
and whenever it ends for any reason the execution is read. Once it has been read, a server that does
not answer is waited for.
"""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pydantic import ValidationError

from butler.changes import ChangeKind, ExecutionChange
from butler.client.asks import Ask, as_nothing, sent
from butler.client.event_stream import QUIET_S, is_stream, next_event, stream_headers
from butler.client.exchange import NOT_MODIFIED, back_off_s, exchange
from butler.client.records import change_of, read_execution
from butler.client.steps import Answer, Item, Pause, Shut
from butler.client.tolerance import read_model
from butler.errors import ApiUnavailable, WaitTimeout
from butler.web.models.executions import ShownChange

if TYPE_CHECKING:
    from collections.abc import Iterable

    from butler.client.exchange import Manner
    from butler.client.steps import Send, Talk, Unanswered
    from butler.executions import Execution

GET = "GET /executions/{execution_id}"
STREAM = "GET /executions/{execution_id}/stream"

# The server ends the stream when the wait is over; only one that is away lets it come to this.
GRACE_S = 1.0
LONGEST_STREAM_S = 86_400.0
FIRST_POLL_S = 0.05
LONGEST_POLL_S = 2.0
# What a server without this resource says, or one behind WSGI, where a stream would cost a thread.
NO_STREAM = frozenset({404, 405, 501})


class Until:
    """The end of a wait of ``limit_s`` seconds; None for no limit."""

    def __init__(self, execution_id: str, limit_s: float | None) -> None:
        self._execution_id = execution_id
        self._limit_s = limit_s
        self._at = None if limit_s is None else time.monotonic() + limit_s

    def left_s(self, most: float) -> float:
        """Seconds that are left, but at most so many; raises `WaitTimeout` when none are."""
        if self._at is None:
            return most
        left = self._at - time.monotonic()
        if left <= 0:
            raise WaitTimeout(
                f"execution {self._execution_id} is not over after {self._limit_s:g} s; it goes on"
            )
        return min(left, most)


class Following:
    """One wait for one execution; `talk` hands over each change, and returns it when it is over.

    Of changes that are no states, only these ``kinds`` are asked for.
    Raises `ExecutionNotFound`, `WaitTimeout`, and `ApiUnavailable` where the server does not answer
    at the beginning.
    """

    def __init__(
        self,
        execution_id: str,
        *,
        manner: Manner,
        timeout_s: float | None,
        kinds: Iterable[ChangeKind] = ChangeKind,
    ) -> None:
        self._kinds = [*kinds]
        self._place = {"execution_id": execution_id}
        self._manner = manner
        self._until = Until(execution_id, timeout_s)
        self._execution: Execution | None = None
        self._etag: str | None = None
        self._last_id: str | None = None
        self._told: ExecutionChange | None = None
        self._streams = True
        self._misses = 0

    def talk(self) -> Talk[Execution]:
        """The conversation."""
        execution = yield from self._look(self._manner)
        while True:
            yield from self._tell(_standing(execution))
            if execution.status.finished:
                return execution
            if self._streams:
                yield from self._listen()
            else:
                yield from self._miss()
            execution = yield from self._look_again(execution)

    def _look(self, manner: Manner) -> Talk[Execution]:
        headers = {} if self._etag is None else {"If-None-Match": self._etag}
        ask = Ask(read=self._read, place=self._place, headers=headers)
        return exchange(ask, GET, manner)

    def _read(self, answer: Answer) -> Execution:
        if answer.status != NOT_MODIFIED or self._execution is None:
            self._execution = read_execution(answer)
            self._etag = answer.headers.get("etag")
        return self._execution

    def _look_again(self, known: Execution) -> Talk[Execution]:
        timeout_s = self._until.left_s(self._manner.timeout_s)
        try:
            return (yield from self._look(replace(self._manner, retries=0, timeout_s=timeout_s)))
        except ApiUnavailable:
            yield Pause(seconds=self._until.left_s(back_off_s(3)))
            return known

    def _listen(self) -> Talk[None]:
        reply: Answer | Unanswered = yield self._stream()
        if not is_stream(reply):
            self._streams = not (isinstance(reply, Answer) and reply.status in NO_STREAM)
            yield from self._miss()
            return
        while True:
            event = yield from next_event(self._last_id)
            if event is None:
                yield from self._miss()
                break
            self._misses, self._last_id = 0, event.id
            change = _read_change(event.data)
            if change is not None:
                # Lines that were logged before the end come before it, and know of it.
                if change.kind is ChangeKind.STATE and change.status.finished:
                    break
                yield from self._tell(change)
            self._until.left_s(QUIET_S)
        yield Shut()

    def _stream(self) -> Send:
        headers = stream_headers(self._last_id)
        query = {"timeout_s": round(self._until.left_s(LONGEST_STREAM_S), 3), "kind": self._kinds}
        ask = Ask(read=as_nothing, place=self._place, headers=headers, query=query)
        quiet_s = self._until.left_s(QUIET_S) + GRACE_S
        send = sent(ask, route=STREAM, headers=self._manner.headers, timeout_s=quiet_s)
        return replace(send, stream=True)

    def _miss(self) -> Talk[None]:
        """Nothing was heard: ask again, later each time."""
        bound = min(LONGEST_POLL_S, FIRST_POLL_S * 1.5 ** min(self._misses, 30))
        self._misses += 1
        yield Pause(seconds=self._until.left_s(bound))

    def _tell(self, change: ExecutionChange) -> Talk[None]:
        """Hand a change over, unless it is the one before: two sources tell of each."""
        if self._told is None or change != replace(self._told, at=change.at):
            self._told = change
            yield Item(change)


def _standing(execution: Execution) -> ExecutionChange:
    progress = execution.progress
    return ExecutionChange(
        kind=ChangeKind.STATE,
        execution_id=execution.id,
        status=execution.status,
        attempt=execution.attempt,
        percent=None if progress is None else progress.percent,
        message=None if progress is None else progress.message,
        at=datetime.now(UTC),
    )


def _read_change(data: str) -> ExecutionChange | None:
    """The change that an event tells of; None for a pulse, and for kinds of a later release."""
    try:
        return change_of(read_model(ShownChange, data)) if data else None
    except ValidationError:
        return None
