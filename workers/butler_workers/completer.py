"""The completer: writes how attempts ended.

Guarantee: an attempt's end is written to the ledger, and only then shown on the wire; what the
ledger did not take stays here and is tried again until it does. So a worker that dies loses at
most outcomes whose attempts the ledger still shows as running, and those run again. What attempts
have said (see `butler_workers.notes`) is written before their ends.

One statement a batch, as soon as the previous one has returned, without a timer: an idle worker
writes one outcome at once, a loaded one hundreds together. (A timer was rejected: it adds its
period to every idle task, and under load the statement's own duration gathers enough.)

An end that was refused because the row is queued again under the attempt before mine is a claim
that Postgres lost: claims commit asynchronously, and a crash takes the last ones back. It is
claimed again under the same token, then ended.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from butler.errors import QueueUnavailable, StorageUnavailable
from butler.executions import ExecutionStatus
from butler.hands import Settled
from butler.log import Repeated, log_event
from butler.parks import Parks
from butler.record import record
from butler.storage.records import Claim
from butler_workers.started import COUNTED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from butler.hands import Hand
    from butler.lifecycle import Transition
    from butler.queues import QueueWire
    from butler.storage.base import Storage
    from butler.storage.records import Claimed, Finished, QueueEntry
    from butler_workers.attempts import Attempt
    from butler_workers.notes import Notes

logger = logging.getLogger(__name__)

BATCH = 500
RETRY_PAUSE_S = 0.5
KEPT_UNSETTLED = 10_000

_COUNTED_AS = {
    ExecutionStatus.SUCCEEDED: "succeeded",
    ExecutionStatus.FAILED: "failed",
    ExecutionStatus.CANCELLED: "cancelled",
}


@record(frozen=True, slots=True)
class Ending:
    """An attempt that is over, and what follows from it; ``attempt`` is there if it ran here."""

    claimed: Claimed
    transition: Transition
    attempt: Attempt | None = None


class _News:
    """What the wire is to be told of ends that the ledger holds."""

    def __init__(self) -> None:
        self.queued: list[QueueEntry] = []
        self.dropped: list[str] = []
        self.released: list[str] = []
        self.settled: list[Settled] = []
        self.ended: list[Attempt] = []

    def __bool__(self) -> bool:
        return bool(self.queued or self.dropped or self.released or self.settled or self.ended)


class Completer:
    """A thread that writes endings; ``on_written`` is told what the ledger has decided."""

    def __init__(
        self,
        *,
        storage: Storage,
        notes: Notes,
        wire: QueueWire,
        hand: Hand,
        worker_id: str,
        on_written: Callable[[Sequence[Claimed]], None],
    ) -> None:
        self._storage = storage
        self._notes = notes
        self._wire = wire
        self._hand = hand
        self._worker_id = worker_id
        self._on_written = on_written
        self._parks = Parks(wire.redis)
        self._endings: SimpleQueue[Ending | None] = SimpleQueue()
        self._news = _News()
        self._silence = Repeated(logger, "wire.not_told")
        self._pending: list[Ending] = []
        self._ended: Counter[str] = Counter()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="butler-completer", daemon=True)

    @property
    def backlog(self) -> int:
        """Endings that are not written yet (about)."""
        return self._endings.qsize() + len(self._pending)

    @property
    def ended(self) -> tuple[int, ...]:
        """How many attempts the ledger holds the end of, by `COUNTED`."""
        return tuple(self._ended[name] for name in COUNTED)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def put(self, ending: Ending) -> None:
        """An attempt is over; from any thread, never blocks."""
        self._endings.put(ending)

    def stop(self, timeout_s: float) -> list[str]:
        """Write what is there, then end; returns the ids that could not be written in time."""
        self._endings.put(None)
        self._thread.join(timeout_s)
        self._stopping.set()
        return [ending.claimed.id for ending in self._pending] + self._drain_ids()

    def _run(self) -> None:
        stop = False
        while not stop:
            batch, stop = self._gather()
            self._pending = batch
            if batch and not self._write_until_written(batch):
                return
            if self._news:
                self._tell()
            self._pending = []

    def _gather(self) -> tuple[list[Ending], bool]:
        try:
            # A worker may end nothing more for hours: what the wire did not take cannot wait.
            first = self._endings.get(timeout=RETRY_PAUSE_S if self._news else None)
        except Empty:
            return [], False
        if first is None:
            return [], True
        batch = [first]
        try:
            while len(batch) < BATCH:
                ending = self._endings.get_nowait()
                if ending is None:
                    return batch, True
                batch.append(ending)
        except Empty:
            pass
        return batch, False

    def _write_until_written(self, batch: list[Ending]) -> bool:
        while True:
            try:
                self._write(batch)
            except StorageUnavailable as error:
                log_event(
                    logger, logging.WARNING, "completer.waiting", endings=len(batch), error=error
                )
                if self._stopping.wait(RETRY_PAUSE_S):
                    return False
            except Exception:
                logger.exception("completer.failed endings=%d; trying again", len(batch))
                if self._stopping.wait(RETRY_PAUSE_S):
                    return False
            else:
                return True

    def _write(self, batch: list[Ending]) -> None:
        self._write_notes(batch)
        finished = self._storage.finish([ending.transition for ending in batch])
        again = [
            ending
            for ending, item in zip(batch, finished, strict=True)
            if not item.applied and self._lost_claim(ending, item)
        ]
        if again:
            self._reclaim(again)
            redone = self._storage.finish([ending.transition for ending in again])
            newest = {item.id: item for item in redone}
            finished = [newest.get(item.id, item) for item in finished]
        self._on_written([ending.claimed for ending in batch])
        self._show(batch, finished)

    def _write_notes(self, batch: Sequence[Ending]) -> None:
        """What does not succeed here keeps no end from being written."""
        try:
            self._notes.write([e.attempt for e in batch if e.attempt is not None])
        except StorageUnavailable as error:
            log_event(logger, logging.WARNING, "notes.not_written", error=error)
        except Exception:
            logger.exception("notes.failed; their attempts end without")

    @staticmethod
    def _lost_claim(ending: Ending, item: Finished) -> bool:
        return (
            item.status is ExecutionStatus.QUEUED
            and item.entry is not None
            and item.entry.attempt == ending.claimed.attempt - 1
        )

    def _reclaim(self, endings: Sequence[Ending]) -> None:
        for ending in endings:
            claimed = ending.claimed
            log_event(logger, logging.WARNING, "claim.reasserted", id=claimed.id)
            self._storage.claim(
                Claim(
                    worker_id=self._worker_id,
                    token=claimed.claim_token,
                    ids=(claimed.id,),
                    solo=claimed.alone,
                )
            )

    def _show(self, batch: Sequence[Ending], finished: Sequence[Finished]) -> None:
        """Note what the wire is to be told."""
        news = self._news
        settle, told = news.settled.append, logger.isEnabledFor(logging.INFO)
        for ending, item in zip(batch, finished, strict=True):
            claimed, status = ending.claimed, item.status
            if not item.applied:
                _log_zombie(ending, item)
                news.dropped.append(claimed.id)
                continue
            news.released += claimed.slots
            if status is ExecutionStatus.QUEUED:
                if item.entry is not None:
                    news.queued.append(item.entry)
            elif status is not None:
                settle(Settled.of(claimed, status, ending.transition.error))
                if told or status is ExecutionStatus.FAILED:
                    _log_end(ending, item)
        news.ended += [ending.attempt for ending in batch if ending.attempt is not None]
        self._count(finished)

    def _tell(self) -> None:
        """Tell the wire; what it does not take is told again, with the next batch or soon."""
        news = self._news
        try:
            if news.queued:
                self._wire.push(news.queued, from_hand=self._worker_id)
                news.queued = []
            self._hand.drop(news.dropped)
            news.dropped = []
            if news.released:
                self._parks.release(news.released)
                news.released = []
            self._hand.settle(news.settled)
            news.settled = []
            # Asked now and not before: the ticker may announce an attempt until it is settled. A
            # later announcement is refused by the hash, an earlier one is known.
            shown = [a.claimed for a in news.ended if a.announced_at is not None]
            if shown:
                self._hand.retract(shown)
            news.ended = []
        except QueueUnavailable as error:
            news.settled = news.settled[-KEPT_UNSETTLED:]
            self._silence.again(error=error)
        except Exception:
            logger.exception("wire.failed; trying again")
        else:
            self._silence.over()

    def _count(self, finished: Sequence[Finished]) -> None:
        states = Counter(item.status for item in finished if item.applied)
        for status, number in states.items():
            if status is not None:
                self._ended[_COUNTED_AS.get(status, "returned")] += number

    def _drain_ids(self) -> list[str]:
        ids = []
        try:
            while True:
                ending = self._endings.get_nowait()
                if ending is not None:
                    ids.append(ending.claimed.id)
        except Empty:
            return ids


def _log_end(ending: Ending, item: Finished) -> None:
    level = logging.WARNING if item.status is ExecutionStatus.FAILED else logging.INFO
    if logger.isEnabledFor(level):
        error = ending.transition.error
        log_event(
            logger,
            level,
            f"execution.{item.status}",
            id=item.id,
            task=ending.claimed.task,
            attempt=ending.claimed.attempt,
            **({"error": f"{error.type}: {error.message}"} if error else {}),
            **({"rejected": item.rejected} if item.rejected else {}),
            **({"trace_id": trace[3:35]} if (trace := _trace_of(ending)) else {}),
        )


def _trace_of(ending: Ending) -> str | None:
    """The attempt's own trace, or else the one it came from."""
    own = None if ending.attempt is None else ending.attempt.control.traceparent
    return own or ending.claimed.traceparent


def _log_zombie(ending: Ending, item: Finished) -> None:
    log_event(
        logger,
        logging.WARNING,
        "attempt.fenced",
        id=item.id,
        attempt=ending.claimed.attempt,
        outcome=ending.transition.outcome,
        row=item.status or "gone",
    )
