"""``Idempotency-Key``: a request that is sent twice is done once, and answered twice.

The ledger notes the key before the request is done and its reply afterwards. What the request makes
gets its ids from the key's seed: if this process dies in between, the next try makes the same
executions again, which is nothing new to the ledger.
"""

from __future__ import annotations

import hashlib
import uuid
from functools import partial
from typing import TYPE_CHECKING

from starlette.responses import Response

from butler.ids import new_id, new_token
from butler.storage.access import TAKEN_OVER_AFTER_S, RequestKey
from butler.web.problems import IN_PROGRESS, KEY_REUSED, MALFORMED, Problem

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from butler.app import Butler
    from butler.web.callers import Caller

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
LONGEST_KEY = 255

_TIME_BITS = 80


async def answered_once(
    request: Request,
    caller: Caller,
    *,
    butler: Butler,
    answer: Callable[[Request], Awaitable[Response]],
) -> tuple[Response, bool]:
    """The answer, and whether it is a repeated one; requests without a key are just answered."""
    given = request.headers.get(HEADER)
    if given is None:
        return await answer(request), False
    key = await _key(request, caller, given)
    kept = await butler.in_thread(partial(butler.storage.open_request, key))
    if kept.owner != key.owner:
        if kept.fingerprint != key.fingerprint:
            raise Problem(KEY_REUSED, f"this {HEADER} came with another request before")
        if kept.status is None:
            raise Problem(
                IN_PROGRESS,
                "the same request is being answered just now: send it again in a moment",
                headers={"Retry-After": str(int(TAKEN_OVER_AFTER_S))},
            )
        return _replayed(kept.status, kept.body), True
    request.state.seed = kept.seed
    try:
        response = await answer(request)
    except BaseException:
        await butler.in_thread(partial(butler.storage.close_request, key, status=None, body=None))
        raise
    body = bytes(response.body).decode()
    await butler.in_thread(
        partial(butler.storage.close_request, key, status=response.status_code, body=body)
    )
    return response, False


def chosen_ids(request: Request, count: int) -> list[str | None]:
    """The ids of what a request makes; None for each where any id will do."""
    seed = getattr(request.state, "seed", None)
    if seed is None:
        return [None] * count
    return [_derived(seed, index) for index in range(count)]


async def _key(request: Request, caller: Caller, given: str) -> RequestKey:
    if not (1 <= len(given) <= LONGEST_KEY and given.isascii() and given.isprintable()):
        raise Problem(MALFORMED, f"{HEADER} must be 1 to {LONGEST_KEY} printable characters")
    whose = caller.token_id or caller.name
    path = request.url.path
    digest = hashlib.sha256(await request.body())
    digest.update(request.url.query.encode())
    return RequestKey(
        key=hashlib.sha256(f"{whose}\0{request.method}\0{path}\0{given}".encode()).hexdigest(),
        fingerprint=digest.hexdigest(),
        owner=new_token(),
        seed=new_id(),
    )


def _replayed(status: int, body: str | None) -> Response:
    return Response(
        content=body or "",
        status_code=status,
        media_type="application/json" if body else None,
        headers={REPLAYED: "true"},
    )


def _derived(seed: str, index: int) -> str:
    """A UUIDv7 of the same millisecond, always the same for the same seed and index."""
    digest = hashlib.sha256(f"{seed}\0{index}".encode()).digest()
    rest = int.from_bytes(digest[:10]) & ((1 << _TIME_BITS) - 1)
    number = (uuid.UUID(seed).int >> _TIME_BITS << _TIME_BITS) | rest
    number = number & ~(0xF << 76) | (0x7 << 76)
    number = number & ~(0x3 << 62) | (0x2 << 62)
    return str(uuid.UUID(int=number))
