"""`Ask`: one request to the API and how its answer is read (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import quote

import pydantic_core
from pydantic import BaseModel, ValidationError

from butler.client.problems import unreadable
from butler.client.steps import Send
from butler.client.tolerance import read_model
from butler.ids import new_token

if TYPE_CHECKING:
    from collections.abc import Callable

    from butler.client.steps import Answer

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)

API = "/api/v1"
IDEMPOTENCY_KEY = "Idempotency-Key"
SAFE = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask(Generic[T]):
    """A request that is not sent yet.

    ``place`` fills the parameters of the route. What is None in ``query`` is left out, lists are
    repeated. ``repeatable`` is false for what must not be sent twice, not even with a key.
    """

    read: Callable[[Answer], T]
    place: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, object] = field(default_factory=dict)
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool = True


def sent(ask: Ask[Any], *, route: str, headers: Mapping[str, str], timeout_s: float) -> Send:
    """The request for a route like ``POST /queues/{queue}/pause``.

    Whatever changes something has an ``Idempotency-Key``, made here if not given, so that it can be
    sent again when nobody knows what became of it.
    """
    method, _, path = route.partition(" ")
    all_headers = {**headers, **ask.headers}
    content = None
    if ask.body is not None:
        content = pydantic_core.to_json(ask.body)
        all_headers["Content-Type"] = "application/json"
    if method not in SAFE and ask.repeatable:
        all_headers.setdefault(IDEMPOTENCY_KEY, new_token())
    filled = path.format(**{name: _segment(value) for name, value in ask.place.items()})
    return Send(
        method=method,
        path=filled if path in ("/healthz", "/readyz", "/metrics") else API + filled,
        query=tuple(_query(ask.query)),
        headers=all_headers,
        content=content,
        timeout_s=timeout_s,
    )


def with_query(ask: Ask[T], more: Mapping[str, object]) -> Ask[T]:
    """The same with these parameters besides."""
    return replace(ask, query={**ask.query, **more})


def as_model(model: type[M]) -> Callable[[Answer], M]:
    """Reads an answer as one of the API's models."""

    def read(answer: Answer) -> M:
        try:
            return read_model(model, answer.body)
        except ValidationError as error:
            raise unreadable(answer, error) from None

    return read


def picked(model: type[M], pick: Callable[[M], T]) -> Callable[[Answer], T]:
    """Reads an answer as one of the API's models, and takes that of it which was asked for."""
    read = as_model(model)
    return lambda answer: pick(read(answer))


def as_nothing(_: Answer) -> None:
    """For answers without a body."""


def given(options: Mapping[str, object]) -> dict[str, object]:
    """Those options that are not None, as JSON takes them."""
    return {name: plain(value) for name, value in options.items() if value is not None}


def plain(value: object) -> object:
    """A value as JSON and queries know it: durations in seconds, times in ISO 8601."""
    match value:
        case timedelta():
            return value.total_seconds()
        case datetime():
            return value.isoformat()
        case Enum():
            return value.value
        case str() | Mapping():
            return value
        case Iterable():
            return [plain(each) for each in value]
    return value


def _segment(text: str) -> str:
    """A name as one step of a path, also one that would mean this step or the one before."""
    return "%2E" * len(text) if text in (".", "..") else quote(text, safe="")


def _query(query: Mapping[str, object]) -> Iterable[tuple[str, str]]:
    for name, value in given(query).items():
        for each in value if isinstance(value, list) else [value]:
            yield name, str(each).lower() if isinstance(each, bool) else str(each)
