"""Which attempts a child has started and until when they may run, in memory its supervisor shares.

A child that crashes can say nothing any more, and one whose thread sits in a C call with the
interpreter lock can say nothing for now. What they would have to say stands here: written by the
child before a task's first line runs, read by the supervisor when it needs it. From it follows

- who is a suspect after a crash: what was started, not what was only claimed ahead;
- what must be ended by force: what is still here after its timeout and the grace;
- whether the child can still speak: its ticker stamps the table each time it runs.

Messages over the control line were rejected: one for each attempt would cost as much as a short
task, and one only for attempts that last comes too late for a task whose first line takes the lock.
"""

from __future__ import annotations

import math
import mmap
import struct
import tempfile
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from butler.clock import SYSTEM_CLOCK

if TYPE_CHECKING:
    from typing import IO

# When it last spoke, attempts in flight, endings unwritten, and how many ended in each `COUNTED`.
_HEAD = struct.Struct("=dQQ4Q")
_ENTRY = struct.Struct("=36sId")
_UNTIL = struct.Struct("=d")
_UNTIL_AT = _ENTRY.size - _UNTIL.size
SILENT_S = 3.0
COUNTED = ("succeeded", "failed", "cancelled", "returned")


def table_slots(concurrency: int) -> int:
    """Entries a worker of this concurrency needs; more, as an end is noted a moment late."""
    return 2 * concurrency + 8


def table_bytes(slots: int) -> int:
    """The size of a table for this many attempts at once."""
    return _HEAD.size + slots * _ENTRY.size


@dataclass(frozen=True, slots=True)
class Vitals:
    """How a child stands; ``ended`` counts attempts by `COUNTED` (returned: to be run again)."""

    in_flight: int = 0
    backlog: int = 0
    ended: tuple[int, ...] = (0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Started:
    """An attempt that was started and has not ended; ``until`` in boot time, inf for no limit."""

    attempt: int
    until: float


class StartedTable:
    """The child's side: an entry for each attempt between its first line and its end."""

    def __init__(self, fd: int, slots: int) -> None:
        self._memory = mmap.mmap(fd, table_bytes(slots))
        self._free = list(range(slots))
        self.speak(Vitals())

    def start(self, execution_id: str, attempt: int, until: float | None) -> int:
        """Note that an attempt starts; returns its entry."""
        index = self._free.pop()
        at = _HEAD.size + index * _ENTRY.size
        limit = math.inf if until is None else until
        entry = _ENTRY.pack(execution_id.encode(), attempt, limit)
        # The first byte last: it is what says that the entry counts, and the supervisor may look at
        # any moment. With the time of the one that was here before it would be overdue.
        self._memory[at + 1 : at + _ENTRY.size] = entry[1:]
        self._memory[at] = entry[0]
        return index

    def limit(self, index: int, until: float) -> None:
        """The attempt of this entry may run until this boot time, and no longer."""
        _UNTIL.pack_into(self._memory, _HEAD.size + index * _ENTRY.size + _UNTIL_AT, until)

    def end(self, index: int) -> None:
        """Note that the attempt of this entry has ended."""
        # What `StartedView.entries` looks at first.
        self._memory[_HEAD.size + index * _ENTRY.size] = 0
        self._free.append(index)

    def speak(self, vitals: Vitals) -> None:
        """Show that this process's threads still get to run, and how it stands."""
        _HEAD.pack_into(
            self._memory, 0, time.monotonic(), vitals.in_flight, vitals.backlog, *vitals.ended
        )


class StartedView:
    """The supervisor's side; makes the shared memory and keeps it after the child's death."""

    def __init__(self, slots: int) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the view
        self._file.truncate(table_bytes(slots))
        self._memory = mmap.mmap(self._file.fileno(), table_bytes(slots))
        _HEAD.pack_into(self._memory, 0, time.monotonic(), 0, 0, 0, 0, 0, 0)

    @property
    def fd(self) -> int:
        """What the child opens its table with."""
        return self._file.fileno()

    @property
    def silent(self) -> bool:
        """Whether the child has shown no life for a while although its process lives."""
        return time.monotonic() - float(_HEAD.unpack_from(self._memory, 0)[0]) > SILENT_S

    def vitals(self) -> Vitals:
        """How the child stood when it last spoke."""
        _, in_flight, backlog, *ended = _HEAD.unpack_from(self._memory, 0)
        return Vitals(in_flight, backlog, tuple(ended))

    def entries(self) -> dict[str, Started]:
        """What the child has started and not ended, by execution id."""
        found = {}
        for raw, attempt, until in _ENTRY.iter_unpack(self._memory[_HEAD.size :]):
            if raw[0]:
                found[raw.decode(errors="replace")] = Started(attempt, until)
        return found

    def overdue(self) -> dict[str, Started]:
        """Those whose time has passed."""
        now = SYSTEM_CLOCK.monotonic()
        return {key: entry for key, entry in self.entries().items() if entry.until < now}

    def close(self) -> None:
        """Give the memory back."""
        self._memory.close()
        self._file.close()
