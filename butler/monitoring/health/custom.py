"""Users' own health checks: ``@butler.health.check``."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any

from butler.errors import DefinitionError
from butler.monitoring.health.servers import SERVER_CHECKS
from butler.monitoring.health.verdict import HealthCheck, HealthLevel, healthy, unhealthy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE_S = 10.0


class CustomChecks:
    """Checks by name; one that raises is unhealthy, and keeps no other from being made."""

    def __init__(self) -> None:
        self._checks: dict[str, Callable[[], Any]] = {}
        self._running: dict[str, Future[HealthCheck]] = {}

    def add(self, name: str, check: Callable[[], Any]) -> None:
        """Add a check; raises `DefinitionError` where its name is another's."""
        if name in SERVER_CHECKS:
            raise DefinitionError(f"Butler has a health check {name!r}: choose another name")
        if self._checks.setdefault(name, check) is not check:
            raise DefinitionError(f"two health checks are called {name!r}: give one another name")

    def run(self) -> Iterator[HealthCheck]:
        """All of them at once; one that takes longer than `PATIENCE_S` is unhealthy."""
        begun = [(name, self._begin(name, check)) for name, check in sorted(self._checks.items())]
        deadline = time.monotonic() + PATIENCE_S
        for name, call in begun:
            try:
                yield call.result(max(0.0, deadline - time.monotonic()))
            except TimeoutError:
                reason = f"did not end within {PATIENCE_S:g} s"
                yield unhealthy(name, reason, "give what it asks a time limit of its own")

    def _begin(self, name: str, check: Callable[[], Any]) -> Future[HealthCheck]:
        # One that still hangs is not begun a second time.
        running = self._running.get(name)
        if running is not None and not running.done():
            return running
        call = self._running[name] = Future[HealthCheck]()
        run = partial(_fulfil, call, name, check)
        threading.Thread(target=run, name=f"health-{name}", daemon=True).start()
        return call


def _fulfil(call: Future[HealthCheck], name: str, check: Callable[[], Any]) -> None:
    call.set_result(_run(name, check))


def _run(name: str, check: Callable[[], Any]) -> HealthCheck:
    try:
        found = check()
        if inspect.isawaitable(found):
            found = asyncio.run(_awaited(found))
    except Exception as error:  # noqa: BLE001 - whatever a user's check raises is its finding
        return unhealthy(name, f"{type(error).__name__}: {error}", "see the check's own code")
    return _verdict(name, found)


async def _awaited(found: Any) -> Any:
    return await found


def _verdict(name: str, found: Any) -> HealthCheck:
    match found:
        case None | True:
            return healthy(name, "passed")
        case False:
            return unhealthy(name, "did not pass", "see the check's own code")
        case str():
            return unhealthy(name, found, "see the check's own code")
        case HealthCheck():
            return found
        case (level, str(reason)):
            return HealthCheck(name=name, level=HealthLevel(level), reason=reason)
    return unhealthy(
        name,
        f"returned {type(found).__name__}",
        "return None or True, False, a reason, a HealthCheck, or (level, reason)",
    )
