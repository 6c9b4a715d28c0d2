"""The fetcher: from Redis lists, through the hand, to claimed attempts in slots.

One pop moves a batch into the hand, one claim decides in the ledger which of them this worker
owns. Only what is claimed runs. Both calls carry a token and are repeated with it when the answer
does not come, so that a lost reply neither loses ids nor takes an execution twice.

How much to take: as many as there are free slots, and beyond that as many as the slots lately
ended in 50 ms (see `Pace`), at most `STEP` at a time. So a worker of long tasks takes nothing it
cannot start, and one of short tasks works in batches. What was taken ahead and is not started
within a moment, because a long task came in between, is handed back uncounted (see ``ticker.py``).

When all lists are empty it sits down (see ``seat.py``): a push hands it an id and calls it, or
leaves a token on the wake list of its queue. It looks at the lists once a second besides: a lost
token costs a second, and nobody polls.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from itertools import groupby
from typing import TYPE_CHECKING

from butler.errors import QueueUnavailable, StorageUnavailable
from butler.executions import ExecutionStatus
from butler.hands import Settled
from butler.ids import are_ids, is_id, new_token
from butler.log import Repeated, log_event
from butler.parks import Parks
from butler.queues import WireKeys, as_text
from butler.storage.records import Claim
from butler.turns import Turns
from butler_workers.pace import Pace
from butler_workers.seat import SIT_S, Seat
from butler_workers.strangers import Strangers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from butler.hands import Hand
    from butler.queues import QueueWire
    from butler.storage.base import Storage
    from butler.storage.limits import Wait
    from butler.storage.records import Claimed, ClaimReply, Refused
    from butler_workers.keyed_claims import KeyedClaims
    from butler_workers.lease import Lease
    from butler_workers.slots import Slots

logger = logging.getLogger(__name__)

RETRY_PAUSE_S = 0.5
# Of a thousand free slots the first begin while the others are claimed; each is hardly cheaper in a
# larger claim.
STEP = 250
# An idle worker's task begins before this thread takes the interpreter to look for more.
GIVE_WAY_S = 0.0002

Popped = tuple[str, str]


class Fetcher:
    """A thread that keeps the slots supplied.

    ``on_claimed`` gets what was won; ``on_alone`` an id, with its list, that must run in a process
    of its own and stays in the hand until that takes it over;
    ``on_lost`` is called when the ledger has given this worker up.
    """

    def __init__(
        self,
        *,
        storage: Storage,
        wire: QueueWire,
        hand: Hand,
        slots: Slots,
        lease: Lease,
        claims: KeyedClaims,
        queues: Sequence[str],
        on_claimed: Callable[[Sequence[Claimed]], None],
        on_alone: Callable[[str, str], None],
        on_lost: Callable[[], None],
    ) -> None:
        self._storage = storage
        self._wire = wire
        self._hand = hand
        self._slots = slots
        self._lease = lease
        self._claims = claims
        self._seat = Seat(hand, queues)
        self._on_claimed = on_claimed
        self._on_alone = on_alone
        self._on_lost = on_lost
        self._parks = Parks(wire.redis)
        self._turns = Turns(wire.redis)
        self._strangers = Strangers(hand, ledger_id=wire.ledger_id)
        self._pace = Pace()
        self._undecided: list[Popped] = []
        self._pop_failures = Repeated(logger, "pop.repeating")
        self._failures = Repeated(logger, "fetch.waiting")
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="butler-fetch", daemon=True)

    def start(self) -> None:
        """Begin to fetch."""
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Fetch no more; what was popped and not claimed goes back to its list."""
        self._stopping.set()
        if self._thread.is_alive():
            self._seat.rouse()
            self._thread.join(timeout_s)

    def claim(self, popped: Sequence[Popped], *, solo: bool = False) -> None:
        """Claim what is in the hand and start it; returns when the ledger has decided."""
        token = new_token()
        ids = tuple([execution_id for execution_id, _ in popped])
        strangers: Sequence[Popped] = ()
        if not are_ids(ids):
            strangers = [pair for pair in popped if not is_id(pair[0])]
            ids = tuple(filter(is_id, ids))
        try:
            reply = self._ask_ledger(
                Claim(worker_id=self._hand.worker_id, token=token, ids=ids, solo=solo)
            )
            if reply is None or reply.worker_lost:
                self._hand.give_back(popped)
                if reply is not None:
                    self._on_lost()
                return
        except Exception:
            self._undecided += popped
            raise
        if reply.won:
            self._on_claimed(reply.won)
        if reply.refused or strangers:
            lists, decided = dict(popped), {claimed.id for claimed in reply.won}
            refused = [(item, lists[item.id]) for item in reply.refused if item.id not in decided]
            refused = self._give_away_alone(refused)
            try:
                self._sort_refused(refused, strangers)
            except Exception:
                self._undecided += [(item.id, name) for item, name in refused]
                self._undecided += strangers
                raise

    def _give_away_alone(self, refused: Sequence[tuple[Refused, str]]) -> list[tuple[Refused, str]]:
        """Hand over what must run in a process of its own; returns the rest."""
        rest = []
        for item, name in refused:
            if item.wait is None and item.alone and item.status is ExecutionStatus.QUEUED:
                self._on_alone(item.id, name)
            else:
                rest.append((item, name))
        return rest

    def _return_undecided(self) -> None:
        """Give back what no claim has decided: nobody looks for it in the hand of one who lives."""
        if self._undecided:
            self._hand.give_back(self._undecided)
            self._undecided = []

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._step()
                self._failures.over()
            except QueueUnavailable as error:
                self._failures.again(error=error)
                self._stopping.wait(RETRY_PAUSE_S)
            except Exception:
                logger.exception("fetch.failed; going on")
                self._stopping.wait(RETRY_PAUSE_S)
        with contextlib.suppress(QueueUnavailable):
            self._leave_seat()

    def _step(self) -> None:
        self._return_undecided()
        wanted = self._wait_for_room()
        if wanted <= 0:
            return
        popped = self._take(wanted)
        if popped:
            self.claim(popped)
        # Where the lists were empty, whatever came since calls this worker or leaves a token.
        elif offered := self._idle():
            self.claim(offered)
            time.sleep(GIVE_WAY_S)

    def _idle(self) -> list[Popped]:
        popped = [] if self._stopping.is_set() else self._seat.wait()
        if popped and (self._stopping.is_set() or not self._lease.fresh):
            self._undecided += popped
            self._return_undecided()
            return []
        return popped

    def _leave_seat(self) -> None:
        """Take no offers; one that did not arrive goes back to its list."""
        self._hand.pop(0, token=new_token(), lists=(), received=self._seat.received)
        self._seat.received = ""

    def _wait_for_room(self) -> int:
        if not self._lease.fresh:
            self._stopping.wait(0.2)
            return 0
        size, ahead = self._slots.size, self._pace.ahead(self._slots.ended, now=time.monotonic())
        window = size + ahead
        # Short tasks: refill when half of what is ahead is gone, before the slots run dry. Long
        # tasks: as soon as a slot is free.
        low_water = size + ahead // 2 if ahead else size - 1
        if not self._slots.wait_for_room(low_water, timeout_s=0.5):
            return 0
        return min(STEP, window - self._slots.in_flight)

    def _take(self, wanted: int) -> list[Popped]:
        """Ids from all lists in order; those that strangers crowd need a look of their own."""
        crowded = self._strangers.crowded
        if not crowded:
            # An offer is for a slot that is free, not for what may be taken ahead at this moment.
            has_slot = self._slots.in_flight < self._slots.size
            return self._pop(wanted, self._hand.lists, sit_s=SIT_S if has_slot else 0)
        self._leave_seat()
        taken: list[Popped] = []
        try:
            for apart, group in groupby(self._hand.lists, key=crowded.__contains__):
                lists = list(group)
                if not apart:
                    taken += self._pop(wanted - len(taken), lists)
                for name in lists if apart else ():
                    taken += self._pick(name, wanted - len(taken))
                if len(taken) >= wanted:
                    break
        except QueueUnavailable as error:
            # What is in the hand already must be claimed; what was asked for is asked for again.
            if not taken:
                raise
            log_event(logger, logging.WARNING, "take.incomplete", error=error)
        return taken

    def _pick(self, name: str, wanted: int) -> list[Popped]:
        """Ours from between strangers, who keep their list from standing empty: see `Turns`."""
        taken = self._strangers.pick(name, wanted)
        if len(taken) < wanted and self._turns.deal(name, wanted - len(taken)):
            taken += self._strangers.pick(name, wanted - len(taken))
        return taken

    def _pop(self, wanted: int, lists: Sequence[str], *, sit_s: float = 0) -> list[Popped]:
        token, received = new_token(), self._seat.received
        while True:
            try:
                popped = self._hand.pop(
                    wanted, token=token, lists=lists, sit_s=sit_s, received=received
                )
            except QueueUnavailable as error:
                if self._stopping.is_set():
                    raise
                self._pop_failures.again(error=error)
                self._stopping.wait(RETRY_PAUSE_S)
            else:
                self._seat.received = ""
                self._pop_failures.over()
                return popped

    def _ask_ledger(self, claim: Claim) -> ClaimReply | None:
        """The ledger's decision; None when it did not come before this worker had to stop."""
        while True:
            try:
                return self._claims.claim(claim)
            except StorageUnavailable as error:
                log_event(logger, logging.WARNING, "claim.repeating", error=error)
                if self._stopping.wait(RETRY_PAUSE_S) or self._lease.lost:
                    return None

    def _sort_refused(
        self, refused: Sequence[tuple[Refused, str]], strangers: Sequence[Popped]
    ) -> None:
        dropped, over = list[str](), list[str]()
        parked = [(item.id, name, item.wait) for item, name in refused if item.wait is not None]
        refused = [pair for pair in refused if pair[0].wait is None]
        unknown = list(strangers)
        for item, name in refused:
            match item.status:
                case None:
                    unknown.append((item.id, name))
                case ExecutionStatus.CANCELLED if item.expired is not None:
                    log_event(logger, logging.INFO, "execution.expired", id=item.id)
                    self._wire.withdraw([item.expired])
                    dropped.append(item.id)
                case ExecutionStatus.FAILED | ExecutionStatus.CANCELLED:
                    if not self._retried_from_rq(item.id):
                        over.append(item.id)
                case ExecutionStatus.SUCCEEDED:
                    over.append(item.id)
                case _:
                    dropped.append(item.id)
        self._show_over(over)
        self._hand.drop([*dropped, *over])
        self._park(parked)
        if unknown:
            self._strangers.sort(unknown)

    def _park(self, refused: Sequence[tuple[str, str, Wait]]) -> None:
        """Let them wait for their limits; a slot that was released meanwhile is found here."""
        if not refused:
            return
        parks = self._parks.park(self._hand.worker_id, refused)
        # What lacks its keys is for another worker: the scheduler offers it again within a second.
        known = [park for park in parks if not park.startswith("keys:")]
        try:
            self._parks.settle(self._storage, known)
        except StorageUnavailable as error:
            # The scheduler looks as well, a little later.
            log_event(logger, logging.WARNING, "parks.not_settled", error=error)

    def _show_over(self, ids: Sequence[str]) -> None:
        """Say on the wire how these have ended.

        Their worker has told the ledger, and died before it told Redis, which shows them as started
        for ever: their hashes have no expiry then.
        """
        try:
            ended = [e for e in self._storage.get_many(ids) if e.status.finished] if ids else []
        except StorageUnavailable as error:
            log_event(logger, logging.WARNING, "wire.not_told", error=error)
            return
        self._hand.settle(
            [Settled.of(execution, execution.status, execution.error) for execution in ended]
        )
        self._hand.retract(ended)

    def _retried_from_rq(self, execution_id: str) -> bool:
        """Whether an operator put an ended execution back on its queue with RQ's own tools.

        RQ's requeue empties ``ended_at``, and its enqueue makes ``enqueued_at`` the newer one; our
        pushes carry no ``ended_at``, and a cancellation between pop and claim writes a newer one.
        """
        ended_at, enqueued_at = self._wire.redis.hmget(
            WireKeys.job(execution_id), ["ended_at", "enqueued_at"]
        )
        if ended_at is None or as_text(ended_at) >= as_text(enqueued_at or b""):
            return False
        (moved,) = self._storage.retry([execution_id])
        if not moved.changed or moved.entry is None:
            return False
        log_event(logger, logging.INFO, "execution.retried_from_rq", id=execution_id)
        self._wire.push([moved.entry], from_hand=self._hand.worker_id)
        return True
