"""What became of executions meanwhile, as far as the ledger can say it cheaply.

The ledger keeps no list of changes, and an index by the time of the end would cost each finish. So
this looks at what was created since, at what runs, and at which of the newest 20,000 executions
ended since; and it says whether that can be all. What must be known for certain is asked for by its
id, which is always complete.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from butler.executions import TERMINAL, ExecutionStatus
from butler.storage.finding import ROWS_SCANNED
from butler.storage.records import ExecutionQuery, Standing

if TYPE_CHECKING:
    from datetime import datetime

    from butler.executions import Execution
    from butler.storage.base import Storage

BARE = ExecutionQuery(limit=1_000, with_request=False, with_result=False)


@dataclass(frozen=True, slots=True)
class Changed:
    """How those stand that have changed; ``all_`` False where there may be more."""

    standings: tuple[Standing, ...]
    all_: bool


def changed_since(storage: Storage, since: datetime, *, scan: int = ROWS_SCANNED) -> Changed:
    """What has changed since then, oldest execution first."""
    bare = replace(BARE, scan=scan)
    pages = [
        storage.find(replace(bare, created_after=since)),
        storage.find(
            replace(bare, status=frozenset({ExecutionStatus.RUNNING}), started_after=since)
        ),
        storage.find(replace(bare, status=TERMINAL, finished_after=since)),
    ]
    found = {each.id: each for page in pages for each in page.executions}
    standings = tuple(standing_of(found[id_]) for id_ in sorted(found))
    return Changed(standings, all_=all(page.next_cursor is None for page in pages))


def standing_of(execution: Execution) -> Standing:
    """How an execution stands."""
    return Standing(
        id=execution.id,
        task=execution.task,
        queue=execution.queue,
        tags=execution.tags,
        status=execution.status,
        attempt=execution.attempt,
        progress=execution.progress,
    )
