"""Health, alerts and rules for coroutines: ``butler.aio.health`` and its kin."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, Unpack

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from butler.app import Butler
    from butler.monitoring.alerts.alert import Alert, AlertPage, Silence
    from butler.monitoring.alerts.rule import AlertRule
    from butler.monitoring.alerts.rules import RuleOptions
    from butler.monitoring.health.verdict import HealthReport, JobHealth

    # Inside the classes ``list`` is a method.
    Silences: TypeAlias = list[Silence]
    Rules: TypeAlias = list[AlertRule]


class AsyncHealth:
    """`Health`, awaited."""

    def __init__(self, butler: Butler) -> None:
        self._butler = butler

    async def report(self) -> HealthReport:
        """As `Health.report`."""
        return await self._butler.in_thread(self._butler.health.report)

    async def recurring(self, job: str) -> JobHealth:
        """As `Health.recurring`."""
        return await self._butler.in_thread(partial(self._butler.health.recurring, job))


class AsyncAlerts:
    """`Alerts`, awaited."""

    def __init__(self, butler: Butler) -> None:
        self._butler = butler

    async def list(
        self,
        *,
        state: str | Iterable[str] = (),
        rule: str | None = None,
        subject: str | None = None,
        cursor: str | None = None,
        limit: int = 100,
    ) -> AlertPage:
        """As `Alerts.list`."""
        call = partial(
            self._butler.alerts.list,
            state=state,
            rule=rule,
            subject=subject,
            cursor=cursor,
            limit=limit,
        )
        return await self._butler.in_thread(call)

    async def get(self, alert_id: str) -> Alert:
        """As `Alerts.get`."""
        return await self._butler.in_thread(partial(self._butler.alerts.get, alert_id))

    async def ack(self, alert_id: str, *, by: str | None = None) -> Alert:
        """As `Alerts.ack`."""
        return await self._butler.in_thread(partial(self._butler.alerts.ack, alert_id, by=by))

    async def silence(
        self,
        *,
        for_s: float,
        rule: str = "*",
        subject: str = "*",
        reason: str = "",
        by: str | None = None,
        starts_at: datetime | None = None,
    ) -> Silence:
        """As `Alerts.silence`."""
        given: dict[str, Any] = {"rule": rule, "subject": subject, "reason": reason, "by": by}
        call = partial(self._butler.alerts.silence, for_s=for_s, starts_at=starts_at, **given)
        return await self._butler.in_thread(call)

    async def silences(self) -> Silences:
        """As `Alerts.silences`."""
        return await self._butler.in_thread(self._butler.alerts.silences)

    async def end_silence(self, silence_id: str) -> bool:
        """As `Alerts.end_silence`."""
        return await self._butler.in_thread(partial(self._butler.alerts.end_silence, silence_id))

    async def test(self, channel: str) -> None:
        """As `Alerts.test`."""
        await self._butler.in_thread(partial(self._butler.alerts.test, channel))


class AsyncAlertRules:
    """`AlertRules`, awaited."""

    def __init__(self, butler: Butler) -> None:
        self._butler = butler

    async def list(self) -> Rules:
        """As `AlertRules.list`."""
        return await self._butler.in_thread(self._butler.alert_rules.list)

    async def get(self, name: str) -> AlertRule:
        """As `AlertRules.get`."""
        return await self._butler.in_thread(partial(self._butler.alert_rules.get, name))

    async def create(self, name: str, kind: str, **options: Unpack[RuleOptions]) -> AlertRule:
        """As `AlertRules.create`."""
        call = partial(self._butler.alert_rules.create, name, kind, **options)
        return await self._butler.in_thread(call)

    async def update(
        self, name: str, *, version: int | None = None, **options: Unpack[RuleOptions]
    ) -> AlertRule:
        """As `AlertRules.update`."""
        call = partial(self._butler.alert_rules.update, name, version=version, **options)
        return await self._butler.in_thread(call)

    async def delete(self, name: str) -> None:
        """As `AlertRules.delete`."""
        await self._butler.in_thread(partial(self._butler.alert_rules.delete, name))
