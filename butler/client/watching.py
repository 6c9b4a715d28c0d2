"""Watching all executions, as it happens (a conversation)."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from butler.client.asks import Ask, as_nothing, sent
from butler.client.event_stream import QUIET_S, is_stream, next_event, stream_headers
from butler.client.exchange import back_off_s, is_away
from butler.client.problems import error_of, unreachable
from butler.client.steps import Answer, Item, Pause, Shut
from butler.client.tolerance import read_model
from butler.web.models.executions import ShownChange, ShownMoment

if TYPE_CHECKING:
    from datetime import datetime

    from butler.client.event_stream import ServerEvent
    from butler.client.exchange import Manner
    from butler.client.steps import Talk, Unanswered

EVENTS = "GET /events"


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchEvent:
    """Something that was told while all executions were watched.

    ``kind`` is state, progress or log, and then there is a ``change``; or ready: what happens from
    now on will be told; or missed: there may be more than was told, so read again what you show.
    """

    kind: str
    at: datetime
    change: ShownChange | None = None


def watch(query: dict[str, Any], *, manner: Manner, timeout_s: float | None) -> Talk[None]:
    """Hand over each event, for ever or so long; a stream that breaks off goes on where it was.

    Raises what the server says at the beginning, and later what it will say for ever.
    """
    last_id: str | None = None
    began, misses, opened = time.monotonic(), 0, False
    while timeout_s is None or time.monotonic() < began + timeout_s:
        left_s = None if timeout_s is None else max(began + timeout_s - time.monotonic(), 0.0)
        ask = Ask(read=as_nothing, query=query | {"timeout_s": left_s})
        ask = replace(ask, headers=stream_headers(last_id))
        send = sent(ask, route=EVENTS, headers=manner.headers, timeout_s=QUIET_S)
        reply: Answer | Unanswered = yield replace(send, stream=True)
        if is_stream(reply):
            opened, misses = True, 0
            while (event := (yield from next_event(last_id))) is not None:
                last_id = event.id
                yield from _tell(event)
            yield Shut()
        elif isinstance(reply, Answer) and not is_away(reply):
            raise error_of(reply, route=EVENTS, place={})
        elif not opened and misses >= manner.retries:
            raise unreachable(reply, send=send, url=manner.url, tries=misses + 1)
        misses += 1
        pause_s = back_off_s(misses)
        yield Pause(seconds=pause_s if left_s is None else min(pause_s, left_s))


def _tell(event: ServerEvent) -> Talk[None]:
    """Hand it over, if it is of a kind that this release knows."""
    try:
        if event.kind in ("ready", "missed"):
            moment = read_model(ShownMoment, event.data)
            yield Item(WatchEvent(kind=event.kind, at=moment.at))
        elif event.data:
            change = read_model(ShownChange, event.data)
            yield Item(WatchEvent(kind=event.kind, at=change.at, change=change))
    except ValidationError:
        return
