"""Who the listener tells: somebody that waits for an end, somebody that follows every step.

Everything here but the constructors is called by the listener's thread, which nothing may block.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from concurrent.futures import Future, InvalidStateError
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, TypeVar

from butler.changes import ChangeKind, ExecutionChange
from butler.executions import ExecutionStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from butler.changes import Word
    from butler.clock import Clock
    from butler.executions import Execution, Progress
    from butler.storage.records import Standing

T = TypeVar("T")

# Of somebody who takes no steps; an attempt logs a thousand at most.
MAX_LINES_KEPT = 2_000
EARLY_WORDS_KEPT = 50

# Progress is told before it is written: what the ledger says meanwhile is older.
WRITTEN_AFTER_S = 1.0


class Watcher(ABC):
    """Wants to know about one execution; identical only to itself.

    ``began`` is true once the ledger has been asked for it.
    """

    __slots__ = ("began", "execution_id")

    needs_execution: ClassVar[bool]
    """Whether `ended` must be told, with the whole execution."""

    def __init__(self, execution_id: str) -> None:
        self.execution_id = execution_id
        self.began = False

    @abstractmethod
    def stands(self, standing: Standing | Execution) -> None:
        """The ledger was asked, and said this."""

    @abstractmethod
    def heard(self, word: Word) -> bool:
        """It was published how far it is, or what it logs; whether to ask the ledger about it."""

    @abstractmethod
    def ended(self, execution: Execution) -> None:
        """It is over; nothing more will be told."""

    @abstractmethod
    def failed(self, error: Exception) -> None:
        """Nothing can be found out; nothing more will be told."""


class EndWatcher(Watcher):
    """Waits for the end. ``begun`` is done when the ledger was asked once, ``end`` at the end."""

    __slots__ = ("begun", "end", "last")

    needs_execution = True

    def __init__(self, execution_id: str, last: Standing | Execution | None = None) -> None:
        super().__init__(execution_id)
        self.began = last is not None
        self.last = last
        self.begun: Future[None] = Future()
        self.end: Future[Execution] = Future()

    def stands(self, standing: Standing | Execution) -> None:
        """Note how it stands, for whoever loses patience."""
        if standing.status.finished:
            # `ended` follows with all there is; who has no time left must not leave in between.
            return
        self.last = standing
        if not self.began:
            self.began = True
            _resolve(self.begun, None)

    def heard(self, word: Word) -> bool:  # noqa: ARG002
        """Neither is anything to wait for."""
        return False

    def ended(self, execution: Execution) -> None:
        """The wait is over."""
        _resolve(self.end, execution)
        _resolve(self.begun, None)

    def failed(self, error: Exception) -> None:
        """The wait is over, in vain."""
        _resolve(self.end, error=error)
        _resolve(self.begun, error=error)


class StepWatcher(Watcher):
    """Keeps the steps that were not taken yet: of progress only the newest, of the others all."""

    __slots__ = (
        "_clock",
        "_early",
        "_error",
        "_heard_at",
        "_lines_kept",
        "_lock",
        "_max_lines",
        "_over",
        "_shown",
        "_steps",
        "_told",
        "_waker",
        "_word",
    )

    needs_execution = False

    def __init__(
        self, execution_id: str, *, clock: Clock, lines_kept: int = MAX_LINES_KEPT
    ) -> None:
        super().__init__(execution_id)
        self._clock = clock
        self._max_lines = lines_kept
        self._lock = threading.Lock()
        self._steps: deque[ExecutionChange] = deque()
        self._told: Standing | Execution | None = None
        self._shown: tuple[float | None, str | None] = (None, None)
        self._word: Word | None = None
        self._early: deque[Word] = deque(maxlen=EARLY_WORDS_KEPT)
        self._lines_kept = 0
        self._heard_at: float | None = None
        self._over = False
        self._error: Exception | None = None
        self._waker: Callable[[], None] | None = None

    def stands(self, standing: Standing | Execution) -> None:
        """A step, if anything is new about it."""
        self.began = True
        told, self._told = self._told, standing
        over = standing.status.finished
        if over:
            # What was logged comes before the end.
            self._hear_early_lines()
        if told is None or (told.status, told.attempt) != (standing.status, standing.attempt):
            self._heard_at = None
            self._put(self._step(ChangeKind.STATE, standing, standing.progress), over=over)
        elif _shown(standing.progress) != self._shown and not self._hears():
            self._put(self._step(ChangeKind.PROGRESS, standing, standing.progress), over=over)
        self._hear_early_lines()
        if self._word is not None:
            word, self._word = self._word, None
            self.heard(word)

    def heard(self, word: Word) -> bool:
        """A step of progress, if it is of the attempt that runs as far as is known; or of lines."""
        if word.kind is ChangeKind.LOG:
            return self._hear_lines(word)
        told = self._told
        if told is None or word.attempt > told.attempt:
            self._word = word
            return True
        if told.status is ExecutionStatus.RUNNING and word.attempt == told.attempt:
            self._heard_at = time.monotonic()
            self._put(self._step(ChangeKind.PROGRESS, told, word), over=False)
        return False

    def _hear_early_lines(self) -> None:
        early, self._early = self._early, deque(maxlen=EARLY_WORDS_KEPT)
        for word in early:
            self._hear_lines(word)

    def _hear_lines(self, word: Word) -> bool:
        told = self._told
        if told is None or word.attempt > told.attempt:
            self._early.append(word)
            return True
        step = self._step(ChangeKind.LOG, told, None)
        percent, message = self._shown
        step = replace(step, attempt=word.attempt, percent=percent, message=message)
        with self._lock:
            room = self._max_lines - self._lines_kept
            lines = word.lines[:room]
            self._steps.extend(replace(step, line=line) for line in lines)
            self._lines_kept += len(lines)
        self._wake()
        return False

    def ended(self, execution: Execution) -> None:
        """Told by `stands` already."""

    def failed(self, error: Exception) -> None:
        """Raised to whoever takes the next step."""
        with self._lock:
            self._over, self._error = True, error
        self._wake()

    def take(self) -> ExecutionChange | None:
        """The next step; None when there is none yet. Raises what `failed` was told."""
        with self._lock:
            if self._steps:
                step = self._steps.popleft()
                self._lines_kept -= step.kind is ChangeKind.LOG
                return step
            if self._error is not None:
                raise self._error
            return None

    @property
    def over(self) -> bool:
        """Whether there is no step left to take and none will come."""
        with self._lock:
            return self._over and not self._steps and self._error is None

    def wake_by(self, waker: Callable[[], None]) -> None:
        """Call this, once and from any thread, as soon as there is something to take."""
        with self._lock:
            if not self._steps and not self._over:
                self._waker = waker
                return
        waker()

    def _put(self, step: ExecutionChange, *, over: bool) -> None:
        with self._lock:
            # A slow reader must not be shown old progress, nor fill the memory.
            last = self._steps[-1] if self._steps else None
            if last and last.kind is ChangeKind.PROGRESS and step.kind is ChangeKind.PROGRESS:
                self._steps.pop()
            self._steps.append(step)
            self._over = over
        self._shown = (step.percent, step.message)
        self._wake()

    def _wake(self) -> None:
        with self._lock:
            waker, self._waker = self._waker, None
        if waker is not None:
            waker()

    def _hears(self) -> bool:
        return self._heard_at is not None and time.monotonic() - self._heard_at < WRITTEN_AFTER_S

    def _step(
        self, kind: ChangeKind, standing: Standing | Execution, progress: Progress | Word | None
    ) -> ExecutionChange:
        percent, message = _shown(progress)
        return ExecutionChange(
            kind=kind,
            execution_id=standing.id,
            status=standing.status,
            attempt=standing.attempt,
            percent=percent,
            message=message,
            at=self._clock.now(),
        )


def _shown(progress: Progress | Word | None) -> tuple[float | None, str | None]:
    return (None, None) if progress is None else (progress.percent, progress.message)


def _resolve(future: Future[T], value: T | None = None, *, error: Exception | None = None) -> None:
    """Unless it is done: whoever waited may have given up this very moment."""
    try:
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(value)  # type: ignore[arg-type]
    except InvalidStateError:
        return
