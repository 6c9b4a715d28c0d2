"""``butler stats``: what ran lately, how it ended, how long it took."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

import click

from butler.cli.forms import time_form
from butler.cli.opening import open_ledger
from butler.cli.options import app_options, json_option
from butler.cli.printing import at, put_fields, put_json, put_table
from butler.cli.tasks import say_if_unannounced
from butler.cli.times import PAST
from butler.durations import seconds_text
from butler.monitoring.stats import TopBy, TopOrder

if TYPE_CHECKING:
    from datetime import datetime

    from butler.monitoring.stats import StatsSummary, Timing

COLUMNS = ("ENDED", "FAILED", "RETRIES", "LOST", "WAIT P50", "WAIT P95", "RUN P50", "RUN P95")
EPILOG = """\b
Examples:
  butler stats --since 15m
  butler stats --by task --order failed
  butler stats --every hour --since 2d --task "Send invoice"
  butler stats --json | jq .failure_rate
"""


@click.command(epilog=EPILOG)
@click.option(
    "--since", type=PAST, default="1h", show_default=True, metavar="TIME", help="15m, 2d, or a time"
)
@click.option("--until", type=PAST, metavar="TIME", help="Up to then; else up to now.")
@click.option("--task", metavar="NAME", help="Of this task alone.")
@click.option("--queue", metavar="NAME", help="Of this queue alone.")
@click.option("--by", type=click.Choice(get_args(TopBy)), help="A row for each task or queue.")
@click.option(
    "--every", type=click.Choice(["minute", "hour", "day"]), help="A row for each stretch of time."
)
@click.option(
    "--order",
    type=click.Choice(get_args(TopOrder)),
    default="run_time",
    show_default=True,
    help="With --by: what comes first.",
)
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="--by's")
@json_option
@app_options
def command(
    *,
    since: datetime,
    until: datetime | None,
    task: str | None,
    queue: str | None,
    by: TopBy | None,
    every: Literal["minute", "hour", "day"] | None,
    order: TopOrder,
    limit: int,
    as_json: bool,
    **_: object,
) -> None:
    """Say what ran lately, how it ended, and how long it took.

    Exact at once, also over executions that were removed; kept for 90 days.
    """
    if by and every:
        raise click.UsageError("--by and --every exclude each other")
    if by and task:
        raise click.UsageError("--by and --task exclude each other")
    with open_ledger() as butler:
        stats = butler.stats
        if by:
            rows = stats.top(by=by, order=order, since=since, until=until, queue=queue, limit=limit)
            named = [(row.name, row.summary) for row in rows]
            _put_rows(by, named, as_json=as_json)
            return
        if every:
            points = stats.timeseries(step=every, since=since, until=until, task=task, queue=queue)
            _put_rows(every, [(str(at(p.since)), p) for p in points], as_json=as_json)
        else:
            points = [stats.summary(since=since, until=until, task=task, queue=queue)]
            _put_one(points[0], as_json=as_json)
        if task is not None and not any(p.attempts or p.ended for p in points):
            say_if_unannounced(butler, task)


def summary_form(summary: StatsSummary) -> dict[str, Any]:
    """A summary as JSON."""
    return {
        "since": time_form(summary.since),
        "until": time_form(summary.until),
        "ended": summary.ended,
        "succeeded": summary.succeeded,
        "failed": summary.failed,
        "cancelled": summary.cancelled,
        "expired": summary.expired,
        "failure_rate": summary.failure_rate,
        "ended_per_s": summary.ended_per_s,
        "attempts": summary.attempts,
        "retries": summary.retries,
        "timed_out": summary.timed_out,
        "lost": summary.lost,
        "crashed": summary.crashed,
        "wait": _timing_form(summary.wait),
        "run": _timing_form(summary.run),
    }


def summary_cells(summary: StatsSummary) -> tuple[object, ...]:
    """A summary as cells under `COLUMNS`."""
    return (
        summary.ended,
        summary.failed,
        summary.retries,
        summary.lost + summary.crashed,
        _duration(summary.wait.p50_s),
        _duration(summary.wait.p95_s),
        _duration(summary.run.p50_s),
        _duration(summary.run.p95_s),
    )


def _put_rows(kind: str, rows: list[tuple[str, StatsSummary]], *, as_json: bool) -> None:
    if as_json:
        put_json({f"{kind}s": [{kind: name, **summary_form(each)} for name, each in rows]})
        return
    cells = [(name, *summary_cells(each)) for name, each in rows]
    put_table((kind.upper(), *COLUMNS), cells, empty="nothing ended")


def _put_one(summary: StatsSummary, *, as_json: bool) -> None:
    if as_json:
        put_json(summary_form(summary))
        return
    rate = summary.failure_rate
    put_fields(
        [
            ("since", at(summary.since)),
            ("until", at(summary.until)),
            ("ended", f"{summary.ended} ({summary.ended_per_s:.3g} a second)"),
            ("succeeded", summary.succeeded),
            ("failed", f"{summary.failed}" + (f" ({rate:.1%})" if rate else "")),
            ("cancelled", f"{summary.cancelled}" + _expired(summary)),
            ("attempts", summary.attempts),
            ("retries", summary.retries),
            ("timed out", summary.timed_out),
            ("lost", f"{summary.lost} with their worker, {summary.crashed} with their process"),
            ("wait", _timing(summary.wait)),
            ("run", _timing(summary.run)),
        ]
    )


def _expired(summary: StatsSummary) -> str:
    return f" ({summary.expired} expired)" if summary.expired else ""


def _timing(timing: Timing) -> str | None:
    if timing.mean_s is None:
        return None
    shown = (("p50", timing.p50_s), ("p95", timing.p95_s), ("p99", timing.p99_s))
    quantiles = ", ".join(f"{name} {_duration(value)}" for name, value in shown)
    return f"{quantiles}, mean {_duration(timing.mean_s)}"


def _timing_form(timing: Timing) -> dict[str, float | None]:
    return {
        "total_s": timing.total_s,
        "mean_s": timing.mean_s,
        "p50_s": timing.p50_s,
        "p95_s": timing.p95_s,
        "p99_s": timing.p99_s,
    }


def _duration(value: float | None) -> str | None:
    return None if value is None else seconds_text(value)
