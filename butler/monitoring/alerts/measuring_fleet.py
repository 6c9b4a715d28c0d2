"""How much of each trouble queues, workers, recurring jobs, servers and channels have (pure)."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING

from butler.durations import seconds_text
from butler.monitoring.alerts.measure import Measure
from butler.monitoring.alerts.rule import RuleKind
from butler.monitoring.health.fleet import living, lost, unserved
from butler.monitoring.health.jobs import HISTORY, by_job, failures_in_a_row
from butler.monitoring.health.verdict import HealthLevel
from butler.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import datetime

    from butler.monitoring.alerts.measure import View
    from butler.monitoring.alerts.rule import AlertRule
    from butler.monitoring.health.verdict import HealthCheck
    from butler.storage.records import WorkerRow

    Measuring = Callable[[View, AlertRule], Iterable[Measure]]

# What these find has rules of its own.
CHECKS_WITH_RULES = frozenset(
    {"queue_workers", "task_workers", "lost_workers", "queue_age", "recurring_jobs", "leader"}
)


def _late_fire(view: View, rule: AlertRule) -> Iterator[Measure]:  # noqa: ARG001
    now = view.picture.now
    for job in view.picture.jobs:
        if job.due_at is None or job.broken_reason is not None or job.due_at > now:
            continue
        late_s = (now - job.due_at).total_seconds()
        yield Measure(
            subject=job.name,
            value=late_s,
            since=job.due_at,
            summary=f"{job.name!r} should have fired {seconds_text(late_s)} ago",
            cause="the scheduler is overloaded, a transaction holds it, or Postgres' clock jumped",
            remedy="look at the scheduler's log and its load",
        )


def _missed_fire(view: View, rule: AlertRule) -> Iterator[Measure]:
    since = view.picture.now - timedelta(seconds=rule.window_s)
    missed = [f for f in view.picture.fires if f.outcome == "missed" and f.recorded_at >= since]
    for job, number in Counter(fire.job for fire in missed).items():
        fires = [fire for fire in missed if fire.job == job]
        yield Measure(
            subject=job,
            value=number,
            since=min(fire.fire_at for fire in fires),
            summary=f"{job!r} missed the fire time {max(f.fire_at for f in fires):%Y-%m-%d %H:%M}",
            cause="no scheduler ran at that time, or it did not reach Postgres",
            remedy="run two schedulers; butler recurring trigger runs the job now",
        )


def _job_broken(view: View, rule: AlertRule) -> Iterator[Measure]:  # noqa: ARG001
    for job in view.picture.jobs:
        if job.broken_reason is not None:
            yield Measure(
                subject=job.name,
                value=1,
                since=job.due_at or view.picture.now,
                summary=f"{job.name!r} cannot fire",
                cause=job.broken_reason,
                remedy="correct the job (butler recurring show), or the task it names",
            )


def _job_failing(view: View, rule: AlertRule) -> Iterator[Measure]:
    since = view.picture.now - timedelta(seconds=rule.window_s)
    recent = [fire for fire in view.picture.fires if fire.recorded_at >= since]
    for job, fires in by_job(recent).items():
        failures = failures_in_a_row(fires)
        if not failures:
            continue
        failed = [fire for fire in fires if fire.succeeded is False][:failures]
        success = next((fire for fire in fires if fire.succeeded), None)
        when = "" if success is None else f"it last succeeded at {success.fire_at:%Y-%m-%d %H:%M}"
        yield Measure(
            subject=job,
            value=failures,
            since=failed[-1].finished_at or failed[-1].fire_at,
            summary=f"{job!r} failed {failures} times in a row",
            cause=when or f"it did not succeed once in {seconds_text(rule.window_s)}",
            remedy=HISTORY,
            execution_id=failed[0].execution_id,
        )


def _queue_age(view: View, rule: AlertRule) -> Iterator[Measure]:  # noqa: ARG001
    without_worker = {queue for queue, _, _ in unserved(view.picture)}
    for queue in view.picture.queues:
        if queue.queue in without_worker:
            continue
        waited_s = (view.picture.now - queue.oldest_queued_at).total_seconds()
        yield Measure(
            subject=queue.queue,
            value=waited_s,
            since=queue.oldest_queued_at,
            summary=(
                f"{queue.depth} wait on {queue.queue!r}, the oldest for {seconds_text(waited_s)}"
            ),
            cause=_why_it_waits(queue.queue, living(view.picture)),
            remedy="start more workers, or see what those that run are doing",
        )


def _why_it_waits(queue: str, workers: Iterable[WorkerRow]) -> str:
    serving = [worker for worker in workers if queue in worker.queues]
    slots = sum(worker.concurrency for worker in serving)
    taken = sum(worker.running for worker in serving)
    said = counted(len(serving), "worker")
    if taken >= slots:
        return f"all {slots} slots of its {said} are taken"
    return (
        f"{taken} of {slots} slots of its {said} are taken: Redis may be away, "
        "the queue suspended, or a queue before it busy"
    )


def _queue_depth(view: View, rule: AlertRule) -> Iterator[Measure]:  # noqa: ARG001
    for queue in view.picture.queues:
        yield Measure(
            subject=queue.queue,
            value=queue.depth,
            since=queue.oldest_queued_at,
            summary=f"{queue.depth} wait on {queue.queue!r}",
            cause=_why_it_waits(queue.queue, living(view.picture)),
            remedy="start more workers, or enqueue less",
        )


def _no_worker(view: View, rule: AlertRule) -> Iterator[Measure]:  # noqa: ARG001
    for queue, waited_s, depth in unserved(view.picture):
        yield Measure(
            subject=queue,
            value=waited_s,
            since=view.picture.now - timedelta(seconds=waited_s),
            summary=f"no worker serves {queue!r}: {depth} wait, {seconds_text(waited_s)} already",
            cause="its workers stopped or died, or the queue's name is misspelt",
            remedy=f"start butler-worker --queues {queue}",
        )


def _lost_worker(view: View, rule: AlertRule) -> Iterator[Measure]:
    gone = lost(view.picture, within_s=rule.window_s)
    for host, number in Counter(worker.host for worker in gone).items():
        names = ", ".join(sorted(worker.name for worker in gone if worker.host == host)[:3])
        yield Measure(
            subject=host,
            value=number,
            since=min(worker.heartbeat_at for worker in gone if worker.host == host),
            summary=f"{counted(number, 'worker')} of {host} died or fell silent ({names})",
            cause="killed for its memory, a crash, a lost host or network",
            remedy=f"look at {host}: its memory, its kernel log, its network",
        )


def _health(view: View, rule: AlertRule) -> Iterator[Measure]:  # noqa: ARG001
    return measures_of_checks(view.checks, now=view.picture.now)


def measures_of_checks(checks: Iterable[HealthCheck], *, now: datetime) -> Iterator[Measure]:
    """A measure for each check that is red and has no rule of its own."""
    for check in checks:
        if check.level is not HealthLevel.UNHEALTHY or check.name in CHECKS_WITH_RULES:
            continue
        subject = check.name if check.subject is None else f"{check.name}:{check.subject}"
        yield Measure(
            subject=subject,
            value=1,
            since=now,
            summary=f"{check.name} is unhealthy: {check.reason}",
            remedy=check.remedy or "",
        )


def _channel(view: View, rule: AlertRule) -> Iterator[Measure]:  # noqa: ARG001
    for trouble in view.channels:
        yield Measure(
            subject=trouble.channel,
            value=trouble.failures,
            since=trouble.since,
            summary=f"alerts do not get through the channel {trouble.channel!r}",
            cause=trouble.error,
            remedy="correct alert_channels; butler alerts test sends a message",
        )


FLEET: Mapping[RuleKind, Measuring] = {
    RuleKind.LATE_FIRE: _late_fire,
    RuleKind.MISSED_FIRE: _missed_fire,
    RuleKind.JOB_BROKEN: _job_broken,
    RuleKind.JOB_FAILING: _job_failing,
    RuleKind.QUEUE_AGE: _queue_age,
    RuleKind.QUEUE_DEPTH: _queue_depth,
    RuleKind.NO_WORKER: _no_worker,
    RuleKind.LOST_WORKER: _lost_worker,
    RuleKind.HEALTH: _health,
    RuleKind.CHANNEL: _channel,
}
