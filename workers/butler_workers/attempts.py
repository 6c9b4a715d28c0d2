"""One attempt in this process: what is known of it, and what its end means.

`conclude` is where outcomes become transitions. It is pure: the slots catch what the task returned
or raised, and everything else follows from plain values, so that each row of design section 4 is
a unit test.
"""

from __future__ import annotations

import logging
import random
import threading
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from butler import lifecycle
from butler.attempt_control import AttemptControl
from butler.errors import InvalidRequest, ResultNotStorable
from butler.executions import AttemptOutcome, ErrorRecord
from butler.record import record
from butler.results import Again, Failure, Success, TaskResult, outcome_of
from butler.text import describe_error

if TYPE_CHECKING:
    import asyncio

    from butler.lifecycle import Transition
    from butler.storage.records import Claimed
    from butler.task_spec import TaskSpec
    from butler_workers.isolation import IsolatedProcess

logger = logging.getLogger(__name__)

MAX_HAND_BACK_DELAY_S = 30.0
# From a timeout to the end of the process that still runs the task.
GRACE_S = 10.0


class Interrupt(Enum):
    """Why a running attempt is asked to end from outside."""

    TIMEOUT = "timeout"
    CANCEL = "cancel"
    DRAIN = "drain"
    LOST = "lost"


class Attempt:
    """A claimed execution on its way through this process.

    ``lock`` guards the moment of its end: an interrupt may only be thrown into a thread while
    that thread still runs this attempt.
    """

    __slots__ = (
        "announced_at",
        "claimed",
        "claimed_at",
        "control",
        "deadline",
        "entry",
        "in_process",
        "interrupt",
        "lock",
        "max_result_bytes",
        "over",
        "process",
        "spec",
        "started_at",
        "task",
        "thread_id",
        "thrown",
    )

    def __init__(
        self, claimed: Claimed, spec: TaskSpec, *, claimed_at: float, max_result_bytes: int
    ) -> None:
        self.claimed = claimed
        self.spec = spec
        self.claimed_at = claimed_at
        self.max_result_bytes = max_result_bytes
        # Whether it asks for a process of its own.
        self.in_process = spec.options.isolation == "process"
        self.control = AttemptControl()
        self.lock = threading.Lock()
        self.started_at: float | None = None
        self.deadline: float | None = None
        self.interrupt: Interrupt | None = None
        self.over = False
        self.entry: int | None = None
        self.announced_at: float | None = None
        self.thread_id: int | None = None
        # Whether an exception was thrown into its thread.
        self.thrown = False
        self.task: asyncio.Task[None] | None = None
        self.process: IsolatedProcess | None = None

    @property
    def timeout_s(self) -> float | None:
        """The enqueue's own timeout, else the task's."""
        if self.claimed.timeout_s is not None:
            return self.claimed.timeout_s
        return self.spec.options.timeout_s

    def end_by(self, moment: float) -> None:
        """Its time is over at this boot time at the latest."""
        self.deadline = moment if self.deadline is None else min(self.deadline, moment)

    def start_clock(self, now: float) -> None:
        """Its time begins to run, at this boot time."""
        timeout_s = self.timeout_s
        if timeout_s is not None:
            self.deadline = now + timeout_s


@record(frozen=True, slots=True)
class Returned:
    """The task returned this."""

    value: Any


@dataclass(frozen=True, slots=True)
class Raised:
    """The task raised this, or was made to."""

    error: BaseException


def conclude(attempt: Attempt, end: Returned | Raised, *, random: float) -> Transition | None:
    """What follows from how the attempt ended; None when its worker is lost and may say nothing."""
    match end:
        case Returned(value):
            return _returned(attempt, value, random=random)
        case Raised(error):
            return _raised(attempt, error, random=random)


def conclude_safely(attempt: Attempt, end: Returned | Raised) -> Transition | None:
    """`conclude` with the retry's own draw; an error in here ends the attempt too.

    A result whose own methods raise, say: the slot must survive it.
    """
    try:
        transition: Transition | None
        if type(end) is Returned and not isinstance(end.value, TaskResult):
            transition = _succeeded(attempt, end.value)  # what most do, by the shortest way
        else:
            transition = conclude(attempt, end, random=random.random())  # noqa: S311 - spreads
        if transition is None or attempt.control.traceparent is None:
            return transition
        return lifecycle.traced(transition, attempt.control.traceparent)
    except Exception as error:
        logger.exception("attempt.not_concluded id=%s", attempt.claimed.id)
        return lifecycle.fail(attempt.claimed, error=describe_error(error))


def refuse_request(claimed: Claimed, spec: TaskSpec, error: InvalidRequest) -> Transition:
    """The stored request does not validate: for good under its own schema, for now under another.

    In a rolling deploy old workers meet new requests; those wait for a worker that knows better.
    """
    if claimed.fingerprint == spec.request.fingerprint:
        record = ErrorRecord(type="InvalidRequest", message=str(error), details=tuple(error.errors))
        return lifecycle.fail(claimed, error=record)
    return hand_back_for_later(claimed, lifecycle.OTHER_SCHEMA)


def hand_back_for_later(
    claimed: Claimed, reason: str, *, known_elsewhere: bool = False
) -> Transition:
    """Another worker may know what to do with it: 1 s, doubling to 30 s where none is known to."""
    times = 0 if known_elsewhere else min(claimed.uncounted, 10)
    delay_s = min(2.0**times, MAX_HAND_BACK_DELAY_S)
    return lifecycle.hand_back(claimed, reason=reason, delay_s=delay_s)


def timed_out(attempt: Attempt, *, random: float) -> Transition:
    """The attempt outlived its timeout; it counts, and is retried by its policy."""
    message = f"still running after timeout_s={attempt.timeout_s:g}"
    return lifecycle.fail_or_retry(
        attempt.claimed,
        error=ErrorRecord(type="TaskTimeout", message=message),
        policy=attempt.spec.options.retry,
        random=random,
        outcome=AttemptOutcome.TIMED_OUT,
    )


def _returned(attempt: Attempt, value: Any, *, random: float) -> Transition:
    claimed, spec = attempt.claimed, attempt.spec
    match outcome_of(value):
        case Success(result):
            return _succeeded(attempt, result)
        case Failure(message, retry):
            record = ErrorRecord(type="TaskFailure", message=message)
            if not retry:
                return lifecycle.fail(claimed, error=record)
            return lifecycle.fail_or_retry(
                claimed, error=record, policy=spec.options.retry, random=random
            )
        case Again(after_s, reason):
            return lifecycle.reschedule(claimed, delay_s=after_s, reason=reason)


def _succeeded(attempt: Attempt, result: Any) -> Transition:
    claimed = attempt.claimed
    try:
        text = attempt.spec.result.encode(result, max_bytes=attempt.max_result_bytes)
    except ResultNotStorable as error:
        record = ErrorRecord(type="ResultNotStorable", message=str(error))
        return lifecycle.fail(claimed, error=record)
    return lifecycle.succeed(claimed, result=text)


def _raised(attempt: Attempt, error: BaseException, *, random: float) -> Transition | None:
    claimed, policy = attempt.claimed, attempt.spec.options.retry
    match attempt.interrupt:
        case Interrupt.LOST:
            return None
        case Interrupt.DRAIN:
            return lifecycle.hand_back(claimed, reason="its worker shut down")
        case Interrupt.CANCEL:
            return lifecycle.cancel(claimed)
        case Interrupt.TIMEOUT:
            return timed_out(attempt, random=random)
        case None:
            record = describe_error(error)
            if not policy.retries(error):
                return lifecycle.fail(claimed, error=record)
            return lifecycle.fail_or_retry(claimed, error=record, policy=policy, random=random)
