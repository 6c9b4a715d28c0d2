"""Reading pickles that somebody else may have written: plain values, and no code.

RQ keeps what a job calls as a pickle, and unpickling runs whatever the writer put there. Here only
a few plain types can be named; everything else is refused before it is imported.
"""

from __future__ import annotations

import io
import pickle
from typing import Any

PLAIN_TYPES = {
    ("datetime", "date"),
    ("datetime", "datetime"),
    ("datetime", "time"),
    ("datetime", "timedelta"),
    ("datetime", "timezone"),
    ("decimal", "Decimal"),
    ("uuid", "UUID"),
}


class PlainPickle:
    """RQ's serializer for a reader that trusts nobody."""

    @staticmethod
    def dumps(value: Any) -> bytes:
        """As RQ writes."""
        return pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)

    @staticmethod
    def loads(data: bytes) -> Any:
        """What can be read without importing anything; raises `pickle.UnpicklingError`."""
        return _PlainUnpickler(io.BytesIO(data)).load()


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in PLAIN_TYPES:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{module}.{name} is not a plain value")
