"""One place through which Butler logs: a stable event name, then its fields.

INFO: an execution or a process changed state. WARNING: an anomaly that was handled. ERROR: a
person is needed. Payloads are never logged. Values are put on one line: a CR or LF in a name must
not forge a second entry, nor an escape sequence colour a terminal.
"""

from __future__ import annotations

import io
import logging
import sys


def log_event(logger: logging.Logger, level: int, event: str, /, **fields: object) -> None:
    """Log ``event`` with its fields as ``key=value``; costs next to nothing when not enabled."""
    if logger.isEnabledFor(level):
        text = " ".join(f"{name}={_plain(value)}" for name, value in fields.items())
        extra = {"butler_event": event, "butler_fields": fields}
        logger.log(level, "%s %s", event, text, extra=extra)


class Repeated:
    """Logs the 1st, 2nd, 4th, 8th … time of what goes wrong again and again, as a warning.

    An outage of a night must not fill a disk. Not safe for several threads.
    """

    def __init__(self, logger: logging.Logger, event: str) -> None:
        self._logger = logger
        self._event = event
        self._times = 0

    def again(self, **fields: object) -> None:
        """It went wrong once more."""
        self._times += 1
        if self._times & (self._times - 1) == 0:
            log_event(self._logger, logging.WARNING, self._event, times=self._times, **fields)

    def over(self) -> None:
        """It went well: the next time is a first one."""
        self._times = 0


def configure_logging(level: str, *, form: str = "console", worker: str | None = None) -> None:
    """Log to stderr, for the commands (a library leaves logging to its application).

    ``form`` is "console" or "json"; ``worker`` stands in each line.
    """
    from butler.log_lines import ConsoleLines, JsonLines

    logging.basicConfig(stream=sys.stderr, level=level.upper(), force=True)
    for handler in logging.getLogger().handlers:
        # So that the root logger may let through what is captured for tasks: see butler.capture.
        handler.setLevel(level.upper())
        handler.setFormatter(JsonLines(worker) if form == "json" else ConsoleLines(worker))
    logging.getLogger("rq").setLevel(logging.WARNING)


def print_at_once() -> None:
    """Write each line of stdout when it ends, also into a file or a pipe.

    For processes that run tasks: what these print is a log, and would come blocks later, or never
    when the process is killed.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)


def _plain(value: object) -> str:
    text = str(value)
    if text and text.isprintable() and " " not in text:
        return text
    return repr(text)
