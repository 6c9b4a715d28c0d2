"""Leadership: of all schedulers that run, one acts.

The ledger has one row (holder, epoch, counter). The leader raises the counter every third of a
lease. The others watch it (`StillnessWatch`), and when it has stood still for a lease one of them
takes the row, if it still stands exactly as it was observed; the epoch grows with each taking.

The guarantee: two schedulers do not act at once. A leader acts until one lease after it *sent* its
last successful renewal; a candidate begins to count a lease only after it has *read* that renewal.
And where a leader's thread was stopped between looking at its watch and acting, the epoch, which
statements carry, and the fences of what it does (a counter, an attempt) make the late act harmless.

Rejected: a session advisory lock. It survives a holder that was stopped (SIGSTOP), and a host
without power for hours; and PgBouncer in transaction mode gives it to everybody. Rejected: an
expiry time in the row, which compares clocks of different machines.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from butler.clock import SYSTEM_CLOCK
from butler.log import log_event
from butler_scheduler.service import Service
from butler_scheduler.stillness import StillnessWatch

if TYPE_CHECKING:
    from butler.clock import Clock
    from butler.storage.base import Storage
    from butler.storage.records import Leadership

logger = logging.getLogger(__name__)

# With what looking takes, a dead leader is replaced in under five seconds.
LEADER_LEASE_S = 4.0
_LOOKS_A_LEASE = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """An epoch this scheduler holds, and until when (monotonic) it may act in it."""

    epoch: int
    until: float


class Leader(Service):
    """Takes leadership when nobody holds it, keeps it, and gives it up on an orderly stop.

    ``holder`` names this process and no other, for ever. ``lease_s`` must be the same in all
    schedulers of a ledger.
    """

    name: ClassVar[str] = "leader"

    def __init__(
        self,
        storage: Storage,
        *,
        holder: str,
        lease_s: float = LEADER_LEASE_S,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        super().__init__(clock=clock)
        self.holder = holder
        self._storage = storage
        self._lease_s = lease_s
        self._watch = StillnessWatch(clock)
        self._term: Term | None = None

    def epoch(self) -> int | None:
        """The epoch in which this scheduler may act now; None when it must not act.

        Ask again before each act with an effect outside.
        """
        term = self._term
        return term.epoch if term is not None and self._clock.monotonic() < term.until else None

    def tick(self, now: float) -> float:  # noqa: ARG002 - each statement is timed by itself
        """Renew, or look whether the place is free."""
        if self._term is None:
            return self._look()
        return self._renew(self._term)

    def wind_down(self) -> None:
        """Resign, so that another scheduler takes over at once."""
        term, self._term = self._term, None
        if term is not None:
            self._storage.resign_leadership(self.holder, epoch=term.epoch)
            log_event(
                logger,
                logging.INFO,
                "leadership.resigned",
                holder=self.holder,
                epoch=term.epoch,
            )

    def _renew(self, term: Term) -> float:
        sent_at = self._clock.monotonic()
        try:
            kept = self._storage.renew_leadership(self.holder, epoch=term.epoch)
        except Exception:
            # The place may still be ours: the next renewal will tell. Until then, do nothing.
            if term.until > -math.inf:
                self._term = Term(epoch=term.epoch, until=-math.inf)
                self._log("leadership.suspended", term, level=logging.WARNING)
            raise
        if not kept:
            self._term = None
            self._log("leadership.lost", term, level=logging.WARNING)
            return 0.0
        self._term = Term(epoch=term.epoch, until=sent_at + self._lease_s)
        if term.until <= sent_at:
            self._log("leadership.resumed", term)
        return max(0.0, self._lease_s / 3 - (self._clock.monotonic() - sent_at))

    def _look(self) -> float:
        self._watch.ask()
        seen = self._storage.leadership()
        still_s = self._watch.answer({"leader": seen})["leader"]
        # Our own name is there when the answer to our taking was lost.
        free = seen.holder is None or seen.holder == self.holder
        if not free and still_s < self._lease_s:
            return self._lease_s / _LOOKS_A_LEASE
        return self._take(seen)

    def _take(self, seen: Leadership) -> float:
        sent_at = self._clock.monotonic()
        epoch = self._storage.take_leadership(self.holder, observed=seen)
        if epoch is None:
            return self._lease_s / _LOOKS_A_LEASE
        self._term = Term(epoch=epoch, until=sent_at + self._lease_s)
        log_event(
            logger,
            logging.INFO,
            "leadership.taken",
            holder=self.holder,
            epoch=epoch,
            previous=seen.holder or "nobody",
        )
        return self._lease_s / 3

    def _log(self, event: str, term: Term, *, level: int = logging.INFO) -> None:
        log_event(logger, level, event, holder=self.holder, epoch=term.epoch)
