from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from ledger_driver import fail, fail_or_retry, race

from butler import lifecycle
from butler.errors import InvalidOption
from butler.ids import new_id
from butler.storage.base import MAX_BATCH
from butler.storage.logs import KEPT_ATTEMPTS, MAX_LEVEL, MAX_LINE_CHARS, LogLine

NOW = datetime(2030, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)


def line(execution_id, number, message=None, **options):
    defaults = {
        "attempt": 1,
        "at": NOW + timedelta(milliseconds=number),
        "level": 20,
        "logger": "shop.mail",
        "message": f"line {number}" if message is None else message,
    }
    return LogLine(execution_id=execution_id, number=number, **{**defaults, **options})


def read(storage, execution_id, *, after=None, limit=1_000):
    return storage.logs(execution_id, after=after, limit=limit)


def messages(storage, execution_id, **options):
    return [each.message for each in read(storage, execution_id, **options)]


def test_lines_come_back_as_they_were_written(storage, ledger):
    claimed = ledger.running()
    lines = [line(claimed.id, 1, 'a "quoted" \\ {line},\nand ü'), line(claimed.id, 2, level=40)]
    storage.write_logs(lines)
    assert lines == read(storage, claimed.id)
    assert timedelta(0) == read(storage, claimed.id)[0].at.utcoffset()


def test_lines_are_ordered_by_attempt_and_number_whatever_came_first(storage, ledger):
    claimed = ledger.running()
    storage.write_logs([line(claimed.id, 2), line(claimed.id, 1, "second", attempt=2)])
    storage.write_logs([line(claimed.id, 1)])
    assert messages(storage, claimed.id) == ["line 1", "line 2", "second"]


def test_lines_are_read_page_by_page(storage, ledger):
    claimed = ledger.running()
    storage.write_logs([line(claimed.id, number) for number in range(1, 8)])
    storage.write_logs([line(claimed.id, 1, "again", attempt=2)])
    pages, after = [], None
    while page := read(storage, claimed.id, after=after, limit=3):
        pages.append([each.message for each in page])
        after = page[-1].id
    assert pages == [
        ["line 1", "line 2", "line 3"],
        ["line 4", "line 5", "line 6"],
        ["line 7", "again"],
    ]


def test_a_repeat_leaves_each_line_once(storage, ledger):
    claimed = ledger.running()
    lines = [line(claimed.id, number) for number in (1, 2)]
    storage.write_logs(lines)
    storage.write_logs(lines)
    storage.write_logs([*lines, *lines])
    assert messages(storage, claimed.id) == ["line 1", "line 2"]


def test_a_mark_that_has_grown_replaces_the_smaller_one(storage, ledger):
    claimed = ledger.running()
    storage.write_logs([line(claimed.id, 9, "3 cut", cut=True)])
    storage.write_logs([line(claimed.id, 9, "4 cut", cut=True), line(claimed.id, 9, "5", cut=True)])
    assert [line(claimed.id, 9, "5", cut=True)] == read(storage, claimed.id)


def test_lines_of_executions_that_do_not_exist_are_dropped_alone(storage, ledger):
    claimed = ledger.running()
    absent = new_id()
    storage.write_logs([line(absent, 1), line(claimed.id, 1), line("nonsense", 1)])
    assert messages(storage, claimed.id) == ["line 1"]
    assert read(storage, absent) == read(storage, "nonsense") == []


def test_an_attempt_that_is_over_or_given_up_may_still_write_its_lines(storage, ledger):
    claimed = ledger.running()
    ledger.done(fail_or_retry(claimed))
    storage.write_logs([line(claimed.id, 1)])
    assert messages(storage, claimed.id) == ["line 1"]


def test_text_is_cleaned_and_cut_and_spoils_no_other_line(storage, ledger):
    claimed = ledger.running()
    long = "x" * (MAX_LINE_CHARS + 500)
    storage.write_logs(
        [
            line(claimed.id, 1),
            line(claimed.id, 2, "nul \0 and \ud800", logger="a\0b"),
            line(claimed.id, 3, long),
            line(claimed.id, 4, level=10**9),
        ]
    )
    first, second, third, fourth = read(storage, claimed.id)
    assert (first.message, fourth.message) == ("line 1", "line 4")
    assert second.message == "nul \N{REPLACEMENT CHARACTER} and \N{REPLACEMENT CHARACTER}"
    assert second.logger == "a\N{REPLACEMENT CHARACTER}b"
    assert len(third.message) <= MAX_LINE_CHARS
    assert third.message.endswith("… [cut: 525 characters]")
    assert fourth.level == MAX_LEVEL


def test_lines_go_with_their_execution(storage, ledger):
    claimed, other = ledger.running(), ledger.running()
    storage.write_logs([line(claimed.id, 1), line(other.id, 1)])
    ledger.done(fail(claimed))
    assert ledger.delete(claimed.id).changed
    assert read(storage, claimed.id) == []
    storage.write_logs([line(claimed.id, 2)])
    assert read(storage, claimed.id) == []
    assert messages(storage, other.id) == ["line 1"]


def test_the_lines_of_the_newest_attempts_are_kept(storage, ledger):
    claimed = ledger.running()
    for attempt in range(1, KEPT_ATTEMPTS + 3):
        storage.write_logs([line(claimed.id, 1, attempt=attempt)])
    kept = [each.attempt for each in read(storage, claimed.id)]
    assert list(range(3, KEPT_ATTEMPTS + 3)) == kept


def test_the_newest_attempts_are_kept_of_one_batch_as_well(storage, ledger):
    claimed = ledger.running()
    attempts = range(1, KEPT_ATTEMPTS + 3)
    storage.write_logs([line(claimed.id, 1, attempt=attempt) for attempt in reversed(attempts)])
    kept = [each.attempt for each in read(storage, claimed.id)]
    assert list(range(3, KEPT_ATTEMPTS + 3)) == kept


@pytest.mark.parametrize("limit", [0, -1, 10_001])
def test_another_limit_is_refused(storage, limit):
    with pytest.raises(InvalidOption, match=f"limit must be in 1..10000, got {limit}"):
        read(storage, new_id(), limit=limit)


def test_a_batch_that_is_too_large_is_refused(storage):
    with pytest.raises(InvalidOption, match="at most 1000 items, got 1001"):
        storage.write_logs([line(new_id(), 1)] * (MAX_BATCH + 1))


def test_an_empty_batch_is_fine(storage):
    assert storage.write_logs([]) is None


def test_overlapping_lines_and_ends_do_not_deadlock(storage, ledger):
    claimed = ledger.won(*[ledger.enqueue() for _ in range(40)])
    lines = [line(attempt.id, number) for number in (1, 2) for attempt in claimed]
    ends = [lifecycle.succeed(attempt, result=None) for attempt in claimed]
    _, _, finished = race(
        lambda: storage.write_logs(lines),
        lambda: storage.write_logs(lines[::-1]),
        lambda: storage.finish(ends[20:] + ends[:20]),
    )
    assert all(reply.applied for reply in finished)
    for attempt in claimed:
        assert messages(storage, attempt.id) == ["line 1", "line 2"]
