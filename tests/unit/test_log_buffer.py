"""What is kept of what an attempt logs, and what is counted."""

from __future__ import annotations

import gc
import threading

import pytest

from butler.attempt_control import AttemptControl
from butler.log_buffer import MARK_NUMBER, MAX_BYTES, MAX_LINES
from butler.storage.logs import MAX_LINE_CHARS


@pytest.fixture
def control():
    return AttemptControl()


def log(control, *messages):
    for message in messages:
        control.log(20, "shop", message, created=1.5)


def taken(control):
    """The messages that were not taken yet, by number."""
    return {number: message for number, _, _, _, message in control.take_lines()}


def test_lines_are_numbered_and_taken_once(control):
    log(control, "one", "two")
    assert control.take_lines() == [(1, 1.5, 20, "shop", "one"), (2, 1.5, 20, "shop", "two")]
    assert taken(control) == {}
    log(control, "three")
    assert taken(control) == {3: "three"}


def test_nothing_is_made_before_the_first_line(control):
    assert control.take_lines() == ()
    control.end_lines()
    assert not control.has_lines
    log(control, "one")
    assert control.has_lines


def test_lines_that_are_returned_come_again_before_later_ones(control):
    log(control, "one", "two")
    entries = control.take_lines()
    log(control, "three")
    control.return_lines(entries)
    assert list(taken(control).items()) == [(1, "one"), (2, "two"), (3, "three")]


def test_what_is_beyond_a_thousand_lines_is_counted_in_a_mark(control):
    log(control, *["x"] * (MAX_LINES + 1))
    lines = taken(control)
    assert len(lines) == MAX_LINES + 1
    assert lines[MARK_NUMBER] == "… [cut: 1 line]"
    assert taken(control) == {}
    log(control, *["x"] * 1_233)
    assert taken(control) == {MARK_NUMBER: "… [cut: 1,234 lines]"}


@pytest.mark.parametrize("text", ["x", "ü"])
def test_what_is_beyond_the_bytes_is_counted_and_no_gap_is_left(control, text):
    log(control, *[text * 5_000] * 60, "short")
    lines = taken(control)
    mark = lines.pop(MARK_NUMBER)
    size = sum(len(message.encode()) for message in lines.values())
    assert MAX_BYTES - 10_100 < size < MAX_BYTES
    assert list(lines) == list(range(1, len(lines) + 1))
    assert mark == f"… [cut: {61 - len(lines)} lines]"


def test_a_long_line_is_cut_alone(control):
    log(control, "x" * (MAX_LINE_CHARS + 1), "short")
    lines = taken(control)
    assert len(lines[1]) <= MAX_LINE_CHARS
    assert "… [cut: " in lines[1]
    assert lines[2] == "short"


def test_what_is_written_to_a_stream_is_kept_by_lines(control):
    for text in ("a", "b\nc\n", "", "\n", "d"):
        control.print("stdout", text, created=1.0)
    control.print("stderr", "e", created=1.0)
    assert taken(control) == {1: "ab", 2: "c", 3: ""}
    control.end_lines()
    assert taken(control) == {4: "d", 5: "e"}
    control.end_lines()
    assert taken(control) == {}


def test_a_line_that_never_ends_is_cut_into_lines(control):
    for _ in range(3):
        control.print("stdout", "x" * MAX_LINE_CHARS, created=1.0)
    control.end_lines()
    lines = taken(control)
    assert len(lines) == 2
    assert all(len(message) <= MAX_LINE_CHARS for message in lines.values())


def test_many_threads_lose_no_line_and_share_no_number(control):
    threads = [threading.Thread(target=log, args=(control, *["x"] * 200)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    lines = control.take_lines()
    assert sorted(line[0] for line in lines) == list(range(1, MAX_LINES + 2))
    assert lines[-1][-1] == "… [cut: 200 lines]"


def test_a_finalizer_that_logs_while_a_line_is_kept_does_not_wait_for_itself(control):
    class Dying:
        def __del__(self):
            log(control, "dying")

    sent = []

    def collect(entry):
        if entry[-1] == "first":
            loop = [Dying()]
            loop.append(loop)
            del loop
            gc.collect()
        sent.append(entry)

    control.send_lines_to(collect)
    log(control, "first")
    assert sorted(sent) == [(1, 1.5, 20, "shop", "first"), (2, 1.5, 20, "shop", "dying")]


def test_with_a_sink_lines_go_there_and_only_the_mark_is_taken(control):
    sent = []
    control.send_lines_to(sent.append)
    log(control, *["x"] * (MAX_LINES + 3))
    assert [entry[0] for entry in sent] == list(range(1, MAX_LINES + 1))
    assert taken(control) == {MARK_NUMBER: "… [cut: 3 lines]"}


def test_the_room_is_asked_for_once(control):
    assert control.slots_without_room() == 0
    busy = iter([0, 4])
    control.slots_taken = lambda: next(busy)
    assert [control.slots_without_room() for _ in range(3)] == [0, 4, 0]
