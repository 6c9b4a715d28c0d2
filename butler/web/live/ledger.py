"""`LedgerSource`: what becomes of all that a caller may see, or of a part of it.

A client that comes back is first told what changed meanwhile. In the process it left, and soon, the
feed still has that exactly. Otherwise the ledger is asked (`butler.web.live.catching_up`): then it
may be told something twice, and of an execution only how it stands now; and where there may be more
than was found it is told that, as ``missed``. Then comes ``ready``: what happens from then on will
be told. A new client gets that at once.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from butler.changes import ChangeKind
from butler.web.live.feed import MARGIN
from butler.web.live.frames import change, moment, place
from butler.web.live.places import FeedPlace

if TYPE_CHECKING:
    from butler.scopes import Scope
    from butler.storage.records import Standing
    from butler.web.callers import Caller
    from butler.web.live.feed import Feed
    from butler.web.live.ring import Told
    from butler.web.services import Web

EVENTS_AT_ONCE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a client asks for; empty ones ask for nothing special."""

    kinds: frozenset[ChangeKind]
    ids: frozenset[str] = frozenset()
    task: str | None = None
    queue: str | None = None
    tag: str | None = None

    def holds(self, of: Standing | Told, *, id_: str) -> bool:
        """Whether an execution is among it."""
        return (
            self.task in (None, of.task)
            and self.queue in (None, of.queue)
            and (self.tag is None or self.tag in of.tags)
            and (not self.ids or id_ in self.ids)
        )


class LedgerSource:
    """Reads the feed from ``since`` on; see `butler.web.live.stream`."""

    def __init__(self, web: Web, *, scope: Scope, wanted: Wanted, since: FeedPlace | None) -> None:
        self._web = web
        self._feed: Feed = web.feed
        self._scope = scope
        self._wanted = wanted
        self._since = since
        self._number = 0
        self._joined = False
        self._begun = False
        self._news = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._reader = self._wake

    async def next(self) -> bytes | None:
        """The next frames; there is no end."""
        if not self._joined:
            self._joined = True
            self._feed.add(self._reader, lines=ChangeKind.LOG in self._wanted.kinds)
        while True:
            self._news.clear()
            if not self._begun:
                if self._feed.ready:
                    return await self._begin()
            elif frames := self._take():
                return frames
            await self._news.wait()

    def admit(self, caller: Caller) -> None:
        """From now on within this scope."""
        self._scope = caller.scope

    def still_here(self) -> bytes:
        """Where the client is: it may have been told nothing for long, with much going on."""
        return place(self._place()) if self._begun else b":\n\n"

    def close(self) -> None:
        """Read no more."""
        self._feed.remove(self._reader)

    def _wake(self) -> None:
        # A loop that has ended has nobody in it who waits.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._news.set)

    async def _begin(self) -> bytes:
        """What changed while the client was away, and that it is up to date now."""
        since, number = self._since, self._feed.number
        frames = b""
        if since is not None and since.name == self._feed.name and since.number <= number:
            number = since.number
        elif self._wanted.ids:
            standings = self._web.butler.storage.standings
            found = await self._web.call(partial(standings, sorted(self._wanted.ids)))
            frames = self._standing(found)
        elif since is not None:
            changed = await self._web.changes.since(since.at - MARGIN)
            frames = self._standing(changed.standings)
            if not changed.all_:
                frames += moment("missed", since.at - MARGIN)
            number = min(number, changed.number)
        self._number, self._begun = number, True
        frames += self._take()
        return frames + moment("ready", self._feed.now(), id_=self._place())

    def _take(self) -> bytes:
        """What is new in the feed, as much as is sent at once."""
        frames = []
        if self._feed.has_lost(self._number):
            frames.append(moment("missed", self._feed.now()))
        news = self._feed.after(self._number, lines=ChangeKind.LOG in self._wanted.kinds)
        for told in news:
            if len(frames) == EVENTS_AT_ONCE:
                self._news.set()
                break
            self._number = told.number
            if self._may_be_told(told):
                frames.append(told.frame)
        return b"".join(frames)

    def _may_be_told(self, told: Told) -> bool:
        if told.kind is None:
            return True
        return (
            told.kind in self._wanted.kinds
            and self._scope.holds(queue=told.queue, tags=told.tags)
            and self._wanted.holds(told, id_=told.execution_id)
        )

    def _standing(self, standings: tuple[Standing, ...] | list[Standing]) -> bytes:
        """How these stand, if they exist for the caller."""
        return b"".join(
            change(
                ChangeKind.STATE,
                execution_id=each.id,
                task=each.task,
                queue=each.queue,
                status=each.status,
                attempt=each.attempt,
                percent=None if each.progress is None else each.progress.percent,
                at=self._feed.now(),
            )
            for each in standings
            if self._scope.holds(queue=each.queue, tags=each.tags)
            and self._wanted.holds(each, id_=each.id)
        )

    def _place(self) -> str:
        return str(FeedPlace(self._feed.now(), self._feed.name, self._number))
