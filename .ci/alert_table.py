"""Write the table of docs/alerts.md from the built-in rules; --check only compares.

What messages say is made by the code that makes them, from a day on which everything is wrong.
"""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from butler.durations import seconds_text
from butler.monitoring.alerts.built_in import BUILT_IN
from butler.monitoring.alerts.measure import ChannelTrouble, Figures, Rate, Usual, View
from butler.monitoring.alerts.measuring import Measures
from butler.monitoring.alerts.rule import AlertRule, RuleKind
from butler.monitoring.alerts.watchman import LOOK_EVERY_S
from butler.monitoring.health.verdict import unhealthy
from butler.storage.monitoring_records import (
    End,
    LedgerPicture,
    QueuePicture,
    RunningExecution,
    WaitingTask,
    WatchedFire,
    WatchedJob,
)
from butler.storage.records import WorkerRow

PAGE = Path(__file__).parents[1] / "docs" / "alerts.md"
PLACE = re.compile(
    r"(?<=^## The rules that hold by themselves\n)(.*?\n\n)(?:^\|.*?\n)+", re.MULTILINE | re.DOTALL
)
HEAD = (
    "| rule | alerts at | opens | resolved | says, for example | to do |\n"
    "| --- | --- | --- | --- | --- | --- |\n"
)
NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
UNITS = {
    RuleKind.CONSECUTIVE_FAILURES: "{n:g} in a row",
    RuleKind.FAILURE_RATE: "{n:.0%} of {least} or more in {window}",
    RuleKind.RUN_TIME: "{n:g} times its usual time, and a minute",
    RuleKind.LATE_FIRE: "{n:g} s late",
    RuleKind.MISSED_FIRE: "{n:g} in {window}",
    RuleKind.JOB_BROKEN: "one",
    RuleKind.JOB_FAILING: "{n:g} in a row",
    RuleKind.QUEUE_AGE: "{n:g} s",
    RuleKind.QUEUE_DEPTH: "{n:,.0f}",
    RuleKind.NO_WORKER: "{n:g} s",
    RuleKind.LOST_WORKER: "{n:g} in {window}",
    RuleKind.POISON_TASK: "{n:g} in {window}",
    RuleKind.UNKNOWN_TASK: "{n:g} s",
    RuleKind.HEALTH: "unhealthy",
    RuleKind.CHANNEL: "{n:g} tries in a row",
}


class Statistics(Figures):
    """A task that fails often, and one that is usually quick."""

    def rates(self, window_s: float) -> dict[str, Rate]:  # noqa: ARG002
        """By task."""
        return {"Send mail": Rate(succeeded=30, failed=12)}

    def usual(self, window_s: float) -> dict[str, Usual]:  # noqa: ARG002
        """By task."""
        return {"Report": Usual(number=250, p95_s=20.0)}


def ago(**delta: float) -> datetime:
    """A moment before."""
    return NOW - timedelta(**delta)


def worker(**options: object) -> WorkerRow:
    """One of host alpha, with one slot, which is taken."""
    given: dict[str, object] = {"lost": False, "heartbeat_at": NOW, **options}
    return WorkerRow(  # type: ignore[arg-type]
        id="w", name="alpha.17", host="alpha", pid=17, queues=("mail",), tasks=(), concurrency=16,
        running=16, started_at=NOW, stopped_at=None, **given,
    )  # fmt: skip


def end(task: str, **options: object) -> End:
    """One that failed."""
    given: dict[str, object] = {"error": "ConnectionRefusedError: [Errno 111]", **options}
    return End(  # type: ignore[arg-type]
        id="e", task=task, queue="mail", succeeded=False, finished_at=ago(minutes=1), took_s=1.0,
        **given,
    )  # fmt: skip


def failed_fire(minutes: int) -> WatchedFire:
    """One of a job whose executions fail."""
    at = ago(minutes=minutes)
    return WatchedFire(
        job="Invoices", fire_at=at, recorded_at=at, outcome="fired", execution_id="e",
        succeeded=False, finished_at=at, took_s=1.0,
    )  # fmt: skip


def bad_day() -> View:
    """Everything is wrong."""
    missed = WatchedFire(
        job="Nightly", fire_at=ago(hours=9), recorded_at=ago(minutes=5), outcome="missed",
        execution_id=None, succeeded=None, finished_at=None, took_s=None,
    )  # fmt: skip
    broken = "no task named 'Clean up'"
    picture = LedgerPicture(
        now=NOW,
        leader="s",
        queues=(
            QueuePicture(queue="mail", depth=81_204, oldest_queued_at=ago(minutes=6)),
            QueuePicture(queue="mial", depth=3, oldest_queued_at=ago(seconds=40)),
        ),
        waiting=(
            WaitingTask(task="Send fax", reason="unknown_task", count=2, since=ago(minutes=11)),
        ),
        running=(
            RunningExecution(
                id="0195…", task="Report", queue="mail", worker_id="w", started_at=ago(minutes=2),
                timeout_s=None,
            ),
        ),
        ends=(*[end("Send mail")] * 5, end("Resize", crashes=3, error="killed by signal 11")),
        workers=(worker(), worker(lost=True, heartbeat_at=ago(seconds=20))),
        jobs=(
            WatchedJob(id="1", name="Hourly", task="t", due_at=ago(seconds=70), broken_reason=None),
            WatchedJob(id="2", name="Tidy", task="t", due_at=None, broken_reason=broken),
        ),
        fires=(missed, *map(failed_fire, (1, 2, 3))),
    )  # fmt: skip
    slow = unhealthy("postgres", "answers in 1.4 s", "look at its load, its disk and the network")
    trouble = ChannelTrouble(
        channel="slack", failures=3, since=NOW, error="hooks.slack.com answered 404"
    )
    return View(picture=picture, checks=(slow,), figures=Statistics(), channels=(trouble,))


def row(rule: AlertRule, measures: Measures) -> str:
    """A rule as a line of the table."""
    measure = max(measures.of(rule), key=lambda each: each.value)
    assert measure.value >= rule.threshold, rule.name
    says = measure.summary + (f"; likely cause: {measure.cause}" if measure.cause else "")
    cells = (
        f"`{rule.name}`",
        UNITS[rule.kind].format(
            n=rule.threshold, least=rule.at_least, window=seconds_text(rule.window_s)
        ),
        f"within {LOOK_EVERY_S + rule.open_after_s:g} s",
        resolved(rule),
        says,
        measure.remedy,
    )
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |\n"


def resolved(rule: AlertRule) -> str:
    """When an alert of it is over."""
    below = ""
    if rule.resolve_below < 1:
        number = rule.threshold * rule.resolve_below
        shown = f"{number:.1%}" if rule.kind is RuleKind.FAILURE_RATE else f"{number:,.0f}"
        below = f"at {shown} or less for " if rule.resolve_after_s else f"at {shown} or less"
    if rule.resolve_after_s:
        return f"{below or 'over for '}{rule.resolve_after_s:g} s"
    return below or f"within {LOOK_EVERY_S:g} s of its end"


def main() -> None:
    """Rewrite the page, or end with 1 if it would change."""
    before = PAGE.read_text(encoding="utf-8")
    measures = Measures(bad_day())
    table = HEAD + "".join(row(rule, measures) for rule in BUILT_IN)
    after = PLACE.sub(lambda place: place[1] + table, before, count=1)
    if before == after:
        return
    if "--check" in sys.argv:
        sys.exit(f"{PAGE.name} is not what the rules say: make docs")
    PAGE.write_text(after, encoding="utf-8")


if __name__ == "__main__":
    main()
