"""Secrets are masked by pydantic's JSON form, and a worker needs them (pure)."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from pydantic import Secret, SecretBytes, SecretStr

_SECRETS = (SecretStr, SecretBytes, Secret)
# What pydantic writes in their place, besides what a Secret of the user's own displays.
_MASKS = ("**********", "")
_LISTED = (list, tuple, set, frozenset, deque)


def reveal(plain: Any, written: Any) -> Any:
    """``written`` (pydantic's JSON form) with each masked secret replaced by its value.

    ``plain`` is the same value in pydantic's Python form. A secret that the user's own serializer
    wrote (encrypted, say) stays as it was written.
    """
    if isinstance(plain, _SECRETS):
        masked = written in _MASKS or written == str(plain)
        return plain.get_secret_value() if masked else written
    if isinstance(plain, Mapping) and isinstance(written, dict) and len(plain) == len(written):
        pairs = zip(plain.values(), written.items(), strict=True)
        return {key: reveal(value, other) for value, (key, other) in pairs}
    if isinstance(plain, _LISTED) and isinstance(written, list) and len(plain) == len(written):
        return [reveal(one, other) for one, other in zip(plain, written, strict=True)]
    return written
