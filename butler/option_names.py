"""What to say of an option that does not exist: what was probably meant, and where to write it."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from butler.errors import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable

# What people may look for in the wrong place, and how it is written.
_ELSEWHERE = {
    "max_attempts": "retry=RetryPolicy(max_attempts=...)",
    "max_retries": "retry=RetryPolicy(max_attempts=...), which counts the first attempt too",
    "retries": "retry=RetryPolicy(max_attempts=...), which counts the first attempt too",
    "retry": "max_attempts=..., or retry=RetryPolicy(...) where the task is defined",
    "isolation": "isolation=... where the task is defined",
    "max_concurrency": "max_concurrency=... where the task is defined",
    "rate": 'rate="100/minute" where the task is defined',
    "fair_by": "fair_by=... where the task is defined",
    "rate_limit": 'rate="100/minute" where the task is defined',
    "aliases": "aliases=... where the task is defined",
    "delay_s": "delay_s=... where the task is enqueued",
    "run_at": "run_at=... where the task is enqueued",
    "expires_at": "expires_at=... where the task is enqueued",
    "replace": "replace=True where the task is enqueued",
    "transaction": "transaction=... where the task is enqueued",
    "fair_key": "fair_key=... where the task is enqueued",
    "user_id": "user_id=... where the task is enqueued",
    "countdown": "delay_s=... where the task is enqueued",
    "eta": "run_at=... where the task is enqueued",
    "expires": "expires_at=... where the task is enqueued",
    "debounce": "unique_key=..., replace=True, delay_s=... where the task is enqueued",
    "connection": "transaction=... where the task is enqueued",
}


def unknown_option(name: str, known: Iterable[str]) -> str:
    """Why there is no such option, and what was probably meant."""
    known = tuple(known)
    elsewhere = {other: how for other, how in _ELSEWHERE.items() if other not in known}
    close = difflib.get_close_matches(name, (*known, *elsewhere), n=1)
    if close and close[0] in elsewhere:
        return f"no option {name!r} here; write {elsewhere[close[0]]}"
    return f"no option {name!r}{did_you_mean(name, known)}"
