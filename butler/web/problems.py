"""Problem details (RFC 9457): each error of Butler's as an answer with a stable ``type``.

A ``type`` is a URN that never changes its meaning, so that a program can decide by it; ``title``
and ``detail`` are for people. Nothing of a request's values is in them: a validator's message may
quote a secret.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse

from butler import errors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PREFIX = "urn:butler:problem:"
CONTENT_TYPE = "application/problem+json"
MAX_ERRORS = 50


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """What went wrong, as a program knows it."""

    slug: str
    status: int
    title: str


def _kind(slug: str, status: int, title: str) -> ProblemKind:
    return ProblemKind(slug, status, title)


UNAUTHENTICATED = _kind("unauthenticated", 401, "A good token is needed")
FORBIDDEN = _kind("forbidden", 403, "The token's role or scope does not allow this")
CROSS_SITE = _kind("cross-site", 403, "Requests from other sites are refused")
NOT_FOUND = _kind("not-found", 404, "There is no such thing")
METHOD_NOT_ALLOWED = _kind("method-not-allowed", 405, "This cannot be done to that")
MALFORMED = _kind("malformed", 400, "The request cannot be read")
INVALID = _kind("invalid", 422, "The request does not fit")
INVALID_REQUEST = _kind("invalid-request", 422, "The request does not fit the task's type")
UNKNOWN_TASK = _kind("unknown-task", 422, "No task has this name")
TOO_LARGE = _kind("too-large", 413, "The body is too large")
TOO_MANY_FAILURES = _kind("too-many-failures", 429, "Too many requests without a good token")
ILLEGAL_TRANSITION = _kind("illegal-transition", 409, "Its state does not allow this")
EXISTS = _kind("exists", 409, "The name is taken")
BUSY = _kind("unique-key-busy", 409, "A unique key is being written by somebody else")
IN_PROGRESS = _kind("in-progress", 409, "A request with this Idempotency-Key is under way")
KEY_REUSED = _kind("key-reused", 422, "The Idempotency-Key was used for another request")
STALE = _kind("stale", 412, "Somebody else changed it since it was read")
UNCONDITIONAL = _kind("precondition-required", 428, "If-Match is needed")
UNKNOWN_OUTCOME = _kind("unknown-outcome", 503, "Whether it was written could not be found out")
UNAVAILABLE = _kind("unavailable", 503, "A server that Butler needs does not answer")
TOO_MANY_STREAMS = _kind("too-many-streams", 503, "This process has no room for another stream")
NO_STREAMS = _kind("no-streams", 501, "There are no streams behind WSGI")
NOT_AUDITED = _kind("not-audited", 503, "It was done, but could not be written to the audit log")
NOT_DELIVERED = _kind("not-delivered", 502, "An alert channel did not take a message")
INTERNAL = _kind("internal", 500, "Something is wrong with Butler")

# More special classes first.
_OF_ERROR: tuple[tuple[type[Exception], ProblemKind], ...] = (
    (errors.InvalidRequest, INVALID_REQUEST),
    (errors.UnknownTask, UNKNOWN_TASK),
    (errors.InvalidOption, INVALID),
    (errors.InvalidSchedule, INVALID),
    (errors.TaskNotBound, UNKNOWN_TASK),
    (errors.ExecutionNotFound, NOT_FOUND),
    (errors.RecurringJobNotFound, NOT_FOUND),
    (errors.AlertNotFound, NOT_FOUND),
    (errors.AlertRuleNotFound, NOT_FOUND),
    (errors.TokenNotFound, NOT_FOUND),
    (errors.IllegalTransition, ILLEGAL_TRANSITION),
    (errors.UniqueKeyBusy, BUSY),
    (errors.RecurringJobExists, EXISTS),
    (errors.AlertRuleExists, EXISTS),
    (errors.TokenExists, EXISTS),
    (errors.StaleUpdate, STALE),
    (errors.DeliveryFailed, NOT_DELIVERED),
    (errors.EnqueueUnknown, UNKNOWN_OUTCOME),
    (errors.StorageUnavailable, UNAVAILABLE),
    (errors.QueueUnavailable, UNAVAILABLE),
    (errors.SchemaOutdated, UNAVAILABLE),
)


class Problem(Exception):
    """An answer that says what is wrong; raised anywhere below the envelope."""

    def __init__(
        self,
        kind: ProblemKind,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        **members: Any,
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.headers = dict(headers or {})
        self.members = members

    def response(self) -> JSONResponse:
        """The answer."""
        body = {
            "type": PREFIX + self.kind.slug,
            "title": self.kind.title,
            "status": self.kind.status,
            "detail": self.detail,
            **self.members,
        }
        return AsciiProblem(body, status_code=self.kind.status, headers=self.headers)


class AsciiProblem(JSONResponse):
    """JSON in ASCII: what a caller sent and is told again may be no text at all."""

    media_type = CONTENT_TYPE

    def render(self, content: Any) -> bytes:
        """The body."""
        import json

        return json.dumps(content, ensure_ascii=True).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldError:
    """One place that does not fit."""

    loc: Sequence[str | int]
    msg: str
    type: str = field(default="value_error")

    def to_json(self) -> dict[str, Any]:
        """As problem details list it."""
        return {"loc": list(self.loc), "msg": self.msg, "type": self.type}


def problem_of(error: Exception) -> Problem | None:
    """The answer to an error of Butler's; None for one that is nobody's purpose."""
    if isinstance(error, Problem):
        return error
    for kind, problem in _OF_ERROR:
        if isinstance(error, kind):
            return Problem(problem, _detail(error), headers=_headers(problem), **_members(error))
    return None


def of_item(error: Exception, *, place: list[str | int]) -> Exception:
    """The answer to an error in one of many things, which says in which; other errors as they are.

    What an error says of the whole item has the item's own place.
    """
    problem = problem_of(error)
    if problem is None:
        return error
    found = problem.members.get("errors") or [FieldError(loc=[], msg=problem.detail).to_json()]
    named = [{**each, "loc": [*place, *each["loc"]]} for each in found]
    where = ".".join(map(str, place))
    return Problem(problem.kind, f"{where}: {problem.detail}", errors=named)


def invalid(found: Sequence[FieldError]) -> Problem:
    """What does not fit, place by place."""
    shown = "; ".join(f"{'.'.join(map(str, each.loc))}: {each.msg}" for each in found[:3])
    listed = [each.to_json() for each in found[:MAX_ERRORS]]
    return Problem(INVALID, shown or "the request does not fit", errors=listed)


def not_named_json(kind: str) -> Problem:
    """A body came, but not as JSON: what a form sends must not be taken for more."""
    message = f"must be application/json, got {kind[:100] or 'none'}"
    return invalid([FieldError(loc=["header", "Content-Type"], msg=message)])


def field_error(each: Mapping[str, Any]) -> FieldError:
    """One of pydantic's errors; without the input, which may be secret."""
    return FieldError(loc=each["loc"], msg=each["msg"], type=each["type"])


def _detail(error: Exception) -> str:
    if isinstance(error, errors.StorageUnavailable | errors.SchemaOutdated):
        # Its words name hosts and databases, which are for the log.
        return "the ledger cannot be used now; nothing was changed"
    if isinstance(error, errors.QueueUnavailable):
        return "Redis does not answer"
    if isinstance(error, errors.InvalidSchedule):
        return f"schedule: {error}"
    return str(error)


def _members(error: Exception) -> dict[str, Any]:
    if isinstance(error, errors.InvalidRequest):
        found = error.errors[:MAX_ERRORS]
        return {
            "errors": [
                FieldError(
                    loc=["request", *each.get("loc", ())],
                    msg=str(each.get("msg", "")),
                    type=str(each.get("type", "")),
                ).to_json()
                for each in found
            ]
        }
    if isinstance(error, errors.InvalidSchedule):
        return {"errors": [FieldError(loc=["schedule"], msg=str(error)).to_json()]}
    if isinstance(error, errors.EnqueueUnknown):
        return {"execution_ids": list(error.execution_ids)}
    return {}


def _headers(kind: ProblemKind) -> dict[str, str]:
    return {"Retry-After": "1"} if kind.status == UNAVAILABLE.status else {}
