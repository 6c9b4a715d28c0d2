"""``/livez``, ``/readyz`` and ``/metrics``: one small server in a supervisor or scheduler.

Live means that the process's own loop turns; it asks no database, so that an outage of Postgres
does not make an orchestrator kill every worker, which would only add a crash to an outage. Ready
means that it does its job now. The server is the standard library's, because it answers three
paths to a machine a few times a minute.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, ClassVar, Self

from butler.errors import SettingsError
from butler.log import log_event
from butler.monitoring.metrics import CONTENT_TYPE, exposition

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from butler.monitoring.metrics import Metric

logger = logging.getLogger(__name__)

OK, NOT_FOUND, UNAVAILABLE = 200, 404, 503
REQUEST_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a probe passes, and why not."""

    passes: bool
    reason: str = "ok"


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """What a process tells of itself; each is asked at each request, from another thread."""

    live: Callable[[], Verdict]
    ready: Callable[[], Verdict]
    metrics: Callable[[], Iterable[Metric]]


class ProbeServer:
    """Serves the probes of one process until it is stopped."""

    def __init__(self, probed: Probed, *, host: str, port: int) -> None:
        handler = type("Handler", (_Handler,), {"probed": probed})
        try:
            self._server = _server_class(host)((host, port), handler)
        except OSError as error:
            raise SettingsError(f"cannot serve probes on {host}:{port}: {error}") from error
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="butler-probes", daemon=True
        )

    @property
    def port(self) -> int:
        """The port it listens on (another than asked for when that was 0)."""
        return int(self._server.server_address[1])

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()
        host = self._server.server_address[0]
        log_event(logger, logging.INFO, "probes.served", host=host, port=self.port)

    def stop(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()


def _server_class(host: str) -> type[ThreadingHTTPServer]:
    """A server for the family of an address; the standard library's own takes IPv4 only."""
    family = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][0]
    return type("Server", (ThreadingHTTPServer,), {"address_family": family})


class _Handler(BaseHTTPRequestHandler):
    probed: ClassVar[Probed]
    timeout = REQUEST_TIMEOUT_S
    server_version = "butler"
    sys_version = ""

    def do_GET(self) -> None:
        match self.path.partition("?")[0]:
            case "/livez":
                self._answer_verdict(self.probed.live())
            case "/readyz":
                self._answer_verdict(self.probed.ready())
            case "/metrics":
                self._answer(OK, exposition(self.probed.metrics()), CONTENT_TYPE)
            case _:
                self._answer(NOT_FOUND, "try /livez, /readyz or /metrics\n")

    do_HEAD = do_GET  # noqa: N815 - http.server's name

    def log_message(self, *_: object) -> None:
        """Probes come every few seconds: not worth a line."""

    def _answer_verdict(self, verdict: Verdict) -> None:
        self._answer(OK if verdict.passes else UNAVAILABLE, f"{verdict.reason}\n")

    def _answer(self, status: int, body: str, kind: str = "text/plain; charset=utf-8") -> None:
        data = body.encode()
        with contextlib.suppress(OSError):
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)
