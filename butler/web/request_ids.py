"""The id of the request that is being answered, for every log line that is written meanwhile."""

from __future__ import annotations

import logging
import re
from contextvars import ContextVar

from butler.ids import new_id

HEADER = "X-Request-ID"

current_request_id: ContextVar[str | None] = ContextVar("butler_request_id", default=None)

# What may stand in a log line and in a header without being taken for anything else.
_SOUND = re.compile(r"[A-Za-z0-9._-]{1,64}")


def request_id_of(given: str | None) -> str:
    """The id a caller brought, if it is sound, else a new one."""
    return given if given is not None and _SOUND.fullmatch(given) else new_id()


class RequestIdFilter(logging.Filter):
    """Gives each record the ``request_id`` that a format may name; ``-`` outside of requests."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Lets every record through."""
        record.request_id = current_request_id.get() or "-"
        return True
