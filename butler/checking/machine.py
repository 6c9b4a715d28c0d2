"""Checks of this machine: versions, time zones, and names that hide others."""

from __future__ import annotations

import platform
import zoneinfo
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from butler.app_loading import find_shadow, shadow_problem
from butler.checking.findings import ok, problem, warning
from butler.settings import unknown_variables

if TYPE_CHECKING:
    from collections.abc import Iterator

    from butler.checking.findings import Finding

# One for each part of the world, so that a cut-down set of zones is noticed.
_ZONES = ("Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe")
_PACKAGES = ("butler-tasks", "rq", "redis", "psycopg")
_OLDEST_RQ, _FIRST_TOO_NEW_RQ = 3, 4


def check_versions() -> Iterator[Finding]:
    """What is installed."""
    versions = {name: _version(name) for name in _PACKAGES}
    shown = ", ".join(f"{name} {found}" for name, found in versions.items())
    yield ok("versions", f"Python {platform.python_version()}, {shown}")
    rq = int(versions["rq"].partition(".")[0])
    if not _OLDEST_RQ <= rq < _FIRST_TOO_NEW_RQ:
        yield problem("versions", f"rq {versions['rq']}", "install rq>=3,<4")


def check_time_zones() -> Finding:
    """Whether schedules find their zones."""
    missing = [name for name in _ZONES if not _has_zone(name)]
    if missing:
        return problem("time zones", f"no {', '.join(missing)}", "pip install tzdata")
    return ok("time zones", f"{len(zoneinfo.available_timezones())} known")


def check_names() -> Iterator[Finding]:
    """Whether something here is called what it must not be."""
    shadow = find_shadow(".")
    if shadow is not None:
        yield problem("names", shadow_problem(shadow.resolve()), "rename it")
    for variable in unknown_variables():
        yield warning(
            "settings", f"a variable that is no setting: {variable}", "rename or unset it"
        )


def _has_zone(name: str) -> bool:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, OSError, ValueError):
        return False
    return True


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "0 (not installed)"
