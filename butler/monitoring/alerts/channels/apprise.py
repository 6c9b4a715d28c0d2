"""`Apprise`: Slack, Teams, PagerDuty and whatever else the package apprise speaks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from butler.errors import DeliveryFailed

if TYPE_CHECKING:
    from butler.monitoring.alerts.message import Message


class Apprise:
    """Sends through one of apprise's URLs: ``slack://…``, ``msteams://…``, ``pagerduty://…``."""

    def __init__(self, name: str, url: str) -> None:
        self._name = name
        self._url = url

    def send(self, message: Message) -> None:
        """Send it; apprise says no more than whether it was done."""
        try:
            import apprise
        except ImportError as error:
            raise DeliveryFailed(
                f"channel {self._name!r} needs apprise: pip install 'butler-tasks[alerts]'"
            ) from error
        sender = apprise.Apprise()
        if not sender.add(self._url):
            raise DeliveryFailed(f"apprise cannot read the URL of channel {self._name!r}")
        if not sender.notify(title=message.title, body=message.body):
            raise DeliveryFailed(f"apprise could not deliver to channel {self._name!r}")
