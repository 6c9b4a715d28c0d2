"""`butler recurring import-rq-scheduler`, on what rq-scheduler itself wrote."""

from datetime import UTC, datetime, timedelta

import pytest
import redis
from pydantic import BaseModel
from rq_scheduler import Scheduler

from butler import Butler
from butler.recurring.rq_entries import SCHEDULED_KEY, RqEntry, read_entries
from butler.schedules import Cron, Interval, Once

# It asks crontab in a way that crontab warns its authors about.
pytestmark = pytest.mark.filterwarnings("ignore:Version 0.22.0:FutureWarning")

IMPORT = ("recurring", "import-rq-scheduler")
LATER = datetime(2040, 1, 2, 3, 4, 5, tzinfo=UTC)
OLD = "module_that_only_the_application_has"


class Report(BaseModel):
    kind: str
    year: int = 2026


@pytest.fixture
def butler(redis_url, database_url):
    """An application whose workers announced their tasks."""
    with Butler(redis_url, database_url) as butler:

        @butler.task
        def report(request: Report) -> None: ...

        @butler.task
        def clean(request: None) -> None: ...

        @butler.task
        def notify(request: str) -> None: ...

        butler.storage.register_tasks(butler.tasks())
        yield butler


@pytest.fixture
def client(redis_url):
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def theirs(client):
    """The application's rq-scheduler."""
    return Scheduler(queue_name="reports", connection=client)


@pytest.fixture
def scheduled(theirs):
    """One of each kind, by job id."""
    theirs.cron("0 9 * * MON-FRI", f"{OLD}.report", args=["daily"], id="c", timeout=90)
    theirs.schedule(LATER, f"{OLD}.clean", interval=3600, repeat=5, id="i")
    theirs.enqueue_at(LATER, f"{OLD}.report", kind="once", year=2040, job_id="o")


def imported(butler):
    return {job.name.removeprefix("rq-scheduler "): job for job in butler.recurring.list().jobs}


def test_each_kind_of_entry_becomes_a_recurring_job(run_butler, butler, scheduled, client):
    ran = run_butler(*IMPORT, "--tz", "Europe/Berlin", "--remove")
    assert ran.code == 0, ran.err
    assert len(ran.lines) == 3
    jobs = imported(butler)
    assert jobs["c"].schedule == Cron("0 9 * * MON-FRI", timezone="Europe/Berlin")
    assert jobs["i"].schedule == Interval(3600, anchor=LATER)
    assert jobs["o"].schedule == Once(LATER)
    assert [jobs[id_].task for id_ in "cio"] == ["report", "clean", "report"]
    assert jobs["c"].request == {"kind": "daily"}
    assert jobs["i"].request is None
    assert jobs["o"].request == {"kind": "once", "year": 2040}
    assert (jobs["c"].timeout_s, jobs["i"].max_fires) == (90, 5)
    assert {job.queue for job in jobs.values()} == {"reports"}
    assert all(job.enabled for job in jobs.values())
    assert not client.exists(SCHEDULED_KEY)


def test_without_removal_the_jobs_are_paused_and_a_second_run_finishes(
    run_butler, butler, scheduled, client
):
    run_butler(*IMPORT)
    assert not any(job.enabled for job in imported(butler).values())
    assert client.zcard(SCHEDULED_KEY) == 3
    again = run_butler(*IMPORT, "--remove", "--json").json
    assert {(entry["created"], entry["removed"]) for entry in again} == {(False, True)}
    assert all(job.enabled for job in imported(butler).values())
    assert run_butler(*IMPORT).err == "rq-scheduler holds no jobs in this Redis\n"


def test_a_dry_run_changes_nothing(run_butler, butler, scheduled, client):
    ran = run_butler(*IMPORT, "--dry-run", "--remove")
    assert [line.split(": ")[1] for line in ran.lines] == ["would be imported"] * 3
    assert imported(butler) == {}
    assert client.zcard(SCHEDULED_KEY) == 3


@pytest.mark.parametrize(
    ("function", "args", "said"),
    [
        ("raport", ["x"], "no task 'raport'; did you mean \"report\"?; name the task with --task"),
        ("report", ["a", 1, 2], "passes 3 arguments without a name"),
        ("report", ["a", "soon"], "year: "),
        ("report", [Report(kind="x")], "is not a plain value"),
    ],
)
def test_what_cannot_be_converted_stays_and_stops_no_other(
    run_butler, butler, theirs, client, function, args, said
):
    theirs.enqueue_at(LATER, f"{OLD}.{function}", *args, job_id="bad")
    theirs.enqueue_at(LATER + timedelta(1), f"{OLD}.notify", "ann", job_id="good")
    ran = run_butler(*IMPORT, "--remove")
    assert ran.code == 1
    assert "bad: not imported: " in ran.err
    assert said in ran.err
    assert imported(butler)["good"].request == "ann"
    assert client.zrange(SCHEDULED_KEY, 0, -1) == [b"bad"]


def test_a_function_may_be_named_for_a_task(run_butler, butler, theirs):
    theirs.cron("0 0 1 1 * *", f"{OLD}.old_report", kwargs={"kind": "k"}, id="x")
    ran = run_butler(*IMPORT, "--task", f"{OLD}.old_report=report")
    assert ran.code == 0, ran.err
    assert imported(butler)["x"].schedule == Cron("0 0 1 1 *", timezone="UTC")
    assert run_butler(*IMPORT, "--task", "report").code == 2


def test_an_entry_whose_job_is_gone_is_told(client):
    client.zadd(SCHEDULED_KEY, {"x": LATER.timestamp()})
    problem = "its job is gone from Redis"
    assert list(read_entries(client)) == [RqEntry(job_id="x", next_at=LATER, problem=problem)]
