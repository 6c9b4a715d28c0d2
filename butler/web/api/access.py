"""``/tokens``, ``/audit`` and ``/me``: who may call, who changed what, who is calling."""

from typing import Annotated

from fastapi import Query, Request

from butler.api_tokens import Role
from butler.storage.access import AuditQuery
from butler.web.models.base import Moment
from butler.web.models.system import (
    AuditLog,
    IssuedTokenShown,
    NewTokenGiven,
    ShownCaller,
    ShownToken,
    TokenList,
)
from butler.web.routes import Resource, note
from butler.web.services import CallerDep, WebDep

tokens = Resource("tokens")
audit = Resource("audit")
me = Resource("me")


@tokens.route_for("GET", "", role=Role.ADMIN, whole_ledger=True)
async def find(web: WebDep) -> TokenList:
    """All tokens, by name, also those that were revoked; never what is secret of them."""
    return TokenList.model_validate({"tokens": await web.call(web.butler.tokens.list)})


@tokens.route_for(
    "POST", "", role=Role.ADMIN, status_code=201, answers=(409,), whole_ledger=True, repeats=False
)
async def create(
    new: NewTokenGiven, request: Request, web: WebDep, caller: CallerDep
) -> IssuedTokenShown:
    """Make a token. What its owner sends is in this answer, and nowhere else afterwards."""
    options = new.model_dump(exclude={"name"})
    issued = await web.call(
        lambda: web.butler.tokens.create(new.name, created_by=caller.name, **options)
    )
    note(request, target=issued.token.id, name=new.name, role=new.role.value)
    token = ShownToken.model_validate(issued.token)
    return IssuedTokenShown(**token.model_dump(), secret=issued.secret)


@tokens.route_for("DELETE", "/{token}", role=Role.ADMIN, answers=(404,), whole_ledger=True)
async def revoke(token: str, request: Request, web: WebDep) -> ShownToken:
    """End a token, by its id or its name; it is refused within five seconds everywhere."""
    found = await web.call(lambda: web.butler.tokens.revoke(token))
    web.gate.forget_tokens()
    note(request, target=found.id, name=found.name)
    return ShownToken.model_validate(found)


@audit.route_for("GET", "", role=Role.ADMIN, whole_ledger=True)
async def entries(
    web: WebDep,
    actor: Annotated[str | None, Query(max_length=200, description="A token's name.")] = None,
    action: Annotated[
        str | None, Query(max_length=100, description="`executions`, or `executions.cancel`.")
    ] = None,
    target: Annotated[str | None, Query(max_length=200, description="An id.")] = None,
    since: Moment | None = None,
    until: Moment | None = None,
    cursor: Annotated[str | None, Query(max_length=36)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> AuditLog:
    """Who changed what, from where and why, newest first; kept for a year."""
    query = AuditQuery(
        actor=actor,
        action=action,
        target=target,
        since=since,
        until=until,
        after=cursor,
        limit=limit,
    )
    return AuditLog.model_validate(await web.call(lambda: web.butler.storage.audit(query)))


@me.route_for("GET", "", role=Role.VIEWER)
async def whoami(caller: CallerDep) -> ShownCaller:
    """Who is calling, and what exists for them."""
    scope = caller.scope
    return ShownCaller(
        name=caller.name, role=caller.role, queues=sorted(scope.queues), tags=sorted(scope.tags)
    )
