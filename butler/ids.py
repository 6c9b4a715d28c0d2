"""Execution, worker and token ids.

Execution ids are UUIDv7 in text form: time-ordered, so that inserts touch one end of the index,
and made by the client, so that an enqueue whose acknowledgement was lost can be repeated. They
satisfy RQ's rule for job ids (letters, digits, ``_`` and ``-``).
"""

from __future__ import annotations

import re
import sys
import uuid
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_HEX = b"0123456789abcdef"
_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

if sys.version_info >= (3, 14):

    def new_id() -> str:
        """A new UUIDv7, 36 characters."""
        return str(uuid.uuid7())
else:

    def new_id() -> str:
        """A new UUIDv7, 36 characters."""
        return str(_uuid7()())

    @cache
    def _uuid7() -> Callable[[], object]:
        from uuid_utils import uuid7

        return uuid7


def new_token() -> str:
    """A random UUID for what must not be guessed or ordered: claims, pops, ledgers."""
    return str(uuid.uuid4())


def is_id(text: str) -> bool:
    """Whether ``text`` could be an execution id: a canonical, lower-case UUID."""
    return _ID.fullmatch(text) is not None


def are_ids(texts: Sequence[str]) -> bool:
    """Whether each is what `is_id` takes, and there is one at least; looked at in one go.

    A worker asks this of all it takes and of all it ends: a tenth of what asking one by one costs.
    """
    count, joined = len(texts), ",".join(texts)
    # No longer and no shorter than so many ids and the commas between them.
    if len(joined) != 37 * count - 1 or not joined.isascii():
        return False
    raw = joined.encode()
    dashes = b"-" * count
    return (
        raw.translate(None, _HEX) == b",".join([b"----"] * count)
        and raw[8::37] == raw[13::37] == raw[18::37] == raw[23::37] == dashes
        and raw[36::37] == b"," * (count - 1)
    )
