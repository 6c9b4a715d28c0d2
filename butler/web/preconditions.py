"""``If-Match``: a change is made on the version that its author has seen."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from butler.web.problems import STALE, UNCONDITIONAL, Problem

if TYPE_CHECKING:
    from starlette.requests import Request

_TAG = re.compile(r'"(\d{1,18})"')


def etag_of(version: int) -> str:
    """The tag of a version."""
    return f'"{version}"'


def version_asked_for(request: Request, *, needed: bool = True) -> int | None:
    """The version that ``If-Match`` names; None for ``*``, any.

    Raises a `Problem` where the header is ``needed`` and not there, or is no tag of ours.
    """
    given = request.headers.get("If-Match")
    if given is None:
        if needed:
            detail = "send the ETag that the thing was read with as If-Match, or *"
            raise Problem(UNCONDITIONAL, detail)
        return None
    if given.strip() == "*":
        return None
    match = _TAG.fullmatch(given.strip())
    if match is None:
        raise Problem(STALE, "If-Match is not the ETag of any version of this")
    return int(match[1])
