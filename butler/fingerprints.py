"""What makes two errors the same one: their type, and the place that raised them.

The place is the innermost frame of the traceback that is not in an installed package or the
standard library, else the innermost one, as ``shop/mail.py:send``. Neither line numbers nor the
folder the code is installed in count, so that an error stays the same over deployments; messages do
not count either, because they hold ids. What carries no traceback (a lost worker, a failure that a
task returned) is told by its type alone.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from butler.executions import ErrorRecord

MAX_MESSAGE_CHARS = 500
_MAX_PLACE_CHARS = 200
_FRAME = re.compile(r'^  File "([^"\n]+)", line \d+, in (.+)$', re.MULTILINE)
_INSTALLED = re.compile(r"/(?:site|dist)-packages/")
_STANDARD = re.compile(r"/lib(?:64)?/python\d[^/]*/|^<")
_KEPT_PARTS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """``id`` is the same for the same type and place, on every host."""

    id: str
    type: str
    place: str


def fingerprint(error: ErrorRecord) -> Fingerprint:
    """Which error this is."""
    place = place_of(error.traceback)
    digest = hashlib.sha256(f"{error.type}\n{place}".encode("utf-8", "replace")).hexdigest()
    return Fingerprint(id=digest[:16], type=error.type, place=place)


def place_of(traceback: str | None) -> str:
    """Where it was raised, as ``file.py:function`` with one folder; empty where nobody knows."""
    # The last exception of a chain is the one that came out.
    frames = _FRAME.findall(_last_of_chain(traceback or ""))
    if not frames:
        return ""
    own = [each for each in frames if not _foreign(each[0])]
    path, function = (own or frames)[-1]
    short = "/".join(_INSTALLED.split(path)[-1].replace("\\", "/").split("/")[-_KEPT_PARTS:])
    return f"{short}:{function}"[:_MAX_PLACE_CHARS]


def _last_of_chain(traceback: str) -> str:
    return traceback.rpartition("Traceback (most recent call last):")[2]


def _foreign(path: str) -> bool:
    return _INSTALLED.search(path) is not None or _STANDARD.search(path) is not None
