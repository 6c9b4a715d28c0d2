"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is: a problem breaks a promise, a warning may."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at: what was found, and what to do about it."""

    level: Level
    topic: str
    found: str
    advice: str | None = None


def ok(topic: str, found: str) -> Finding:
    """Nothing to do."""
    return Finding(level=Level.OK, topic=topic, found=found)


def warning(topic: str, found: str, advice: str) -> Finding:
    """Something that may break a promise."""
    return Finding(level=Level.WARNING, topic=topic, found=found, advice=advice)


def problem(topic: str, found: str, advice: str | None = None) -> Finding:
    """Something that breaks one."""
    return Finding(level=Level.PROBLEM, topic=topic, found=found, advice=advice)
