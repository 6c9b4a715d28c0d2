"""The part of `Storage` that finds what executions have enqueued."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from butler.storage.records import Standing


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """How an execution stands that ``parent_id`` has enqueued."""

    parent_id: str
    standing: Standing


class FamilyStorage(Protocol):
    """Executions by the execution that enqueued them."""

    def children(self, parent_ids: Sequence[str], *, limit: int) -> list[Child]:
        """The children of these, parent by parent in the order given, each's oldest first.

        At most ``limit`` (1..1,000) of all: the children of the parents before the last one that is
        named are complete. A generation is one statement, however many parents it has.
        """
        ...
