"""Texts and times as the ledger can hold them: keys, tags, ids of users (pure)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime

from butler.errors import InvalidOption

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
MAX_KEY_CHARS = 500
MAX_USER_ID_CHARS = 200
MAX_TAG_CHARS = 100
MAX_TAGS = 50


def check_text(option: str, value: object, *, max_chars: int) -> str:
    """The text, if the ledger can hold it as it is.

    Raises `InvalidOption` for anything but 1 to ``max_chars`` characters without NUL and lone
    surrogates: no database can store those.
    """
    if not isinstance(value, str):
        raise InvalidOption(f"{option} must be a str, got {value!r} ({type(value).__name__})")
    if not 1 <= len(value) <= max_chars:
        shown = f"{len(value)}" if value else "an empty one"
        raise InvalidOption(f"{option} must have 1 to {max_chars} characters, got {shown}")
    if _UNSTORABLE.search(value):
        raise InvalidOption(f"{option} must hold no NUL and no lone surrogate, got {value!r}")
    return value


def check_user_id(value: object) -> str:
    """A user id the ledger can hold; raises `InvalidOption`."""
    return check_text("user_id", value, max_chars=MAX_USER_ID_CHARS)


def check_unique_key(value: object) -> str:
    """A unique key the ledger can hold; raises `InvalidOption`."""
    return check_text("unique_key", value, max_chars=MAX_KEY_CHARS)


def check_limit_key(value: object) -> str:
    """A name for a limit that the ledger can hold; raises `InvalidOption`."""
    name = check_text("a limit's key", value, max_chars=MAX_KEY_CHARS)
    if name.startswith("queue:"):
        raise InvalidOption(f"a limit's key must not begin with 'queue:', got {name!r}")
    return name


def check_aware(option: str, value: object) -> datetime:
    """A datetime with a zone, in UTC; raises `InvalidOption`."""
    if not isinstance(value, datetime):
        raise InvalidOption(f"{option} must be a datetime, got {value!r}")
    if value.utcoffset() is None:
        raise InvalidOption(
            f"{option} must carry a time zone, got {value!r}: "
            "write datetime.now(UTC) or .replace(tzinfo=ZoneInfo(...))"
        )
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise InvalidOption(f"{option} must be in years 1..9999 of UTC, got {value!r}") from None


def check_texts(option: str, value: object, *, max_chars: int) -> tuple[str, ...]:
    """Several texts, each once; raises `InvalidOption`."""
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise InvalidOption(f"{option} must be a list or tuple of str, got {value!r}")
    items = (check_text(f"each of {option}", item, max_chars=max_chars) for item in value)
    return tuple(dict.fromkeys(items))


def check_tags(value: object) -> tuple[str, ...]:
    """Tags the ledger can hold, each once; raises `InvalidOption`."""
    tags = check_texts("tags", value, max_chars=MAX_TAG_CHARS)
    if len(tags) > MAX_TAGS:
        raise InvalidOption(f"tags must be at most {MAX_TAGS}, got {len(tags)}")
    return tags


def merge_tags(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    """Both, in order, each once; raises `InvalidOption` when they are too many together."""
    if not second:
        return first
    return check_tags((*first, *second))
