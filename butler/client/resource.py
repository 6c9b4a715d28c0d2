"""`Resource`: things of one kind that can be asked about, over one connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from butler.client.awaiting import Awaiting
    from butler.client.blocking import Blocking

D = TypeVar("D", bound="Blocking | Awaiting")


class Resource(Generic[D]):
    """Its methods are descriptors of `butler.client.operations`; ``driver`` takes their steps."""

    def __init__(self, driver: D) -> None:
        self.driver = driver
