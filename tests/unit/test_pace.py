"""How much a worker takes ahead, by what its slots have ended."""

from butler_workers.pace import AHEAD_S, MAX_AHEAD, STEADY_S, Pace


def test_nothing_is_taken_ahead_before_anything_has_ended():
    pace = Pace()
    assert [pace.ahead(0, now=now) for now in (0.0, 1.0, 2.0)] == [0, 0, 0]


def test_as_much_is_ahead_as_was_ended_in_the_last_moment():
    pace = Pace()
    pace.ahead(0, now=0.0)
    assert pace.ahead(16, now=0.002) == 16
    assert pace.ahead(100, now=AHEAD_S) == 100
    assert pace.ahead(100, now=10.0) == 0


def test_a_moment_that_was_looked_at_late_counts_for_its_share():
    pace = Pace()
    pace.ahead(0, now=0.0)
    assert pace.ahead(200, now=4 * AHEAD_S) == 50


def test_slots_that_end_in_waves_have_their_average_ahead_between_two_waves():
    pace = Pace()
    for wave in range(5):
        pace.ahead(800 * wave, now=0.1 * wave)
    assert pace.ahead(800 * 4, now=0.49) == 320


def test_a_burst_that_is_over_is_forgotten():
    pace = Pace()
    pace.ahead(0, now=0.0)
    pace.ahead(1000, now=0.01)
    assert pace.ahead(1000, now=0.02 + STEADY_S) == 0


def test_what_is_ahead_is_bounded():
    pace = Pace()
    pace.ahead(0, now=0.0)
    assert pace.ahead(10_000, now=0.01) == MAX_AHEAD
