"""When the ledger is asked about executions that somebody waits for."""

from __future__ import annotations

import pytest

from butler.listening import watch_list
from butler.listening.watch_list import WatchList
from butler.listening.watchers import EndWatcher


class Time:
    def __init__(self):
        self.now = 1_000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def time(monkeypatch):
    time = Time()
    monkeypatch.setattr(watch_list, "time", time)
    return time


@pytest.fixture
def watched(time):
    watched = WatchList()
    watched.due()
    return watched


def looks(watched, time, *, until_s):
    """When each look is due, in seconds from now, and at what."""
    began, seen = time.now, []
    while time.now < began + until_s:
        if time.now >= watched.next_look and (due := watched.due()):
            seen.append((round(time.now - began, 2), due))
        time.now += 0.01
    return seen


def test_looks_become_rarer_up_to_every_five_seconds(watched, time):
    watched.add(EndWatcher("a"))
    times = [at for at, _ in looks(watched, time, until_s=25)]
    gaps = [round(later - sooner) for sooner, later in zip([0, *times], times, strict=False)]
    assert gaps == [1, 2, 4, 5, 5, 5]


def test_looks_that_are_due_together_are_one(watched, time):
    watched.add(EndWatcher("a"))
    time.now += 0.2
    watched.add(EndWatcher("b"))
    assert looks(watched, time, until_s=1.5)[0][1] == {"a", "b"}


def test_after_a_loss_everything_is_looked_at_within_a_second(watched, time):
    watched.add(EndWatcher("a"))
    looks(watched, time, until_s=20)
    watched.hurry()
    times = [at for at, _ in looks(watched, time, until_s=5)]
    assert times[0] <= 1.01
    assert times[1] - times[0] == pytest.approx(1, abs=0.3)


def test_a_new_watcher_makes_an_execution_fresh_again(watched):
    first, second = EndWatcher("a"), EndWatcher("a")
    watched.add(first)
    assert watched.take_fresh() == {"a"}
    assert watched.take_fresh() == set()
    watched.add(second)
    assert watched.take_fresh() == {"a"}
    assert watched.of("a") == (first, second)


def test_what_nobody_watches_is_forgotten(watched):
    first, second = EndWatcher("a"), EndWatcher("a")
    watched.add(first)
    watched.add(second)
    watched.remove("a", (first,))
    assert watched.ids() == {"a"}
    watched.remove("a", (first, second))
    watched.remove("b", (first,))
    assert (len(watched), watched.ids(), watched.of("a")) == (0, set(), ())
