"""The REST API: `create_app` makes an ASGI application of a `Butler`.

The only package that imports web frameworks, and only inside functions of this module: they take a
second to load. It needs the extra ``web``.

`create_app` hangs three things together. `butler.web.envelope` is around every request: its id, its
log line, and an answer whatever happens. `butler.web.gate` says who is calling. `butler.web.routes`
is the one door of each endpoint: the role it needs, the audit row of what it changes, and replies
that are given twice. Behind that door a handler is a few lines over the `Butler`'s own methods,
called in its few threads so that the event loop goes on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fastapi import FastAPI

    from butler.app import Butler
    from butler.web.callers import Authenticate

MAX_BODY_BYTES = 8 * 1024 * 1024

__all__ = ["create_app"]


def create_app(
    butler: Butler,
    *,
    authenticate: Authenticate | None = None,
    development: bool = False,
    cors_origins: Iterable[str] | None = None,
    trusted_proxies: Iterable[str] | None = None,
    secret_names: Iterable[str] | None = None,
    max_body_bytes: int = MAX_BODY_BYTES,
) -> FastAPI:
    """The REST API of this Butler, to be served or to be mounted in an application of yours.

    Callers send one of the ledger's tokens, or are whoever ``authenticate`` says they are: a
    function of the request that returns a `Caller`, or None for a stranger. ``development`` lets
    callers on this machine in without a token, as long as the ledger has none. The other arguments
    default to the settings ``web_cors_origins``, ``web_trusted_proxies`` (networks whose
    ``X-Forwarded-For`` is believed) and ``secret_names``. Nothing is connected before the first
    request; closing the Butler stays the caller's. Raises `SettingsError` without the extra
    ``web``.
    """
    from butler.web.options import WebOptions, need_frameworks

    need_frameworks()
    from butler.web.app import make_app

    options = WebOptions.of(
        butler.settings,
        development=development,
        cors_origins=cors_origins,
        trusted_proxies=trusted_proxies,
        secret_names=secret_names,
        max_body_bytes=max_body_bytes,
    )
    return make_app(butler, options=options, authenticate=authenticate)
