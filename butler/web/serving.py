"""Serving the API on a socket: what `butler web` does."""

from __future__ import annotations

import ipaddress
import logging
import signal
import threading
from typing import TYPE_CHECKING

from butler import interpreter
from butler.errors import SettingsError
from butler.log import log_event
from butler.web import create_app
from butler.web.options import need_frameworks

if TYPE_CHECKING:
    import socket

    import uvicorn

    from butler.app import Butler
    from butler.web.services import Web

logger = logging.getLogger(__name__)

# What is under way when the server stops gets this long; streams are ended at once.
GRACE_S = 1


def serve(butler: Butler, *, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT.

    An address that only this machine reaches needs no token, for development, as long as the ledger
    has none. Raises `SettingsError` for any other address without a token in the ledger.
    """
    need_frameworks()
    import uvicorn

    open_to_developers = check_binding(host, has_tokens=butler.storage.has_tokens())
    app = create_app(butler, development=open_to_developers)
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        # Who a request comes from is judged by us: uvicorn believes each proxy on this host.
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
    )
    if open_to_developers:
        log_event(logger, logging.WARNING, "web.open", host=host, why="no token in the ledger")

    class Server(uvicorn.Server):
        """Ends streams when it stops: it waits for whatever is under way, and they go on."""

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            web: Web = app.state.web
            web.streams.close()
            await super().shutdown(sockets)

    server = Server(config)
    interpreter.keep_what_is_there()
    _end_in_good_order(server)
    server.run()


def _end_in_good_order(server: uvicorn.Server) -> None:
    """Let SIGTERM and SIGINT be no error: uvicorn raises them once more when it has stopped."""

    def on_signal(*_: object) -> None:
        if not server.should_exit:  # it does not look at signals yet
            raise SystemExit(0)

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, on_signal)


def check_binding(host: str, *, has_tokens: bool) -> bool:
    """Whether callers need no token here; raises `SettingsError` where that would be for all."""
    if has_tokens:
        return False
    if not is_loopback(host):
        raise SettingsError(
            f"web_host {host!r} can be reached from other machines, and the ledger has no token: "
            "make one (butler token create NAME --role admin), or serve on 127.0.0.1"
        )
    return True


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches that address."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
