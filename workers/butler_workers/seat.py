"""`Seat`: where a fetcher waits that found nothing to do.

A push that finds a worker sitting, and nothing before it on the lists, puts its id into that
worker's hand and calls it with the id, in one script: an idle worker claims without having to pop
first, which spares a third of the time between the push and the task. Everything else that fills a
list leaves a token on its queue's wake list, and one worker that waits looks at the lists.

Guarantee: an id is on a list or in a hand at every instant, whatever dies. An offer stays noted
until the worker's next pop says that it arrived; if the call was lost, with its connection say,
that pop takes the id like any other. Who sits is forgotten after `SIT_S`, so that a host that went
away while idle gets one execution at most, which comes back with its hand. Rejected: tokens that
name the id on the list. One that lies there for a while names what has been taken since, or what is
paused by now, and claiming that would overtake priorities and turns.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import redis

from butler.connections import clone_redis
from butler.errors import QueueUnavailable
from butler.queues import WireKeys

if TYPE_CHECKING:
    from collections.abc import Sequence

    from butler.hands import Hand

IDLE_LOOK_S = 1.0
# Until the next look, and what may come between.
SIT_S = 1.5 * IDLE_LOOK_S


class Seat:
    """One worker's; ``received`` is what its next pop must say: the last offer that arrived."""

    def __init__(self, hand: Hand, queues: Sequence[str]) -> None:
        self._hand = hand
        self._keys = [hand.call_key, *map(WireKeys.wake, queues)]
        self._redis = clone_redis(hand.redis, timeout_s=IDLE_LOOK_S + 5)
        self.received = ""

    def wait(self) -> list[tuple[str, str]]:
        """What was put into the hand, as (id, list); nothing after a token, or `IDLE_LOOK_S`."""
        try:
            found = self._redis.blpop(self._keys, timeout=IDLE_LOOK_S)
        except redis.TimeoutError:
            return []
        except (redis.RedisError, OSError) as error:
            raise QueueUnavailable(f"Redis did not answer: {error}") from error
        if found is None:
            return []
        call = self._hand.read_call(found[1])
        if call is None:
            return []
        self.received, execution_id, name = call
        return [(execution_id, name)]

    def rouse(self) -> None:
        """End the wait, from another thread; if it cannot be told it ends by itself."""
        with contextlib.suppress(redis.RedisError, OSError):
            self._hand.redis.rpush(self._hand.call_key, "")
