"""`Watchman`: what the leader does about alerts: looks, decides, writes, and has it delivered."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from butler.errors import ButlerError, SettingsError
from butler.log import log_event
from butler.monitoring.alerts.alert import AlertState
from butler.monitoring.alerts.channels.channel import channels_of
from butler.monitoring.alerts.courier import Courier
from butler.monitoring.alerts.figures import LedgerFigures
from butler.monitoring.alerts.judge import Judge, Standing
from butler.monitoring.alerts.measure import View
from butler.monitoring.alerts.measuring import Measures
from butler.monitoring.alerts.rules import rules_of
from butler.monitoring.alerts.sentry import Sentry, is_about_servers
from butler.monitoring.alerts.troubles import ChannelTroubles
from butler.monitoring.health.limits import POSTGRES_SLOW_S

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from butler.app import Butler
    from butler.clock import Clock
    from butler.monitoring.alerts.alert import Alert
    from butler.monitoring.alerts.channels.channel import Channel

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 5.0


class Watchman:
    """Watches a ledger on behalf of its leader; called about once a second, from one thread.

    ``look_every_s`` is how often rules are held against the ledger: the soonest an alert opens.
    """

    def __init__(self, butler: Butler, *, clock: Clock, look_every_s: float = LOOK_EVERY_S) -> None:
        self._butler = butler
        self._clock = clock
        self._look_every_s = look_every_s
        self._troubles = ChannelTroubles()
        self._courier = Courier(butler, channels=lambda: self._channels, troubles=self._troubles)
        self._channels: Mapping[str, Channel] = self._read_channels()
        self._epoch: int | None = None
        self._judge = Judge()
        self._sentry = Sentry(butler)
        self._look_at = float("-inf")

    @property
    def pressing(self) -> bool:
        """Whether the next step should not wait."""
        return self._sentry.pressing

    def step(self, *, epoch: int) -> None:
        """Look if it is time, and see to the deliveries."""
        if epoch != self._epoch:
            # What was before this term, others have seen.
            self._epoch, self._judge, self._sentry = epoch, Judge(), Sentry(self._butler)
        began_s = self._clock.monotonic()
        alerts = self._butler.storage_apart.unsettled_alerts()
        now_s = self._clock.monotonic()
        due, changed = now_s >= self._look_at, False
        if due or self._sentry.pressing or now_s - began_s >= POSTGRES_SLOW_S:
            changed = self._look_at_servers(alerts, epoch=epoch)
        # What the servers gave to tell is told before anything slower is begun.
        if due and not changed and not self._sentry.pressing:
            changed = self._look(alerts, epoch=epoch)
            # Where looks are slow, the servers are looked at and messages delivered in between.
            ended_s = self._clock.monotonic()
            self._look_at = max(now_s + self._look_every_s, ended_s + (ended_s - now_s) / 2)
        if changed:
            alerts = self._butler.storage_apart.unsettled_alerts()
        self._courier.deliver(alerts, epoch=epoch)

    def stand_down(self) -> None:
        """Nobody leads for now, or somebody else, or the process ends; a term may go on later."""
        self._courier.close()

    def _look_at_servers(self, alerts: Sequence[Alert], *, epoch: int) -> bool:
        """Hold the rules against the servers alone; whether any alert changed."""
        written = self._sentry.look(alerts, channels=tuple(self._channels), epoch=epoch)
        _log(written, before=alerts)
        return bool(written)

    def _look(self, alerts: Sequence[Alert], *, epoch: int) -> bool:
        """Hold the rules against the rest of the ledger; whether any alert changed."""
        alerts = [alert for alert in alerts if not is_about_servers(alert)]
        storage = self._butler.storage_apart
        try:
            picture = storage.picture()
        except ButlerError:
            # It went away since it answered; the next look says so.
            return False
        view = View(
            picture=picture,
            checks=self._butler.health.of_picture(picture),
            figures=LedgerFigures(storage, now=picture.now),
            channels=tuple(self._troubles.now(alerts, channels=self._channels)),
        )
        standing = Standing(
            alerts=alerts, silences=storage.silences(), channels=tuple(self._channels)
        )
        changed = self._judge.decide(rules_of(storage), Measures(view), standing, now=picture.now)
        written = storage.write_alerts(changed, epoch=epoch)
        _log(written, before=alerts)
        return bool(written)

    def _read_channels(self) -> Mapping[str, Channel]:
        try:
            return channels_of(self._butler.settings)
        except SettingsError as error:
            # Alerts are shown all the same; and a scheduler that does not start helps nobody.
            log_event(logger, logging.ERROR, "alert.no_channels", error=error)
            return {}


def _log(written: Sequence[Alert], *, before: Sequence[Alert]) -> None:
    states = {alert.id: alert.state for alert in before}
    for alert in written:
        if states.get(alert.id) is alert.state:
            continue
        over = alert.state is AlertState.RESOLVED
        log_event(
            logger,
            logging.INFO if over else logging.WARNING,
            "alert.resolved" if over else "alert.opened",
            rule=alert.rule,
            subject=alert.subject,
            summary=alert.summary,
            id=alert.id,
        )
