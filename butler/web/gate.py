"""`Gate`: who is calling. What they may do is decided at each route's door (`butler.web.routes`).

Three ways in: a token of the ledger; what the application that mounts us says (``authenticate``);
and in development, from this very machine, nothing at all. The last one is a trap in every system
that has it: behind a reverse proxy on the same host every caller seems local, and a page in the
developer's browser can send requests to localhost. So it ends with the first token that is made,
does not hold for what a proxy has forwarded, and is closed to other sites and to other names for
this host.
"""

from __future__ import annotations

import inspect
import ipaddress
import time
from collections import OrderedDict
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from butler.api_tokens import digest_of
from butler.web.callers import DEVELOPER, Caller
from butler.web.failures import FailureLimit
from butler.web.problems import CROSS_SITE, TOO_MANY_FAILURES, UNAUTHENTICATED, Problem

if TYPE_CHECKING:
    from starlette.requests import Request

    from butler.app import Butler
    from butler.storage.access import ApiToken
    from butler.web.callers import Authenticate
    from butler.web.options import WebOptions

CHALLENGE = {"WWW-Authenticate": 'Bearer realm="butler"'}
FRESH_S = 5.0
TOUCH_EVERY_S = 60.0
TOKENS_KEPT = 10_000
_FORWARDED = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip")


class Gate:
    """Lets callers in, or raises a `Problem`."""

    def __init__(
        self, butler: Butler, *, options: WebOptions, authenticate: Authenticate | None
    ) -> None:
        self._butler = butler
        self._options = options
        self._authenticate = authenticate
        self._failures = FailureLimit()
        self._known = _KnownTokens()
        self._has_tokens: tuple[float, bool] = (float("-inf"), False)

    async def caller(self, request: Request) -> Caller:
        """Whoever sent this request."""
        caller = await self._find(request)
        if caller is None:
            self._failures.note(self.address(request))
            raise _stranger("the token is unknown, was revoked, or has expired")
        return caller

    async def again(self, request: Request) -> Caller | None:
        """Whoever sent this request a while ago, as they are now; None if they may not any more."""
        try:
            return await self._find(request)
        except Problem:
            return None

    def forget_tokens(self) -> None:
        """Look each token up again: one was revoked here."""
        self._known = _KnownTokens()

    def address(self, request: Request) -> str:
        """Where a request comes from; what it says itself counts only behind a trusted proxy."""
        address = request.client.host if request.client else "unknown"
        told = request.headers.get("X-Forwarded-For", "")
        for hop in reversed([part.strip() for part in told.split(",") if part.strip()]):
            if not self._options.trusts(address):
                break
            address = hop[:64]
        return address

    async def _find(self, request: Request) -> Caller | None:
        if self._authenticate is None:
            return await self._by_token(request, self.address(request))
        found = self._authenticate(request)
        return await found if inspect.isawaitable(found) else found

    async def _by_token(self, request: Request, address: str) -> Caller | None:
        scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
        if not secret:
            return await self._developer(request)
        if scheme.lower() != "bearer":
            raise _stranger("send the token as: Authorization: Bearer btl_…")
        digest = digest_of(secret.strip())
        wait_s = self._failures.wait_s(address)
        if wait_s and not self._known.was_good(digest):
            raise Problem(
                TOO_MANY_FAILURES,
                f"too many requests from {address} had no good token",
                headers={"Retry-After": str(int(wait_s) + 1)},
            )
        token = await self._verified(secret.strip(), digest)
        return None if token is None else Caller.of(token)

    async def _verified(self, secret: str, digest: str) -> ApiToken | None:
        held = self._known.get(digest)
        if held is not None:
            return held[0]
        token = await self._butler.in_thread(lambda: self._butler.tokens.verify(secret))
        if token is not None and self._known.is_to_touch(digest):
            id_ = token.id
            await self._butler.in_thread(lambda: self._butler.storage.touch_tokens([id_]))
        self._known.put(digest, token)
        return token

    async def _developer(self, request: Request) -> Caller | None:
        if not self._options.development or not _from_here(request):
            raise _stranger("send a token: Authorization: Bearer btl_…")
        if _from_elsewhere(request):
            raise Problem(CROSS_SITE, "without a token, only this host's own pages may call")
        asked_at, has_tokens = self._has_tokens
        if time.monotonic() - asked_at > FRESH_S:
            has_tokens = await self._butler.in_thread(self._butler.storage.has_tokens)
            self._has_tokens = time.monotonic(), has_tokens
        if has_tokens:
            raise _stranger("the ledger has tokens now, so one is needed: Authorization: Bearer …")
        return DEVELOPER


class _KnownTokens:
    """Tokens that were looked up, good or not, by their digests; believed for five seconds."""

    def __init__(self) -> None:
        self._held: OrderedDict[str, tuple[float, ApiToken | None]] = OrderedDict()
        self._touched: OrderedDict[str, float] = OrderedDict()

    def get(self, digest: str) -> tuple[ApiToken | None] | None:
        """What is known; None when that is nothing, or too old."""
        looked_at, token = self._held.get(digest, (float("-inf"), None))
        return (token,) if time.monotonic() - looked_at < FRESH_S else None

    def put(self, digest: str, token: ApiToken | None) -> None:
        """This was looked up just now."""
        self._held.pop(digest, None)
        self._held[digest] = time.monotonic(), token
        while len(self._held) > TOKENS_KEPT:
            self._held.popitem(last=False)

    def was_good(self, digest: str) -> bool:
        """Whether it was good when it was looked up last."""
        return self._held.get(digest, (0.0, None))[1] is not None

    def is_to_touch(self, digest: str) -> bool:
        """Whether the ledger should hear that it is used; true once a minute."""
        now = time.monotonic()
        if now - self._touched.get(digest, float("-inf")) < TOUCH_EVERY_S:
            return False
        self._touched[digest] = now
        while len(self._touched) > TOKENS_KEPT:
            self._touched.popitem(last=False)
        return True


def _stranger(detail: str) -> Problem:
    return Problem(UNAUTHENTICATED, detail, headers=CHALLENGE)


def _from_here(request: Request) -> bool:
    """Whether somebody on this machine calls this machine, with nobody in between."""
    if any(name in request.headers for name in _FORWARDED):
        return False
    client = request.client.host if request.client else ""
    host = urlsplit(f"//{request.headers.get('Host', '')}").hostname or ""
    return _is_loopback(client) and (host == "localhost" or _is_loopback(host))


def _from_elsewhere(request: Request) -> bool:
    """Whether a page of another site sent this."""
    site = request.headers.get("Sec-Fetch-Site", "none")
    origin = request.headers.get("Origin")
    there = urlsplit(origin).netloc if origin is not None else None
    return site not in ("none", "same-origin") or there not in (None, request.headers.get("Host"))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
