# ruff: noqa: DTZ001 - wall times and hypothesis bounds are naive
from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from croniter import croniter
from hypothesis import given, settings
from hypothesis import strategies as st

from butler.errors import ButlerError, InvalidSchedule
from butler.schedules import Cron

START = datetime(2026, 1, 15, 10, 7, 23, tzinfo=UTC)  # a Thursday


def fires(expression: str, count: int = 4, start: datetime = START) -> list[str]:
    return [f"{fire:%m-%d %H:%M:%S}" for fire in Cron(expression).upcoming(start, count)]


def days(expression: str, count: int = 4, start: datetime = START) -> list[str]:
    return [f"{fire:%Y-%m-%d}" for fire in Cron(f"0 0 {expression}").upcoming(start, count)]


def refusal(expression: str) -> str:
    with pytest.raises(InvalidSchedule) as caught:
        Cron(expression)
    return str(caught.value)


def test_five_fields_fire_on_the_minute():
    assert fires("8 10 * * *", 2) == ["01-15 10:08:00", "01-16 10:08:00"]


def test_six_fields_have_the_seconds_first():
    assert fires("*/20 8 10 * * *") == [
        "01-15 10:08:00",
        "01-15 10:08:20",
        "01-15 10:08:40",
        "01-16 10:08:00",
    ]


def test_the_next_fire_is_strictly_after():
    cron = Cron("* * * * *")
    on_the_minute = datetime(2026, 1, 15, 10, 8, tzinfo=UTC)
    assert cron.next_after(on_the_minute) == datetime(2026, 1, 15, 10, 9, tzinfo=UTC)
    just_before = on_the_minute.replace(minute=7, second=59, microsecond=999_999)
    assert cron.next_after(just_before) == on_the_minute


def test_the_answer_is_in_utc_whatever_the_zone_of_the_question():
    fire = Cron("0 9 * * *", timezone="Asia/Tokyo").next_after(START)
    assert fire == datetime(2026, 1, 16, 0, 0, tzinfo=UTC)
    assert fire.tzinfo is UTC


def test_lists_ranges_and_steps():
    assert fires("10,8 10-11 * * *") == [
        "01-15 10:08:00",
        "01-15 10:10:00",
        "01-15 11:08:00",
        "01-15 11:10:00",
    ]
    assert fires("50/5 10 * * *", 3) == ["01-15 10:50:00", "01-15 10:55:00", "01-16 10:50:00"]


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("55-5/2", [1, 3, 5, 55, 57, 59]),
        ("58-1", [0, 1, 58, 59]),
        ("*/25", [0, 25, 50]),
        ("5-20/5", [5, 10, 15, 20]),
    ],
)
def test_ranges_wrap_around_the_hour_and_keep_their_step(text: str, minutes: list[int]):
    start = datetime(2026, 1, 15, 9, 59, 59, tzinfo=UTC)
    found = Cron(f"{text} 10 * * *").upcoming(start, len(minutes))
    assert [fire.minute for fire in found] == minutes


def test_ranges_of_names_wrap_around_the_week_and_the_year():
    assert days("* * FRI-MON", 5) == [f"2026-01-{day}" for day in (16, 17, 18, 19, 23)]
    assert days("1 nov-Feb *", 4) == ["2026-02-01", "2026-11-01", "2026-12-01", "2027-01-01"]
    assert days("30-2 * *", 5) == [
        "2026-01-30",
        "2026-01-31",
        "2026-02-01",
        "2026-02-02",
        "2026-03-01",
    ]


@pytest.mark.parametrize("sunday", ["0", "7", "SUN", "sun", "Sun", "7-7", "0-0"])
def test_sunday_has_many_names(sunday: str):
    assert days(f"* * {sunday}", 2) == ["2026-01-18", "2026-01-25"]


@pytest.mark.parametrize("week", ["0-7", "0-6", "1-7", "MON-SUN", "SUN-SAT", "*", "?", "7-6"])
def test_the_whole_week_has_many_names(week: str):
    assert days(f"* * {week}", 8) == [f"2026-01-{day}" for day in range(16, 24)]


def test_weekday_ranges_may_end_or_begin_on_seven():
    assert days("* * 6-7", 3) == ["2026-01-17", "2026-01-18", "2026-01-24"]
    assert days("* * 7-1", 3) == ["2026-01-18", "2026-01-19", "2026-01-25"]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("L * *", ["2026-01-31", "2026-02-28", "2026-03-31"]),
        ("L-3 * *", ["2026-01-28", "2026-02-25", "2026-03-28"]),
        ("LW * *", ["2026-01-30", "2026-02-27", "2026-03-31"]),
        ("L-2W * *", ["2026-01-29", "2026-02-26", "2026-03-30"]),
        ("15W * *", ["2026-02-16", "2026-03-16", "2026-04-15"]),  # 15 Feb and Mar are Sundays
        ("1W * *", ["2026-02-02", "2026-03-02", "2026-04-01"]),
        ("31W 1,5,10 *", ["2026-01-30", "2026-05-29", "2026-10-30"]),
        ("* * 2#1", ["2026-02-03", "2026-03-03", "2026-04-07"]),
        ("* * tue#1", ["2026-02-03", "2026-03-03", "2026-04-07"]),
        ("* * 5#5", ["2026-01-30", "2026-05-29", "2026-07-31"]),
        ("* * 5L", ["2026-01-30", "2026-02-27", "2026-03-27"]),
        ("* * L5", ["2026-01-30", "2026-02-27", "2026-03-27"]),
        ("* * friL", ["2026-01-30", "2026-02-27", "2026-03-27"]),
        ("* * 7L", ["2026-01-25", "2026-02-22", "2026-03-29"]),
        ("1,L * *", ["2026-01-31", "2026-02-01", "2026-02-28"]),
        ("? * MON#1,FRIL", ["2026-01-30", "2026-02-02", "2026-02-27"]),
        ("L-30 * *", ["2026-03-01", "2026-05-01", "2026-07-01"]),
    ],
)
def test_days_counted_from_the_end_and_by_weekday(expression: str, expected: list[str]):
    assert days(expression, 3) == expected


def test_a_saturday_the_first_moves_to_monday_and_not_to_another_month():
    assert days("1W 8 *", 1) == ["2026-08-03"]


def test_two_restricted_day_fields_mean_either():
    assert days("20 * MON", 3) == ["2026-01-19", "2026-01-20", "2026-01-26"]
    assert days("L * 1#1", 3) == ["2026-01-31", "2026-02-02", "2026-02-28"]


def test_a_day_field_that_starts_with_a_star_means_both_as_in_crontab():
    assert days("*/2 * MON", 3) == ["2026-01-19", "2026-02-09", "2026-02-23"]
    assert days("? * MON", 2) == ["2026-01-19", "2026-01-26"]
    assert days("20 * ?", 2) == ["2026-01-20", "2026-02-20"]


@pytest.mark.parametrize(
    ("alias", "expression"),
    [
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
        ("@monthly", "0 0 1 * *"),
        ("@weekly", "0 0 * * 0"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@hourly", "0 * * * *"),
        ("@every_minute", "* * * * *"),
        ("@every_second", "* * * * * *"),
        ("@DAILY", "0 0 * * *"),
    ],
)
def test_aliases_stand_for_expressions(alias: str, expression: str):
    assert fires(alias) == fires(expression)


def test_a_leap_day_is_found_over_a_century_without_one():
    fire = Cron("0 0 29 2 *").next_after(datetime(2096, 3, 1, tzinfo=UTC))
    assert fire == datetime(2104, 2, 29, tzinfo=UTC)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("0 25 * * *", 'hour field "25": expected 0-23'),
        ("60 * * * *", 'minute field "60": expected 0-59'),
        ("61 * * * * *", 'second field "61": expected 0-59'),
        ("0 0 * 13 *", 'month field "13": expected 1-12 or JAN-DEC'),
        ("0 0 0 * *", 'day-of-month field "0": expected 1-31, L, L-n (1-30), LW or nW'),
        (
            "0 0 * * 8",
            'day-of-week field "8": expected 0-7 or SUN-SAT, nL (the last) or n#1 to n#5',
        ),
        ("0 1,25 * * *", 'hour field "1,25", item 2 ("25"): expected 0-23'),
        ("1,,2 * * * *", 'minute field "1,,2", item 2 (""): expected 0-59'),
        ("*/0 * * * *", 'minute field "*/0": expected a step of 1-59 after the slash'),
    ],
)
def test_a_bad_field_is_named_with_what_it_allows(expression: str, message: str):
    assert refusal(expression) == message


@pytest.mark.parametrize(
    ("expression", "part"),
    [
        ("", "expected 5 fields"),
        ("* * * *", 'got 4: "* * * *"'),
        ("* * * * * * *", "got 7"),
        ("every 5 minutes", "got 3"),
        ("@dayly", 'did you mean "@daily"?'),
        ("@reboot", "enqueue the task where your service starts"),
        ("*/90 * * * *", "for a longer rhythm use Interval"),
        ("0 */24 * * *", "for a longer rhythm use Interval"),
        ("0 0 * * L", "day-of-week"),
        ("0 0 L-31 * *", "day-of-month"),
        ("0 0 L-0 * *", "day-of-month"),
        ("0 0 32W * *", "day-of-month"),
        ("0 0 * * 2#6", "day-of-week"),
        ("0 0 * * 2#0", "day-of-week"),
        ("0 0 * * FUNL", "day-of-week"),
        ("0 0 * * MONDAY", "day-of-week"),
        ("0 ? * * *", "hour"),
        ("0 0 ?/2 * *", "day-of-month"),
        ("-1 * * * *", "minute"),
        ("5- * * * *", "minute"),
        ("1-2-3 * * * *", "minute"),
        ("1/2/3 * * * *", "minute"),
        ("5/ * * * *", "step"),
        ("*5 * * * *", "minute"),
        ("1.5 * * * *", "minute"),
        ("٣ * * * *", "minute"),
        ("² * * * *", "minute"),
        ("\x00 * * * *", "minute"),
        ("1" * 200 + " * * * *", "minute"),
        ("* " * 200, "at most 256 characters, got 400"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_reason(expression: str, part: str):
    assert part in refusal(expression)


def test_an_expression_that_is_no_text_is_refused():
    with pytest.raises(InvalidSchedule, match="must be text"):
        Cron(5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "expression",
    [
        "0 0 31 2 *",
        "0 0 30 2 ?",
        "0 0 31 4,6,9,11 *",
        "0 0 31W 2 *",
        "0 0 L-30 2 *",
        "0 0 L-30 6 *",
    ],
)
def test_an_expression_that_never_fires_is_refused(expression: str):
    assert f'"{expression}" never fires' in refusal(expression)


@pytest.mark.parametrize("expression", ["0 0 29 2 *", "0 0 L-28 2 *", "0 0 31 2,3 *"])
def test_an_expression_that_fires_rarely_is_not_refused(expression: str):
    assert Cron(expression).next_after(START) is not None


def test_the_last_fire_of_the_calendar_is_followed_by_none():
    end = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert Cron("* * * * *").next_after(end) is None
    assert Cron("0 0 29 2 *").next_after(end) is None
    assert Cron("* * * * *", timezone="Asia/Tokyo").next_after(end) is None


def test_a_naive_datetime_is_refused_with_what_to_do():
    with pytest.raises(InvalidSchedule, match=r"naive 2026-01-01T00:00:00.*give it a zone"):
        Cron("* * * * *").next_after(datetime(2026, 1, 1))


def test_the_error_is_a_butler_error_and_a_value_error():
    assert issubclass(InvalidSchedule, ButlerError)
    assert issubclass(InvalidSchedule, ValueError)


def test_white_space_and_nothing_else_is_normalised():
    assert Cron("  0\t0 * *   * ") == Cron("0 0 * * *")
    assert Cron("0 0 * * *") != Cron("@daily")
    assert len({Cron("0 0 * * *"), Cron("0  0 * * *")}) == 1


def _item(low: int, high: int) -> st.SearchStrategy[str]:
    value = st.integers(low, high)
    # croniter reads "5-5" as "*"
    span = st.lists(value, min_size=2, max_size=2, unique=True).map(sorted)
    return st.one_of(
        value.map(str),
        span.map(lambda ends: f"{ends[0]}-{ends[1]}"),
        st.tuples(span, st.integers(1, high)).map(
            lambda parts: f"{parts[0][0]}-{parts[0][1]}/{parts[1]}"
        ),
    )


def _field(low: int, high: int) -> st.SearchStrategy[str]:
    return st.one_of(
        st.just("*"),
        st.integers(1, high).map(lambda step: f"*/{step}"),
        st.lists(_item(low, high), min_size=1, max_size=3).map(",".join),
    )


_plain_days = st.lists(_item(1, 31), min_size=1, max_size=3).map(",".join)
_plain_weekdays = st.lists(_item(0, 6), min_size=1, max_size=3).map(",".join)
_nth = st.tuples(st.integers(0, 6), st.integers(1, 5)).map(lambda nth: f"{nth[0]}#{nth[1]}")
# croniter reads L together with a weekday, and nth weekdays together with days, as "both"
_days_and_weekdays = st.one_of(
    st.tuples(_plain_days, _plain_weekdays),
    st.tuples(st.one_of(st.just("*"), st.just("L"), _plain_days), st.just("*")),
    st.tuples(st.just("*"), st.one_of(_plain_weekdays, _nth)),
)


@settings(max_examples=250, deadline=None)
@given(
    times=st.tuples(_field(0, 59), _field(0, 23)),
    month=_field(1, 12),
    days=_days_and_weekdays,
    start=st.datetimes(datetime(2000, 1, 1), datetime(2040, 1, 1)),
)
def test_in_utc_the_fires_are_those_of_croniter(
    times: tuple[str, str], month: str, days: tuple[str, str], start: datetime
):
    expression = " ".join((*times, days[0], month, days[1]))
    moment = start.replace(tzinfo=UTC)
    try:
        cron = Cron(expression)
    except InvalidSchedule:
        assert "never fires" in refusal(expression)
        return
    # croniter takes the last 50 years as its horizon; the rarest leap days come within it
    oracle = croniter(expression, moment, max_years_between_matches=50)
    assert cron.upcoming(moment, 3) == [oracle.get_next(datetime) for _ in range(3)]


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="0123456789*/-,LW#? @AFIMNORSTU", max_size=300))
def test_any_text_is_either_refused_or_fires(text: str):
    try:
        cron = Cron(text)
    except InvalidSchedule:
        return
    assert cron.next_after(START) is not None
    assert cron.describe()


def test_the_longest_expression_is_read_in_milliseconds():
    longest = ",".join(["0-59"] * 49) + " * * * *"
    assert len(longest) < 256
    started = time.perf_counter()
    Cron(longest)
    assert time.perf_counter() - started < 0.1
