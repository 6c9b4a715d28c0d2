"""Text that came from anywhere, made fit to be stored: cleaned, cut with a mark, never refused."""

from __future__ import annotations

import re
import traceback
from typing import TYPE_CHECKING, Any

from butler.errors import InvalidRequest
from butler.executions import ErrorRecord

if TYPE_CHECKING:
    from types import TracebackType

MESSAGE_LIMIT = 10_000
TRACEBACK_LIMIT = 50_000

# Postgres holds neither in jsonb, nor NUL in text.
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_MAX_FRAMES = 100
_OURS = frozenset({"butler", "butler_workers", "butler_scheduler"})
# What lies between Butler's frames and a task's.
_BETWEEN = frozenset({"asyncio", "concurrent", "contextlib", "contextvars", "threading"})


def clean_text(text: object, limit: int) -> str:
    """``text`` with NUL and lone surrogates replaced, in at most ``limit`` characters.

    What is cut is counted in a mark at the end: ``… [cut: 12345 characters]``. Never raises:
    what is no str is turned into one.
    """
    shown = _as_str(text)
    if len(shown) > limit:
        # The mark takes room itself; where it does not fit, there is none.
        kept = limit - len(_mark(len(shown)))
        shown = shown[:kept] + _mark(len(shown) - kept) if kept > 0 else shown[: max(limit, 0)]
    return _UNSTORABLE.sub(_REPLACEMENT, shown)


def one_line(text: object) -> str:
    """``text`` on one line: what breaks a line and other control characters are spaces."""
    return " ".join("".join(c if c.isprintable() else " " for c in _as_str(text)).split())


def counted(number: int, noun: str) -> str:
    """``1 worker``, ``2 workers``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def describe_error(
    exc: BaseException,
    *,
    message_limit: int = MESSAGE_LIMIT,
    traceback_limit: int = TRACEBACK_LIMIT,
) -> ErrorRecord:
    """``exc`` as the ledger keeps it: text only, storable, bounded; never raises.

    The traceback begins at the first frame that is not Butler's own, where there is one, and is
    cut in its middle, because the last frames say most.
    """
    details: tuple[dict[str, Any], ...] = ()
    if isinstance(exc, InvalidRequest):
        details = tuple(exc.errors)
    return ErrorRecord(
        type=_type_name(type(exc)),
        message=clean_text(exc, message_limit),
        traceback=_cut_middle(_traceback_of(exc), traceback_limit),
        details=details,
    )


def _as_str(text: object) -> str:
    if type(text) is str:
        return text
    try:
        # str() of a subclass may return another one; join always makes a plain str.
        return "".join(str(text))
    except Exception as exc:  # noqa: BLE001  # a user's own __str__ may raise anything
        return f"<str() of this {type(text).__name__} failed: {type(exc).__name__}>"


def _mark(characters: int) -> str:
    return f"… [cut: {characters} characters]"


def _cut_middle(text: str, limit: int) -> str:
    if len(text) > limit:
        kept = max(limit - len(_mark(len(text))) - 2, 0)
        head = kept // 4
        tail = kept - head
        text = f"{text[:head]}\n{_mark(len(text) - kept)}\n{text[len(text) - tail :]}"
        text = text[max(len(text) - limit, 0) :]
    return _UNSTORABLE.sub(_REPLACEMENT, text)


def _type_name(kind: type) -> str:
    module = getattr(kind, "__module__", "builtins")
    name = clean_text(kind.__qualname__, 500)
    return name if module == "builtins" else f"{clean_text(module, 500)}.{name}"


def _traceback_of(exc: BaseException) -> str:
    try:
        frames = _without_our_head(exc.__traceback__)
        return "".join(traceback.format_exception(type(exc), exc, frames, limit=-_MAX_FRAMES))
    except Exception as failure:  # noqa: BLE001  # odd __cause__ chains, notes, sources
        return f"<no traceback: formatting it raised {type(failure).__name__}>"


def _without_our_head(frames: TracebackType | None) -> TracebackType | None:
    """``frames`` from the first that is neither Butler's nor the machinery it runs tasks with."""
    first = frames
    while first is not None:
        module = str(first.tb_frame.f_globals.get("__name__", ""))
        if module.partition(".")[0] not in _OURS | _BETWEEN:
            return first
        first = first.tb_next
    return frames
