"""Making, finding and changing recurring jobs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from recurring_jobs_shop import NOON, Report, create

from butler.errors import (
    InvalidOption,
    InvalidRequest,
    InvalidSchedule,
    RecurringJobExists,
    RecurringJobNotFound,
    StaleUpdate,
    UnknownTask,
)
from butler.executions import Priority
from butler.recurring.job import JobStatus, Misfire, Overlap
from butler.schedules import Cron, Interval, Once

# Making


def test_a_job_has_its_request_checked_and_its_next_fire_planned(butler):
    job = create(butler)
    assert job.request == {"kind": "sales", "pages": 1}
    assert job.next_fire_at == datetime(2026, 3, 2, 2, tzinfo=UTC)
    assert (job.status, job.version, job.source) == (JobStatus.ACTIVE, 1, None)
    assert job.fingerprint == butler.registry.get("report").fingerprint
    assert job.schedule == Cron("0 2 * * *")


def test_a_schedule_may_be_given_in_its_json_form(butler):
    job = create(butler, schedule={"type": "interval", "every_s": 60})
    assert job.schedule == Interval(60)


def test_every_option_is_kept(butler):
    options = {
        "enabled": False,
        "misfire": "catch_up",
        "misfire_grace_s": timedelta(minutes=1),
        "catch_up_limit": 5,
        "overlap": "queue",
        "max_concurrency": 2,
        "jitter_s": 10,
        "starts_at": NOON,
        "ends_at": NOON + timedelta(days=9),
        "max_fires": 3,
        "queue": "slow",
        "priority": "high",
        "max_attempts": 7,
        "timeout_s": 60,
        "tags": ["a"],
        "description": "for the board",
        "owner": "ann",
    }
    job = create(butler, **options)
    kept = options | {
        "misfire": Misfire.CATCH_UP,
        "misfire_grace_s": 60.0,
        "overlap": Overlap.QUEUE,
        "priority": Priority.HIGH,
        "tags": ("a",),
    }
    assert {name: getattr(job, name) for name in kept} == kept


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"request": {"kind": 7}}, InvalidRequest, "kind"),
        ({"task": "reprot"}, UnknownTask, "did you mean"),
        ({"schedule": "0 2 * * *"}, InvalidSchedule, "a schedule is Cron"),
        ({"schedule": {"type": "corn"}}, InvalidSchedule, "did you mean"),
        ({"schedule": Once(NOON)}, InvalidSchedule, "would never fire"),
        ({"ends_at": NOON + timedelta(hours=1)}, InvalidSchedule, "would never fire"),
        ({"ends_at": NOON, "starts_at": NOON + timedelta(1)}, InvalidOption, "ends_at must not"),
        ({"name": ""}, InvalidOption, "name must have 1 to 200"),
        ({"misfire": "never"}, InvalidOption, "misfire must be one of 'fire_once'"),
        ({"overlap": "no"}, InvalidOption, "overlap must be one of 'skip'"),
        ({"max_concurrency": 0}, InvalidOption, "max_concurrency must be an int in 1"),
        ({"catch_up_limit": 1001}, InvalidOption, "catch_up_limit must be an int in 1..1000"),
        ({"jitter_s": -1}, InvalidOption, "jitter_s must be >= 0"),
        ({"enabled": 1}, InvalidOption, "enabled must be True or False"),
        ({"owner": ""}, InvalidOption, "owner must have"),
        ({"timezone": "UTC"}, InvalidOption, "no option 'timezone'"),
        ({"starts_at": NOON.replace(tzinfo=None)}, InvalidOption, "must carry a time zone"),
    ],
)
def test_what_cannot_work_is_refused_when_it_is_saved(butler, change, error, message):
    with pytest.raises(error, match=message):
        create(butler, **change)
    assert butler.recurring.list().jobs == ()


def test_a_name_is_given_once(butler):
    create(butler)
    with pytest.raises(RecurringJobExists, match="'nightly' already"):
        create(butler, task="ping")


def test_a_job_is_found_by_name_and_by_id_and_the_id_goes_first(butler):
    job = create(butler)
    assert butler.recurring.get("nightly") == butler.recurring.get(job.id) == job
    impostor = create(butler, name=job.id)
    assert butler.recurring.get(job.id) == job
    assert butler.recurring.get(impostor.id) == impostor
    assert butler.recurring.find("daily") is None
    with pytest.raises(RecurringJobNotFound, match="'daily'"):
        butler.recurring.get("daily")


# Listing


def test_jobs_are_listed_by_name_page_by_page(butler):
    for name in ("c", "a", "b"):
        create(butler, name=name)
    page = butler.recurring.list(limit=2)
    assert [job.name for job in page.jobs] == ["a", "b"]
    page = butler.recurring.list(limit=2, cursor=page.next_cursor)
    assert [job.name for job in page.jobs] == ["c"]
    assert page.next_cursor is None


def test_jobs_are_filtered(butler):
    create(butler, tags=["x"])
    create(butler, name="other", task="ping")
    butler.recurring.pause("other")
    assert [job.name for job in butler.recurring.list(tag="x").jobs] == ["nightly"]
    assert [job.name for job in butler.recurring.list(task="ping").jobs] == ["other"]
    assert [job.name for job in butler.recurring.list(status="paused").jobs] == ["other"]
    with pytest.raises(InvalidOption, match="status must be one of active, paused"):
        butler.recurring.list(status="resting")
    with pytest.raises(InvalidOption, match="limit must be"):
        butler.recurring.list(limit=0)


# Changing


def test_an_update_changes_what_is_given_and_leaves_the_rest(butler):
    create(butler, description="old", tags=["x"], queue="slow")
    job = butler.recurring.update("nightly", description="new", queue=None)
    assert (job.description, job.tags, job.queue, job.version) == ("new", ("x",), None, 2)
    assert job.next_fire_at == datetime(2026, 3, 2, 2, tzinfo=UTC)
    assert job.request == {"kind": "sales", "pages": 1}


def test_another_schedule_is_planned_from_now_on(butler, clock):
    create(butler)
    clock.advance(3600)
    job = butler.recurring.update("nightly", schedule=Interval(60, anchor=NOON))
    assert job.next_fire_at == NOON + timedelta(seconds=3660)


def test_an_update_checks_a_new_request_against_the_task(butler):
    create(butler)
    assert butler.recurring.update("nightly", request=Report(kind="b")).request["kind"] == "b"
    with pytest.raises(InvalidRequest):
        butler.recurring.update("nightly", request={"pages": "many"})
    with pytest.raises(InvalidRequest):
        butler.recurring.update("nightly", task="ping")
    assert butler.recurring.update("nightly", task="ping", request=None).request is None


def test_a_stale_update_is_refused(butler):
    job = create(butler)
    butler.recurring.update("nightly", version=job.version, description="mine")
    with pytest.raises(StaleUpdate, match="at version 2, and the change was made on version 1"):
        butler.recurring.update("nightly", version=job.version, description="theirs")
    assert butler.recurring.get("nightly").description == "mine"


def test_an_update_without_a_version_gets_through_while_others_change(butler, storage, monkeypatch):
    create(butler)
    change = storage.change_recurring
    interfered = []

    def interfere(changes):
        if not interfered:
            interfered.append(True)
            assert change(changes) == [True]
            return [False]
        return change(changes)

    monkeypatch.setattr(storage, "change_recurring", interfere)
    job = butler.recurring.update("nightly", description="mine")
    assert (job.description, job.version) == ("mine", 3)


def test_a_paused_job_fires_no_more_and_resumes_from_now_on(butler, clock, storage):
    create(butler, schedule=Interval(60))
    assert butler.recurring.pause("nightly").status is JobStatus.PAUSED
    assert butler.recurring.pause("nightly").version == 2
    assert storage.recurring_pulse().due_in_s is None
    clock.advance(1000)
    job = butler.recurring.resume("nightly")
    assert job.status is JobStatus.ACTIVE
    assert job.next_fire_at == NOON + timedelta(seconds=1020)
    assert butler.recurring.resume("nightly").version == 3


def test_a_job_that_used_up_its_fires_stays_over_when_it_is_resumed(butler, storage):
    job = create(butler, max_fires=1)
    storage._jobs.get(job.id).fires = 1
    butler.recurring.pause("nightly")
    assert butler.recurring.resume("nightly").status is JobStatus.ENDED


def test_a_deleted_job_is_gone(butler):
    create(butler)
    butler.recurring.delete("nightly")
    with pytest.raises(RecurringJobNotFound):
        butler.recurring.delete("nightly")
