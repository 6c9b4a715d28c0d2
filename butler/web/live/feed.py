"""`Feed`: what becomes of all executions, for all streams of this application that want it.

It hears the words of all executions through the process's one listener, gathers them for a
twentieth of a second, and asks the ledger in one statement how those executions stand: a word only
hints. What is new goes into a ring, as the bytes that are sent; streams read it at their own pace,
and a slow one finds the newest of each execution there. So it costs the same for one stream and for
five hundred, and no queue grows.

Without Redis it looks into the ledger every second, and once when Redis is back; with it every ten
seconds, because pub/sub loses words. While nobody reads it does nothing.

Rejected: a subscription a stream; a queue a stream (five hundred queues to fill, and to bound).
"""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from butler.changes import ChangeKind
from butler.executions import ExecutionStatus
from butler.ids import new_token
from butler.listening.followers import Follower
from butler.storage.finding import ROWS_SCANNED
from butler.web.live.catching_up import changed_since
from butler.web.live.frames import change, moment
from butler.web.live.kept import Kept
from butler.web.live.places import FeedPlace
from butler.web.live.ring import Ring, Told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from butler.app import Butler
    from butler.changes import Word
    from butler.executions import Execution
    from butler.listening import Listener
    from butler.storage.base import Storage
    from butler.storage.logs import LogLine
    from butler.storage.records import Standing
    from butler.web.masks import Masks

    Reader = Callable[[], None]

EVENTS_KEPT = 5_000
LINES_KEPT = 1_000
GATHER_S = 0.05
IDS_AT_ONCE = 1_000
# Each may bring a request of a mebibyte.
REQUESTS_AT_ONCE = 50
MOST_WAITING = 10_000
POLL_S = 1.0
SAFETY_S = 10.0
FEW_ROWS = 5_000
REDIS_WITHIN_S = 1.0
# A commit may become visible so much later than its time says.
MARGIN = timedelta(seconds=5)


class Feed(Follower):
    """Follows while there are readers. `add` and `remove` are for event loops' threads."""

    def __init__(self, butler: Butler, masks: Masks) -> None:
        self._butler = butler
        self._masks = masks
        self._lock = threading.Lock()
        self._readers: dict[Reader, bool] = {}
        self._listener: Listener | None = None
        self._begin()

    def _begin(self) -> None:
        """Nothing was heard before now."""
        self.name = new_token()[:8]
        """Whose numbers its events have: those of one run, from the first reader to the last."""
        self.ready = False
        """Whether everything that happens from now on will be told."""
        self.number = 0
        """Of the newest event."""
        self._events, self._lines = Ring(EVENTS_KEPT), Ring(LINES_KEPT)
        self._known: Kept[str, Standing] = Kept(MOST_WAITING)
        self._secrets: Kept[tuple[str, int], frozenset[str]] = Kept(EVENTS_KEPT)
        self._changed: dict[str, None] = {}
        self._progress: dict[str, Word] = {}
        self._logged: list[tuple[str, Word]] = []
        self._hears = False
        self._gathered_at = 0.0
        self._polled: datetime | None = None
        self._deaf_since: datetime | None = None
        self._poll_at = 0.0
        self._redis_until = time.monotonic() + REDIS_WITHIN_S
        self._ahead = timedelta(0)

    # Readers

    def add(self, reader: Reader, *, lines: bool) -> None:
        """Call this one, from any thread, when there is news; with ``lines`` also logged lines."""
        with self._lock:
            if not self._readers:
                self._begin()
            self._readers[reader] = lines
        self._listener = self._butler.listener
        self._listener.follow(self)

    def remove(self, reader: Reader) -> None:
        """Call this one no more; fine when it was not called any longer."""
        with self._lock:
            self._readers.pop(reader, None)
            if not self._readers and self._listener is not None:
                self._listener.unfollow(self)

    def after(self, number: int, *, lines: bool) -> list[Told]:
        """What was told after that, oldest first."""
        with self._lock:
            found = list(self._events.after(number))
            if lines:
                found += self._lines.after(number)
        return sorted(found, key=lambda told: told.number)

    def has_lost(self, number: int) -> bool:
        """Whether something was told after that, and had to make room before it was read."""
        return self._events.lost > number

    def now(self) -> datetime:
        """The ledger's time, as far as is known."""
        return datetime.now(UTC) + self._ahead

    # The listener's thread

    def connected(self, *, hears: bool) -> None:
        """Look into the ledger: what was said meanwhile is lost."""
        if self._hears and not hears:
            self._deaf_since = self._polled
        self._hears = hears
        self._poll_at = 0.0

    def heard(self, words: Sequence[tuple[str, Word]]) -> None:
        """Note which executions have changed, and what is said of them."""
        for execution_id, word in words:
            if word.kind is ChangeKind.PROGRESS:
                self._progress[execution_id] = word
            elif word.kind is ChangeKind.STATE:
                self._changed[execution_id] = None
            elif any(self._readers.values()):
                self._logged.append((execution_id, word))
        if max(len(self._changed), len(self._progress), len(self._logged)) > MOST_WAITING:
            # The ledger is away, or more happens than can be told.
            self._changed, self._progress, self._logged = {}, {}, []
            self._tell_missed(self.now() - MARGIN)

    def turn(self, storage: Storage) -> float:
        """Ask the ledger about what was heard, and now and then about everything."""
        now = time.monotonic()
        number = self.number
        if now >= self._poll_at:
            self._poll(storage)
        if now >= self._gathered_at + GATHER_S:
            self._gathered_at = now
            self._tell_heard(storage)
        if not self.ready and (self._hears or now >= self._redis_until):
            self.ready = True
            self._wake()
        elif self.number != number:
            self._wake()
        if not self.ready or self._changed or self._progress or self._logged:
            return max(self._gathered_at + GATHER_S - time.monotonic(), 0.0)
        return max(self._poll_at - time.monotonic(), 0.0)

    def _poll(self, storage: Storage) -> None:
        """Find what no word has come of."""
        now = storage.now()
        self._ahead = now - datetime.now(UTC)
        if self._polled is not None:
            self._tell_unheard(storage, since=self._polled)
        self._polled = now
        self._poll_at = time.monotonic() + (SAFETY_S if self._hears else POLL_S)

    def _tell_unheard(self, storage: Storage, *, since: datetime) -> None:
        back, scan = False, FEW_ROWS
        if self._hears and self._deaf_since is not None:
            # For the time without Redis, which was looked at second by second, once thoroughly.
            since, self._deaf_since = self._deaf_since, None
            back, scan = True, ROWS_SCANNED
        found = changed_since(storage, since - MARGIN, scan=scan)
        self._tell_states(found.standings)
        waiting = [each.id for each in self._known.values() if not each.status.finished]
        for first in range(0, len(waiting), IDS_AT_ONCE):
            self._tell_states(storage.standings(waiting[first : first + IDS_AT_ONCE]))
        if back and not found.all_:
            self._tell_missed(since - MARGIN)

    def _tell_heard(self, storage: Storage) -> None:
        """What was heard, in the order in which it happened: states, progress, lines."""
        changed = list(self._changed)[:IDS_AT_ONCE]
        told = {**self._progress, **dict(self._logged)}
        new = [id_ for id_, word in told.items() if self._is_news(id_, word)]
        ids = list(dict.fromkeys(changed + new))[:IDS_AT_ONCE]
        if ids:
            self._tell_states(storage.standings(ids))
        for id_ in changed:
            del self._changed[id_]
        progress, self._progress = self._progress, {}
        logged, self._logged = self._logged, []
        self._read_secrets(
            storage,
            [id_ for id_, word in progress.items() if word.message is not None]
            + [id_ for id_, _ in logged],
        )
        for id_, word in progress.items():
            self._tell_progress(id_, word)
        for id_, word in logged:
            self._tell_lines(id_, word)

    def _is_news(self, execution_id: str, word: Word) -> bool:
        known = self._known.get(execution_id)
        return known is None or word.attempt > known.attempt

    def _tell_states(self, standings: Iterable[Standing]) -> None:
        for standing in standings:
            known = self._known.get(standing.id)
            self._known.put(standing.id, standing)
            if known is None or (known.attempt, known.status) != (
                standing.attempt,
                standing.status,
            ):
                percent = None if standing.progress is None else standing.progress.percent
                self._put(ChangeKind.STATE, standing, percent=percent)

    def _tell_progress(self, execution_id: str, word: Word) -> None:
        known = self._known.get(execution_id)
        if (
            known is not None
            and known.status is ExecutionStatus.RUNNING
            and word.attempt == known.attempt
        ):
            message = self._masked(known, word.message)
            self._put(ChangeKind.PROGRESS, known, percent=word.percent, message=message)

    def _tell_lines(self, execution_id: str, word: Word) -> None:
        known = self._known.get(execution_id)
        if known is None:
            return
        secrets_there = self._secrets.get((known.id, known.attempt))
        if secrets_there is None:
            return
        for line in self._masks.lines(word.lines, secrets_there):
            self._put(ChangeKind.LOG, known, line=line)

    def _masked(self, known: Standing, message: str | None) -> str | None:
        secrets_there = self._secrets.get((known.id, known.attempt))
        # Of an execution that is gone nothing is known, so nothing is said.
        return None if secrets_there is None else self._masks.text(message, secrets_there)

    def _read_secrets(self, storage: Storage, ids: Iterable[str]) -> None:
        """Of the requests of these, so that no word tells them."""
        wanted = [
            known.id
            for id_ in dict.fromkeys(ids)
            if (known := self._known.get(id_)) is not None
            and self._secrets.get((known.id, known.attempt)) is None
        ]
        for first in range(0, len(wanted), REQUESTS_AT_ONCE):
            for execution in storage.get_many(wanted[first : first + REQUESTS_AT_ONCE]):
                self._keep_secrets(execution)

    def _keep_secrets(self, execution: Execution) -> None:
        found = self._masks.secrets(execution)
        self._secrets.put((execution.id, execution.attempt), found)

    def _put(
        self,
        kind: ChangeKind,
        of: Standing,
        *,
        percent: float | None = None,
        message: str | None = None,
        line: LogLine | None = None,
    ) -> None:
        now = self.now()
        with self._lock:
            self.number += 1
            frame = change(
                kind,
                execution_id=of.id,
                task=of.task,
                queue=of.queue,
                status=of.status,
                attempt=of.attempt,
                percent=percent,
                message=message,
                line=line,
                at=now if line is None else line.at,
                id_=str(FeedPlace(now, self.name, self.number)),
            )
            told = Told(self.number, frame, kind, of.id, of.task, of.queue, of.tags)
            if line is None:
                self._events.put((of.id, kind), told)
            else:
                self._lines.put((of.id, line.id), told)

    def _tell_missed(self, since: datetime) -> None:
        with self._lock:
            self.number += 1
            self._events.put("missed", Told(self.number, moment("missed", since)))
        self._wake()

    def _wake(self) -> None:
        with self._lock:
            readers = list(self._readers)
        for reader in readers:
            reader()
