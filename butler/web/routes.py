"""The door of each route, in one place: the caller's role and scope, the audit row, repeats.

A route cannot be written without saying which role it needs (`Resource`). The door opens before the
body is read: a stranger makes us parse nothing.
"""

from __future__ import annotations

import logging
from functools import cached_property
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from fastapi.routing import APIRoute

from butler.api_tokens import Role
from butler.errors import QueueUnavailable
from butler.ids import new_id
from butler.log import log_event
from butler.storage.access import AuditEntry
from butler.web.headers import LONGEST_REASON, REASON, change_headers
from butler.web.openapi import API, responses
from butler.web.problems import FORBIDDEN, NOT_AUDITED, FieldError, Problem, invalid, problem_of
from butler.web.repeats import answered_once
from butler.web.request_ids import current_request_id
from butler.web.short_ways import plain_answer

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from starlette.requests import Request
    from starlette.responses import Response

    from butler.web.callers import Caller
    from butler.web.services import Web

    Handler = Callable[[Request], Coroutine[Any, Any, Response]]

logger = logging.getLogger(__name__)

ROLE = "x-butler-role"
WHOLE_LEDGER = "x-butler-whole-ledger"
OPEN_QUERY = "x-butler-open-query"
ASKS = "x-butler-asks"
UNREPEATABLE = "x-butler-unrepeatable"

_SAFE = frozenset({"GET", "HEAD"})


class Resource(APIRouter):
    """The routes of one kind of thing; each names the role it needs."""

    def __init__(self, name: str, *, prefix: str | None = None) -> None:
        super().__init__(
            prefix=f"{API}/{name}" if prefix is None else prefix, tags=[name], route_class=Door
        )
        self.resource_name = name

    def route_for(
        self,
        method: str,
        path: str,
        *,
        role: Role,
        answers: tuple[int, ...] = (),
        whole_ledger: bool = False,
        open_query: str | None = None,
        changes: bool = True,
        repeats: bool = True,
        often: bool = False,
        **options: Any,
    ) -> Callable[[Any], Any]:
        """Decorates a handler. ``answers`` are the problems it may answer with besides the usual.

        ``changes`` False is for a POST that only asks, ``repeats`` False for a reply that must not
        be kept anywhere. ``whole_ledger`` shuts out callers that have a scope. ``open_query`` is
        the beginning of query parameters that have no fixed names. ``often`` is for a handler with
        a body and no other parameter: see `butler.web.short_ways`.
        """
        extra = {ROLE: role.value} | options.pop("openapi_extra", {})
        if whole_ledger:
            extra[WHOLE_LEDGER] = True
        if not changes:
            extra[ASKS] = True
        if not repeats:
            extra[UNREPEATABLE] = True
        if open_query is not None:
            extra[OPEN_QUERY] = open_query
        if method not in _SAFE and changes:
            extra["parameters"] = change_headers(method, answers, repeats=repeats)
            # The same request may be under way.
            answers = (*answers, 409) if repeats else answers

        def add(handler: Any) -> Any:
            self.add_api_route(
                path,
                handler,
                methods=[method],
                operation_id=f"{self.resource_name.replace('-', '_')}_{handler.__name__}",
                name=f"{self.resource_name}.{handler.__name__}",
                responses=responses(method, answers) | options.pop("responses", {}),
                openapi_extra=extra,
                response_model_exclude_unset=False,
                **options,
            )
            door = self.routes[-1]
            assert isinstance(door, Door)
            door.often = often
            return handler

        return add


class Door(APIRoute):
    """A route that opens for whom it may."""

    often = False
    """Whether it is to be found without the framework's router."""

    def get_route_handler(self) -> Handler:
        """What answers a request that FastAPI has brought here."""
        return self._behind_door(super().get_route_handler())

    @cached_property
    def short_way(self) -> Handler:
        """What answers a request that was found to be for this route without it."""
        return self._behind_door(plain_answer(self.endpoint, status=self.status_code or 200))

    def _behind_door(self, answer: Handler) -> Handler:
        extra = self.openapi_extra or {}
        needed = Role(extra[ROLE])
        whole_ledger = bool(extra.get(WHOLE_LEDGER))
        known, beginning = _query_names(self), extra.get(OPEN_QUERY)
        asks, repeats = bool(extra.get(ASKS)), not extra.get(UNREPEATABLE)

        async def open_door(request: Request) -> Response:
            web: Web = request.app.state.web
            caller = await web.gate.caller(request)
            request.state.caller, request.state.caller_name = caller, caller.name
            change = request.method not in _SAFE and not asks
            try:
                _check_may(caller, needed, whole_ledger=whole_ledger)
                _check_query(request, known, beginning)
                if not change:
                    return await answer(request)
                if repeats:
                    response, repeated = await answered_once(
                        request, caller, butler=web.butler, answer=answer
                    )
                else:
                    response, repeated = await answer(request), False
            except Exception as error:
                status = _audited_status(error)
                if change and status is not None:
                    await _audit(web, request, caller, action=self.name, status=status)
                raise
            if not repeated:
                await _audit(web, request, caller, action=self.name, status=response.status_code)
            return response

        return open_door


def _audited_status(error: Exception) -> int | None:
    """The status of an error that the audit log is to have; None where nothing can have changed."""
    problem = problem_of(error)
    # Without Redis the ledger may have been changed all the same.
    if problem is None or not (problem.kind is FORBIDDEN or isinstance(error, QueueUnavailable)):
        return None
    return problem.kind.status


def note(request: Request, *, target: str | None = None, **details: Any) -> None:
    """What the audit row of this request is to say besides: of what, and how much of it."""
    if target is not None:
        request.state.audit_target = target
    request.state.audit_details = details


def _check_may(caller: Caller, needed: Role, *, whole_ledger: bool) -> None:
    if not caller.role.may(needed):
        raise Problem(
            FORBIDDEN, f"this needs the role {needed}, {caller.name!r} is a {caller.role}"
        )
    if whole_ledger and not caller.scope.everything:
        raise Problem(FORBIDDEN, f"this is about the whole ledger, and {caller.name!r} has a scope")


def _check_query(request: Request, known: frozenset[str], beginning: str | None) -> None:
    """A misspelt filter must not pass for none."""
    unknown = [
        name
        for name in request.query_params
        if name not in known and not (beginning is not None and name.startswith(beginning))
    ]
    if unknown:
        there = ", ".join(sorted(known)) or "none"
        raise invalid(
            [
                FieldError(loc=["query", name], msg=f"unknown parameter; known: {there}")
                for name in unknown
            ]
        )


def _query_names(route: APIRoute) -> frozenset[str]:
    names: set[str] = set()
    for field in route.dependant.query_params:
        model = getattr(field.field_info.annotation, "model_fields", None)
        if model is None:
            names.add(field.alias)
        else:
            names.update(each.alias or name for name, each in model.items())
    return frozenset(names)


async def _audit(web: Web, request: Request, caller: Caller, *, action: str, status: int) -> None:
    target = getattr(request.state, "audit_target", None)
    entry = AuditEntry(
        id=new_id(),
        actor=caller.name,
        role=caller.role.value,
        action=action,
        target=target or next(iter(request.path_params.values()), None),
        status=status,
        address=web.gate.address(request),
        request_id=current_request_id.get(),
        reason=request.headers.get(REASON, "")[:LONGEST_REASON] or None,
        details=getattr(request.state, "audit_details", {}),
    )
    try:
        await web.audit.write(entry)
    except Exception as error:
        log_event(logger, logging.ERROR, "web.not_audited", action=action, target=entry.target)
        if status < Problem(FORBIDDEN, "").kind.status:
            raise Problem(NOT_AUDITED, "what was asked for is done") from error
        raise
