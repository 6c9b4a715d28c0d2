"""How much of each trouble tasks have: one function for each kind of rule (pure).

Each returns a `Measure` for every subject that has any of it, whatever a rule's threshold, so that
rules of one kind that look equally far back share one measuring.
"""

from __future__ import annotations

import shlex
from collections import defaultdict
from datetime import timedelta
from typing import TYPE_CHECKING

from butler.durations import seconds_text
from butler.lifecycle import CRASHES_ALONE, UNKNOWN_TASK
from butler.monitoring.alerts.measure import Measure
from butler.monitoring.alerts.rule import RuleKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from butler.monitoring.alerts.measure import View
    from butler.monitoring.alerts.rule import AlertRule
    from butler.storage.monitoring_records import End

    Measuring = Callable[[View, AlertRule], Iterable[Measure]]

SHORTEST_LONG_RUN_S = 60.0
_ASK_STATISTICS_OF = 20


def _in_a_row(view: View, rule: AlertRule) -> Iterator[Measure]:
    since = view.picture.now - timedelta(seconds=rule.window_s)
    asked = 0
    for task, ends in _by_task(view.picture.ends).items():
        failures = _newest_failures(ends)
        if len(failures) > 1 and asked < _ASK_STATISTICS_OF:
            # The picture holds the newest ends only: a success before them counts as well.
            asked += 1
            oldest = max(since, failures[-1].finished_at)
            success_at = view.figures.last_success(task, since=oldest)
            if success_at is not None:
                failures = [end for end in failures if end.finished_at >= success_at]
        failures = [end for end in failures if end.finished_at >= since]
        if failures:
            yield Measure(
                subject=task,
                value=len(failures),
                since=failures[-1].finished_at,
                summary=f"{task!r} failed {len(failures)} times in a row",
                cause=f"the last error: {failures[0].error or 'none was recorded'}",
                remedy=f"correct the task, then retry what failed; {_shown(task)}",
                execution_id=failures[0].id,
            )


def _newest_failures(ends: Sequence[End]) -> list[End]:
    failures = []
    for end in ends:
        if end.succeeded:
            break
        failures.append(end)
    return failures


def _failure_rate(view: View, rule: AlertRule) -> Iterator[Measure]:
    errors = _last_failures(view)
    begin = view.picture.now - timedelta(seconds=rule.window_s)
    firsts = _first_failures(view, since=begin)
    for task, rate in view.figures.rates(rule.window_s).items():
        number = rate.failed + rate.succeeded
        if rate.failed and number >= rule.at_least:
            last = errors.get(task)
            yield Measure(
                subject=task,
                value=rate.share,
                since=firsts.get(task, begin),
                summary=(
                    f"{rate.share:.0%} of {task!r} failed: {rate.failed} of {number} in "
                    f"{seconds_text(rule.window_s)}"
                ),
                cause="" if last is None else f"the last error: {last.error}",
                remedy=f"see which errors there are; {_shown(task)}",
                execution_id=None if last is None else last.id,
            )


def _run_time(view: View, rule: AlertRule) -> Iterator[Measure]:
    now = view.picture.now
    long = [
        (execution, (now - execution.started_at).total_seconds())
        for execution in view.picture.running
        if (now - execution.started_at).total_seconds() >= SHORTEST_LONG_RUN_S
    ]
    usual = view.figures.usual(rule.window_s) if long else {}
    longest: dict[str, Measure] = {}
    for execution, ran_s in long:
        known = usual.get(execution.task)
        if known is None or known.number < rule.at_least or not known.p95_s:
            continue
        found = Measure(
            subject=execution.task,
            value=ran_s / known.p95_s,
            since=execution.started_at + timedelta(seconds=known.p95_s),
            summary=(
                f"{execution.task!r} has run for {seconds_text(ran_s)}; 95 % of its last "
                f"{known.number} successes took at most {seconds_text(known.p95_s)}"
            ),
            cause="it waits for something, or has more to do than usual",
            remedy=f"butler executions logs {execution.id}; butler executions cancel ends it",
            execution_id=execution.id,
        )
        longest[execution.task] = max(
            longest.get(execution.task, found), found, key=lambda each: each.value
        )
    yield from longest.values()


def _run_time_p95(view: View, rule: AlertRule) -> Iterator[Measure]:
    for task, usual in view.figures.usual(rule.window_s).items():
        if usual.number >= rule.at_least:
            yield Measure(
                subject=task,
                value=usual.p95_s,
                since=view.picture.now - timedelta(seconds=rule.window_s),
                summary=(
                    f"the 95th percentile of {task!r} is {seconds_text(usual.p95_s)} over the "
                    f"last {seconds_text(rule.window_s)}"
                ),
                cause="what it calls has become slower, or its requests larger",
                remedy="compare its run times: butler executions list --task",
            )


def _poison(view: View, rule: AlertRule) -> Iterator[Measure]:
    since = view.picture.now - timedelta(seconds=rule.window_s)
    for task, ends in _by_task(view.picture.ends).items():
        killers = [
            end
            for end in ends
            if not end.succeeded and end.crashes >= CRASHES_ALONE and end.finished_at >= since
        ]
        if killers:
            yield Measure(
                subject=task,
                value=len(killers),
                since=killers[-1].finished_at,
                summary=f"{task!r} killed its process {CRASHES_ALONE} times and was given up",
                cause=killers[0].error or "a crash in native code, or too much memory",
                remedy="run it with isolation='process' and a memory_limit_mb to see why",
                execution_id=killers[0].id,
            )


def _unknown(view: View, rule: AlertRule) -> Iterator[Measure]:  # noqa: ARG001
    for task in view.picture.waiting:
        waited_s = (view.picture.now - task.since).total_seconds()
        unknown = task.reason == UNKNOWN_TASK
        what = "knows" if unknown else "has the schema of"
        yield Measure(
            subject=task.task,
            value=waited_s,
            since=task.since,
            summary=(
                f"no worker {what} {task.task!r}: {task.count} wait, "
                f"{seconds_text(waited_s)} already"
            ),
            cause="workers of an older release, or a task that was renamed or removed",
            remedy="deploy workers with the code that enqueued it, or cancel what waits",
        )


TASKS: Mapping[RuleKind, Measuring] = {
    RuleKind.CONSECUTIVE_FAILURES: _in_a_row,
    RuleKind.FAILURE_RATE: _failure_rate,
    RuleKind.RUN_TIME: _run_time,
    RuleKind.RUN_TIME_P95: _run_time_p95,
    RuleKind.POISON_TASK: _poison,
    RuleKind.UNKNOWN_TASK: _unknown,
}


def _by_task(ends: Iterable[End]) -> dict[str, list[End]]:
    """Ends of each task, the latest first."""
    found: dict[str, list[End]] = defaultdict(list)
    for end in sorted(ends, key=lambda each: each.finished_at, reverse=True):
        found[end.task].append(end)
    return found


def _first_failures(view: View, *, since: datetime) -> dict[str, datetime]:
    """When the failures that are seen of each task began, from that moment on."""
    failed = [end for end in view.picture.ends if not end.succeeded and end.finished_at >= since]
    latest_first = sorted(failed, key=lambda each: each.finished_at, reverse=True)
    return {end.task: end.finished_at for end in latest_first}


def _last_failures(view: View) -> dict[str, End]:
    failed = (end for end in view.picture.ends if not end.succeeded)
    return {end.task: end for end in sorted(failed, key=lambda each: each.finished_at)}


def _shown(task: str) -> str:
    """How to see what failed."""
    return f"butler executions list --status failed --task {shlex.quote(task)} shows them"
