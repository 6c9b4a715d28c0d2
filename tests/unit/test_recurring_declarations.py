"""Jobs declared in code, and their way into the ledger."""

from __future__ import annotations

from datetime import UTC, datetime

import fakeredis
import pytest
from pydantic import BaseModel

from butler import Butler, Task, TaskContext, task
from butler.clock import ManualClock
from butler.errors import DefinitionError, InvalidRequest
from butler.recurring.job import JobStatus
from butler.schedules import Cron, Interval
from butler.storage.memory import MemoryStorage
from butler.storage.records import TaskDefinition

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOURLY = Cron("0 * * * *")


class Report(BaseModel):
    kind: str


def ping() -> None: ...


def report(request: Report) -> None: ...


class Release:
    """One release of an application: its own code, on the ledger of all releases."""

    def __init__(self, storage, *, name="shop"):
        redis = fakeredis.FakeRedis(server=fakeredis.FakeServer())
        self.butler = Butler(redis=redis, storage=storage, name=name)
        self.ping = self.butler.task(name="ping")(ping)
        self.report = self.butler.task(name="report")(report)

    def declare(self, schedule=HOURLY, of="ping", **options):
        self.butler.recurring(schedule, **options)(getattr(self, of))
        return self

    def sync(self, **options):
        return self.butler.recurring.sync(**options)


@pytest.fixture
def storage():
    return MemoryStorage(clock=ManualClock(NOON))


def test_a_declared_job_is_written_by_a_sync_and_not_before(storage):
    shop = Release(storage).declare(of="report", request=Report(kind="a"), tags=["x"])
    assert shop.butler.recurring.list().jobs == ()
    result = shop.sync()
    assert (result.created, result.changed, result.source) == (("report",), True, "shop")
    job = shop.butler.recurring.get("report")
    assert (job.source, job.request, job.tags) == ("shop", {"kind": "a"}, ("x",))
    assert job.next_fire_at == datetime(2026, 3, 1, 13, tzinfo=UTC)


def test_a_second_sync_finds_nothing_to_do(storage):
    Release(storage).declare(jitter_s=5).sync()
    result = Release(storage).declare(jitter_s=5).sync()
    assert (result.unchanged, result.changed) == (("ping",), False)
    assert Release(storage).butler.recurring.get("ping").version == 1


def test_a_dry_run_tells_and_writes_nothing(storage):
    result = Release(storage).declare().sync(dry_run=True)
    assert (result.created, result.dry_run) == (("ping",), True)
    assert Release(storage).butler.recurring.list().jobs == ()


def test_what_code_changes_is_changed_and_what_it_drops_is_deleted(storage):
    Release(storage).declare(name="a").declare(name="b").declare(name="c").sync()
    result = Release(storage).declare(name="a").declare(Interval(60), name="b").sync()
    assert (result.unchanged, result.updated, result.deleted) == (("a",), ("b",), ("c",))
    jobs = Release(storage).butler.recurring.list().jobs
    assert [(job.name, job.schedule) for job in jobs] == [("a", HOURLY), ("b", Interval(60))]


def test_another_request_is_a_change(storage):
    Release(storage).declare(of="report", request=Report(kind="a")).sync()
    result = Release(storage).declare(of="report", request=Report(kind="b")).sync()
    assert result.updated == ("report",)
    assert Release(storage).butler.recurring.get("report").request == {"kind": "b"}


def test_an_option_that_code_no_longer_gives_goes_back_to_its_default(storage):
    Release(storage).declare(queue="slow").sync()
    assert Release(storage).declare().sync().updated == ("ping",)
    assert Release(storage).butler.recurring.get("ping").queue is None


def test_an_operators_pause_is_kept(storage):
    shop = Release(storage).declare()
    shop.sync()
    shop.butler.recurring.pause("ping")
    assert Release(storage).declare().sync().unchanged == ("ping",)
    assert Release(storage).declare(tags=["new"]).sync().updated == ("ping",)
    job = shop.butler.recurring.get("ping")
    assert (job.status, job.tags) == (JobStatus.PAUSED, ("new",))


def test_what_an_operator_changed_is_code_again(storage):
    shop = Release(storage).declare()
    shop.sync()
    shop.butler.recurring.update("ping", tags=["mine"])
    assert shop.sync().updated == ("ping",)
    assert shop.butler.recurring.get("ping").tags == ()


def test_jobs_of_others_are_left_alone(storage):
    shop = Release(storage)
    shop.butler.recurring.create("by hand", shop.ping, HOURLY)
    Release(storage, name="blog").declare(name="theirs").sync()
    result = shop.declare(name="ours").sync()
    assert (result.created, result.deleted) == (("ours",), ())
    assert [job.name for job in shop.butler.recurring.list().jobs] == ["by hand", "ours", "theirs"]


def test_a_name_that_belongs_to_somebody_else_is_a_conflict(storage):
    shop = Release(storage)
    shop.butler.recurring.create("by hand", shop.ping, HOURLY)
    Release(storage, name="blog").declare(name="theirs").sync()
    shop.declare(Interval(60), name="by hand").declare(Interval(60), name="theirs")
    result = shop.declare(name="ours").sync()
    assert (result.conflicts, result.created) == (("by hand", "theirs"), ("ours",))
    assert shop.butler.recurring.get("by hand").schedule == HOURLY


def test_a_declaration_whose_request_does_not_fit_writes_nothing(storage):
    shop = Release(storage).declare(name="good").declare(of="report", request={"kind": 7})
    with pytest.raises(InvalidRequest):
        shop.sync()
    assert shop.butler.recurring.list().jobs == ()


def test_a_job_that_another_process_created_meanwhile_is_left_to_it(storage, monkeypatch):
    shop = Release(storage).declare()
    insert = storage.insert_recurring

    def be_late(jobs):
        Release(storage).declare().sync()
        monkeypatch.undo()
        return insert(jobs)

    monkeypatch.setattr(storage, "insert_recurring", be_late)
    monkeypatch.setattr(Release, "sync", lambda self: insert(_definitions(self)))
    assert shop.butler.recurring.sync().created == ()
    assert len(shop.butler.recurring.list().jobs) == 1


def _definitions(release):
    from butler.recurring.definitions import new_definition

    return [
        new_definition(
            said.name,
            prepared=release.butler.recurring.prepared(said.task, said.request),
            schedule=said.schedule,
            options=said.options,
            source="shop",
            now=NOON,
        )
        for said in release.butler.recurring.declared()
    ]


def test_every_form_of_task_can_be_declared(storage):
    butler = Release(storage).butler

    @butler.recurring(HOURLY)
    @butler.register
    class Clean(Task[None, None]):
        def execute(self, request: None, context: TaskContext) -> None: ...

    @butler.recurring(HOURLY, name="one")
    @butler.recurring(Interval(60), name="two")
    @task
    def unbound() -> None: ...

    names = [said.name for said in butler.recurring.declared()]
    assert names == ["Clean", "one", "two"]
    assert "unbound" in butler.registry
    butler.recurring.sync()
    assert butler.recurring.get("two").task == "unbound"


def test_a_mistake_is_told_where_it_is_written(storage):
    butler = Release(storage).butler
    with pytest.raises(DefinitionError, match="overlap must be one of"):
        butler.recurring(HOURLY, overlap="maybe")
    with pytest.raises(DefinitionError, match="a schedule is Cron"):
        butler.recurring("0 * * * *")
    with pytest.raises(DefinitionError, match="stands above"):
        butler.recurring(HOURLY)(ping)
    shop = Release(storage).declare()
    with pytest.raises(DefinitionError, match="'ping' is declared already"):
        shop.declare(Interval(60))


def test_an_application_is_called_like_the_module_that_makes_its_butler():
    assert Butler().name == __name__
    assert Butler.in_memory().name == __name__
    assert Butler(name="shop").name == "shop"


def test_a_task_that_no_worker_has_announced_is_announced_with_its_job(storage):
    shop = Release(storage).declare()
    shop.sync(dry_run=True)
    assert storage.task_definitions() == []
    shop.sync()
    assert [said.name for said in storage.task_definitions()] == ["ping"]
    shop.butler.recurring.create("other", shop.report, HOURLY, request=Report(kind="a"))
    assert [said.name for said in storage.task_definitions()] == ["ping", "report"]


def test_what_a_worker_has_announced_stands(storage):
    worker = TaskDefinition(name="ping", fingerprint="the worker's")
    storage.register_tasks([worker])
    Release(storage).declare().sync()
    assert storage.task_definitions() == [worker]
