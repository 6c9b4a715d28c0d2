"""The ticker: what happens to attempts because time passes.

Announces attempts that have run for a while on the wire, renews that, tells whoever follows one
how far it is, has that written, interrupts what has outlived its timeout, and hands back what was
claimed ahead and could not be started. It only looks at attempts; the slots end them. Nothing in
here waits for the ledger.
"""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from butler import lifecycle
from butler.changes import progress_word
from butler.errors import QueueUnavailable
from butler.hands import Announcement
from butler.log import log_event
from butler_workers.attempts import Interrupt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from butler.clock import Clock
    from butler.hands import Hand
    from butler.lifecycle import Transition
    from butler.queues import QueueWire
    from butler_workers.attempts import Attempt
    from butler_workers.notes import Notes
    from butler_workers.presence import Presence
    from butler_workers.slots import Slots
    from butler_workers.started import StartedTable, Vitals

logger = logging.getLogger(__name__)

BUSY_TICK_S = 0.1
# While somebody hears of progress.
HEARD_TICK_S = 0.05
IDLE_TICK_S = 1.0
ANNOUNCE_AFTER_S = 0.2
ANNOUNCE_AGAIN_S = 30.0
SILENT_S = 5.0
UNSTARTED_S = 1.0


class Ticker:
    """A thread that looks at this process's attempts while there are any.

    Ten times a second, and twenty while somebody hears how far they are.
    """

    def __init__(
        self,
        *,
        attempts: Callable[[], Iterable[Attempt]],
        notes: Notes,
        hand: Hand,
        wire: QueueWire,
        slots: Slots,
        presence: Presence,
        clock: Clock,
        on_hand_back: Callable[[Attempt, Transition], None],
        started: StartedTable | None = None,
        vitals: Callable[[], Vitals],
    ) -> None:
        self._attempts = attempts
        self._notes = notes
        self._hand = hand
        self._wire = wire
        self._slots = slots
        self._presence = presence
        self._clock = clock
        self._on_hand_back = on_hand_back
        self._started = started
        self._vitals = vitals
        self._tell_at = 0.0
        self._heard = False
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="butler-ticker", daemon=True)

    def start(self) -> None:
        """Begin to tick."""
        self._thread.start()

    def wake(self) -> None:
        """There are attempts now."""
        if not self._wake.is_set():
            self._wake.set()

    def stop(self) -> None:
        """Tick no more."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(5.0)

    def tick(self) -> bool:
        """Look once at everything; whether there were any attempts."""
        now = self._clock.monotonic()
        held = [attempt for attempt in self._attempts() if not attempt.over]
        # What was claimed ahead has nothing to be told of: most of what is held, for short tasks.
        running = [attempt for attempt in held if attempt.started_at is not None]
        self._presence.keep(now, busy=bool(held))
        if self._started is not None:
            self._started.speak(self._vitals())
        self._slots.warn_of_blocked_loop(running, now)
        self._interrupt_overdue(running, now)
        self._hand_back_unstarted(now)
        self._slots.shrink()
        self._announce(running, now)
        if now >= self._tell_at:
            self._tell_progress(running, now)
        if running:
            self._notes.look()
        return bool(held)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                busy = self.tick()
            except Exception:
                logger.exception("ticker.failed; going on")
                busy = True
            if busy:
                self._stopping.wait(HEARD_TICK_S if self._heard else BUSY_TICK_S)
            else:
                self._wake.wait(IDLE_TICK_S)
                self._wake.clear()

    def _interrupt_overdue(self, running: Iterable[Attempt], now: float) -> None:
        for attempt in running:
            if attempt.deadline is None or now < attempt.deadline:
                continue
            if attempt.interrupt is None:
                reason = f"still running after timeout_s={attempt.timeout_s:g}"
                self._slots.interrupt(attempt, Interrupt.TIMEOUT, reason)
            elif attempt.interrupt is Interrupt.CANCEL:
                self._slots.insist(attempt)

    def _hand_back_unstarted(self, now: float) -> None:
        for attempt in self._slots.take_waiting(older_than=now - UNSTARTED_S):
            reason = "claimed ahead, but a longer task took the slot"
            self._on_hand_back(attempt, lifecycle.hand_back(attempt.claimed, reason=reason))

    def _tell_progress(self, running: Iterable[Attempt], now: float) -> None:
        """Tell whoever follows an attempt, more often than it is written, and not after it.

        So live progress is a tick old at most, and the ledger takes four writes a second.
        """
        words = [
            (attempt.claimed.id, progress_word(*progress, attempt=attempt.claimed.attempt))
            for attempt in running
            if (progress := attempt.control.untold_progress()) is not None
        ]
        if not words:
            return
        try:
            self._heard = self._wire.publish(words)
        except QueueUnavailable as error:
            # Overdue attempts must not wait for a silent Redis at each tick.
            self._tell_at = now + SILENT_S
            log_event(logger, logging.WARNING, "progress.not_told", error=error)

    def _announce(self, running: Iterable[Attempt], now: float) -> None:
        due = [
            attempt
            for attempt in running
            if attempt.started_at is not None
            and now - attempt.started_at >= ANNOUNCE_AFTER_S
            and (attempt.announced_at is None or now - attempt.announced_at >= ANNOUNCE_AGAIN_S)
        ]
        if not due:
            return
        for attempt in due:
            attempt.announced_at = now
        try:
            at = datetime.now(UTC)
            self._hand.announce([_announcement(attempt, now=now, at=at) for attempt in due])
        except QueueUnavailable as error:
            log_event(logger, logging.WARNING, "announce.failed", error=error)


def _announcement(attempt: Attempt, *, now: float, at: datetime) -> Announcement:
    """What the wire shows of a running attempt; ``now`` and ``at`` are one moment by two clocks."""
    assert attempt.started_at is not None
    claimed = attempt.claimed
    return Announcement(
        id=claimed.id,
        attempt=claimed.attempt,
        queue=claimed.queue,
        priority=claimed.priority,
        started_at=at - timedelta(seconds=now - attempt.started_at),
    )
