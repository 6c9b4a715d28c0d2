"""`record`: a dataclass whose instances nobody may change, at the cost of one that anybody may.

A frozen dataclass writes each field through ``object.__setattr__``: four times the cost of an
assignment, for some fifty fields an execution on its way through a worker. To type checkers this
is ``dataclass`` itself, so that ``frozen=True`` is held where it is checked, and not at run time.
For what is made for each execution; everything else is a plain ``@dataclass(frozen=True)``.
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
