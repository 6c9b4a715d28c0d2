"""The life of an execution: which state may follow which, and who may say so.

This is the one door for state. The table ``MOVES`` is what the storage backends enforce, and the
functions below are the only ones that build a `Transition`, the value by which a running attempt
ends. A backend applies a transition only when the row is still running under the same
``(id, attempt, claim token)``: an attempt that was given up for lost and comes back (a stopped
process, a healed network) finds another attempt or another state, and changes nothing.

Everything here is pure. Delays are relative, because the ledger's clock decides when "now" is; a
worker's wall clock is never compared with it.

Rejected: letting each module write the status it thinks right (five modules do so in RQ). Two of
them always disagree after a crash, and the table that could be tested does not exist.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from butler.executions import TERMINAL, AttemptOutcome, ErrorRecord, ExecutionStatus
from butler.record import record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from butler.retries import RetryPolicy

_S = ExecutionStatus
_O = AttemptOutcome

MOVES: Mapping[ExecutionStatus, frozenset[ExecutionStatus]] = {
    _S.SCHEDULED: frozenset({_S.QUEUED, _S.CANCELLED}),
    _S.QUEUED: frozenset({_S.RUNNING, _S.SCHEDULED, _S.CANCELLED}),
    _S.RUNNING: frozenset(
        {_S.SUCCEEDED, _S.FAILED, _S.CANCELLED, _S.RETRYING, _S.SCHEDULED, _S.QUEUED}
    ),
    _S.RETRYING: frozenset({_S.QUEUED, _S.CANCELLED}),
    _S.SUCCEEDED: frozenset(),
    _S.FAILED: frozenset({_S.QUEUED}),
    _S.CANCELLED: frozenset({_S.QUEUED}),
}
"""From each state, those that may follow; only an operator leaves failed and cancelled.

What is queued becomes scheduled again when it is replaced by an enqueue for later (debounce).
"""

CANCELLABLE = frozenset({_S.SCHEDULED, _S.QUEUED, _S.RUNNING, _S.RETRYING})
RETRYABLE = frozenset({_S.FAILED, _S.CANCELLED})
DELETABLE = TERMINAL
REPLACEABLE = frozenset({_S.SCHEDULED, _S.QUEUED, _S.RETRYING})
"""States in which an enqueue with ``replace`` takes an execution over: it waits."""

CRASHES_ALONE = 3
"""An execution whose process died this often while it ran alone is ended as failed."""

UNKNOWN_TASK = "unknown_task"
OTHER_SCHEMA = "other_schema"
WAITING_FOR_WORKER = frozenset({UNKNOWN_TASK, OTHER_SCHEMA})
"""Reasons that end when a worker registers that can run the task."""

EXPIRED = "expired"
"""Why an execution is cancelled that was not started before its ``expires_at``."""


ERRORS = frozenset({_O.FAILED, _O.TIMED_OUT, _O.CRASHED, _O.LOST})
"""How an attempt ends that went wrong; a cancel or a hand-back may carry an error and did not."""


class ClaimedAttempt(Protocol):
    """What a transition needs to know of the attempt it ends."""

    @property
    def id(self) -> str:
        """The execution's id."""
        ...

    @property
    def attempt(self) -> int:
        """This attempt's number; with the token it is the fence."""
        ...

    @property
    def claim_token(self) -> str:
        """What the claim wrote beside the attempt."""
        ...

    @property
    def attempts_used(self) -> int:
        """Attempts that count, this one included."""
        ...

    @property
    def max_attempts(self) -> int:
        """How many may count before a failure is final."""
        ...

    @property
    def crashes(self) -> int:
        """How often its process died while it ran alone."""
        ...

    @property
    def alone(self) -> bool:
        """Whether this attempt runs in a process of its own."""
        ...


@record(frozen=True, slots=True, kw_only=True)
class Transition:
    """How one running attempt ends; built here, applied by a storage backend.

    ``status`` is what the row becomes unless a cancel was requested meanwhile: then everything
    but a success becomes cancelled. ``delay_s`` counts from the ledger's now and sets ``run_at``
    for scheduled and retrying. ``result`` is JSON text. ``alone`` says that the next attempt runs
    in a process of its own. ``reason`` is shown to people who ask why it waits. ``traceparent`` is
    the attempt's own trace: the row's from now on, where it is set and the attempt did not succeed.
    """

    execution_id: str
    attempt: int
    claim_token: str
    status: ExecutionStatus
    outcome: AttemptOutcome
    counted: bool = True
    delay_s: float = 0.0
    result: str | None = None
    error: ErrorRecord | None = None
    reason: str | None = None
    alone: bool = False
    crashes: int = 0
    traceparent: str | None = None

    def __post_init__(self) -> None:
        if self.status not in MOVES[_S.RUNNING]:
            raise ValueError(f"a running execution cannot become {self.status}")


def is_error(transition: Transition) -> bool:
    """Whether statistics group its error with others."""
    return transition.outcome in ERRORS and transition.error is not None


def traced(transition: Transition, traceparent: str | None) -> Transition:
    """The same end, told with the attempt's own trace; None where nobody traces."""
    return transition if traceparent is None else replace(transition, traceparent=traceparent)


def succeed(claimed: ClaimedAttempt, *, result: str | None) -> Transition:
    """The task returned; ``result`` is its JSON text, None where it returns nothing."""
    return Transition(
        execution_id=claimed.id,
        attempt=claimed.attempt,
        claim_token=claimed.claim_token,
        status=_S.SUCCEEDED,
        outcome=AttemptOutcome.SUCCEEDED,
        result=result,
        crashes=claimed.crashes,
    )


def fail(
    claimed: ClaimedAttempt,
    *,
    error: ErrorRecord,
    outcome: AttemptOutcome = AttemptOutcome.FAILED,
) -> Transition:
    """The execution ends as failed, whatever attempts are left."""
    return Transition(
        execution_id=claimed.id,
        attempt=claimed.attempt,
        claim_token=claimed.claim_token,
        status=_S.FAILED,
        outcome=outcome,
        error=error,
        crashes=claimed.crashes,
    )


def fail_or_retry(
    claimed: ClaimedAttempt,
    *,
    error: ErrorRecord,
    policy: RetryPolicy,
    random: float,
    outcome: AttemptOutcome = AttemptOutcome.FAILED,
) -> Transition:
    """The attempt failed in a way its policy retries: retrying while attempts are left."""
    if claimed.attempts_used >= claimed.max_attempts:
        return fail(claimed, error=error, outcome=outcome)
    return Transition(
        execution_id=claimed.id,
        attempt=claimed.attempt,
        claim_token=claimed.claim_token,
        status=_S.RETRYING,
        outcome=outcome,
        delay_s=policy.delay_s(claimed.attempts_used, random=random),
        error=error,
        crashes=claimed.crashes,
    )


def reschedule(claimed: ClaimedAttempt, *, delay_s: float, reason: str | None) -> Transition:
    """The task asked to run again later (``TaskResult.retry``); does not count."""
    return Transition(
        execution_id=claimed.id,
        attempt=claimed.attempt,
        claim_token=claimed.claim_token,
        status=_S.SCHEDULED,
        outcome=AttemptOutcome.RESCHEDULED,
        counted=False,
        delay_s=delay_s,
        reason=reason,
        crashes=claimed.crashes,
    )


def cancel(claimed: ClaimedAttempt, *, error: ErrorRecord | None = None) -> Transition:
    """The attempt ended because it was asked to."""
    return Transition(
        execution_id=claimed.id,
        attempt=claimed.attempt,
        claim_token=claimed.claim_token,
        status=_S.CANCELLED,
        outcome=AttemptOutcome.CANCELLED,
        error=error,
        crashes=claimed.crashes,
    )


def hand_back(claimed: ClaimedAttempt, *, reason: str, delay_s: float = 0.0) -> Transition:
    """This worker cannot or may not finish it; another one will. Does not count.

    With a delay the row waits as scheduled (unknown task, other schema); without one it is queued
    again at once (drain).
    """
    return Transition(
        execution_id=claimed.id,
        attempt=claimed.attempt,
        claim_token=claimed.claim_token,
        status=_S.SCHEDULED if delay_s > 0 else _S.QUEUED,
        outcome=AttemptOutcome.HANDED_BACK,
        counted=False,
        delay_s=delay_s,
        reason=reason,
        alone=claimed.alone,
        crashes=claimed.crashes,
    )


def lose(claimed: ClaimedAttempt, *, reason: str) -> Transition:
    """Its worker's lease ran out: nobody knows what became of it. Does not count."""
    return Transition(
        execution_id=claimed.id,
        attempt=claimed.attempt,
        claim_token=claimed.claim_token,
        status=_S.QUEUED,
        outcome=AttemptOutcome.LOST,
        counted=False,
        error=ErrorRecord(type="WorkerLost", message=reason),
        reason=reason,
        alone=claimed.alone,
        crashes=claimed.crashes,
    )


def crash(claimed: ClaimedAttempt, *, cause: str) -> Transition:
    """Its process is known to have died (``cause``: "killed by signal 11").

    Every execution of that process is a suspect: each runs its next attempt alone, so that only
    the guilty one can die of itself. It does so `CRASHES_ALONE` times, then it ends as failed.
    """
    crashes = claimed.crashes + (1 if claimed.alone else 0)
    condemned = crashes >= CRASHES_ALONE
    died = f"its process died {crashes} times: {cause}" if condemned else f"process died: {cause}"
    return Transition(
        execution_id=claimed.id,
        attempt=claimed.attempt,
        claim_token=claimed.claim_token,
        status=_S.FAILED if condemned else _S.QUEUED,
        outcome=AttemptOutcome.CRASHED,
        counted=condemned,
        error=ErrorRecord(type="ProcessCrashed", message=died),
        reason=None if condemned else died,
        alone=not condemned,
        crashes=crashes,
    )
