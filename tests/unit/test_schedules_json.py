from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from datetime import UTC, date, datetime, time

import pytest
from pydantic import BaseModel, ValidationError

from butler.errors import InvalidSchedule
from butler.schedules import (
    AnyOf,
    Between,
    Cron,
    Except,
    Interval,
    Once,
    Schedule,
    schedule_from_json,
)

AT = datetime(2026, 3, 7, 12, tzinfo=UTC)
FORMS = [
    (
        Cron("30 2 * * *", timezone="Europe/Berlin"),
        {"type": "cron", "expression": "30 2 * * *", "timezone": "Europe/Berlin"},
    ),
    (Cron("@daily"), {"type": "cron", "expression": "@daily", "timezone": "UTC"}),
    (Interval(90), {"type": "interval", "every_s": 90}),
    (
        Interval(1.5, anchor=AT),
        {"type": "interval", "every_s": 1.5, "anchor": "2026-03-07T12:00:00Z"},
    ),
    (Once(AT), {"type": "once", "at": "2026-03-07T12:00:00Z"}),
    (
        AnyOf(Interval(60), Once(AT)),
        {
            "type": "any_of",
            "schedules": [
                {"type": "interval", "every_s": 60},
                {"type": "once", "at": "2026-03-07T12:00:00Z"},
            ],
        },
    ),
    (
        Except(Interval(60), dates=[date(2026, 4, 3)], yearly=["12-25"], weekdays=["sun", "sat"]),
        {
            "type": "except",
            "schedule": {"type": "interval", "every_s": 60},
            "dates": ["2026-04-03"],
            "yearly": ["12-25"],
            "weekdays": ["sat", "sun"],
            "timezone": "UTC",
        },
    ),
    (
        Between(
            Cron("0 * * * *", timezone="Europe/Berlin"),
            start=AT,
            end=date(2026, 12, 31),
            opens=time(9),
            closes=time(17, 30),
            weekdays=["mon"],
            max_fires=10,
        ),
        {
            "type": "between",
            "schedule": {"type": "cron", "expression": "0 * * * *", "timezone": "Europe/Berlin"},
            "start": "2026-03-07T12:00:00Z",
            "end": "2026-12-31",
            "opens": "09:00:00",
            "closes": "17:30:00",
            "weekdays": ["mon"],
            "max_fires": 10,
            "timezone": "Europe/Berlin",
        },
    ),
]
each_form = pytest.mark.parametrize(
    ("schedule", "form"), FORMS, ids=[form["type"] for _, form in FORMS]
)


class Job(BaseModel):
    schedule: Schedule


class CronJob(BaseModel):
    schedule: Cron


@each_form
def test_each_schedule_has_one_json_form(schedule: Schedule, form: dict):
    assert schedule.to_json() == form
    assert schedule_from_json(json.loads(json.dumps(form))) == schedule


@each_form
def test_a_pydantic_field_reads_and_writes_the_same_form(schedule: Schedule, form: dict):
    text = json.dumps({"schedule": form})
    assert Job.model_validate_json(text) == Job(schedule=schedule)
    assert Job(schedule=form).schedule == schedule
    assert json.loads(Job(schedule=schedule).model_dump_json()) == {"schedule": form}


def test_toml_with_its_own_dates_and_times_is_read():
    form = tomllib.loads("""
        type = "between"
        start = 2026-03-07T12:00:00Z
        end = 2026-12-31
        opens = 09:00:00
        [schedule]
        type = "interval"
        every_s = 60
    """)
    expected = Between(Interval(60), start=AT, end=date(2026, 12, 31), opens=time(9))
    assert schedule_from_json(form) == expected


def test_what_is_optional_may_be_left_out():
    assert schedule_from_json({"type": "cron", "expression": "@daily"}) == Cron("@daily")
    form = {"type": "interval", "every_s": 60, "anchor": None}
    assert schedule_from_json(form) == Interval(60)


def _nested(depth: int) -> dict:
    form: dict = {"type": "interval", "every_s": 60}
    for _ in range(depth):
        form = {"type": "any_of", "schedules": [form]}
    return form


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({}, "type is missing, expected one of cron, interval"),
        ({"type": "corn"}, "got 'corn'; did you mean \"cron\"?"),
        ({"type": "cron"}, "expression: is missing"),
        ({"type": "cron", "expression": "0 25 * * *"}, 'hour field "25": expected 0-23'),
        ({"type": "cron", "expression": 5}, "expression: Input should be a valid string, got 5"),
        ({"type": "once", "at": "2026-01-01T00:00"}, "naive 2026-01-01T00:00:00"),
        ({"type": "once", "at": "soon"}, "at: Input should be a valid datetime"),
        ({"type": "interval", "every_s": 0.5}, "every_s must be in 1.."),
        ({"type": "interval", "every_s": 60, "evry": 1}, "evry: no such key"),
        (
            {"type": "any_of", "schedules": [{"type": "interval", "every_s": 9}, {"type": "x"}]},
            "schedules[1]: type must be one of",
        ),
        (
            {"type": "except", "schedule": {"type": "cron", "expression": "* * * *"}},
            "schedule: expected 5 fields",
        ),
        ({"type": "any_of", "schedules": []}, "at least one schedule"),
        (3, "got 3"),
        ("@daily", "got '@daily'"),
        (None, "got None"),
        (_nested(40), "at most 16 parts"),
        (_nested(20_000), "at most 16 parts"),
    ],
)
def test_a_form_that_is_wrong_is_refused_with_the_place_and_the_reason(form, message: str):
    with pytest.raises(InvalidSchedule) as caught:
        schedule_from_json(form)
    assert message in str(caught.value)


def test_pydantic_reports_a_bad_schedule_as_a_field_error():
    with pytest.raises(ValidationError) as caught:
        Job.model_validate({"schedule": {"type": "cron", "expression": "0 25 * * *"}})
    (error,) = caught.value.errors()
    assert error["loc"] == ("schedule", "cron")
    assert 'hour field "25": expected 0-23' in error["msg"]


def test_a_field_of_one_kind_refuses_the_others():
    assert CronJob(schedule=Cron("@daily")).schedule == Cron("@daily")
    with pytest.raises(ValidationError):
        CronJob(schedule=Interval(60))  # type: ignore[arg-type]
    with pytest.raises(ValidationError):
        CronJob.model_validate({"schedule": {"type": "interval", "every_s": 60}})


def test_the_json_schema_is_a_union_discriminated_by_type():
    for mode in ("validation", "serialization"):
        schema = Job.model_json_schema(mode=mode)
        union = schema["properties"]["schedule"]
        kinds = {"cron", "interval", "once", "any_of", "except", "between"}
        assert set(union["discriminator"]["mapping"]) == kinds
        assert len(union["oneOf"]) == len(kinds)


def test_schedules_load_neither_pydantic_nor_croniter():
    code = (
        "import sys; from butler.schedules import Cron; from datetime import datetime, UTC;"
        "Cron('0 0 * * *', timezone='Europe/Berlin').next_after(datetime.now(UTC));"
        "print([name for name in ('pydantic', 'croniter', 'redis', 'rq') if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
