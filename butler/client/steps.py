"""The steps of a conversation with the API, and what may come of each (pure).

A conversation is a generator: it yields a step, and is sent the reply.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeAlias, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """Send a request; the reply is an `Answer` or `Unanswered`.

    ``timeout_s`` is for each read and write. With ``stream``, an answer 200 is left open and its
    lines are what `ReadLine` takes; any other is read whole.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)  # the token is in them
    content: bytes | None = None
    timeout_s: float = 30.0
    stream: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Wait; the reply is None."""

    seconds: float


@dataclass(frozen=True, slots=True)
class ReadLine:
    """The stream's next line; the reply is None when it is over, broken or silent for too long."""


@dataclass(frozen=True, slots=True)
class Shut:
    """Close the open stream, if there is one; the reply is None."""


@dataclass(frozen=True, slots=True)
class Item(Generic[T]):
    """Hand this to whoever iterates; the reply is None."""

    value: T


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the server said. ``headers`` are asked for in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Unanswered:
    """No answer came. ``sent`` is false where the request cannot have arrived."""

    why: str
    sent: bool


Step: TypeAlias = Send | Pause | ReadLine | Shut | Item[Any]
Talk: TypeAlias = Generator[Step, Any, T]


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """A conversation is over, with this."""

    value: T


def advance(talk: Talk[T], reply: Any) -> Step | Done[T]:
    """The next step after this reply, or what came of the whole; raises what the talk raises."""
    try:
        return talk.send(reply)
    except StopIteration as end:
        return Done(end.value)
