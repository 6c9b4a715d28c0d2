"""The headers that a change may carry, as the document has them."""

from __future__ import annotations

from typing import Any

from butler.web.repeats import HEADER as IDEMPOTENCY_KEY
from butler.web.repeats import LONGEST_KEY

REASON = "Butler-Reason"
LONGEST_REASON = 500
LONGEST_TAG = 100


def change_headers(method: str, answers: tuple[int, ...], *, repeats: bool) -> list[dict[str, Any]]:
    """Those of one route; ``If-Match`` where it answers 412 to an edit, needed where also 428."""
    found = [_header(REASON, LONGEST_REASON, "Why, for the audit log.", ["the customer left"])]
    if repeats:
        meaning = "The same key gives the same answer for a day, and nothing is done twice."
        found.append(_header(IDEMPOTENCY_KEY, LONGEST_KEY, meaning, ["order-7"]))
    if method in ("PATCH", "DELETE") and 412 in answers:
        meaning = "The `ETag` that it was read with, or `*`."
        needed = 428 in answers
        found.append(_header("If-Match", LONGEST_TAG, meaning, ['"3"', "*"]) | {"required": needed})
    return found


def _header(name: str, longest: int, meaning: str, examples: list[str]) -> dict[str, Any]:
    schema = {"type": "string", "minLength": 1, "maxLength": longest, "examples": examples}
    return {
        "name": name,
        "in": "header",
        "required": False,
        "description": meaning,
        "schema": schema,
    }
