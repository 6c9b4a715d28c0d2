"""`Email`: messages by SMTP."""

from __future__ import annotations

import smtplib
from email.message import EmailMessage
from email.utils import formatdate
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

from butler.errors import DeliveryFailed, SettingsError
from butler.text import one_line

if TYPE_CHECKING:
    from butler.monitoring.alerts.message import Message

TIMEOUT_S = 10.0


class Email:
    """Sends to ``smtp://user:password@host:587/?from=a@b&to=c@d&to=e@f``.

    ``smtps`` speaks TLS from the start; ``smtp`` turns to TLS where the server offers it, and
    never sends a password without.
    """

    def __init__(self, name: str, url: str) -> None:
        self._url = urlsplit(url)
        given = parse_qs(self._url.query)
        self._to = given.get("to", [])
        self._from = next(iter(given.get("from", [])), "")
        if not self._to or not self._from or not self._url.hostname:
            raise SettingsError(
                f"alert channel {name!r} must be smtp://host:port/?from=…&to=…, with a host, one "
                "from and at least one to"
            )

    def send(self, message: Message) -> None:
        """Send it to all at once; a repeated one has the same Message-ID."""
        mail = EmailMessage()
        mail["Subject"] = one_line(message.title)
        mail["From"], mail["To"] = self._from, ", ".join(self._to)
        mail["Date"], mail["Message-ID"] = formatdate(), f"<{message.id}@butler>"
        mail.set_content(message.body)
        try:
            with self._connected() as server:
                server.send_message(mail)
        except (OSError, smtplib.SMTPException, ValueError) as error:
            raise DeliveryFailed(
                f"{self._url.hostname}: {type(error).__name__}: {_reason(error)}"
            ) from error

    def _connected(self) -> smtplib.SMTP:
        tls, host = self._url.scheme == "smtps", self._url.hostname or ""
        kind = smtplib.SMTP_SSL if tls else smtplib.SMTP
        server = kind(host, self._url.port or 0, timeout=TIMEOUT_S)
        try:
            server.ehlo()
            if not tls and server.has_extn("starttls"):
                server.starttls()
                server.ehlo()
                tls = True
            if self._url.username:
                self._log_in(server, tls=tls)
        except BaseException:
            server.close()
            raise
        return server

    def _log_in(self, server: smtplib.SMTP, *, tls: bool) -> None:
        if not tls:
            raise DeliveryFailed(
                f"{self._url.hostname} offers no TLS, and the password is not sent in clear"
            )
        server.login(unquote(self._url.username or ""), unquote(self._url.password or ""))


def _reason(error: Exception) -> str:
    code = getattr(error, "smtp_code", None)
    return f"code {code}" if code is not None else one_line(str(error))[:200]
