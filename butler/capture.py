"""Catching what tasks log, and if wanted what they print, for the attempt they do it in.

One handler on the root logger, and one stream over each of stdout and stderr, for the whole
process. They ask `running_context`: what is logged or printed where a task runs, in its thread, its
coroutine, and whatever runs in a copy of its context, is kept by that attempt's `AttemptControl`.
All of it also goes where it always went.

Only code that logs pays. The handler takes no lock of its own (each `AttemptControl` has one): a
time-out that is thrown into a thread between a handler's lock and its release would silence the
process for ever.

Whether INFO reaches a handler at all is decided by the root logger's level. It is lowered only
where each of its handlers filters for itself, as `configure_logging` has it: then nobody sees more
than before. Elsewhere (a worker inside somebody's tests) it is theirs and stays as it is.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from butler.context import TASK_LOGGERS, running_context

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import TextIO

    from butler.settings import Settings

_OURS = ("butler", "butler_workers", "butler_scheduler")
_OFF = logging.CRITICAL + 1


class LogCapture(logging.Handler):
    """Keeps records for the attempt in which they are logged."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(message)s"))

    def handle(self, record: logging.LogRecord) -> bool:
        """Without the lock; see the module."""
        self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it, unless no task runs here or it is Butler's own."""
        context = running_context.get(None)
        if context is not None and _is_of_a_task(record.name):
            control = context._control  # noqa: SLF001 - the worker's side of it
            control.log(record.levelno, record.name, self._text(record), created=record.created)
        if record.levelno >= logging.WARNING and _nobody_else_handles(record, self):
            # As logging does with a warning that no handler takes: this one must not hide it.
            assert logging.lastResort is not None
            logging.lastResort.handle(record)

    def _text(self, record: logging.LogRecord) -> str:
        try:
            return self.format(record)
        except Exception as error:  # noqa: BLE001 - wrong arguments, or a __str__ that raises
            return f"{record.msg!r} could not be formatted: {type(error).__name__}"


class PrintCapture:
    """Stands over ``sys.stdout`` or ``sys.stderr``, and keeps the lines that tasks write."""

    def __init__(self, name: str, stream: TextIO) -> None:
        self.logger = name
        self.stream = stream

    def write(self, text: str) -> int:
        """Write it where it would have gone, and keep it."""
        written = self.stream.write(text)
        context = running_context.get(None)
        if context is not None:
            control = context._control  # noqa: SLF001 - the worker's side of it
            control.print(self.logger, text, created=time.time())
        return written

    def writelines(self, lines: Iterable[str]) -> None:
        """As `write`, one after the other."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


class _Capturing:
    """Who wants to catch, and the one handler and the levels that follow from it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._handler = LogCapture()
        self._wanted: list[int] = []
        self._before: dict[str, int] = {}

    def begin(self, level: int) -> None:
        """Catch from this level on."""
        with self._lock:
            self._wanted.append(level)
            self._settle()

    def end(self, level: int) -> None:
        """One of those who wanted this level wants it no more."""
        with self._lock:
            self._wanted.remove(level)
            self._settle()

    def _settle(self) -> None:
        root = logging.getLogger()
        for name, level in self._before.items():
            logging.getLogger(name).setLevel(level)
        self._before.clear()
        root.removeHandler(self._handler)
        if not self._wanted:
            return
        level = min(self._wanted)
        self._lower_levels(root, level)
        self._handler.setLevel(level)
        root.addHandler(self._handler)

    def _lower_levels(self, root: logging.Logger, level: int) -> None:
        present = root.level
        tasks = logging.getLogger(TASK_LOGGERS)
        self._set(tasks, min(level, tasks.getEffectiveLevel()))
        filtered = root.handlers and all(handler.level >= present for handler in root.handlers)
        if filtered and level < present:
            self._set(root, level)
            for logger in map(logging.getLogger, _OURS):
                if logger.level == logging.NOTSET:
                    self._set(logger, present)

    def _set(self, logger: logging.Logger, level: int) -> None:
        self._before[logger.name] = logger.level
        logger.setLevel(level)


_capturing = _Capturing()


@contextmanager
def capturing(settings: Settings) -> Iterator[None]:
    """Catch what tasks log, and print where ``capture_print`` is set, as long as the block runs.

    Blocks may overlap: each line is kept once, from the lowest level that any of them wants.
    """
    level = level_of(settings.capture_log_level)
    names = ("stdout", "stderr") if settings.capture_print else ()
    stood_over = [name for name in names if _stand_over(name)]
    if level != _OFF:
        _capturing.begin(level)
    try:
        yield
    finally:
        if level != _OFF:
            _capturing.end(level)
        for name in stood_over:
            _leave(name)


def level_of(name: str) -> int:
    """The level that a setting names; ``off`` is above all of them."""
    return _OFF if name == "off" else int(logging.getLevelName(name.upper()))


def _stand_over(name: str) -> bool:
    stream = getattr(sys, name)
    if stream is None or isinstance(stream, PrintCapture):
        return False
    setattr(sys, name, PrintCapture(name, stream))
    return True


def _leave(name: str) -> None:
    stream = getattr(sys, name)
    # Somebody may have put another one in its place meanwhile, and has it to put back.
    if isinstance(stream, PrintCapture):
        setattr(sys, name, stream.stream)


def _is_of_a_task(logger: str) -> bool:
    ours = logger.partition(".")[0] in _OURS
    return not ours or logger == TASK_LOGGERS or logger.startswith(f"{TASK_LOGGERS}.")


def _nobody_else_handles(record: logging.LogRecord, handler: logging.Handler) -> bool:
    if logging.lastResort is None or logging.root.handlers != [handler]:
        return False
    logger: logging.Logger | None = logging.getLogger(record.name)
    while logger is not None and logger is not logging.root:
        if logger.handlers:
            return False
        logger = logger.parent
    return True
