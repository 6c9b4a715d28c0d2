"""`Health`: how the ledger and its servers do; ``butler.health``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar, overload

from butler.errors import ButlerError
from butler.monitoring.health.custom import CustomChecks
from butler.monitoring.health.fleet import check_fleet
from butler.monitoring.health.jobs import check_jobs, job_health
from butler.monitoring.health.queues import BacklogWatch, check_queues
from butler.monitoring.health.servers import ServersLook, check_redis, look_at_postgres
from butler.monitoring.health.verdict import HealthLevel, HealthReport, worst_first
from butler.recurring.job import JobStatus
from butler.storage.monitoring_records import WatchedFire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from butler.app import Butler
    from butler.monitoring.health.verdict import HealthCheck, JobHealth
    from butler.recurring.job import RecurringFire
    from butler.storage.base import Storage
    from butler.storage.monitoring_records import LedgerPicture

    Check = Callable[[], Any]

Fn = TypeVar("Fn", bound="Check")
FIRES_JUDGED = 100
_IDLE = {
    JobStatus.PAUSED: "is paused: it does not fire until it is resumed",
    JobStatus.ENDED: "has no more fire times",
}


class Health:
    """The checks of a ledger. Called once they look at now; a growing backlog needs several."""

    def __init__(self, butler: Butler) -> None:
        self._butler = butler
        self._custom = CustomChecks()
        self._backlogs = BacklogWatch()

    @overload
    def check(self, name_or_fn: Fn, /) -> Fn: ...
    @overload
    def check(self, name_or_fn: str, /) -> Callable[[Fn], Fn]: ...
    def check(self, name_or_fn: Any, /) -> Any:
        """``@butler.health.check`` or ``@butler.health.check("name")``: a check of your own.

        It returns None or True where all is well, False or a reason where not, or a `HealthCheck`,
        or a level and a reason; raising is unhealthy. It may be a coroutine function. Each process
        that asks runs it: a scheduler does with ``--app``. Raises `DefinitionError`.
        """
        if isinstance(name_or_fn, str):

            def add(fn: Fn) -> Fn:
                self._custom.add(name_or_fn, fn)
                return fn

            return add
        self._custom.add(name_or_fn.__name__, name_or_fn)
        return name_or_fn

    def report(self) -> HealthReport:
        """Make all checks now; never raises for what they find, a dead server neither."""
        servers = self.servers(lambda: self._butler.storage)
        checks = list(servers.checks)
        picture = None if servers.now is None else self._picture()
        if picture is not None:
            checks.extend(self._of_ledger(picture))
        checks.extend(self._custom.run())
        return HealthReport(at=self._butler.clock.now(), checks=worst_first(checks))

    def servers(self, storage: Callable[[], Storage], *, connected: bool = False) -> ServersLook:
        """The checks of both servers, over this storage; never raises for what they find."""
        postgres = look_at_postgres(storage, self._butler.clock, connected=connected)
        redis = check_redis(lambda: self._butler.redis)
        return replace(postgres, checks=(*postgres.checks, *redis))

    def of_picture(self, picture: LedgerPicture) -> tuple[HealthCheck, ...]:
        """The checks of what was seen of a ledger, and users' own."""
        return (*self._of_ledger(picture), *self._custom.run())

    def recurring(self, job: str) -> JobHealth:
        """How a recurring job does: last success, failures in a row, run time against its own.

        ``job`` is its name or its id. Raises `RecurringJobNotFound`.
        """
        found = self._butler.recurring.get(job)
        fires = self._butler.recurring.history(found.id, limit=FIRES_JUDGED)
        late_s = 0.0
        if found.enabled and found.next_fire_at is not None:
            late_s = (self._butler.storage.now() - found.next_fire_at).total_seconds()
            late_s = max(0.0, late_s - found.jitter_s)
        judged = job_health(
            found.name,
            list(self._watched(found.name, fires)),
            broken_reason=found.broken_reason,
            late_s=late_s,
        )
        idle = _IDLE.get(found.status)
        if idle is not None and judged.level is HealthLevel.HEALTHY:
            return replace(judged, reason=idle)
        return judged

    def _picture(self) -> LedgerPicture | None:
        try:
            return self._butler.storage.picture()
        except ButlerError:
            # It went away since it answered; the next look says so.
            return None

    def _of_ledger(self, picture: LedgerPicture) -> Iterator[HealthCheck]:
        yield from check_fleet(picture)
        yield from check_queues(picture)
        yield from self._backlogs.look(picture)
        yield from check_jobs(picture)

    def _watched(self, job: str, fires: list[RecurringFire]) -> Iterator[WatchedFire]:
        ids = [fire.execution_id for fire in fires if fire.execution_id is not None]
        executions = {each.id: each for each in self._butler.storage.get_many(ids)}
        for fire in fires:
            execution = executions.get(fire.execution_id or "")
            over = execution is not None and execution.status in ("succeeded", "failed")
            started = execution.started_at if execution is not None else None
            ended = execution.finished_at if execution is not None and over else None
            yield WatchedFire(
                job=job,
                fire_at=fire.fire_at,
                recorded_at=fire.recorded_at,
                outcome=str(fire.outcome),
                execution_id=fire.execution_id,
                succeeded=execution.status == "succeeded" if execution and over else None,
                finished_at=ended,
                took_s=(ended - started).total_seconds() if ended and started else None,
            )
