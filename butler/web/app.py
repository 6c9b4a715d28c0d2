"""The ASGI application: routes, and what is around them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware

from butler.errors import ButlerError
from butler.web import problems
from butler.web.api import ROUTES
from butler.web.conditional import ConditionalGet
from butler.web.envelope import Envelope
from butler.web.headers import REASON
from butler.web.openapi import API, document
from butler.web.problems import Problem, field_error, invalid, not_named_json, problem_of
from butler.web.repeats import HEADER as IDEMPOTENCY_KEY
from butler.web.repeats import REPLAYED
from butler.web.request_ids import HEADER as REQUEST_ID
from butler.web.routes import Door
from butler.web.services import Web
from butler.web.short_ways import ShortWays

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from butler.app import Butler
    from butler.web.callers import Authenticate
    from butler.web.options import WebOptions

GZIP_FROM_BYTES = 1_000


def make_app(butler: Butler, *, options: WebOptions, authenticate: Authenticate | None) -> FastAPI:
    """See `butler.web.create_app`."""
    app = FastAPI(
        title="Butler",
        openapi_url=f"{API}/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        # As they are: included, they are made once more by each application's first request.
        routes=list(ROUTES),
    )
    web = Web(butler, options=options, authenticate=authenticate)
    app.state.web = web
    app.openapi = lambda: document(app)  # type: ignore[method-assign]
    app.add_exception_handler(ButlerError, _on_error)
    app.add_exception_handler(Problem, _on_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    # The last one that is added is the outermost.
    app.add_middleware(
        ShortWays, routes=[each for each in ROUTES if isinstance(each, Door) and each.often]
    )
    app.add_middleware(ConditionalGet)
    app.add_middleware(GZipMiddleware, minimum_size=GZIP_FROM_BYTES, compresslevel=5)
    if options.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=options.cors_origins,
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=[
                "Authorization",
                "Content-Type",
                "If-Match",
                "If-None-Match",
                "Last-Event-ID",
                IDEMPOTENCY_KEY,
                REASON,
                REQUEST_ID,
            ],
            expose_headers=["ETag", "Location", "Retry-After", REPLAYED, REQUEST_ID],
            max_age=600,
        )
    app.add_middleware(Envelope, max_body_bytes=options.max_body_bytes, metrics=web.metrics)
    return app


async def _on_error(_: Request, error: Exception) -> Response:
    problem = problem_of(error)
    if problem is None:
        raise error
    return problem.response()


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    if any(each["type"] == "json_invalid" for each in found):
        return Problem(problems.MALFORMED, "the body is no JSON").response()
    if any(each["loc"] == ("body",) and isinstance(each["input"], bytes) for each in found):
        return not_named_json(request.headers.get("Content-Type", "")).response()
    return invalid([field_error(each) for each in found]).response()


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if isinstance(error.__cause__, Problem):
        # FastAPI says "cannot be parsed" to whatever is raised while a body is read.
        return error.__cause__.response()
    if error.status_code == problems.MALFORMED.status:
        return Problem(problems.MALFORMED, "the body is no JSON").response()
    if error.status_code == problems.METHOD_NOT_ALLOWED.status:
        # The router names those of the first route with this path.
        allowed = ", ".join(_methods(request))
        detail = f"it can be asked with {allowed}"
        headers = {"Allow": allowed}
        return Problem(problems.METHOD_NOT_ALLOWED, detail, headers=headers).response()
    kinds = {404: problems.NOT_FOUND}
    kind = kinds.get(error.status_code)
    if kind is None:
        kind = problems.ProblemKind("http", error.status_code, str(error.detail))
    return Problem(kind, str(error.detail), headers=error.headers).response()


def _methods(request: Request) -> list[str]:
    """What can be done to the path of a request."""
    path = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
    return sorted(
        method
        for route in ROUTES
        if isinstance(route, APIRoute) and route.path_regex.match(path)
        for method in route.methods or ()
    )
