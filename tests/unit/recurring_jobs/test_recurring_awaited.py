"""`butler.aio.recurring`: the same names, awaited, on the same ledger."""

from __future__ import annotations

import asyncio
import inspect

from recurring_jobs_shop import Report

from butler.aio import AsyncHandle
from butler.recurring.awaited import AsyncRecurringJobs
from butler.recurring.service import RecurringJobs
from butler.schedules import Cron, Interval

NIGHTLY = Cron("0 2 * * *")


def test_jobs_are_made_steered_and_removed_by_coroutines(butler):
    async def main():
        jobs = butler.aio.recurring
        made = await jobs.create("nightly", "report", NIGHTLY, request=Report(kind="sales"))
        assert await jobs.get("nightly") == await jobs.find(made.id) == made
        assert not (await jobs.list(tag="none")).jobs
        changed = await jobs.update("nightly", schedule=Interval(60), version=made.version)
        assert changed.schedule == Interval(60)
        assert not (await jobs.pause("nightly")).enabled
        assert (await jobs.resume("nightly")).enabled
        handle = await jobs.trigger("nightly", Report(kind="costs"))
        assert isinstance(handle, AsyncHandle)
        assert (await handle.execution()).request["kind"] == "costs"
        assert [fire.execution_id for fire in await jobs.history("nightly")] == [handle.id]
        assert sum((await jobs.statistics("nightly")).executions.values()) == 1
        assert len(await jobs.preview("nightly", count=3)) == 3
        assert (await jobs.bulk("pause", jobs=["nightly"])).done == ("nightly",)
        assert not (await jobs.sync(dry_run=True)).changed
        await jobs.delete("nightly")
        assert await jobs.find("nightly") is None

    asyncio.run(main())


def test_every_method_has_its_awaited_twin_with_the_same_parameters():
    def parameters(cls, name):
        return list(inspect.signature(getattr(cls, name)).parameters)

    names = [
        name
        for name, _ in inspect.getmembers(RecurringJobs, inspect.isfunction)
        if not name.startswith("_") and name not in {"declared", "prepared"}
    ]
    assert len(names) > 10
    for name in names:
        assert inspect.iscoroutinefunction(getattr(AsyncRecurringJobs, name)), name
        if name != "list":  # whose filters go by as they are
            assert parameters(AsyncRecurringJobs, name) == parameters(RecurringJobs, name), name
