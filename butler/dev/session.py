"""`DevSession`: keeps a worker and a scheduler running, with the code as it is now.

The worker is ended and started anew when a file changes. One that ends by itself (the code cannot
be imported, say) stays down until something changes: its own message tells why, and starting the
same code again would only repeat it. A scheduler needs no code and is simply kept alive.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from butler.stop_flag import StopFlag

if TYPE_CHECKING:
    from collections.abc import Callable

    from butler.dev.processes import DevProcess

LOOK_EVERY_S = 0.5
SHOWN_FILES = 3


class Changes(Protocol):
    """Says what changed since it was asked last."""

    def changed(self) -> list[str]:
        """Names of files."""
        ...


class DevSession:
    """Runs until `stop`; ``say`` tells the person what happens."""

    def __init__(
        self,
        worker: DevProcess,
        scheduler: DevProcess,
        *,
        sources: Changes,
        say: Callable[[str], None],
    ) -> None:
        self._worker = worker
        self._scheduler = scheduler
        self._sources = sources
        self._say = say
        self._stopping = StopFlag()
        self._worker_is_down = False

    def run(self) -> None:
        """Start both, follow the code, and end both when stopped."""
        self._worker.start()
        self._scheduler.start()
        try:
            while not self._stopping.wait(LOOK_EVERY_S):
                self._look()
        finally:
            for process in (self._worker, self._scheduler):
                process.ask_to_end()
            for process in (self._worker, self._scheduler):
                process.end()

    def stop(self) -> None:
        """Let `run` end; may be called from a signal handler."""
        self._stopping.set()

    def _look(self) -> None:
        changed = self._sources.changed()
        if changed:
            more = f" and {len(changed) - SHOWN_FILES} more" if len(changed) > SHOWN_FILES else ""
            self._say(f"{', '.join(changed[:SHOWN_FILES])}{more} changed: restarting the worker")
            self._worker.end()
            self._worker.start()
            self._worker_is_down = False
        elif self._worker.ended_with is not None and not self._worker_is_down:
            self._worker_is_down = True
            code = self._worker.ended_with
            self._say(f"the worker ended with {code}; it starts again when a file changes")
        if self._scheduler.ended_with is not None:
            self._say(f"the scheduler ended with {self._scheduler.ended_with}: starting it again")
            self._scheduler.start()
