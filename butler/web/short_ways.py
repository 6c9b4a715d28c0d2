"""`ShortWays`: what comes by the thousand goes past the framework.

Around a handler that enqueues one execution, FastAPI's routing, exit stacks, resolved dependencies
and checked replies cost twice what the handler does. So the routes that say ``often`` are found
here by method and path, and get their body, already read as their model, from here. They stay
routes like all others in the document; their doors, their models, their answers and their problems
are the same, which a test compares.

Rejected: an application without FastAPI, whose document nobody would check any more.
"""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from butler.web.problems import (
    MALFORMED,
    FieldError,
    Problem,
    field_error,
    invalid,
    not_named_json,
    problem_of,
)
from butler.web.services import web_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Mapping

    from starlette.types import ASGIApp, Receive, Scope, Send

    from butler.web.routes import Door

    Handler = Callable[[Request], Coroutine[Any, Any, Response]]

JSON = "application/json"


class ShortWays:
    """Answers what goes to a route that is often asked; the application has the rest."""

    def __init__(self, app: ASGIApp, *, routes: Iterable[Door]) -> None:
        self._app = app
        self._ways = {
            (method, route.path): route for route in routes for method in route.methods or ()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        route = self._route(scope)
        if route is None:
            await self._app(scope, receive, send)
            return
        scope["route"] = route
        request = Request(scope, receive, send)
        try:
            response = await route.short_way(request)
        except Exception as error:
            problem = problem_of(error)
            if problem is None:
                raise
            response = problem.response()
        await response(scope, receive, send)

    def _route(self, scope: Scope) -> Door | None:
        if scope["type"] != "http":
            return None
        # Mounted somewhere, the path begins with where that is.
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        return self._ways.get((scope["method"], path))


def plain_answer(handler: Any, *, status: int) -> Handler:
    """What answers a request by ``handler``, which takes one body and no other parameter.

    It may take the request, its response, `Web` and the caller as well, by these names.
    """
    names = inspect.signature(handler, eval_str=True).parameters
    [(given, model)] = [
        (name, each.annotation)
        for name, each in names.items()
        if isinstance(each.annotation, type) and issubclass(each.annotation, BaseModel)
    ]
    others = names.keys() - {given}

    async def answer(request: Request) -> Response:
        response = Response(status_code=status, media_type=JSON)
        known: Mapping[str, Any] = {
            "request": request,
            "response": response,
            "web": web_of(request),
            "caller": request.state.caller,
        }
        found: BaseModel = await handler(
            **{given: _read(model, await _body(request))}, **{name: known[name] for name in others}
        )
        response.body = found.model_dump_json().encode()
        response.headers["Content-Length"] = str(len(response.body))
        return response

    return answer


async def _body(request: Request) -> Any:
    """The JSON that came; raises a `Problem` for anything else."""
    try:
        raw = await request.body()
    except ClientDisconnect as error:
        raise Problem(MALFORMED, "the body did not come whole") from error
    if not raw:
        raise invalid([FieldError(loc=["body"], msg="Field required", type="missing")])
    named = request.headers.get("Content-Type", "")
    kind = named.partition(";")[0].strip().lower()
    if kind != JSON and not (kind.startswith("application/") and kind.endswith("+json")):
        raise not_named_json(named)
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise Problem(MALFORMED, "the body is no JSON") from error


def _read(model: type[BaseModel], body: Any) -> BaseModel:
    try:
        return model.model_validate(body, from_attributes=True)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        places = [{**each, "loc": ("body", *each["loc"])} for each in found]
        raise invalid([field_error(each) for each in places]) from None
