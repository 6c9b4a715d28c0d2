"""Starting, watching and steering recurring jobs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from recurring_jobs_shop import NOON, Report, create, waiting

from butler.errors import (
    IllegalTransition,
    InvalidOption,
    InvalidRequest,
    RecurringJobNotFound,
)
from butler.ids import new_id
from butler.recurring.job import FireOutcome
from butler.schedules import Cron, Interval


def test_a_trigger_runs_the_job_now_and_leaves_its_schedule_alone(butler):
    job = create(butler, owner="ann", max_attempts=7, tags=["x"])
    handle = butler.recurring.trigger("nightly")
    assert waiting(butler, "reports") == [handle.id]
    execution = handle.execution()
    assert execution.request == {"kind": "sales", "pages": 1}
    assert (execution.user_id, execution.max_attempts) == ("ann", 7)
    assert execution.tags == ("pdf", "x")
    [fire] = butler.recurring.history("nightly")
    assert (fire.manual, fire.outcome, fire.execution_id) == (True, FireOutcome.FIRED, handle.id)
    assert butler.recurring.get("nightly").next_fire_at == job.next_fire_at


def test_a_trigger_can_have_another_request_which_is_checked(butler):
    create(butler)
    handle = butler.recurring.trigger("nightly", Report(kind="costs", pages=3))
    assert handle.execution().request == {"kind": "costs", "pages": 3}
    with pytest.raises(InvalidRequest):
        butler.recurring.trigger("nightly", {"pages": 3})


def test_a_paused_job_can_be_triggered(butler):
    create(butler, enabled=False)
    assert butler.recurring.trigger("nightly").execution().status == "queued"


def test_a_trigger_meets_a_unique_key(butler):
    job = create(butler, task="sync")
    assert job.unique_key == "sales"
    butler.recurring.trigger("nightly")
    with pytest.raises(IllegalTransition, match="holds its unique key 'sales'"):
        butler.recurring.trigger("nightly")
    assert butler.recurring.trigger("nightly", Report(kind="costs")).created


def test_two_triggers_at_the_same_instant_are_two(butler):
    create(butler)
    handles = [butler.recurring.trigger("nightly") for _ in range(3)]
    fires = butler.recurring.history("nightly")
    assert [fire.execution_id for fire in fires] == [handle.id for handle in reversed(handles)]


def test_a_trigger_survives_a_redis_that_is_away(butler, monkeypatch):
    from butler.errors import QueueUnavailable

    def refuse(entries):
        raise QueueUnavailable("away")

    create(butler)
    monkeypatch.setattr(butler.pusher._wire, "push", refuse)
    handle = butler.recurring.trigger("nightly")
    assert not handle.pushed
    assert handle.execution().status == "queued"


# Looking


def test_history_and_statistics_are_a_jobs_own(butler, clock):
    create(butler)
    create(butler, name="other", task="ping")
    for _ in range(3):
        clock.advance(1)
        butler.recurring.trigger("nightly")
    fires = butler.recurring.history("nightly", limit=2)
    assert [fire.fire_at for fire in fires] == [NOON + timedelta(seconds=s) for s in (3, 2)]
    [rest] = butler.recurring.history("nightly", before=fires[-1].fire_at)
    assert rest.fire_at == NOON + timedelta(seconds=1)
    assert butler.recurring.history("nightly", outcome="skipped") == []
    assert butler.recurring.statistics("nightly").fires == {FireOutcome.FIRED: 3}
    assert butler.recurring.statistics("other").fires == {}
    with pytest.raises(InvalidOption, match="outcome must be one of fired"):
        butler.recurring.history("nightly", outcome="lost")


def test_a_preview_shows_the_next_fires_within_the_jobs_limits(butler):
    create(butler, schedule=Cron("30 2 * * *", timezone="Europe/Berlin"), max_fires=30)
    fires = butler.recurring.preview("nightly", count=29)
    assert [fire.note for fire in fires if fire.moved] == [
        "2026-03-29 02:30:00 does not exist: moved to the end of the gap"
    ]
    assert len(butler.recurring.preview("nightly", count=100)) == 30
    butler.recurring.update("nightly", ends_at=datetime(2026, 3, 4, tzinfo=UTC))
    assert len(butler.recurring.preview("nightly")) == 2
    butler.recurring.pause("nightly")
    assert len(butler.recurring.preview("nightly")) == 2


def test_a_schedule_can_be_previewed_without_a_job(butler):
    [fire] = butler.recurring.preview(Interval(60), count=1)
    assert fire.at == NOON + timedelta(seconds=60)


# Many at once


def test_a_bulk_step_is_done_for_all_that_match(butler):
    for n in range(3):
        create(butler, name=f"job {n}", tags=["x"])
    create(butler, name="other")
    report = butler.recurring.bulk("pause", tag="x")
    assert (report.done, report.failed) == (("job 0", "job 1", "job 2"), {})
    assert len(butler.recurring.list(status="paused").jobs) == 3
    assert butler.recurring.bulk("delete", status="paused").done == report.done
    assert [job.name for job in butler.recurring.list().jobs] == ["other"]


def test_a_dry_run_changes_nothing(butler):
    create(butler)
    report = butler.recurring.bulk("delete", jobs=["nightly"], dry_run=True)
    assert (report.done, report.dry_run) == (("nightly",), True)
    assert butler.recurring.get("nightly").version == 1


def test_what_fails_for_one_is_told_and_stops_no_other(butler):
    create(butler, name="one", task="sync")
    create(butler, name="two")
    butler.recurring.trigger("one")
    report = butler.recurring.bulk("trigger", jobs=["one", "gone", "two", "two"])
    assert report.done == ("two",)
    assert sorted(report.failed) == ["gone", "one"]
    assert "unique key" in report.failed["one"]


def test_a_bulk_step_goes_by_what_another_changed_in_between(butler, monkeypatch):
    for name in "abc":
        create(butler, name=name)
    change = butler.storage.change_recurring

    def change_beside_another(changes):
        monkeypatch.setattr(butler.storage, "change_recurring", change)
        butler.recurring.update("b", description="changed meanwhile")
        return change(changes)

    monkeypatch.setattr(butler.storage, "change_recurring", change_beside_another)
    assert butler.recurring.bulk("pause", task="report").done == ("a", "b", "c")
    assert [job.enabled for job in butler.recurring.list().jobs] == [False] * 3
    assert butler.recurring.get("b").description == "changed meanwhile"


def test_a_bulk_step_takes_few_statements(butler, monkeypatch):
    for number in range(50):
        create(butler, name=f"job {number}")
    calls = []
    for name in ("change_recurring", "delete_recurring", "get_recurring"):
        method = getattr(butler.storage, name)
        monkeypatch.setattr(
            butler.storage, name, lambda *a, m=method, **k: calls.append(m) or m(*a, **k)
        )
    for action in ("pause", "resume", "delete"):
        assert len(butler.recurring.bulk(action, task="report").done) == 50
    assert len(calls) == 3


@pytest.mark.parametrize("given", [{}, {"jobs": ["a"], "tag": "x"}, {"tag": None}])
def test_a_bulk_step_says_which_jobs_it_means(butler, given):
    with pytest.raises(InvalidOption, match="either jobs= or at least one filter"):
        butler.recurring.bulk("pause", **given)
    with pytest.raises(InvalidOption, match="action must be one of pause"):
        butler.recurring.bulk("stop", tag="x")


def test_ids_that_do_not_exist_are_not_found(butler):
    with pytest.raises(RecurringJobNotFound):
        butler.recurring.trigger(new_id())
