"""Alerts, their rules, silences and channels (pure)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from butler.client.asks import Ask, as_model, as_nothing, given, picked, plain
from butler.client.operations import operation, pages
from butler.client.paging import Part, by_cursor
from butler.client.resource import D, Resource
from butler.web.models.monitoring import (
    AlertList,
    ChannelList,
    RuleList,
    ShownAlert,
    ShownAlertRule,
    ShownSilence,
    SilenceList,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime, timedelta

    from butler.client.steps import Answer
    from butler.monitoring.alerts.rules import RuleOptions

PAGE_SIZE = 200


class Alerts(Resource[D]):
    """What is wrong, and was; who is not to be told of it."""

    @pages("GET /alerts")
    def list(
        self,
        *,
        state: str | Iterable[str] = (),
        rule: str | None = None,
        subject: str | None = None,
        page_size: int = PAGE_SIZE,
    ) -> Ask[Part[ShownAlert]]:
        """Iterate over alerts, newest first; every filter must hold."""

        def read(answer: Answer) -> Part[ShownAlert]:
            page = as_model(AlertList)(answer)
            return by_cursor(page.alerts, page.next_cursor)

        query = {"state": state, "rule": rule, "subject": subject, "limit": page_size}
        return Ask(read=read, query=query)

    @operation("GET /alerts/{alert_id}")
    def get(self, alert_id: str) -> Ask[ShownAlert]:
        """One alert: what is wrong, since when, the likely cause, and what to do."""
        return Ask(read=as_model(ShownAlert), place={"alert_id": alert_id})

    @operation("POST /alerts/{alert_id}/acknowledge")
    def ack(self, alert_id: str) -> Ask[ShownAlert]:
        """Say that somebody looks at it: it is not escalated any more. Twice changes nothing."""
        return Ask(read=as_model(ShownAlert), place={"alert_id": alert_id})

    @operation("POST /alert-silences")
    def silence(
        self,
        *,
        for_s: float | timedelta,
        rule: str = "*",
        subject: str = "*",
        reason: str = "",
        starts_at: datetime | None = None,
    ) -> Ask[ShownSilence]:
        """Tell nobody of matching alerts for that long; what is open at the end is told then.

        ``rule`` and ``subject`` are patterns (``*``, ``?``, ``[…]``).
        """
        body = {"for_s": for_s, "rule": rule, "subject": subject, "reason": reason}
        return Ask(read=as_model(ShownSilence), body=given(body | {"starts_at": starts_at}))

    @operation("GET /alert-silences")
    def silences(self) -> Ask[Sequence[ShownSilence]]:
        """Silences that have not ended, soonest end first."""
        return Ask(read=picked(SilenceList, lambda found: found.silences))

    @operation("DELETE /alert-silences/{silence_id}")
    def end_silence(self, silence_id: str) -> Ask[None]:
        """End a silence now; raises `ApiNotFound` where it had ended."""
        return Ask(read=as_nothing, place={"silence_id": silence_id})

    @operation("GET /alert-channels")
    def channels(self) -> Ask[Sequence[str]]:
        """The names of the channels that the server's settings name."""
        return Ask(read=picked(ChannelList, lambda found: found.channels))

    @operation("POST /alert-channels/{channel}/test")
    def test(self, channel: str) -> Ask[None]:
        """Send a test message through a channel; raises `DeliveryFailed`."""
        return Ask(read=as_nothing, place={"channel": channel})


class AlertRules(Resource[D]):
    """When to alert, about what, and whom to tell; for tokens without a scope."""

    @operation("GET /alert-rules")
    def list(self) -> Ask[Sequence[ShownAlertRule]]:
        """All rules, the built-in ones first, as they are or as they were changed."""
        return Ask(read=picked(RuleList, lambda found: found.rules))

    @operation("GET /alert-rules/{rule}")
    def get(self, rule: str) -> Ask[ShownAlertRule]:
        """One rule, by its name; raises `AlertRuleNotFound`."""
        return Ask(read=as_model(ShownAlertRule), place={"rule": rule})

    @operation("POST /alert-rules")
    def create(self, name: str, kind: str, **options: Unpack[RuleOptions]) -> Ask[ShownAlertRule]:
        """Add a rule; what is not given is as in the built-in rule of its kind.

        Raises `AlertRuleExists` and `InvalidOption`.
        """
        body = {"name": name, "kind": kind, **given(options)}
        return Ask(read=as_model(ShownAlertRule), body=body)

    @operation("PATCH /alert-rules/{rule}")
    def update(
        self, rule: str, *, version: int | None, **options: Unpack[RuleOptions]
    ) -> Ask[ShownAlertRule]:
        """Change what is given and leave the rest; an option that is None goes to its default.

        ``version`` is that of the rule as you have read it: raises `StaleUpdate` where somebody
        else has changed it since. None overwrites whatever there is.
        """
        return Ask(
            read=as_model(ShownAlertRule),
            place={"rule": rule},
            body={name: plain(value) for name, value in options.items()},
            headers={"If-Match": "*" if version is None else f'"{version}"'},
        )

    @operation("DELETE /alert-rules/{rule}")
    def delete(self, rule: str, *, version: int | None = None) -> Ask[None]:
        """Remove a rule; a built-in one goes back to what it was. ``version`` as in `update`."""
        headers = {} if version is None else {"If-Match": f'"{version}"'}
        return Ask(read=as_nothing, place={"rule": rule}, headers=headers)
