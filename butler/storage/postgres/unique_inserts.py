"""Writing executions that have a unique key.

One is written only if its key is free. Whoever holds it is found under a new snapshot, and may be
gone by then: so the losers try again. A key that somebody's open transaction has written is neither
free nor taken until that ends, and a holder that it replaces is locked; both are waited for, but
not for long.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from butler.errors import UniqueKeyBusy
from butler.executions import TERMINAL, ExecutionStatus, Priority
from butler.lifecycle import REPLACEABLE
from butler.limiting import fair_key_of
from butler.storage.postgres import literals, rows
from butler.storage.postgres.columns import many_rows, replacement
from butler.storage.records import Inserted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from butler.storage.postgres.connections import PostgresConnections
    from butler.storage.records import NewExecution

_FIRST_PAUSE_S = 0.001
_LONGEST_PAUSE_S = 0.05


class UniqueInserts:
    """Inserts of which some have unique keys; a key is waited for ``wait_s`` seconds (>= 0)."""

    def __init__(self, connections: PostgresConnections, *, wait_s: float) -> None:
        self._connections = connections
        self._wait_s = wait_s
        # 0 would mean no limit.
        self._lock_timeout = f"{max(1, round(wait_s * 1000))}ms"

    def insert(
        self, executions: Sequence[NewExecution], meanwhile: Callable[[], object] | None
    ) -> dict[str, Inserted]:
        """A reply for each id that has one; raises `UniqueKeyBusy`.

        ``meanwhile`` is called once, when they have been sent.
        """
        replies: dict[str, Inserted] = {}
        left = list(executions)
        until = time.monotonic() + self._wait_s
        pause_s = _FIRST_PAUSE_S
        while True:
            self._insert(left, replies, meanwhile)
            meanwhile = None
            left = [new for new in left if new.id not in replies]
            if left:
                known = {"ids": literals.uuids([new.id for new in left])}
                replies |= rows.created(self._connections.run("insert_known", known))
                self._ask_holders([new for new in left if new.id not in replies], replies)
                left = [new for new in left if new.id not in replies]
            if not left:
                return replies
            # A holder has just ended, or somebody is about to change it.
            if time.monotonic() > until:
                raise key_busy(left, waited_s=self._wait_s)
            time.sleep(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    def _insert(
        self,
        executions: Sequence[NewExecution],
        replies: dict[str, Inserted],
        meanwhile: Callable[[], object] | None,
    ) -> None:
        params = many_rows(executions) | {
            "unique_keys": literals.texts([new.unique_key for new in executions]),
            "unique_wait": self._lock_timeout,
        }
        try:
            found = self._connections.ask("insert_unique", params, meanwhile=meanwhile)
        except Exception as error:
            self._explain(error, executions)
            raise
        replies |= rows.created([row for row in found if row[1] is not None])
        self._free([id_ for id_, status in found if status is None])

    def _explain(self, error: BaseException, executions: Sequence[NewExecution]) -> None:
        from butler.storage.postgres.driver import is_key_wait

        if is_key_wait(error):
            raise key_busy(executions, waited_s=self._wait_s) from error

    def _ask_holders(self, losers: Sequence[NewExecution], replies: dict[str, Inserted]) -> None:
        """Reply to those whose key an unfinished execution holds."""
        keyed: dict[tuple[str, str], list[NewExecution]] = {}
        for new in losers:
            if new.unique_key is not None:
                keyed.setdefault((new.task, new.unique_key), []).append(new)
        if not keyed:
            return
        params = {
            "tasks": literals.texts([task for task, _ in keyed]),
            "keys": literals.texts([key for _, key in keyed]),
        }
        stale: list[str] = []
        for task, key, holder, status in self._connections.run("unique_holders", params):
            found = rows.STATUS[status]
            if found is None or found in TERMINAL:
                stale.append(holder)
                continue
            for new in keyed[task, key]:
                reply = self._take_over(holder, new, status=found)
                if reply is not None:
                    replies[new.id] = reply
        self._free(stale)

    def _take_over(
        self, holder: str, new: NewExecution, *, status: ExecutionStatus
    ) -> Inserted | None:
        """What becomes of one that met a holder; None when the holder moved on meanwhile."""
        if not new.replace or status not in REPLACEABLE:
            return Inserted(id=holder, created=False, status=status)
        found = self._connections.run("replace", replacement(new) | {"holder": holder})
        for row in found:
            entry = rows.entry(row, fair_key=fair_key_of(new.limit_keys))
            now, before = rows.STATUS[row[7]], rows.STATUS[row[8]]
            assert now is not None
            left = replace(entry, queue=row[9], priority=Priority(row[10]), fair_key=row[11])
            return Inserted(
                id=holder,
                created=False,
                status=now,
                replaced=True,
                left=left if before is ExecutionStatus.QUEUED else None,
                entry=entry if now is ExecutionStatus.QUEUED else None,
            )
        return None

    def _free(self, holders: Sequence[str]) -> None:
        if holders:
            self._connections.run("unique_free", {"ids": literals.uuids(holders)})


def key_busy(executions: Sequence[NewExecution], *, waited_s: float) -> UniqueKeyBusy:
    """The error for a batch of which one key was waited for in vain."""
    keyed = [new for new in executions if new.unique_key is not None]
    keys = [new.unique_key for new in keyed if new.unique_key is not None]
    return UniqueKeyBusy(keyed[0].task, list(dict.fromkeys(keys)), waited_s=waited_s)
