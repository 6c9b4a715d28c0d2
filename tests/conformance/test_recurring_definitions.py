from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta

import pytest
from ledger_driver import eventually, race
from recurring_kit import FUTURE, PAST, add, changed, definition, due, get

from butler.errors import InvalidOption, InvalidRequest
from butler.executions import Priority
from butler.recurring.job import JobStatus, Misfire, Overlap
from butler.storage.recurring_records import RecurringDefinition, RecurringQuery

PAST_DAY = PAST - timedelta(days=1)
EVERYTHING = {
    "name": "nightly",
    "task": "Report",
    "request": '{"big": 12345678901234567890123, "text": "ü", "none": null}',
    "misfire": Misfire.CATCH_UP,
    "misfire_grace_s": 12.5,
    "catch_up_limit": 7,
    "overlap": Overlap.QUEUE,
    "max_concurrency": 3,
    "jitter_s": 1.5,
    "starts_at": datetime(2021, 1, 1, tzinfo=UTC),
    "ends_at": FUTURE,
    "max_fires": 12,
    "queue": "reports",
    "priority": Priority.HIGH,
    "max_attempts": 9,
    "timeout_s": 3.25,
    "tags": ("a", 'b"c'),
    "description": "every night",
    "owner": "ann",
    "source": "shop",
    "unique_key": "k",
    "fingerprint": "f",
}


def names(storage, **filters):
    return [job.name for job in storage.find_recurring(RecurringQuery(**filters)).jobs]


def test_a_job_is_read_as_it_was_written(storage):
    said = add(storage, **EVERYTHING)
    job = get(storage, said)
    same = {f.name for f in fields(RecurringDefinition)} - {
        "schedule",
        "request",
        "due_at",
        "keep_request",
    }
    assert {name: getattr(said, name) for name in same} == {
        name: getattr(job, name) for name in same
    }
    assert job.request == {"big": 12345678901234567890123, "text": "ü", "none": None}
    assert job.schedule.to_json() == {"type": "interval", "every_s": 60}
    assert (job.version, job.fires, job.last_fire_at, job.broken_reason) == (1, 0, None, None)
    assert job.created_at == job.updated_at


def test_a_job_without_a_request_has_none(storage):
    assert get(storage, add(storage, request=None)).request is None
    assert get(storage, add(storage, request="null")).request is None


def test_jobs_are_found_by_id_or_name_and_what_is_unknown_is_left_out(storage):
    first, second = add(storage, name="b"), add(storage, name="a")
    found = storage.get_recurring(ids=[first.id, "no id"], names=["a", "c", "nul\0"])
    assert [job.name for job in found] == ["a", "b"]
    assert second.id == found[0].id


def test_a_name_is_given_once(storage):
    add(storage, name="nightly")
    assert storage.insert_recurring([definition(name="nightly"), definition()]) == [False, True]


def test_an_insert_that_is_repeated_is_there_once(storage):
    said = definition()
    assert storage.insert_recurring([said]) == [True]
    assert storage.insert_recurring([said]) == [True]
    assert len(names(storage)) == 1


def test_of_many_that_take_a_name_at_once_one_gets_it(storage):
    replies = race(
        *[lambda: storage.insert_recurring([definition(name="nightly")])[0] for _ in range(6)]
    )
    assert sorted(replies) == [False] * 5 + [True]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"name": "nul\0"}, InvalidOption),
        ({"tags": ("\ud800",)}, InvalidOption),
        ({"id": "7"}, InvalidOption),
        ({"request": '"\\u0000"'}, InvalidRequest),
    ],
)
def test_what_no_database_can_hold_is_refused(storage, options, error):
    with pytest.raises(error):
        storage.insert_recurring([definition(**options)])
    assert names(storage) == []


def test_pages_follow_one_another_by_name(storage):
    for name in ("d", "B", "a", "c"):
        add(storage, name=name)
    first = storage.find_recurring(RecurringQuery(limit=3))
    assert [job.name for job in first.jobs] == ["B", "a", "c"]
    rest = storage.find_recurring(RecurringQuery(limit=3, after=first.next_cursor))
    assert [job.name for job in rest.jobs] == ["d"]
    assert rest.next_cursor is None


@pytest.mark.parametrize("limit", [0, 1001])
def test_a_page_has_bounds(storage, limit):
    with pytest.raises(InvalidOption, match="limit must be in 1"):
        storage.find_recurring(RecurringQuery(limit=limit))


@pytest.mark.parametrize(
    "filters",
    [
        {"task": "Report"},
        {"queue": "reports"},
        {"tag": "a"},
        {"owner": "ann"},
        {"source": "shop"},
        {"text": "NIGHT"},
        {"text": "every"},
        {"status": frozenset({JobStatus.ACTIVE}), "owner": "ann"},
    ],
)
def test_each_filter_lets_through_what_it_names(storage, filters):
    add(storage, **EVERYTHING)
    add(storage, name="other")
    assert names(storage, **filters) == ["nightly"]


@pytest.mark.parametrize("text", ["100%", "a_c", "nul\0"])
def test_a_filter_is_text_and_no_pattern(storage, text):
    add(storage, name="1000")
    add(storage, name="abc")
    assert names(storage, text=text) == []


def test_jobs_are_listed_by_how_they_stand(storage):
    add(storage, name="active")
    add(storage, name="paused", enabled=False)
    add(storage, name="ended", next_fire_at=None, due_at=None)
    assert names(storage, status=frozenset({JobStatus.PAUSED})) == ["paused"]
    assert names(storage, status=frozenset({JobStatus.ENDED})) == ["ended"]
    assert names(storage, status=frozenset({JobStatus.ACTIVE, JobStatus.ENDED})) == [
        "active",
        "ended",
    ]


def test_a_change_replaces_all_but_name_and_source(storage):
    said = add(storage, name="old", source="shop")
    new = replace(definition(**EVERYTHING), id=said.id, source="other")
    assert storage.change_recurring([changed(new)]) == [True]
    job = get(storage, said)
    assert (job.name, job.source, job.version) == ("old", "shop", 2)
    assert (job.max_attempts, job.tags, job.overlap) == (9, ("a", 'b"c'), Overlap.QUEUE)
    assert job.request["text"] == "ü"
    assert job.updated_at >= job.created_at


def test_a_change_can_leave_the_request_as_it_is(storage):
    exact = '{"n": 0.1000000000000000055511151231257827}'
    said = add(storage, request=exact, unique_key="k", fingerprint="f")
    new = changed(said, request=None, unique_key=None, fingerprint=None, keep_request=True)
    assert storage.change_recurring([new]) == [True]
    job = get(storage, said)
    assert (job.request, job.unique_key, job.fingerprint) == ({"n": 0.1}, "k", "f")


def test_a_stale_change_is_refused_and_changes_nothing(storage):
    said = add(storage)
    assert storage.change_recurring([changed(said, description="mine")]) == [True]
    assert storage.change_recurring([changed(said, description="theirs")]) == [False]
    assert get(storage, said).description == "mine"


def test_of_two_changes_at_once_one_is_refused(storage):
    for _ in range(5):
        said = add(storage)
        replies = race(
            *[
                lambda text=text, said=said: storage.change_recurring(
                    [changed(said, description=text)]
                )
                for text in ("a", "b")
            ]
        )
        assert sorted(replies) == [[False], [True]]


def test_a_change_of_what_is_gone_is_refused(storage):
    assert storage.change_recurring([changed(definition())]) == [False]


def test_a_job_that_is_paused_is_not_due(storage):
    said = add(storage)
    assert due(storage, said) is not None
    storage.change_recurring([changed(said, enabled=False, due_at=None)])
    assert due(storage, said) is None
    assert get(storage, said).status is JobStatus.PAUSED


def test_a_deleted_job_is_gone(storage):
    said = add(storage)
    assert storage.delete_recurring([said.id, "no id", definition().id]) == [True, False, False]
    assert storage.get_recurring(ids=[said.id]) == []
    assert storage.delete_recurring([said.id]) == [False]


def test_a_batch_has_a_limit(storage):
    said = definition()
    for call in (storage.insert_recurring, storage.delete_recurring, storage.fire_recurring):
        with pytest.raises(InvalidOption, match="at most 1000 items"):
            call([said] * 1001)


def test_the_pulse_tells_when_the_next_job_is_due(storage):
    assert storage.recurring_pulse().due_in_s is None
    add(storage, due_at=FUTURE, next_fire_at=FUTURE)
    pulse = storage.recurring_pulse()
    assert abs((FUTURE - pulse.now).total_seconds() - pulse.due_in_s) < 1
    add(storage, due_at=PAST)
    eventually(lambda: storage.recurring_pulse().due_in_s < 0)
    assert not storage.recurring_pulse().waiting


def test_a_job_that_becomes_due_is_seen_after_nothing_was(storage):
    assert storage.recurring_pulse().due_in_s is None
    now = storage.now()
    said = add(storage, due_at=now, next_fire_at=now)
    eventually(lambda: due(storage, said))


def test_the_longest_due_come_first_and_no_more_than_asked_for(storage):
    jobs = [add(storage, due_at=PAST.replace(year=year)) for year in (2019, 2017, 2018)]
    found = storage.due_recurring(limit=2)
    assert [jobs[1].id, jobs[2].id] == [d.job.id for d in found.jobs]
    assert found.jobs[0].job.request is None


def test_jobs_that_are_due_soon_can_be_read_ahead(storage):
    soon = storage.now() + timedelta(seconds=5)
    said = add(storage, due_at=soon, next_fire_at=soon)
    assert due(storage, said) is None
    [found] = storage.due_recurring(limit=10, ahead_s=60).jobs
    assert (found.job.id, found.due_at) == (said.id, soon)
    assert storage.due_recurring(limit=10, ahead_s=0.001).jobs == ()


def test_due_jobs_are_paged_and_none_is_seen_twice(storage):
    jobs = [add(storage, due_at=PAST) for _ in range(5)] + [add(storage, due_at=PAST_DAY)]
    seen, after = [], None
    while page := storage.due_recurring(limit=2, after=after).jobs:
        seen += [found.job.id for found in page]
        after = (page[-1].due_at, page[-1].job.id)
    assert seen[0] == jobs[-1].id
    assert sorted(seen) == sorted(said.id for said in jobs)
    assert len(seen) == 6
