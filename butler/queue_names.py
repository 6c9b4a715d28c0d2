"""What a queue may be called; apart from the wire, so that defining a task loads no driver."""

from __future__ import annotations

import re

from butler.errors import InvalidOption

DEFAULT_QUEUE = "default"

_QUEUE_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")


def check_queue_name(name: object) -> str:
    """The name, if it can be a queue's; raises `InvalidOption` otherwise."""
    if not isinstance(name, str) or not _QUEUE_NAME.fullmatch(name):
        raise InvalidOption(
            "queue must be 1 to 100 letters, digits, '_' or '-' "
            f"('.' marks priorities, ':' separates keys), got {name!r}"
        )
    return name
