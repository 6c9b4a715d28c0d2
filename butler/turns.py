"""Turns: what waits beside a list because its fair key is not the next one.

A task with ``fair_by`` gives each execution a fair key, a tenant's name say. The ids of such
executions do not go onto their list: they wait beside it, and are taken one of each key, round
after round (``lua/turns.lua``). Two sorted sets a list do that: the keys by their turn, and the ids
by key and age. So one tenant's 100,000 executions delay another's one by a round at most: by one of
each other key, and by the one that lies on the list.

- Taking one costs the logarithm of what waits, however many keys there are. A key whose last id is
  taken leaves nothing behind. A list beside which nothing waits costs a pop and a push one look.
- A list does not stand empty while something waits its turn: the next id lies on it. RQ's tools
  show that, and plain RQ workers take it; the entry point and the scheduler put the next one there.
- What has no key, on a list beside which something waits, waits with the others as if it were one
  key more: neither can hold up the other. What lay on the list before keeps its place.
- It is about what is taken next. What a worker has in hand is not taken back; what it hands back,
  and what a limit has released, goes to the head of the list.

Nothing here is the truth. The key stands in the ledger (`LimitKeys.fair`), so whatever Redis loses
is pushed again under its key, and whatever is there twice is refused by the ledger. Each step is
one script: there is no instant at which an id is in none of list, turn and hand.

Rejected, and why:

- A list for each key (queues of queues, as Inngest has them; BullMQ Pro's groups): RQ's tools would
  show each tenant as a queue, plain workers would serve none of them, each leaves registries
  behind, and scripts would touch keys they were not given.
- A place in line that is computed once, when it is enqueued: the round it is for as a score (fair
  queueing as networks do it; Hatchet's blocks of ids). One sorted set less; but after 99,999 of a
  tenant's 100,000 are cancelled, its last one still waits for round 100,000, while others come.
- A claim that asks the ledger for each key's eldest by a window function (Hatchet's first version):
  it reads everything that waits, and everybody's claim gets slower.
- Letting so many of each tenant go a minute (sidekiq-fairplay), or moving a heavy tenant to a slow
  queue (sidekiq-fair_tenant): the one polls and leaves workers idle, the other is unfair in turn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from butler.queues import WireKeys, load_script, wire_errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis import Redis


class Turns:
    """What waits its turn beside the lists of one Redis; raises `QueueUnavailable`."""

    def __init__(self, redis: Redis) -> None:
        # redis-py types what a sorted set answers by its arguments, loosely.
        self._redis: Any = redis
        self._deal = load_script(redis, "deal")

    def deal(self, name: str, count: int) -> int:
        """Put the next ``count`` of a list's onto it, at its end; how many there were."""
        keys = [WireKeys.list(name), WireKeys.turns(name), WireKeys.waiting(name)]
        with wire_errors("deal"):
            return int(self._deal(keys=keys, args=[count]))

    def lay(self, names: Sequence[str]) -> None:
        """Where a list stands empty and something waits beside it, put the next id there."""
        with wire_errors("look at what waits"), self._redis.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.exists(WireKeys.turns(name))
            found = pipe.execute()
        for name, waits in zip(names, found, strict=True):
            if waits:
                self.deal(name, 0)
