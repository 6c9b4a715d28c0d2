"""The listener: one thread and one connection that hear for everybody who waits in this process.

A wait registers here and costs a dictionary entry, no thread and no poll of its own. The thread
subscribes to the channels of the executions that are waited for, and asks the ledger
- once for each, right after its channel is heard: an end before that is not missed;
- when a word says that a state has changed: pub/sub only hints, the ledger knows;
- now and then for all of them, in one statement: after one second, then at longer intervals up to
  five seconds, because pub/sub loses words. Without Redis that goes on every second, and is all.

So every wait ends within five seconds of what it waits for, mostly within milliseconds, whatever
becomes of Redis; and a ledger that is away for a while only delays it.

The thread starts with the first wait, and ends when nobody has waited for ten seconds. A forked
child has a listener of its own (`Backends` sees to that).

Rejected: a thread or a poll for each wait (a thousand waits would read the ledger four thousand
times a second); one channel for all executions (a process that waits for one would read the news
of every other); LISTEN and NOTIFY (it serialises commits and does not pass through PgBouncer).
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from butler.changes import ChangeKind
from butler.errors import ButlerError, ExecutionNotFound, QueueUnavailable, StorageUnavailable
from butler.executions import Execution
from butler.listening.followers import Followers
from butler.listening.watch_list import WatchList
from butler.log import log_event
from butler.storage.base import MAX_BATCH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from redis import Redis

    from butler.changes import Word
    from butler.listening.followers import Follower
    from butler.listening.subscription import Subscription, Waker
    from butler.listening.watchers import Watcher
    from butler.storage.base import Storage
    from butler.storage.records import Standing

logger = logging.getLogger(__name__)

RECONNECT_S = 0.5
LONGEST_RECONNECT_S = 5.0
IDLE_S = 10.0
# Each may bring a result of a mebibyte.
ENDS_AT_ONCE = 50
# Nobody minds a channel that is heard for a while longer, and one command ends many.
UNHEARD_AT_ONCE = 100


class Listener:
    """Tells watchers what becomes of executions; ``watch`` and ``unwatch`` never block.

    ``storage`` and ``redis`` are called in the listener's thread, when there is a first wait.
    """

    def __init__(
        self, *, storage: Callable[[], Storage], redis: Callable[[], Redis], idle_s: float = IDLE_S
    ) -> None:
        self._storage = storage
        self._redis = redis
        self._idle_s = idle_s
        self._list = WatchList()
        self._followers = Followers()
        # Guards the thread's beginning and end.
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._waker: Waker | None = None
        self._closed = False
        # What follows belongs to the thread.
        self._subscription: Subscription | None = None
        self._redis_is_away = False
        self._ledger_is_away = False
        self._reconnect_at = 0.0
        self._reconnect_s = RECONNECT_S
        self._idle_since: float | None = None

    def watch(self, watcher: Watcher) -> None:
        """Tell this one from now on; raises `ButlerError` after `close`."""
        self._begin(lambda: self._list.add(watcher))

    def unwatch(self, watcher: Watcher) -> None:
        """Tell this one no more; fine when it is not told any longer."""
        self._list.remove(watcher.execution_id, (watcher,))

    def follow(self, follower: Follower) -> None:
        """Tell this one of all executions, and give it a turn at once; as `watch`."""
        self._begin(lambda: self._followers.add(follower))

    def unfollow(self, follower: Follower) -> None:
        """Tell this one no more; fine when it is not told any longer."""
        self._followers.remove(follower)

    def close(self) -> None:
        """Fail whoever still waits, and end; closing twice is fine."""
        with self._lock:
            self._closed = True
            thread = self._thread
            if self._waker is not None:
                self._waker.wake()
        self._fail(self._list.ids(), _closed_meanwhile)
        if thread is not None and thread is not threading.current_thread():
            # A ledger that is away may hold the thread for longer; it is a daemon.
            thread.join(2.0)

    def _begin(self, add: Callable[[], None]) -> None:
        with self._lock:
            if self._closed:
                raise ButlerError("this Butler is closed; make a new one")
            add()
            if self._thread is None:
                self._start()
            if self._waker is not None:
                self._waker.wake()

    def _start(self) -> None:
        from butler.listening.subscription import Waker

        self._waker = Waker()
        self._idle_since = None
        self._thread = threading.Thread(
            target=self._run, args=(self._waker,), name="butler-listener", daemon=True
        )
        self._thread.start()

    def _run(self, waker: Waker) -> None:
        try:
            while self._goes_on():
                try:
                    self._turn(waker)
                except Exception as error:
                    logger.exception("listener.failed; whoever waits is told")
                    self._fail_all(error)
                    # Followers do not wait for anything that could fail: they go on.
                    waker.sleep(RECONNECT_S)
        finally:
            self._disconnect()
            waker.close()

    def _fail_all(self, error: Exception) -> None:
        self._disconnect()
        self._followers.connected(hears=False)
        self._fail(self._list.ids(), lambda _: error)

    def _goes_on(self) -> bool:
        """Whether anybody waits, or did a moment ago; if not, this is no longer the thread."""
        now = time.monotonic()
        with self._lock:
            if self._is_wanted():
                self._idle_since = None
            elif self._idle_since is None:
                self._idle_since = now
            idle = self._idle_since is not None and now - self._idle_since >= self._idle_s
            if idle or self._closed:
                self._thread = self._waker = None
                return False
            return True

    def _turn(self, waker: Waker) -> None:
        waker.clear()
        looks, over = self._hear(waker, self._list.take_fresh())
        if time.monotonic() >= self._list.next_look:
            looks |= self._list.due()
        if looks:
            self._look(looks, over)
        self._let_followers_act()
        pause_s = min(self._idle_s, max(self._followers.next_turn - time.monotonic(), 0.0))
        if len(self._list):
            pause_s = min(pause_s, max(self._list.next_look - time.monotonic(), 0.0))
        if self._subscription is None:
            waker.sleep(pause_s)
        else:
            self._subscription.sleep(pause_s)

    # Redis

    def _hear(self, waker: Waker, fresh: set[str]) -> tuple[set[str], set[str]]:
        """The ids to look at now, and those that are said to be over."""
        subscription = self._subscription
        try:
            if subscription is None:
                if not self._is_wanted() or time.monotonic() < self._reconnect_at:
                    return fresh, set()
                subscription = self._subscription = self._connect(waker)
                fresh = self._list.ids()
            known = fresh & subscription.ids
            subscription.add(fresh)
            if len(subscription.ids) > len(self._list) + UNHEARD_AT_ONCE:
                subscription.remove(subscription.ids - self._list.ids())
            subscription.want_all(wanted=len(self._followers) > 0)
            arrived = subscription.read()
        except QueueUnavailable as error:
            return self._lose_redis(error), set()
        self._followers.connected(hears=subscription.hears_all)
        self._followers.hear(arrived.followed)
        looks, over = self._heard(arrived.watched)
        return looks | known, over

    def _connect(self, waker: Waker) -> Subscription:
        from butler.listening.subscription import Subscription

        return Subscription(self._redis(), waker=waker)

    def _heard(self, arrived: Iterable[tuple[str, Word | None]]) -> tuple[set[str], set[str]]:
        looks: set[str] = set()
        over: set[str] = set()
        for execution_id, word in arrived:
            self._redis_is_away, self._reconnect_s = False, RECONNECT_S
            if word is None or word.kind is ChangeKind.STATE:
                looks.add(execution_id)
                if word is not None and word.over:
                    over.add(execution_id)
            else:
                for watcher in self._list.of(execution_id):
                    if watcher.heard(word):
                        looks.add(execution_id)
        return looks, over

    def _lose_redis(self, error: QueueUnavailable) -> set[str]:
        """Try again later; what is watched is to be looked at now, words may have been lost."""
        self._disconnect()
        self._followers.connected(hears=False)
        self._reconnect_at = time.monotonic() + self._reconnect_s
        self._reconnect_s = min(self._reconnect_s * 2, LONGEST_RECONNECT_S)
        self._list.hurry()
        if not self._redis_is_away:
            log_event(logger, logging.WARNING, "listener.without_redis", error=error)
        self._redis_is_away = True
        return self._list.ids()

    def _disconnect(self) -> None:
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            subscription.close()

    # The ledger

    def _let_followers_act(self) -> None:
        if self._followers.next_turn > time.monotonic():
            return
        try:
            self._followers.take_turns(self._storage())
            self._ledger_is_away = False
        except StorageUnavailable as error:
            self._note_ledger_away(error)
        except Exception:
            # Whoever waits for an end must not suffer for it.
            logger.exception("listener.follower_failed; going on")

    def _look(self, ids: set[str], over: set[str]) -> None:
        """Ask the ledger about these, and tell; about those that are over, for all there is."""
        whole = {each for each in ids & over if self._needs_execution(each)}
        try:
            storage = self._storage()
            for batch in _batches(ids - whole, MAX_BATCH):
                whole |= self._tell(batch, storage.standings(batch))
            for batch in _batches(whole, ENDS_AT_ONCE):
                self._tell(batch, storage.get_many(batch))
            self._ledger_is_away = False
        except StorageUnavailable as error:
            self._lose_ledger(ids, error)
        if self._subscription is None:
            self._list.hurry()

    def _lose_ledger(self, ids: set[str], error: StorageUnavailable) -> None:
        """A wait that has just begun fails, as any call would; the others go on waiting."""
        said = str(error)
        self._fail(ids, lambda _: StorageUnavailable(said), only_new=True)
        self._list.hurry()
        self._note_ledger_away(error)

    def _note_ledger_away(self, error: StorageUnavailable) -> None:
        if not self._ledger_is_away:
            log_event(logger, logging.WARNING, "listener.without_ledger", error=error)
        self._ledger_is_away = True

    def _tell(self, ids: Iterable[str], standings: Iterable[Standing | Execution]) -> set[str]:
        """Tell how these stand; returns those that are over and must be told with all there is."""
        absent, incomplete = set(ids), set()
        for standing in standings:
            absent.discard(standing.id)
            watchers = self._list.of(standing.id)
            for watcher in watchers:
                watcher.stands(standing)
            if not standing.status.finished:
                continue
            if isinstance(standing, Execution):
                for watcher in watchers:
                    watcher.ended(standing)
            elif any(watcher.needs_execution for watcher in watchers):
                incomplete.add(standing.id)
                watchers = tuple(w for w in watchers if not w.needs_execution)
            self._list.remove(standing.id, watchers)
        self._fail(absent, ExecutionNotFound)
        return incomplete

    def _fail(
        self, ids: Iterable[str], error: Callable[[str], Exception], *, only_new: bool = False
    ) -> None:
        for execution_id in ids:
            watchers = self._list.of(execution_id)
            if only_new:
                watchers = tuple(w for w in watchers if not w.began)
            for watcher in watchers:
                watcher.failed(error(execution_id))
            self._list.remove(execution_id, watchers)

    def _is_wanted(self) -> bool:
        return len(self._list) > 0 or len(self._followers) > 0

    def _needs_execution(self, execution_id: str) -> bool:
        return any(watcher.needs_execution for watcher in self._list.of(execution_id))


def _closed_meanwhile(execution_id: str) -> ButlerError:
    return ButlerError(f"this Butler was closed while somebody waited for {execution_id}")


def _batches(ids: Iterable[str], size: int) -> Iterator[list[str]]:
    ordered = sorted(ids)
    for first in range(0, len(ordered), size):
        yield ordered[first : first + size]
