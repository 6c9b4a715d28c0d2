"""``butler.limits`` and ``butler.queues``: what operators say about limits and queues."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from butler.errors import InvalidOption
from butler.ids import is_id
from butler.limiting import QUEUE_PREFIX, LimitRule, make_rule
from butler.option_texts import check_text
from butler.queue_names import check_queue_name
from butler.storage.base import MAX_BATCH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from butler.parks import Parks
    from butler.storage.base import Storage
    from butler.storage.limits import LimitRow, Prospect

    # Inside the class ``list`` is a method.
    Prospects: TypeAlias = list[Prospect]

MAX_LIMIT_NAME_CHARS = 500


class Limits:
    """The limits of a ledger, by name: a task's, a key's, or ``queue:`` and a queue's."""

    def __init__(self, storage: Callable[[], Storage], parks: Callable[[], Parks]) -> None:
        self._storage = storage
        self._parks = parks

    def list(self) -> list[LimitRow]:
        """Every name with a rule, a pause, or something that runs under it; by name."""
        return self._storage().limits()

    def set(
        self,
        name: str,
        *,
        max_concurrency: int | None = None,
        rate: str | None = None,
        rate_burst: int | None = None,
    ) -> None:
        """Allow this from now on, whatever code says; both None lifts the limit altogether.

        Raises `InvalidOption`. What waits and may go now is woken.
        """
        rule = make_rule(max_concurrency=max_concurrency, rate=rate, rate_burst=rate_burst)
        self._say(name, rule)

    def reset(self, name: str) -> None:
        """Take back what `set` said: code's word holds again."""
        self._say(name, None)

    def waiting(self, names: Iterable[str]) -> dict[str, int]:
        """How many stand aside for each of these limits, besides what waits on its queue."""
        return self._parks().waiting(names)

    def waits_for(self, execution_id: str) -> Prospects:
        """What keeps a queued execution from starting; nothing: it waits for a worker, or runs.

        As a text each says "limit customer:42, held by 01a20ce4-…".
        """
        return self.waits_of([execution_id]).get(execution_id, [])

    def waits_of(self, execution_ids: Iterable[str]) -> dict[str, Prospects]:
        """As `waits_for`, of many at once: only those that something keeps."""
        kept: dict[str, Prospects] = {}
        ids = list(dict.fromkeys(filter(is_id, execution_ids)))
        for start in range(0, len(ids), MAX_BATCH):
            for prospect in self._storage().prospects(ids[start : start + MAX_BATCH]):
                if prospect.room <= 0:
                    kept.setdefault(prospect.execution_id, []).append(prospect)
        return kept

    def _say(self, name: str, rule: LimitRule | None) -> None:
        check_text("a limit's name", name, max_chars=MAX_LIMIT_NAME_CHARS)
        storage, parks = self._storage(), self._parks()
        storage.set_limit(name, rule)
        parks.settle(storage, [f"concurrency:{name}", f"rate:{name}"])


class Queues:
    """Pausing queues, letting them go on, and limiting them as a whole."""

    def __init__(self, storage: Callable[[], Storage], parks: Callable[[], Parks]) -> None:
        self._storage = storage
        self._parks = parks
        self._limits = Limits(storage, parks)

    def paused(self) -> list[str]:
        """The queues that are paused, by name."""
        rows = self._storage().limits()
        return [row.name.removeprefix(QUEUE_PREFIX) for row in rows if row.paused_at is not None]

    def pause(self, queue: str) -> None:
        """Start nothing of this queue from now on; what runs goes on. Pausing twice is fine."""
        self._storage().pause_queue(check_queue_name(queue), paused=True)
        self._parks().show_paused(self.paused())

    def resume(self, queue: str) -> None:
        """Let a paused queue go on."""
        self._storage().pause_queue(check_queue_name(queue), paused=False)
        self._parks().show_paused(self.paused())
        self._parks().resume(queue)

    def limit(
        self,
        queue: str,
        *,
        max_concurrency: int | None = None,
        rate: str | None = None,
        rate_burst: int | None = None,
    ) -> None:
        """Allow this for all of a queue's executions together, whatever task; both None: anything.

        Raises `InvalidOption`.
        """
        name = QUEUE_PREFIX + check_queue_name(queue)
        if max_concurrency is None and rate is None:
            if rate_burst is not None:
                raise InvalidOption("rate_burst needs a rate")
            self._limits.reset(name)
            return
        self._limits.set(name, max_concurrency=max_concurrency, rate=rate, rate_burst=rate_burst)
