"""What a channel is, and how settings name them: ``alert_channels``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from butler.errors import SettingsError

if TYPE_CHECKING:
    from butler.monitoring.alerts.message import Message
    from butler.settings import Settings

_NAME = re.compile(r"[A-Za-z0-9_-]{1,50}")


class Channel(Protocol):
    """Delivers messages."""

    def send(self, message: Message) -> None:
        """Deliver one message; raises `DeliveryFailed`, whose text holds no secret."""
        ...


def channels_of(settings: Settings) -> dict[str, Channel]:
    """The channels that are set up, by name; raises `SettingsError` for one that cannot be."""
    given = settings.alert_channels
    if given is None:
        return {}
    found: dict[str, Channel] = {}
    for part in given.get_secret_value().split():
        name, separator, url = part.partition("=")
        if not separator or not _NAME.fullmatch(name) or "://" not in url:
            raise SettingsError(
                "alert_channels must hold name=URL, separated by spaces or lines, with names of 1 "
                f"to 50 letters, digits, '_' or '-'; entry {len(found) + 1} does not"
            )
        if name in found:
            raise SettingsError(f"alert_channels names {name!r} twice")
        found[name] = _channel(name, url, settings)
    return found


def _channel(name: str, url: str, settings: Settings) -> Channel:
    match urlsplit(url).scheme:
        case "http" | "https":
            from butler.monitoring.alerts.channels.webhook import Webhook

            secret = settings.alert_webhook_secret
            return Webhook(
                url,
                secret=None if secret is None else secret.get_secret_value(),
                allow_private=settings.alert_allow_private,
            )
        case "smtp" | "smtps":
            from butler.monitoring.alerts.channels.email import Email

            return Email(name, url)
    from butler.monitoring.alerts.channels.apprise import Apprise

    return Apprise(name, url)
