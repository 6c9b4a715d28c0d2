"""`Alerts`: what is wrong and was, and who looks at it; ``butler.alerts``."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, TypeAlias

from butler.durations import seconds
from butler.errors import AlertNotFound, InvalidOption
from butler.ids import is_id, new_id
from butler.monitoring.alerts.alert import Alert, AlertPage, AlertQuery, AlertState, Silence
from butler.monitoring.alerts.channels.channel import channels_of
from butler.monitoring.alerts.message import trial_message
from butler.option_texts import check_aware
from butler.storage.values import text_refusal

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from butler.app import Butler

Silences: TypeAlias = list[Silence]
Names: TypeAlias = list[str]

MAX_PAGE = 1_000
LONGEST_SILENCE_S = 366 * 86_400.0


class Alerts:
    """The alerts of a ledger. A scheduler opens and resolves them; people acknowledge them."""

    def __init__(self, butler: Butler) -> None:
        self._butler = butler

    def list(
        self,
        *,
        state: str | Iterable[str] = (),
        rule: str | None = None,
        subject: str | None = None,
        cursor: str | None = None,
        limit: int = 100,
    ) -> AlertPage:
        """A page of alerts, newest first; every filter must hold.

        ``state`` is one `AlertState` or several. ``cursor`` is the ``next_cursor`` of the page
        before, ``limit`` is 1..1000. Raises `InvalidOption`.
        """
        if not 1 <= limit <= MAX_PAGE:
            raise InvalidOption(f"limit must be in 1..{MAX_PAGE}, got {limit!r}")
        if cursor is not None and not is_id(cursor):
            raise InvalidOption(f"cursor must be the next_cursor of a page, got {cursor!r}")
        query = AlertQuery(
            states=_states(state), rule=rule, subject=subject, after=cursor, limit=limit
        )
        return self._butler.storage.alerts(query)

    def get(self, alert_id: str) -> Alert:
        """An alert by its id; raises `AlertNotFound`."""
        found = self._butler.storage.get_alert(alert_id) if is_id(alert_id) else None
        if found is None:
            raise AlertNotFound(alert_id)
        return found

    def ack(self, alert_id: str, *, by: str | None = None) -> Alert:
        """Say that somebody looks at it: it is not escalated any more. Twice changes nothing.

        An alert that is resolved stays so. Raises `AlertNotFound`.
        """
        found = None
        if is_id(alert_id):
            found = self._butler.storage.acknowledge_alert(alert_id, by=by)
        if found is None:
            raise AlertNotFound(alert_id)
        return found

    def silence(
        self,
        *,
        for_s: float,
        rule: str = "*",
        subject: str = "*",
        reason: str = "",
        by: str | None = None,
        starts_at: datetime | None = None,
    ) -> Silence:
        """Tell nobody of matching alerts for that long; they open and resolve all the same.

        ``rule`` and ``subject`` are patterns (``*``, ``?``, ``[…]``). What is still open at the end
        is told then. ``starts_at`` is now unless given. Raises `InvalidOption`.
        """
        for name, text in (("rule", rule), ("subject", subject), ("reason", reason)):
            refusal = text_refusal(text)
            if refusal is not None:
                raise InvalidOption(f"{name} cannot be stored: {refusal}")
        lasts_s = seconds("for_s", for_s, exclusive=True, maximum=LONGEST_SILENCE_S)
        begins = (
            self._butler.storage.now() if starts_at is None else check_aware("starts_at", starts_at)
        )
        silence = Silence(
            id=new_id(),
            rule=rule,
            subject=subject,
            starts_at=begins,
            ends_at=begins + timedelta(seconds=lasts_s),
            reason=reason,
            created_by=by,
        )
        self._butler.storage.add_silence(silence)
        return silence

    def silences(self) -> Silences:
        """Silences that have not ended, soonest end first."""
        return self._butler.storage.silences()

    def end_silence(self, silence_id: str) -> bool:
        """End a silence now; False where it had ended, or is not there."""
        storage = self._butler.storage
        return is_id(silence_id) and storage.end_silence(silence_id, at=storage.now())

    def channels(self) -> Names:
        """The names of the channels that the settings name (``alert_channels``)."""
        return sorted(channels_of(self._butler.settings))

    def test(self, channel: str) -> None:
        """Send a test message through a channel, from here and now.

        Raises `InvalidOption` for a channel that is not there, and `DeliveryFailed`.
        """
        known = channels_of(self._butler.settings)
        if channel not in known:
            names = ", ".join(sorted(known)) or "none: set alert_channels"
            raise InvalidOption(f"no channel named {channel!r}; there is {names}")
        message = trial_message(
            channel, at=self._butler.clock.now(), settings=self._butler.settings
        )
        known[channel].send(message)


def _states(state: str | Iterable[str]) -> frozenset[AlertState]:
    given = [state] if isinstance(state, str) else state
    try:
        return frozenset(AlertState(each) for each in given)
    except ValueError as error:
        known = ", ".join(AlertState)
        raise InvalidOption(f"state must be one of {known}: {error}") from None
