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
    from collections.abc import Callable

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
