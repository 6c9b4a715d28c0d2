"""`DevSession`: keeps a worker and a scheduler running, with the code as it is now.

Both are ended and started anew when a file changes: the worker for the tasks, the scheduler for the
recurring jobs that are declared beside them. One that ends by itself (the code cannot be imported,
say) stays down until something changes: its own message tells why, and starting the same code again
would only repeat it. A server that ends is started again: there is no code of the user's in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from butler.stop_flag import StopFlag

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from butler.dev.processes import DevProcess

LOOK_EVERY_S = 0.5
SHOWN_FILES = 3


class Changes(Protocol):
    """Says what changed since it was asked last."""

    def changed(self) -> list[str]:
        """Names of files."""
        ...


class Server(Protocol):
    """A server that is to run all the time."""

    @property
    def name(self) -> str:
        """How people call it."""
        ...

    @property
    def pid(self) -> int | None:
        """None when it does not run."""
        ...

    def start(self) -> None:
        """Start it, and return once it answers."""
        ...


class DevSession:
    """Runs until `stop`; ``processes`` go by their names, ``say`` tells the person what happens."""

    def __init__(
        self,
        processes: Mapping[str, DevProcess],
        *,
        servers: Sequence[Server],
        sources: Changes,
        say: Callable[[str], None],
    ) -> None:
        self._processes = processes
        self._servers = servers
        self._sources = sources
        self._say = say
        self._stopping = StopFlag()
        self._down: set[str] = set()

    def run(self) -> None:
        """Start all, follow the code, and end all when stopped."""
        self._start()
        try:
            while not self._stopping.wait(LOOK_EVERY_S):
                self._look()
        finally:
            self._end()

    def stop(self) -> None:
        """Let `run` end; may be called from a signal handler."""
        self._stopping.set()

    def _start(self) -> None:
        for process in self._processes.values():
            process.start()
        self._down.clear()

    def _end(self) -> None:
        for process in self._processes.values():
            process.ask_to_end()
        for process in self._processes.values():
            process.end()

    def _look(self) -> None:
        for server in self._servers:
            if server.pid is None:
                self._say(f"{server.name} ended: starting it again")
                server.start()
        changed = self._sources.changed()
        if changed:
            more = f" and {len(changed) - SHOWN_FILES} more" if len(changed) > SHOWN_FILES else ""
            names = " and ".join(self._processes)
            self._say(f"{', '.join(changed[:SHOWN_FILES])}{more} changed: restarting {names}")
            self._end()
            self._start()
        for name, process in self._processes.items():
            if process.ended_with is not None and name not in self._down:
                self._down.add(name)
                code = process.ended_with
                self._say(f"the {name} ended with {code}; it starts again when a file changes")
