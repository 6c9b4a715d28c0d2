"""`exchange`: one request and its answer, sent again where that may help (a conversation).

Sent again is what nobody answered, what a server or a proxy in front of it could not do just now
(502, 503, 504), what came too fast (429), and what the server is still doing for us (409
``in-progress``). None of it is done twice: what changes something carries a key that the server
keeps for a day. The pauses double, with full jitter, so that the clients of a server that restarts
do not all come back at once; a ``Retry-After`` is obeyed instead.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from butler.client.asks import sent
from butler.client.problems import error_of, is_problem, unreachable
from butler.client.steps import Answer, Pause, Unanswered

if TYPE_CHECKING:
    from collections.abc import Mapping

    from butler.client.asks import Ask
    from butler.client.steps import Send, Talk

T = TypeVar("T")

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 10.0
# Whoever is told to come back later than this is told so, and not kept waiting.
LONGEST_RETRY_AFTER_S = 60.0

_AWAY = frozenset({502, 503, 504})
_TOO_FAST = 429
_CONFLICT = 409
NOT_MODIFIED = 304
_FIRST_ERROR = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How a client talks: to which server, with which headers, and how patiently."""

    url: str
    headers: Mapping[str, str] = field(repr=False)  # the token is in them
    timeout_s: float
    retries: int


def exchange(ask: Ask[T], route: str, manner: Manner) -> Talk[T]:
    """Ask, and read the answer; raises what the answer says is wrong, and `ApiUnavailable`."""
    send = sent(ask, route=route, headers=manner.headers, timeout_s=manner.timeout_s)
    answer = yield from answered(send, manner=manner, repeatable=ask.repeatable)
    if answer.status >= _FIRST_ERROR and answer.status != NOT_MODIFIED:
        raise error_of(answer, route=route, place=ask.place)
    return ask.read(answer)


def answered(send: Send, *, manner: Manner, repeatable: bool = True) -> Talk[Answer]:
    """The first answer that is worth reading."""
    tries = 0
    while True:
        reply: Answer | Unanswered = yield send
        tries += 1
        wait_s = pause_s(reply, tries, repeatable=repeatable)
        if wait_s is None or tries > manner.retries or wait_s > LONGEST_RETRY_AFTER_S:
            if isinstance(reply, Answer) and not is_away(reply):
                return reply
            raise unreachable(reply, send=send, url=manner.url, tries=tries)
        yield Pause(seconds=wait_s)


def pause_s(reply: Answer | Unanswered, tries: int, *, repeatable: bool) -> float | None:
    """How long to wait before it is sent again; None for not at all."""
    if isinstance(reply, Unanswered):
        return back_off_s(tries) if repeatable or not reply.sent else None
    if is_away(reply):
        return (_retry_after_s(reply) or back_off_s(tries)) if repeatable else None
    if reply.status == _TOO_FAST or (
        reply.status == _CONFLICT and is_problem(reply, "in-progress")
    ):
        return _retry_after_s(reply) or back_off_s(tries)
    return None


def is_away(answer: Answer) -> bool:
    """Whether the server, or one behind it, could not do it just now."""
    return answer.status in _AWAY and not is_problem(answer, "not-delivered")


def back_off_s(tries: int) -> float:
    """A random pause, up to a bound that doubles with each try."""
    bound: float = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(tries, 30))
    return random.uniform(bound / 4, bound)  # noqa: S311 - no secret


def _retry_after_s(answer: Answer) -> float | None:
    """The seconds of ``Retry-After``; a date there is not looked at."""
    told = answer.headers.get("retry-after", "")
    return float(told) if told.isascii() and told.isdigit() else None
