"""Walking through a listing, page by page (a conversation)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from butler.client.asks import with_query
from butler.client.exchange import exchange
from butler.client.steps import Item

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from butler.client.asks import Ask
    from butler.client.exchange import Manner
    from butler.client.steps import Talk

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Part(Generic[T]):
    """What one page holds, and the parameters of the next one, if there is one."""

    items: Sequence[T]
    more: Mapping[str, object] | None = None


def walk(ask: Ask[Part[T]], route: str, manner: Manner) -> Talk[None]:
    """Hand over each thing of each page; the next page is asked for when it is needed."""
    while True:
        part = yield from exchange(ask, route, manner)
        for each in part.items:
            yield Item(each)
        if part.more is None:
            return
        ask = with_query(ask, part.more)


def by_cursor(items: Sequence[T], cursor: str | None) -> Part[T]:
    """A page of a listing whose next one is found by ``cursor``."""
    return Part(items, None if cursor is None else {"cursor": cursor})
