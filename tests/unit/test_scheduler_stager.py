import time

import pytest
from butler_scheduler import stager as stager_module
from butler_scheduler.stager import GATHER_S, LOOK_EVERY_S, Stager
from scheduler_kit import Bench

from butler.errors import QueueUnavailable


def eventually(question):
    deadline = time.monotonic() + 10
    while not question():
        assert time.monotonic() < deadline, "not within 10 s"
        time.sleep(0.005)


@pytest.fixture
def bench():
    return Bench()


@pytest.fixture
def stager(bench):
    return Stager(bench.ledger, wire=bench.wire, leader=bench.leader, clock=bench.clock, batch=3)


def test_what_is_due_is_queued_and_pushed(bench, stager):
    ids = bench.enqueue(2, delay_s=10)
    bench.clock.advance(10)
    bench.tick(stager)
    assert bench.waiting() == ids
    assert bench.statuses() == {"queued": 2}


def test_what_is_not_due_waits(bench, stager):
    bench.enqueue(delay_s=10)
    bench.clock.advance(9.99)
    bench.tick(stager)
    assert bench.waiting() == []
    assert bench.statuses() == {"scheduled": 1}


def test_more_than_a_batch_goes_in_one_tick(bench, stager):
    ids = bench.enqueue(8, delay_s=10)
    bench.clock.advance(11)
    bench.tick(stager)
    assert bench.waiting() == ids


def test_what_was_enqueued_while_redis_was_away_is_pushed(bench, stager):
    ids = bench.enqueue(unpushed=True)
    bench.tick(stager)
    assert bench.waiting() == ids


def test_the_next_look_comes_when_the_next_row_is_due_or_in_a_tenth_of_a_second(bench, stager):
    assert bench.tick(stager) == LOOK_EVERY_S
    bench.enqueue(delay_s=10)
    assert bench.tick(stager) == LOOK_EVERY_S
    bench.clock.advance(9.97)
    assert bench.tick(stager) == pytest.approx(0.03)
    bench.clock.advance(0.03)
    assert bench.tick(stager) == GATHER_S
    assert bench.tick(stager) == LOOK_EVERY_S


def test_an_idle_look_is_one_read(bench, stager):
    bench.enqueue(delay_s=10)
    bench.ledger.calls.clear()
    bench.tick(stager)
    assert bench.ledger.calls == ["next_due_in_s"]


def test_a_scheduler_that_does_not_lead_asks_nothing_and_stages_nothing(bench, stager):
    bench.enqueue(delay_s=1)
    bench.clock.advance(2)
    bench.leader.wind_down()
    bench.ledger.calls.clear()
    bench.tick(stager)
    assert bench.ledger.calls == []
    assert bench.statuses() == {"scheduled": 1}


def test_a_deposed_leader_that_has_not_noticed_stages_nothing_and_does_not_spin(bench, stager):
    bench.enqueue(delay_s=1)
    bench.clock.advance(2)
    bench.depose()
    assert bench.leader.epoch() is not None
    assert bench.tick(stager) == LOOK_EVERY_S
    assert bench.statuses() == {"scheduled": 1}
    assert bench.waiting() == []


def test_a_push_that_fails_leaves_its_rows_queued_and_goes_on(bench, stager, monkeypatch):
    def refuse(entries):
        raise QueueUnavailable("away")

    monkeypatch.setattr(bench.wire, "push", refuse)
    bench.enqueue(7, delay_s=1)
    bench.clock.advance(2)
    bench.tick(stager)
    assert bench.statuses() == {"queued": 7}


class Notices:
    """A ledger's notices: what it would call, and whether it may still."""

    def __init__(self):
        self.wake = None
        self.closed = False

    def listen(self, wake):
        self.wake = wake
        return self

    def close(self):
        self.closed = True


def test_it_wakes_when_the_ledger_tells_of_news_and_hears_no_more_after_its_end(
    bench, stager, monkeypatch
):
    monkeypatch.setattr(stager_module, "LOOK_EVERY_S", 3600.0)
    notices = Notices()
    bench.ledger.memory.listen = notices.listen
    stager.start()
    eventually(lambda: "next_due_in_s" in bench.ledger.calls)
    bench.enqueue(unpushed=True)
    notices.wake()
    eventually(lambda: bench.statuses() == {"queued": 1})
    assert stager.stop()
    assert notices.closed


def test_a_ledger_that_is_away_at_the_start_costs_the_notices_and_no_more(bench, stager):
    bench.ledger.down = True
    stager.start()
    bench.ledger.down = False
    bench.enqueue(unpushed=True)
    eventually(lambda: bench.statuses() == {"queued": 1})
    assert stager.stop()
