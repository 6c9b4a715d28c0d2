"""Users' own health checks: ``@butler.health.check``."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any, TypeVar

from butler.errors import DefinitionError
from butler.monitoring.health.verdict import HealthCheck, HealthLevel, healthy, unhealthy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Fn = TypeVar("Fn", bound="Callable[[], Any]")


class CustomChecks:
    """Checks by name; one that raises is unhealthy, and keeps no other from being made."""

    def __init__(self) -> None:
        self._checks: dict[str, Callable[[], Any]] = {}

    def add(self, name: str, check: Callable[[], Any]) -> None:
        """Add a check; raises `DefinitionError` where its name is another's."""
        if self._checks.setdefault(name, check) is not check:
            raise DefinitionError(f"two health checks are called {name!r}: give one another name")

    def run(self) -> Iterator[HealthCheck]:
        """All of them, one after the other."""
        for name, check in sorted(self._checks.items()):
            yield _run(name, check)


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
