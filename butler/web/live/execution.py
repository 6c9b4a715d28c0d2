"""`ExecutionSource`: one execution's states, progress and log lines, each line exactly once.

Lines come from two places. Those that were logged before come from the ledger, those that are
logged meanwhile are told by the worker. It writes lines before it tells them, and numbers them
without gaps: whoever misses one knows, and reads it in the ledger. So a lost word, a slow client or
a reconnection cost a statement and no line.

An event's id is the client's place: the attempt and state it was told, and its last line. It means
the same to every process that serves the API, at any time.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from butler.changes import TOLD_CHARS, ChangeKind, ExecutionChange
from butler.streams import ExecutionStream
from butler.web.live.frames import KEEP_ALIVE, change

if TYPE_CHECKING:
    from butler.executions import Execution, ExecutionStatus
    from butler.storage.logs import LogLine
    from butler.web.callers import Caller
    from butler.web.live.places import ExecutionPlace
    from butler.web.services import Web

LINES_AT_ONCE = 200
# Of a client that does not read; what it misses is in the ledger.
LINES_KEPT = 100


class ExecutionSource:
    """What becomes of an execution from ``place`` on, masked; see `butler.web.live.stream`."""

    def __init__(
        self,
        web: Web,
        execution: Execution,
        *,
        secrets: frozenset[str],
        kinds: frozenset[ChangeKind],
        place: ExecutionPlace,
    ) -> None:
        self._web = web
        self._execution = execution
        self._secrets = secrets
        self._secrets_of = execution.attempt
        self._kinds = kinds | {ChangeKind.STATE}
        self._place = place
        self._stream = ExecutionStream(
            execution.id,
            listener=lambda: web.butler.listener,
            clock=web.butler.clock,
            timeout_s=None,
            lines_kept=LINES_KEPT,
        )
        self._held: ExecutionChange | None = None
        self._behind = False
        # The state it begins with is told before the lines; an end is told after them.
        self._first = True
        self._over = False
        self._forbidden = False

    async def next(self) -> bytes | None:
        """The next frames; None after the end."""
        while not self._forbidden:
            if self._held is not None and self._secrets_of != self._held.attempt:
                await self._read_secrets(self._held.attempt)
            if self._behind and (self._held is None or not self._first):
                frames = await self._read_lines()
            elif self._held is not None:
                held, self._held, self._first = self._held, None, False
                frames = self._shown(held)
            elif self._over:
                return None
            else:
                frames = await self._step()
            if frames:
                return frames
        return None

    def admit(self, caller: Caller) -> None:
        """End if it is outside of what exists for the caller now."""
        found = self._execution
        self._forbidden = not caller.scope.holds(queue=found.queue, tags=found.tags)

    def still_here(self) -> bytes:
        """A comment."""
        return KEEP_ALIVE

    def close(self) -> None:
        """Follow it no more."""
        self._stream.close()

    async def _step(self) -> bytes:
        """Take one step; what comes of it is held, read, or empty where it is not wanted."""
        step = await anext(self._stream, None)
        if step is None:
            self._over = True
            return b""
        if step.kind is ChangeKind.LOG:
            return self._live_line(step)
        over = step.status.finished
        if ChangeKind.LOG in self._kinds and (self._first or over):
            self._behind = True
        self._first = self._first and not over
        self._held = step
        return b""

    def _live_line(self, step: ExecutionChange) -> bytes:
        line = step.line
        if line is None or ChangeKind.LOG not in self._kinds or line.id <= self._place.line:
            return b""
        if line.id != self._place.line + 1 or len(line.message) >= TOLD_CHARS:
            self._behind = True
            return b""
        self._place.line = line.id
        return self._lines([line], status=step.status)

    async def _read_lines(self) -> bytes:
        """Lines from the ledger behind the client's place."""
        read = partial(
            self._web.butler.logs,
            self._execution.id,
            after=self._place.line,
            limit=LINES_AT_ONCE,
        )
        lines = await self._web.call(read)
        self._behind = len(lines) == LINES_AT_ONCE
        if not lines:
            return b""
        status = self._held.status if self._held is not None else self._place.status
        return self._lines(lines, status=status or self._execution.status)

    def _lines(self, lines: list[LogLine], *, status: ExecutionStatus) -> bytes:
        frames = []
        for line in self._web.masks.lines(lines, self._secrets):
            self._place.line = line.id
            frames.append(
                change(
                    ChangeKind.LOG,
                    execution_id=self._execution.id,
                    task=self._execution.task,
                    queue=self._execution.queue,
                    status=status,
                    attempt=line.attempt,
                    at=line.at,
                    line=line,
                    id_=str(self._place),
                )
            )
        return b"".join(frames)

    def _shown(self, step: ExecutionChange) -> bytes:
        kind, id_ = step.kind, None
        if kind is ChangeKind.STATE:
            if self._place.is_at(step):
                # The client knows; how far it is may be new.
                kind = ChangeKind.PROGRESS
                if step.percent is None:
                    return b""
            else:
                self._place.attempt, self._place.status = step.attempt, step.status
                id_ = str(self._place)
        if kind not in self._kinds:
            return b""
        return change(
            kind,
            execution_id=self._execution.id,
            task=self._execution.task,
            queue=self._execution.queue,
            status=step.status,
            attempt=step.attempt,
            percent=step.percent,
            message=self._web.masks.text(step.message, self._secrets),
            at=step.at,
            id_=id_,
        )

    async def _read_secrets(self, attempt: int) -> None:
        """Of the request that this attempt has: what waits may be replaced by another request."""

        def read() -> frozenset[str]:
            return self._web.masks.secrets(self._web.butler.get_or_raise(self._execution.id))

        self._secrets = await self._web.call(read)
        self._secrets_of = attempt
