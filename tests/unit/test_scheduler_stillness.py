import pytest
from butler_scheduler.stillness import StillnessWatch
from scheduler_kit import START

from butler.clock import ManualClock


@pytest.fixture
def clock():
    return ManualClock(START)


@pytest.fixture
def watch(clock):
    return StillnessWatch(clock)


def look(watch, value, *, clock=None, takes_s=0.0):
    watch.ask()
    if clock is not None:
        clock.advance(takes_s)
    return watch.answer({"k": value})["k"]


def test_a_value_seen_for_the_first_time_has_not_stood_still(watch):
    assert look(watch, 1) == 0


def test_time_between_quick_answers_adds_up(watch, clock):
    look(watch, 1)
    for _ in range(3):
        clock.advance(0.5)
        still_s = look(watch, 1)
    assert still_s == 1.5


def test_a_value_that_moved_begins_anew(watch, clock):
    look(watch, 1)
    clock.advance(2)
    look(watch, 1)
    clock.advance(0.5)
    assert look(watch, 2) == 0
    clock.advance(0.5)
    assert look(watch, 2) == 0.5


def test_time_on_both_sides_of_a_slow_answer_is_not_counted(watch, clock):
    look(watch, 1)
    clock.advance(1)
    assert look(watch, 1) == 1
    clock.advance(1)
    assert look(watch, 1, clock=clock, takes_s=1.1) == 1
    clock.advance(1)
    assert look(watch, 1) == 1
    clock.advance(1)
    assert look(watch, 1) == 2


def test_the_time_an_answer_took_is_not_counted(watch, clock):
    look(watch, 1, clock=clock, takes_s=0.9)
    clock.advance(0.5)
    assert look(watch, 1, clock=clock, takes_s=0.9) == pytest.approx(0.5)


def test_time_on_both_sides_of_a_question_without_answer_is_not_counted(watch, clock):
    look(watch, 1)
    clock.advance(1)
    watch.ask()
    clock.advance(1)
    assert look(watch, 1) == 0
    clock.advance(1)
    assert look(watch, 1) == 1


def test_a_gap_in_which_nobody_looked_is_not_counted(watch, clock):
    look(watch, 1)
    clock.advance(3600)
    assert look(watch, 1) == 0


def test_a_value_that_went_away_and_came_back_begins_anew(watch, clock):
    look(watch, 1)
    clock.advance(1)
    watch.ask()
    assert watch.answer({}) == {}
    clock.advance(1)
    assert look(watch, 1) == 0


def test_each_value_is_timed_by_itself(watch, clock):
    watch.ask()
    watch.answer({"a": 1, "b": 1})
    clock.advance(1)
    watch.ask()
    assert watch.answer({"a": 1, "b": 2, "c": 1}) == {"a": 1, "b": 0, "c": 0}
