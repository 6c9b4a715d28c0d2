"""One step for many executions: those with certain ids, or all that a filter lets through.

A filter may find a million. They are walked newest first, a page of ids at a time, and no further
than a limit: what is left is behind a cursor. So no call takes long, and one that is cut off can be
repeated, because each step leaves alone what it has done already.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias, assert_never

from butler.errors import InvalidOption
from butler.executions import TERMINAL, ExecutionStatus
from butler.lifecycle import RETRYABLE
from butler.storage.base import MAX_BATCH

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from butler.app import Butler
    from butler.storage.records import ExecutionQuery, Moved, Standing

StepAction: TypeAlias = Literal["cancel", "retry", "delete"]

MAX_MATCHES = 10_000
# Pages that are empty, because nothing matched among the rows that were looked at, count too.
MAX_PAGES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReport:
    """What a step for many did, or with ``dry_run`` would do.

    ``unchanged`` counts those that were left as they are, by their status, and under ``unknown``
    those that do not exist. ``next_cursor`` goes on behind the last one that was looked at.
    """

    dry_run: bool
    matched: int
    changed: int
    unchanged: dict[str, int]
    next_cursor: str | None = None


def step_for_ids(
    butler: Butler, action: StepAction, ids: Sequence[str], *, dry_run: bool = False
) -> StepReport:
    """Do it for these; those that do not exist are counted as ``unknown``."""
    if dry_run:
        standings = {s.id: s.status for s in _standings(butler, ids)}
        statuses: list[ExecutionStatus | None] = [standings.get(id_) for id_ in ids]
        return _foreseen(action, statuses)
    return _done(_moves(butler, action, ids))


def step_for_matches(
    butler: Butler,
    action: StepAction,
    query: ExecutionQuery,
    *,
    limit: int = MAX_MATCHES,
    dry_run: bool = False,
) -> StepReport:
    """Do it for the newest ``limit`` (1..10,000) that match. Raises `InvalidOption`."""
    if not 1 <= limit <= MAX_MATCHES:
        raise InvalidOption(f"limit must be in 1..{MAX_MATCHES}, got {limit!r}")
    reports: list[StepReport] = []
    cursor = query.after
    for found, next_cursor in _walk(butler, query, limit=limit):
        cursor = next_cursor
        if dry_run:
            reports.append(_foreseen(action, list(found.values())))
        else:
            reports.append(_done(_moves(butler, action, list(found))))
    return _together(reports, dry_run=dry_run, next_cursor=cursor)


def _walk(
    butler: Butler, query: ExecutionQuery, *, limit: int
) -> Iterator[tuple[dict[str, ExecutionStatus], str | None]]:
    """What matches, a page at a time, each with the cursor of the next one."""
    left, cursor = limit, query.after
    for _ in range(MAX_PAGES):
        page = butler.storage.find(
            replace(
                query,
                after=cursor,
                limit=min(left, MAX_BATCH),
                with_request=False,
                with_result=False,
            )
        )
        cursor = page.next_cursor
        left -= len(page.executions)
        yield {each.id: each.status for each in page.executions}, cursor
        if cursor is None or left <= 0:
            return


def _moves(butler: Butler, action: StepAction, ids: Sequence[str]) -> list[Moved]:
    match action:
        case "cancel":
            return butler.cancel_many(ids)
        case "retry":
            return butler.retry_many(ids)
        case "delete":
            return butler.delete_many(ids)
    assert_never(action)


def _standings(butler: Butler, ids: Sequence[str]) -> Iterator[Standing]:
    for first in range(0, len(ids), MAX_BATCH):
        yield from butler.storage.standings(ids[first : first + MAX_BATCH])


def _is_open_to(action: StepAction, status: ExecutionStatus | None) -> bool:
    match action:
        case "cancel":
            return status is not None and status not in TERMINAL
        case "retry":
            return status in RETRYABLE
        case "delete":
            return status in TERMINAL
    assert_never(action)


def _foreseen(action: StepAction, statuses: Sequence[ExecutionStatus | None]) -> StepReport:
    left = [status for status in statuses if not _is_open_to(action, status)]
    return StepReport(
        dry_run=True,
        matched=len(statuses),
        changed=len(statuses) - len(left),
        unchanged=_counted(left),
    )


def _done(moves: Sequence[Moved]) -> StepReport:
    left = [move.before for move in moves if not move.changed]
    return StepReport(
        dry_run=False,
        matched=len(moves),
        changed=len(moves) - len(left),
        unchanged=_counted(left),
    )


def _counted(statuses: Sequence[ExecutionStatus | None]) -> dict[str, int]:
    return dict(Counter("unknown" if status is None else str(status) for status in statuses))


def _together(
    reports: Sequence[StepReport], *, dry_run: bool, next_cursor: str | None
) -> StepReport:
    unchanged: Counter[str] = Counter()
    for report in reports:
        unchanged.update(report.unchanged)
    return StepReport(
        dry_run=dry_run,
        matched=sum(report.matched for report in reports),
        changed=sum(report.changed for report in reports),
        unchanged=dict(unchanged),
        next_cursor=next_cursor,
    )
