"""``/limits``: how many may run under a name, and how often one may start."""

from typing import Annotated

from fastapi import Path, Query

from butler.api_tokens import Role
from butler.steering import MAX_LIMIT_NAME_CHARS
from butler.storage.limits import LimitKind, LimitRow
from butler.web.models.queues import LimitPage, NewLimit, ShownLimit
from butler.web.problems import NOT_FOUND, Problem
from butler.web.routes import Resource
from butler.web.services import Web, WebDep

router = Resource("limits")

Name = Annotated[
    str,
    Path(
        max_length=MAX_LIMIT_NAME_CHARS, description="A task's, a key's, or `queue:` and a queue's."
    ),
]


@router.route_for("GET", "", role=Role.VIEWER, whole_ledger=True)
async def find(
    web: WebDep,
    kind: LimitKind | None = None,
    cursor: Annotated[
        str | None, Query(max_length=MAX_LIMIT_NAME_CHARS, description="The `next_cursor` before.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> LimitPage:
    """Every name with a rule, a pause, or something that runs under it; by name."""
    known = await web.call(web.butler.limits.list)
    # Not in the database's order, which is its collation's.
    rows = sorted((row for row in known if kind in (None, row.kind)), key=lambda row: row.name)
    rows = [row for row in rows if cursor is None or row.name > cursor]
    shown = [ShownLimit.of(row) for row in rows[:limit]]
    return LimitPage(limits=shown, next_cursor=shown[-1].name if len(rows) > limit else None)


@router.route_for("GET", "/{name:path}", role=Role.VIEWER, whole_ledger=True, answers=(404,))
async def get(name: Name, web: WebDep) -> ShownLimit:
    """What holds under one name."""
    return ShownLimit.of(await _row(name, web))


@router.route_for("PUT", "/{name:path}", role=Role.OPERATOR, whole_ledger=True, answers=(404,))
async def put(name: Name, new: NewLimit, web: WebDep) -> ShownLimit:
    """Allow this from now on, whatever code says. What waits and may go now is woken."""
    said = new.model_dump()
    await web.call(lambda: web.butler.limits.set(name, **said))
    return ShownLimit.of(await _row(name, web))


@router.route_for(
    "DELETE", "/{name:path}", role=Role.OPERATOR, whole_ledger=True, status_code=204, answers=(404,)
)
async def delete(name: Name, web: WebDep) -> None:
    """Take back what an operator said: code's word holds again."""
    row = await _row(name, web)
    if row.given is None:
        raise Problem(NOT_FOUND, f"nobody has set the limit {name!r}: it is what code declares")
    await web.call(lambda: web.butler.limits.reset(name))


async def _row(name: str, web: Web) -> LimitRow:
    for row in await web.call(web.butler.limits.list):
        if row.name == name:
            return row
    raise Problem(NOT_FOUND, f"nothing is limited, and nothing runs, under the name {name!r}")
