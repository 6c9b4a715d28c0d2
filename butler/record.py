"""`record`: a dataclass whose instances nobody may change, at the cost of one that anybody may.

A frozen dataclass writes each field through ``object.__setattr__``: making one takes twice as long
(5.3 µs and 2.9 for the seventeen fields of a claim), several times an execution. To type checkers
this is ``dataclass`` itself, so that ``frozen=True`` is held where it is checked, and not at run
time. For what is made for each execution; everything else is a ``@dataclass(frozen=True)``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import dataclass as record
else:
    from dataclasses import dataclass
    from functools import partial

    # Not frozen, so it needs to be told that it can be hashed.
    def record(*, frozen: bool, **options: bool) -> partial[type]:
        """A dataclass with these options."""
        return partial(dataclass, unsafe_hash=frozen, **options)


__all__ = ["record"]
