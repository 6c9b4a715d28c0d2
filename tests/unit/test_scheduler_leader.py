import contextlib
import random

import pytest
from scheduler_kit import Bench

from butler.errors import StorageUnavailable

LEASE_S = 5.0


@pytest.fixture
def bench():
    return Bench(leading=False)


@pytest.fixture
def leader(bench):
    """One that has just taken leadership."""
    leader = bench.new_leader("a")
    bench.tick(leader)
    assert leader.epoch() == 1
    return leader


@pytest.fixture
def candidate(bench, leader):
    return bench.new_leader("b")


def look_for(bench, candidate, seconds, *, every_s=0.5):
    """Let a candidate look at its rhythm until it leads; returns the seconds that took."""
    for step in range(int(seconds / every_s)):
        with contextlib.suppress(StorageUnavailable):
            bench.tick(candidate)
        if candidate.epoch() is not None:
            return step * every_s
        bench.clock.advance(every_s)
    return None


def test_the_first_scheduler_leads_at_once(leader):
    assert leader.epoch() == 1


def test_a_second_scheduler_stands_by_while_the_leader_renews(bench, leader, candidate):
    for _ in range(40):
        bench.clock.advance(0.5)
        bench.tick(leader)
        bench.tick(candidate)
    assert (leader.epoch(), candidate.epoch()) == (1, None)


def test_a_leader_that_fell_silent_is_followed_after_exactly_a_lease(bench, candidate):
    assert look_for(bench, candidate, 20) == LEASE_S
    assert candidate.epoch() == 2


def test_a_leader_whose_thread_was_stopped_acts_no_more_though_it_asked_nobody(bench, leader):
    bench.clock.advance(LEASE_S - 0.01)
    assert leader.epoch() == 1
    bench.clock.advance(0.01)
    assert leader.epoch() is None


def test_a_deposed_leader_notices_with_its_next_renewal(bench, leader):
    bench.depose()
    bench.tick(leader)
    assert leader.epoch() is None
    bench.tick(leader)
    assert bench.ledger.leadership().holder == "another"


def test_time_in_which_the_ledger_does_not_answer_costs_the_leader_nothing(bench, candidate):
    look_for(bench, candidate, 3)
    bench.ledger.down = True
    assert look_for(bench, candidate, 60) is None
    bench.ledger.down = False
    # 2.5 s were counted before; the time on both sides of the outage was not.
    assert look_for(bench, candidate, 60) == LEASE_S - 2.5


def test_slow_answers_are_not_counted(bench, candidate):
    bench.ledger.answer_s = 1.01
    assert look_for(bench, candidate, 30) is None


def test_a_leader_whose_renewal_fails_stops_acting_at_once(bench, leader):
    bench.ledger.down = True
    with pytest.raises(StorageUnavailable):
        bench.tick(leader)
    assert leader.epoch() is None


def test_a_leader_whose_renewal_failed_goes_on_when_the_next_one_succeeds(bench, leader):
    bench.ledger.down = True
    with pytest.raises(StorageUnavailable):
        bench.tick(leader)
    bench.ledger.down = False
    bench.tick(leader)
    assert leader.epoch() == 1


def test_the_lease_counts_from_before_the_renewal_was_sent(bench, leader):
    bench.ledger.answer_s = LEASE_S + 0.1
    bench.tick(leader)
    assert leader.epoch() is None
    bench.ledger.answer_s = 2.0
    bench.tick(leader)
    bench.clock.advance(LEASE_S - 2.1)
    assert leader.epoch() == 1
    bench.clock.advance(0.1)
    assert leader.epoch() is None


def test_renewals_come_three_to_a_lease(bench, leader):
    assert bench.tick(leader) == LEASE_S / 3
    bench.ledger.answer_s = 1.0
    assert bench.tick(leader) == pytest.approx(LEASE_S / 3 - 1.0)


def test_a_leader_that_resigned_is_followed_at_the_next_look(bench, leader, candidate):
    bench.tick(candidate)
    leader.wind_down()
    assert leader.epoch() is None
    bench.tick(candidate)
    assert candidate.epoch() == 2


def test_resigning_without_leading_takes_nothing_from_the_leader(bench, leader, candidate):
    bench.tick(candidate)
    candidate.wind_down()
    bench.tick(leader)
    assert leader.epoch() == 1


def test_a_taking_whose_answer_was_lost_is_repeated_with_a_new_epoch(bench):
    leader = bench.new_leader("a")
    bench.ledger.memory.take_leadership("a", observed=bench.ledger.memory.leadership())
    bench.tick(leader)
    assert leader.epoch() == 2


@pytest.mark.parametrize("seed", range(20))
def test_two_never_act_at_once_whatever_is_slow_or_down(seed):
    chance = random.Random(seed)
    bench = Bench(leading=False)
    schedulers = [bench.new_leader(name) for name in "abc"]
    acted, acting, stopped = set(), [], None
    for step in range(1_200):
        if step % 100 == 0:
            # Whoever leads is stopped in whatever it was doing, and continued later.
            stopped = acting[0] if acting else None
        bench.clock.advance(chance.choice([0.1, 0.3, 0.5, 0.5, 0.5, 2.0]))
        bench.ledger.down = chance.random() < 0.03
        bench.ledger.answer_s = chance.choice([0, 0, 0, 0, 0, 0.3, 0.3, 1.5, 6.0][: 9 - step % 4])
        bench.ledger.lose_answers = chance.random() < 0.03
        scheduler = chance.choice([s for s in schedulers if s is not stopped])
        with contextlib.suppress(StorageUnavailable):
            bench.tick(scheduler)
        acting = [s for s in schedulers if s.epoch() is not None]
        assert len(acting) <= 1
        acted.update(s.epoch() for s in acting)
    assert len(acted) > 3
