"""Jobs of others on our lists: plain RQ jobs, and executions of another ledger.

They are left exactly where they are, for whoever runs them, and hold up none of ours. A list on
which one was met is crowded: it is not popped any more, ours are picked out from between the
others. It is looked at only when it has changed, so that a crowd that just stands there costs
three cheap commands a second. As lists grow at their ends, the ends are looked at first, up to a
stranger that is known; the whole list every ten seconds, as long as it changes.

Rejected: putting strangers at the end of their list. It moves jobs that are not ours, and two
workers doing it spin.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from typing import TYPE_CHECKING

from butler.log import log_event
from butler.queues import WireKeys, as_text, wire_errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from butler.hands import Hand

logger = logging.getLogger(__name__)

PAGE = 500
# One look passes this many at most; a longer crowd takes several, a second apart.
PAGES_A_LOOK = 100
# How many of a list's last pages may be new before the whole list is looked through.
END_PAGES = 4
WHOLE_EVERY_S = 10.0
REPORT_EVERY_S = 60.0
# A stranger stays one. Forgotten all the same, in case a hash was misread while it was made anew.
FORGET_AFTER_S = 300.0
MOST_KNOWN = 200_000

Popped = tuple[str, str]
State = tuple[int, object, object]


class Strangers:
    """Tells ours from others, and picks ours out of crowded lists.

    Methods raise `QueueUnavailable`; each may simply be called again.
    """

    def __init__(self, hand: Hand, *, ledger_id: str) -> None:
        self._hand = hand
        self._redis = hand.redis
        self._ledger_id = ledger_id
        self._crowds: dict[str, _Crowd] = {}
        self._known: set[str] = set()
        self._forget_at = 0.0
        self._reported: dict[str, float] = {}

    @property
    def crowded(self) -> frozenset[str]:
        """Lists that must not be popped from."""
        return frozenset(self._crowds)

    def sort(self, popped: Sequence[Popped]) -> None:
        """Let go of ids this ledger has no row for: drop what was deleted, give back the rest."""
        ours = self._ours([execution_id for execution_id, _ in popped])
        strange = [pair for pair in popped if pair[0] not in ours]
        for _, name in strange:
            self._crowds.setdefault(name, _Crowd())
        self._hand.give_back(strange)
        self._hand.drop(list(ours))

    def pick(self, name: str, limit: int) -> list[Popped]:
        """Take up to ``limit`` of ours off a crowded list, the first ones first."""
        crowd = self._crowds[name]
        if not crowd.asked and not crowd.ahead:
            self._look(name, crowd)
        if not crowd.asked:
            crowd.asked = [crowd.ahead.popleft() for _ in range(min(limit, len(crowd.ahead)))]
        if not crowd.asked:
            return []
        # Asked for again, the same ones, if the answer does not come.
        taken = self._hand.pick(crowd.asked, name=name, from_tail=crowd.ahead_at_tail)
        crowd.asked = []
        return [(execution_id, name) for execution_id in taken]

    def _look(self, name: str, crowd: _Crowd) -> None:
        state = self._state(name)
        if crowd.first == 0:
            if state == crowd.state:
                return
            if time.monotonic() < crowd.whole_at and self._look_at_ends(name, crowd):
                crowd.state = crowd.state if crowd.ahead else state
                return
            crowd.began, crowd.strange = state, False
        self._look_through(name, crowd)

    def _look_at_ends(self, name: str, crowd: _Crowd) -> bool:
        """Find ours on the first page and behind the last known stranger; False if it is far."""
        key, pages = WireKeys.list(name), list[list[str]]()
        with wire_errors("look at a list"):
            head = [as_text(raw) for raw in self._redis.lrange(key, 0, PAGE - 1)]
            while not pages or (pages[-1] and pages[-1][0] not in self._known):
                if len(pages) == END_PAGES:
                    return False
                last = -1 - len(pages) * PAGE
                pages.append(
                    [as_text(raw) for raw in self._redis.lrange(key, last - PAGE + 1, last)]
                )
        ids = list(dict.fromkeys([*head, *(id_ for page in reversed(pages) for id_ in page)]))
        ours = self._ours(ids)
        crowd.ahead.extend(execution_id for execution_id in ids if execution_id in ours)
        crowd.ahead_at_tail = True
        return True

    def _look_through(self, name: str, crowd: _Crowd) -> None:
        for _ in range(PAGES_A_LOOK):
            with wire_errors("look at a list"):
                page = self._redis.lrange(WireKeys.list(name), crowd.first, crowd.first + PAGE - 1)
            ids = [as_text(raw) for raw in page]
            ours = self._ours(ids)
            crowd.strange = crowd.strange or len(ours) < len(ids)
            if ours:
                # They are taken out, so the next look begins at the head again.
                crowd.first, crowd.ahead_at_tail = 0, False
                crowd.ahead.extend(execution_id for execution_id in ids if execution_id in ours)
                return
            if len(ids) < PAGE:
                crowd.first, crowd.state = 0, crowd.began
                crowd.whole_at = time.monotonic() + WHOLE_EVERY_S
                if not crowd.strange:
                    del self._crowds[name]
                return
            crowd.first += PAGE

    def _state(self, name: str) -> State:
        """What must change when anything is added to a list."""
        key = WireKeys.list(name)
        with wire_errors("look at a list"), self._redis.pipeline(transaction=False) as pipe:
            pipe.llen(key)
            pipe.lindex(key, 0)
            pipe.lindex(key, -1)
            length, head, tail = pipe.execute()
        return length, head, tail

    def _ours(self, ids: Sequence[str]) -> set[str]:
        """Those that are this ledger's, and those that nobody can tell, as their hash is gone."""
        now = time.monotonic()
        if now >= self._forget_at or len(self._known) > MOST_KNOWN:
            self._known, self._forget_at = set(), now + FORGET_AFTER_S
        unsure = [execution_id for execution_id in ids if execution_id not in self._known]
        if not unsure:
            return set()
        with wire_errors("look at the hashes"), self._redis.pipeline(transaction=False) as pipe:
            for execution_id in unsure:
                pipe.hmget(WireKeys.job(execution_id), ["ledger", "status"])
            answers = pipe.execute()
        ours, plain, other = set[str](), list[str](), list[str]()
        for execution_id, (ledger, status) in zip(unsure, answers, strict=True):
            if ledger is not None and as_text(ledger) == self._ledger_id:
                ours.add(execution_id)
            elif ledger is not None:
                other.append(execution_id)
            elif status is not None:
                plain.append(execution_id)
            else:
                ours.add(execution_id)
        self._known.update(plain, other)
        self._report(logging.ERROR, "executions of another ledger share this queue", other)
        self._report(logging.WARNING, "plain RQ jobs share this queue; --rq-jobs runs them", plain)
        return ours

    def _report(self, level: int, hint: str, ids: Iterable[str]) -> None:
        some = list(ids)
        now = time.monotonic()
        if some and now >= self._reported.get(hint, 0.0):
            self._reported[hint] = now + REPORT_EVERY_S
            log_event(
                logger, level, "fetch.foreign", count=len(some), ids=",".join(some[:5]), hint=hint
            )


class _Crowd:
    """What is known of one crowded list."""

    def __init__(self) -> None:
        self.state: State | None = None
        self.began: State | None = None
        self.first = 0
        self.strange = False
        self.whole_at = 0.0
        self.ahead_at_tail = False
        self.ahead: deque[str] = deque()
        self.asked: list[str] = []
