"""`Webhook`: a signed POST of JSON, to public addresses unless private ones are allowed.

Redirects are not followed, and of the answer nothing is kept but its status: neither may tell
the author of a URL what stands inside the network.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import socket
import ssl
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from butler.errors import DeliveryFailed
from butler.monitoring.alerts.channels.addresses import address_of
from butler.version import __version__

if TYPE_CHECKING:
    from butler.monitoring.alerts.message import Message

TIMEOUT_S = 10.0
_GOOD = range(200, 300)


class Webhook:
    """Posts messages to a URL.

    With a ``secret`` each carries ``Butler-Signature: t=<seconds>,v1=<hex>``, the HMAC-SHA256 of
    ``<seconds>.<body>``. ``Butler-Message-Id`` stays the same when a message is sent again.
    """

    def __init__(self, url: str, *, secret: str | None, allow_private: bool) -> None:
        self._url = urlsplit(url)
        self._secret = secret
        self._allow_private = allow_private

    def send(self, message: Message) -> None:
        """Post it; any status but 2xx is a failure."""
        body = json.dumps(message.to_json()).encode()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"butler/{__version__}",
            "Butler-Message-Id": message.id,
        }
        if self._secret is not None:
            headers["Butler-Signature"] = signature(self._secret, body, at=int(time.time()))
        host = self._url.hostname or ""
        try:
            status = self._post(host, body, headers)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise DeliveryFailed(f"{host}: {type(error).__name__}: {error}") from error
        if status not in _GOOD:
            raise DeliveryFailed(f"{host} answered {status}, expected 200..299")

    def _post(self, host: str, body: bytes, headers: dict[str, str]) -> int:
        tls = self._url.scheme == "https"
        port = self._url.port or (443 if tls else 80)
        address = address_of(host, port, allow_private=self._allow_private)
        path = (self._url.path or "/") + (f"?{self._url.query}" if self._url.query else "")
        connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
        connection.sock = _connected(address, port, host=host if tls else None)
        try:
            connection.request("POST", path, body=body, headers=headers)
            return connection.getresponse().status
        finally:
            connection.close()


def signature(secret: str, body: bytes, *, at: int) -> str:
    """What ``Butler-Signature`` holds."""
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


def _connected(address: str, port: int, *, host: str | None) -> socket.socket:
    """A connection to this very address, with TLS for ``host`` where one is given."""
    plain = socket.create_connection((address, port), timeout=TIMEOUT_S)
    if host is None:
        return plain
    try:
        return ssl.create_default_context().wrap_socket(plain, server_hostname=host)
    except BaseException:
        plain.close()
        raise
