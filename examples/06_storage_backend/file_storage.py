"""A storage backend of one's own: the ledger in one file, for one process."""

import inspect
import os
import pickle
import tempfile
import threading
from collections.abc import Callable
from datetime import datetime
from functools import wraps
from pathlib import Path
from typing import Any

from butler.clock import SYSTEM_CLOCK
from butler.storage.memory import MemoryStorage

# What only looks. Whatever else `MemoryStorage` can do is written down, also what a later version
# of Butler adds: a call too many in the file does no harm, a missing one would.
READS = {
    "alert_rules", "alerts", "audit", "children", "count", "due_recurring", "errors", "events",
    "find", "find_recurring", "get", "get_alert", "get_many", "get_recurring", "has_tokens",
    "leadership", "ledger_id", "limits", "listen", "logs", "next_due_in_s", "now", "picture",
    "prepare", "prospects", "pulses", "queued", "recurring_fires", "recurring_pulse",
    "recurring_statistics", "running", "silences", "standings", "stats", "task_definitions",
    "token_of", "tokens", "unsettled_alerts", "waiting_recurring", "workers",
}  # fmt: skip


class FileClock:
    """The machine's clock; while the file is read, that of the line that is done again."""

    def __init__(self) -> None:
        self.fixed: datetime | None = None

    def now(self) -> datetime:
        return self.fixed or SYSTEM_CLOCK.now()

    def monotonic(self) -> float:
        return SYSTEM_CLOCK.monotonic()


class FileStorage(MemoryStorage):
    """Does what `MemoryStorage` does, and writes each call that changes something into a file.

    A call returns when it is on the disk. Opening the file makes all the calls again, at the times
    at which they were made, which leads to the same ledger. Only what this class wrote is read.
    """

    def __init__(self, path: str | Path, **options: Any) -> None:
        self._clock_of_file = FileClock()
        super().__init__(clock=self._clock_of_file, **options)
        self._writing = threading.RLock()
        self._within = False
        self._file = Path(path).open("a+b")  # noqa: SIM115 - open as long as the storage
        self._read_again()

    def close(self) -> None:
        super().close()
        self._file.close()

    def _read_again(self) -> None:
        self._file.seek(0)
        try:
            self._id = pickle.load(self._file)
        except EOFError:
            self._write(self._id)
            return
        self._within = True
        while True:
            whole = self._file.tell()
            try:
                at, name, args, kwargs = pickle.load(self._file)
            except (EOFError, pickle.UnpicklingError):
                # The process died while it wrote this: nobody was told that it is done.
                self._file.truncate(whole)
                break
            self._clock_of_file.fixed = at
            getattr(super(), name)(*args, **kwargs)
        self._within, self._clock_of_file.fixed = False, None

    def _write(self, value: object) -> None:
        self._file.write(pickle.dumps(value))
        self._file.flush()
        os.fsync(self._file.fileno())


def _written_down(method: Callable[..., Any]) -> Callable[..., Any]:
    """Make the call, then write it down, one at a time; what is refused changes nothing."""

    @wraps(method)
    def call(self: FileStorage, *args: Any, **kwargs: Any) -> Any:
        with self._writing:
            if self._within:
                return method(self, *args, **kwargs)
            self._within, self._clock_of_file.fixed = True, SYSTEM_CLOCK.now()
            try:
                result = method(self, *args, **kwargs)
                self._write((self._clock_of_file.fixed, method.__name__, args, kwargs))
            finally:
                self._within, self._clock_of_file.fixed = False, None
            return result

    return call


for _name, _method in inspect.getmembers(MemoryStorage, inspect.isfunction):
    if not _name.startswith("_") and _name not in READS and _name != "close":
        setattr(FileStorage, _name, _written_down(_method))


def for_the_suite() -> FileStorage:
    """An empty one: `BUTLER_TEST_STORAGE=file_storage:for_the_suite` names this function."""
    return FileStorage(Path(tempfile.mkdtemp()) / "ledger.bin")
