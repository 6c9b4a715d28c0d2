"""What the OpenAPI document says besides the routes: problems, security, the page about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi.openapi.utils import get_openapi

from butler.version import __version__
from butler.web import problems

if TYPE_CHECKING:
    from fastapi import FastAPI

    Responses = dict[int | str, dict[str, Any]]

API = "/api/v1"
SCHEME = "token"
STREAM = "text/event-stream"

DESCRIPTION = r"""\ Everything an operator or another service can do with Butler's executions,
recurring jobs, queues and workers. Errors are problem details (RFC 9457) with a stable `type`. A
change may carry an `Idempotency-Key` and, for the audit log, a `Butler-Reason`. Times are ISO 8601
with a zone.
"""

_MEANINGS = {
    400: "The request cannot be read.",
    401: "A good token is needed.",
    403: "The caller's role or scope does not allow this.",
    404: "There is no such thing, or it is outside of the caller's scope.",
    409: "Its present state does not allow this, or the same request is under way.",
    412: "Somebody else changed it since it was read.",
    413: "The body is too large.",
    422: "The request does not fit; `errors` says where.",
    428: "`If-Match` is needed.",
    429: "Too many requests without a good token.",
    501: "Behind WSGI there are no streams: ask again and again instead.",
    502: "An alert channel did not take the message.",
    503: "A server that Butler needs does not answer.",
}
_USUAL = (400, 401, 403, 422, 429, 503)

_PROBLEM = {
    "title": "Problem",
    "description": "What is wrong (RFC 9457).",
    "type": "object",
    "properties": {
        "type": {
            "type": "string",
            "format": "uri",
            "description": "What went wrong, for programs; it never changes its meaning.",
            "examples": [f"{problems.PREFIX}not-found"],
        },
        "title": {"type": "string", "description": "The same, for people."},
        "status": {"type": "integer", "description": "The HTTP status."},
        "detail": {"type": "string", "description": "What went wrong this time."},
        "errors": {
            "type": "array",
            "description": "The places that do not fit.",
            "items": {
                "type": "object",
                "properties": {
                    "loc": {"type": "array", "items": {"type": ["string", "integer"]}},
                    "msg": {"type": "string"},
                    "type": {"type": "string"},
                },
                "required": ["loc", "msg", "type"],
            },
        },
    },
    "required": ["type", "title", "status", "detail"],
}


def responses(method: str, answers: tuple[int, ...]) -> Responses:
    """The problems that a route may answer with."""
    body = (413,) if method in ("POST", "PUT", "PATCH") else ()
    return {status: problem_response(status) for status in sorted({*_USUAL, *answers, *body})}


def problem_response(status: int) -> dict[str, Any]:
    """One kind of problem, as the document describes it."""
    example = next(
        {
            "type": problems.PREFIX + kind.slug,
            "title": kind.title,
            "status": status,
            "detail": "…",
        }
        for kind in vars(problems).values()
        if isinstance(kind, problems.ProblemKind) and kind.status == status
    )
    return {
        "description": _MEANINGS[status],
        "content": {
            problems.CONTENT_TYPE: {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "example": example,
            }
        },
    }


def document(app: FastAPI) -> dict[str, Any]:
    """The whole document; made once."""
    if app.openapi_schema is None:
        made = get_openapi(
            title="Butler", version=__version__, description=DESCRIPTION, routes=app.routes
        )
        components = made.setdefault("components", {})
        components.setdefault("schemas", {})["Problem"] = _PROBLEM
        components["securitySchemes"] = {
            SCHEME: {
                "type": "http",
                "scheme": "bearer",
                "description": "A token: `butler token create`.",
            }
        }
        made["security"] = [{SCHEME: []}]
        _tidy(made)
        app.openapi_schema = made
    return app.openapi_schema


def _tidy(made: dict[str, Any]) -> None:
    """Probes need no token, and FastAPI's own form of a validation error is never sent."""
    for path, item in made["paths"].items():
        for operation in item.values():
            if not path.startswith(API):
                operation["security"] = [{SCHEME: []}] if path == "/metrics" else []
            streamed = operation["responses"].get("200", {}).get("content", {}).get(STREAM, {})
            # Each event's data is of this form; FastAPI also says that the whole is a string.
            streamed.get("schema", {}).pop("type", None)
    for name in ("HTTPValidationError", "ValidationError"):
        made["components"]["schemas"].pop(name, None)
