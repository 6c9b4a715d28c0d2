"""What the API says went wrong, as the exceptions that the library itself would raise (pure)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

from butler import errors
from butler.client.steps import Unanswered
from butler.errors import (
    ApiError,
    ApiNotFound,
    ApiUnavailable,
    ButlerError,
    NotAllowed,
    NotAuthenticated,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import ValidationError

    from butler.client.steps import Answer, Send

E = TypeVar("E", bound=ButlerError)

PREFIX = "urn:butler:problem:"
SHOWN_BYTES = 200
REDIRECTS = (301, 302, 303, 307, 308)

_CLASSES: dict[str, type[ButlerError]] = {
    "invalid-request": errors.InvalidRequest,
    "unknown-task": errors.UnknownTask,
    "illegal-transition": errors.IllegalTransition,
    "unique-key-busy": errors.UniqueKeyBusy,
    "stale": errors.StaleUpdate,
    "unknown-outcome": errors.EnqueueUnknown,
    "invalid": errors.InvalidOption,
    "not-delivered": errors.DeliveryFailed,
}
# What a 404 is about, by the parameter of its route, and its attribute in the exception.
_MISSING: dict[str, type[ButlerError]] = {
    "execution_id": errors.ExecutionNotFound,
    "job": errors.RecurringJobNotFound,
    "token": errors.TokenNotFound,
    "task": errors.UnknownTask,
    "alert_id": errors.AlertNotFound,
    "rule": errors.AlertRuleNotFound,
}
_OF_STATUS: dict[int, type[ApiError]] = {
    401: NotAuthenticated,
    403: NotAllowed,
    404: ApiNotFound,
}
_EXISTS: dict[str, type[ButlerError]] = {
    "recurring-jobs": errors.RecurringJobExists,
    "tokens": errors.TokenExists,
    "alert-rules": errors.AlertRuleExists,
}


def error_of(answer: Answer, *, route: str, place: Mapping[str, str]) -> ButlerError:
    """The exception for an answer that is no success; its words are the server's."""
    said = _problem(answer)
    detail = str(said.get("detail") or said.get("title") or _shown(answer))
    slug = str(said.get("type", "")).removeprefix(PREFIX)
    known = _known_class(slug, route=route, place=place)
    if known is None:
        error: ButlerError = _api_error(answer, said, detail)
    else:
        error = worded(known, detail, **_attributes(known, said, place))
    request_id = answer.headers.get("x-request-id")
    if request_id:
        error.add_note(f"HTTP {answer.status}; the server's log has it as request {request_id}")
    return error


def unreachable(said: Answer | Unanswered, *, send: Send, url: str, tries: int) -> ApiUnavailable:
    """The exception for a server that does not answer, or only that it cannot."""
    key = send.headers.get("Idempotency-Key")
    status = None if isinstance(said, Unanswered) else said.status
    why = said.why if isinstance(said, Unanswered) else _last_words(said)
    times = "once" if tries == 1 else f"{tries} times"
    more = "" if key is None else "; sent again with the same idempotency_key it is done once"
    message = f"{send.method} {url}{send.path} was tried {times}, the last time: {why}{more}"
    return ApiUnavailable(message, status=status, idempotency_key=key)


def unreadable(answer: Answer, error: ValidationError) -> ApiError:
    """The exception for an answer that is not what this release of Butler expects."""
    first = error.errors(include_input=False, include_url=False)[0]
    where = ".".join(map(str, first["loc"])) or "the whole"
    return ApiError(
        f"the answer cannot be read ({where}: {first['msg']}); is there a Butler of this "
        f"release or a newer one at this URL? It begins: {_shown(answer)}",
        status=answer.status,
    )


def worded(kind: type[E], words: str, **attributes: Any) -> E:
    """An error with the server's words, and not with those its own ``__init__`` would choose."""
    error = kind.__new__(kind, words)
    error.args = (words,)
    for name, value in attributes.items():
        setattr(error, name, value)
    return error


def is_problem(answer: Answer, slug: str) -> bool:
    """Whether an answer is the problem of this kind."""
    return _problem(answer).get("type") == PREFIX + slug


def _known_class(slug: str, *, route: str, place: Mapping[str, str]) -> type[ButlerError] | None:
    if slug == "not-found":
        return next((_MISSING[name] for name in place if name in _MISSING), None)
    if slug == "exists":
        return _EXISTS.get(route.partition(" /")[2].partition("/")[0])
    return _CLASSES.get(slug)


def _attributes(
    kind: type[ButlerError], said: Mapping[str, Any], place: Mapping[str, str]
) -> dict[str, Any]:
    if kind is errors.InvalidRequest:
        return {"errors": said.get("errors", [])}
    if kind is errors.EnqueueUnknown:
        ids = tuple(said.get("execution_ids", ()))
        return {"execution_ids": ids, "execution_id": next(iter(ids), "")}
    if kind is errors.UniqueKeyBusy:
        return {"task": "", "unique_keys": ()}
    named = next(iter(place.values()), "")
    names = {
        errors.ExecutionNotFound: "execution_id",
        errors.RecurringJobNotFound: "job",
        errors.TokenNotFound: "token",
        errors.AlertNotFound: "alert_id",
    }
    return {names.get(kind, "name"): named}


def _api_error(answer: Answer, said: Mapping[str, Any], detail: str) -> ApiError:
    kind = _OF_STATUS.get(answer.status, ApiError)
    if answer.status in REDIRECTS:
        detail = f"it answers with a redirect to {answer.headers.get('location')}: use that URL"
    return kind(detail, status=answer.status, type=said.get("type"), errors=said.get("errors", ()))


def _problem(answer: Answer) -> dict[str, Any]:
    try:
        said = json.loads(answer.body)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _last_words(answer: Answer) -> str:
    detail = _problem(answer).get("detail") or _shown(answer)
    return f"HTTP {answer.status}, {detail}"


def _shown(answer: Answer) -> str:
    text = answer.body[:SHOWN_BYTES].decode(errors="replace").strip()
    return repr(text) if text else f"an empty answer with the status {answer.status}"
