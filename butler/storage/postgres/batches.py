"""Cutting the one value that cannot be stored out of a batch.

A batch is one statement, so one NUL in one result fails it whole, and would for ever. The batch is
halved until the culprit stands alone: log2(n) more statements for each side of a cut, and only
when there is a culprit. Rejected: checking every value in Python first, which costs every batch
what this costs one in a million, and never knows all that Postgres refuses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_Item = TypeVar("_Item")
_Reply = TypeVar("_Reply")


def run_in_halves(
    items: Sequence[_Item],
    *,
    run: Callable[[Sequence[_Item]], list[_Reply]],
    alone: Callable[[_Item, str], _Reply],
) -> list[_Reply]:
    """One reply for each item, in order; ``alone`` gets each culprit and the reason."""
    from butler.storage.postgres.driver import data_refusal

    if not items:
        return []
    try:
        return run(items)
    except Exception as error:
        reason = data_refusal(error)
        if reason is None:
            raise
        if len(items) == 1:
            return [alone(items[0], reason)]
    middle = len(items) // 2
    return [
        *run_in_halves(items[:middle], run=run, alone=alone),
        *run_in_halves(items[middle:], run=run, alone=alone),
    ]
