"""`RemoteTask`: a task whose code is elsewhere, with the types of its request and result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

Req = TypeVar("Req")
Res = TypeVar("Res")


@dataclass(frozen=True, slots=True)
class RemoteTask(Generic[Req, Res]):
    """What a type checker needs to know of a task: ``RemoteTask("send_receipt", Order, str)``.

    ``client.enqueue(task, request)`` then takes an ``Order`` and nothing else, and the handle's
    result is a ``str``, checked when it arrives.
    """

    name: str
    request: type[Req]
    result: type[Res]
