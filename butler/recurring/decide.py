"""What a due job does: pure functions of the job, the ledger's time and what is unfinished.

A fire time is *due* when the ledger's clock has passed it by the job's share of jitter. Usually one
is. After an outage or a step of the clock several are, and the misfire policy chooses; then, for
each that is chosen, the overlap policy. Every fire time that is passed over is in the decision too,
with the reason, so that none vanishes; a run of missed ones is one record with their number.

The guarantee: `next_fire_at` of a decision is later than every fire in it and later than the one
the job had before, so no sequence of decisions names a fire time twice, whatever the clock does. A
clock that is set back makes the job wait until its next fire time comes again.

Rejected: walking all missed fire times one by one. A job of every second that slept a month has 2.6
million of them; the newest ones are found by halving instead, and more than a thousand missed are
counted as "at least".
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from butler.recurring.job import FireOutcome, Misfire, Overlap

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from butler.recurring.job import RecurringJob
    from butler.schedules import Schedule

# A takeover by another scheduler takes up to six seconds; what that delays is not a misfire.
ON_TIME_S = 10.0
MAX_WAITING = 100
COUNTED_MISSED = 1_000
TICK = timedelta(microseconds=1)
HALVED_DOWN_TO = timedelta(seconds=1)  # as close as two fires can be


@dataclass(frozen=True, slots=True, kw_only=True)
class Fire:
    """What becomes of one fire time, or of ``count`` that were missed, ``fire_at`` the first."""

    fire_at: datetime
    outcome: FireOutcome
    reason: str | None = None
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The fires of one look at a job, and the next fire time; ``cancel`` ends these executions."""

    fires: tuple[Fire, ...]
    next_fire_at: datetime | None
    cancel: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DueFires:
    """Fire times that are due: the newest few, how many came before them, and what comes next."""

    newest: tuple[datetime, ...]
    passed_over: int
    first: datetime
    following: datetime | None


def decide(
    job: RecurringJob, *, now: datetime, unfinished: Sequence[str], waiting: int
) -> Decision:
    """What a job that is due does at ``now``, the ledger's time.

    ``unfinished`` are its executions that are not over, oldest first; ``waiting`` counts its fires
    that wait for them. Raises `InvalidSchedule` for a schedule that cannot be read.
    """
    due = due_fires(
        job.schedule,
        first=job.next_fire_at,
        until=_not_after(now - jitter_of(job), job.ends_at),
        keep=job.catch_up_limit if job.misfire is Misfire.CATCH_UP else 1,
    )
    if due is None:
        return Decision(fires=(), next_fire_at=job.next_fire_at)
    following = due.following
    if following is not None and job.ends_at is not None and following > job.ends_at:
        following = None
    chosen, missed = _choose(job, due, now=now)
    left = None if job.max_fires is None else max(job.max_fires - job.fires, 0)
    fires, cancel = _overlap(job, chosen[:left], now=now, unfinished=unfinished, waiting=waiting)
    if left is not None and counted(fires) >= left:
        following = None
    return Decision(fires=(*missed, *fires), next_fire_at=following, cancel=cancel)


def release(
    job: RecurringJob, *, unfinished: Sequence[str], waiting: Sequence[datetime]
) -> tuple[Fire, ...]:
    """Which waiting fires may run now that these executions are unfinished; oldest first."""
    room = max(job.max_concurrency - len(unfinished), 0)
    return tuple(
        Fire(fire_at=fire_at, outcome=FireOutcome.FIRED) for fire_at in sorted(waiting)[:room]
    )


def broken(decision: Decision, reason: str) -> Decision:
    """The same fire times, none of which can be fired."""
    fires = tuple(
        Fire(
            fire_at=fire.fire_at,
            outcome=fire.outcome if fire.outcome is FireOutcome.MISSED else FireOutcome.BROKEN,
            reason=fire.reason if fire.outcome is FireOutcome.MISSED else reason,
            count=fire.count,
        )
        for fire in decision.fires
    )
    return Decision(fires=fires, next_fire_at=decision.next_fire_at)


def counted(fires: Iterable[Fire]) -> int:
    """How many of these make an execution, now or when their turn comes."""
    return sum(fire.outcome in (FireOutcome.FIRED, FireOutcome.WAITING) for fire in fires)


def first_fire(
    schedule: Schedule, *, now: datetime, starts_at: datetime | None, ends_at: datetime | None
) -> datetime | None:
    """The first fire after ``now`` within the job's start and end, both inclusive."""
    after = now if starts_at is None else max(now, starts_at - TICK)
    fire = schedule.next_after(after)
    return None if fire is None or (ends_at is not None and fire > ends_at) else fire


def due_at(
    job_id: str, *, fire_at: datetime | None, jitter_s: float, enabled: bool
) -> datetime | None:
    """When a scheduler has to look at a job: its next fire plus its share of jitter."""
    if fire_at is None or not enabled:
        return None
    try:
        return fire_at + jitter(job_id, jitter_s)
    except OverflowError:
        return fire_at


def jitter(job_id: str, jitter_s: float) -> timedelta:
    """A job's share of its jitter: 0 to ``jitter_s``, the same at each fire.

    Always the same, so that the time between two fires stays what the schedule says.
    """
    if not jitter_s:
        return timedelta()
    digest = hashlib.sha256(job_id.encode()).digest()
    share = int.from_bytes(digest[:8]) / 2**64
    return timedelta(seconds=jitter_s * share)


def jitter_of(job: RecurringJob) -> timedelta:
    """`jitter` of a job."""
    return jitter(job.id, job.jitter_s)


def due_fires(
    schedule: Schedule, *, first: datetime | None, until: datetime, keep: int
) -> DueFires | None:
    """The fires from ``first`` on, which is one, up to ``until``; None when none is due."""
    if first is None or first > until:
        return None
    walked: list[datetime] = [first]
    following = schedule.next_after(first)
    while following is not None and following <= until:
        if len(walked) >= COUNTED_MISSED + keep:
            newest, following = _newest(schedule, after=walked[-1], until=until, keep=keep)
            return DueFires(
                newest=tuple([*walked, *newest][-keep:]),
                passed_over=COUNTED_MISSED,
                first=first,
                following=following,
            )
        walked.append(following)
        following = schedule.next_after(following)
    return DueFires(
        newest=tuple(walked[-keep:]),
        passed_over=max(len(walked) - keep, 0),
        first=first,
        following=following,
    )


def _newest(
    schedule: Schedule, *, after: datetime, until: datetime, keep: int
) -> tuple[list[datetime], datetime | None]:
    """The newest fires in (after, until], ``keep`` or a few more where there are so many.

    And the one after them. Halving finds a moment with neither too few fires behind it nor many
    too many.
    """
    low, high = after, until
    while high - low > HALVED_DOWN_TO:
        middle = low + (high - low) / 2
        if _at_least(schedule, after=middle, until=until, count=keep):
            low = middle
        else:
            high = middle
    fires: list[datetime] = []
    following = schedule.next_after(low)
    while following is not None and following <= until:
        fires.append(following)
        following = schedule.next_after(following)
    return fires, following


def _at_least(schedule: Schedule, *, after: datetime, until: datetime, count: int) -> bool:
    moment = after
    for _ in range(count):
        fire = schedule.next_after(moment)
        if fire is None or fire > until:
            return False
        moment = fire
    return True


def _choose(
    job: RecurringJob, due: DueFires, *, now: datetime
) -> tuple[list[datetime], list[Fire]]:
    """Which due fires are run if nothing is in their way, and a record of those that are not."""
    newest = due.newest[-1]
    late_s = (now - jitter_of(job) - newest).total_seconds()
    match job.misfire:
        case Misfire.CATCH_UP:
            run = True
        case Misfire.FIRE_ONCE:
            run = late_s <= max(job.misfire_grace_s, ON_TIME_S)
        case Misfire.SKIP:
            run = late_s <= ON_TIME_S
    chosen = list(due.newest) if run else []
    count = due.passed_over + (0 if run else len(due.newest))
    if not count:
        return chosen, []
    waited_s = (now - jitter_of(job) - due.first).total_seconds()
    least = "at least " if due.passed_over >= COUNTED_MISSED else ""
    reason = (
        f"nobody could fire from {_shown(due.first)} on, for {waited_s:.0f} s: "
        f"{least}{count} missed (misfire={job.misfire})"
    )
    missed = Fire(fire_at=due.first, outcome=FireOutcome.MISSED, reason=reason, count=count)
    return chosen, [missed]


def _overlap(
    job: RecurringJob,
    chosen: Sequence[datetime],
    *,
    now: datetime,
    unfinished: Sequence[str],
    waiting: int,
) -> tuple[list[Fire], tuple[str, ...]]:
    running = len(unfinished)
    queues = job.overlap is Overlap.QUEUE or job.misfire is Misfire.CATCH_UP
    fires: list[Fire] = []
    cancel: tuple[str, ...] = ()
    if job.overlap is Overlap.CANCEL_RUNNING and chosen:
        # Each would cancel the one before it: only the newest is worth starting.
        fires = [_superseded(job, fire_at) for fire_at in chosen[:-1]]
        chosen = chosen[-1:]
    for fire_at in chosen:
        if job.overlap is Overlap.ALLOW or (running < job.max_concurrency and not waiting):
            running += 1
            fires.append(Fire(fire_at=fire_at, outcome=FireOutcome.FIRED))
        elif job.overlap is Overlap.CANCEL_RUNNING:
            cancel = tuple(unfinished[: max(len(unfinished) - job.max_concurrency + 1, 0)])
            fires.append(Fire(fire_at=fire_at, outcome=FireOutcome.FIRED))
        elif queues and waiting < MAX_WAITING and _may_wait(job, fire_at, now=now):
            waiting += 1
            fires.append(Fire(fire_at=fire_at, outcome=FireOutcome.WAITING))
        else:
            fires.append(_skipped(job, fire_at, unfinished=unfinished, waiting=waiting))
    return fires, cancel


def _may_wait(job: RecurringJob, fire_at: datetime, *, now: datetime) -> bool:
    """Whether a fire that meets an unfinished execution waits rather than being skipped.

    Under ``queue`` always. Under ``catch_up`` those that are late do: they are made up for one
    after the other, while what is on time obeys its own policy.
    """
    if job.overlap is Overlap.QUEUE:
        return True
    late_s = (now - jitter_of(job) - fire_at).total_seconds()
    return job.overlap is Overlap.SKIP and late_s >= 1.0


def _skipped(
    job: RecurringJob, fire_at: datetime, *, unfinished: Sequence[str], waiting: int
) -> Fire:
    if waiting >= MAX_WAITING:
        reason = f"{waiting} fires are waiting already"
    elif waiting:
        reason = f"{waiting} earlier fires are waiting"
    elif unfinished:
        reason = f"{len(unfinished)} unfinished, the oldest {unfinished[0]}"
    else:
        reason = "an earlier fire of the same look has just started"
    return Fire(
        fire_at=fire_at,
        outcome=FireOutcome.SKIPPED,
        reason=f"{reason} (overlap={job.overlap}, max_concurrency={job.max_concurrency})",
    )


def _superseded(job: RecurringJob, fire_at: datetime) -> Fire:
    return Fire(
        fire_at=fire_at,
        outcome=FireOutcome.SKIPPED,
        reason=f"a newer fire is due and would cancel it (overlap={job.overlap})",
    )


def _not_after(moment: datetime, limit: datetime | None) -> datetime:
    return moment if limit is None else min(moment, limit)


def _shown(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
