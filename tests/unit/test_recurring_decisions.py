"""What a due job does: misfires, overlaps, limits and jitter, decided without a clock."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recurring_jobs_kit import MINUTELY, NOON, job

from butler.recurring.decide import (
    COUNTED_MISSED,
    MAX_WAITING,
    broken,
    decide,
    due_at,
    due_fires,
    first_fire,
    jitter,
    release,
)
from butler.recurring.job import FireOutcome, JobStatus, Misfire, Overlap
from butler.schedules import Cron, Interval, Once

FIRED, WAITING, SKIPPED, MISSED = (
    FireOutcome.FIRED,
    FireOutcome.WAITING,
    FireOutcome.SKIPPED,
    FireOutcome.MISSED,
)
RUNNING = ("e1",)


def minutes(n):
    return NOON + timedelta(minutes=n)


def at(seconds):
    return NOON + timedelta(seconds=seconds)


def outcomes(decision):
    return [(fire.outcome, fire.fire_at) for fire in decision.fires]


def decided(job, now, *, unfinished=(), waiting=0):
    return decide(job, now=now, unfinished=unfinished, waiting=waiting)


# On time


def test_a_job_that_is_due_fires_and_waits_for_its_next_time():
    decision = decided(job(), at(0.05))
    assert outcomes(decision) == [(FIRED, NOON)]
    assert decision.next_fire_at == minutes(1)


def test_a_job_that_is_not_due_does_nothing():
    decision = decided(job(), at(-0.001))
    assert decision.fires == ()
    assert decision.next_fire_at == NOON


def test_a_clock_that_is_set_back_fires_nothing_and_forgets_nothing():
    decision = decided(job(), NOON - timedelta(hours=1))
    assert decision.fires == ()
    assert decision.next_fire_at == NOON


def test_a_schedule_that_ends_ends_the_job():
    decision = decided(job(Once(NOON)), at(1))
    assert outcomes(decision) == [(FIRED, NOON)]
    assert decision.next_fire_at is None


# Misfires


def test_of_many_missed_the_newest_is_fired_within_the_grace():
    decision = decided(job(), minutes(4))
    assert outcomes(decision) == [(MISSED, NOON), (FIRED, minutes(4))]
    assert decision.fires[0].count == 4
    assert "nobody could fire from 2026-03-01T12:00:00Z on, for 240 s" in decision.fires[0].reason
    assert decision.next_fire_at == minutes(5)


@pytest.mark.parametrize(("late_s", "outcome"), [(300, FIRED), (301, MISSED)])
def test_five_minutes_late_is_late_enough_for_a_daily_job(late_s, outcome):
    daily = job(Cron("0 12 * * *"))
    decision = decided(daily, at(late_s))
    assert outcomes(decision) == [(outcome, NOON)]
    assert decision.next_fire_at == NOON + timedelta(days=1)


def test_the_grace_is_the_jobs_own():
    daily = job(Cron("0 12 * * *"), misfire_grace_s=3600.0)
    assert outcomes(decided(daily, at(3599))) == [(FIRED, NOON)]


@pytest.mark.parametrize("misfire", [Misfire.SKIP, Misfire.FIRE_ONCE])
def test_what_a_takeover_delays_is_no_misfire(misfire):
    daily = job(Cron("0 12 * * *"), misfire=misfire, misfire_grace_s=0.0)
    assert outcomes(decided(daily, at(9))) == [(FIRED, NOON)]
    assert outcomes(decided(daily, at(11))) == [(MISSED, NOON)]


def test_skip_fires_what_is_on_time_after_what_was_missed():
    decision = decided(job(misfire=Misfire.SKIP), at(120 + 5))
    assert outcomes(decision) == [(MISSED, NOON), (FIRED, minutes(2))]
    decision = decided(job(misfire=Misfire.SKIP), at(120 + 30))
    assert outcomes(decision) == [(MISSED, NOON)]
    assert decision.fires[0].count == 3


def test_catch_up_fires_each_that_was_missed():
    late = job(misfire=Misfire.CATCH_UP, overlap=Overlap.ALLOW)
    decision = decided(late, minutes(3))
    assert outcomes(decision) == [(FIRED, minutes(n)) for n in range(4)]


def test_catch_up_fires_the_newest_up_to_its_limit():
    late = job(misfire=Misfire.CATCH_UP, catch_up_limit=2, overlap=Overlap.ALLOW)
    decision = decided(late, minutes(9))
    assert outcomes(decision) == [(MISSED, NOON), (FIRED, minutes(8)), (FIRED, minutes(9))]
    assert decision.fires[0].count == 8


def test_caught_up_fires_take_their_turns_where_they_would_overlap():
    late = job(misfire=Misfire.CATCH_UP)
    decision = decided(late, at(125))
    assert outcomes(decision) == [(FIRED, NOON), (WAITING, minutes(1)), (WAITING, minutes(2))]


def test_what_is_on_time_is_skipped_while_missed_ones_wait():
    decision = decided(job(misfire=Misfire.CATCH_UP), at(0.1), waiting=2)
    assert outcomes(decision) == [(SKIPPED, NOON)]
    assert "2 earlier fires are waiting" in decision.fires[0].reason


@pytest.mark.parametrize("misfire", list(Misfire))
def test_years_of_every_second_are_decided_at_once(misfire):
    often = job(Interval(1), misfire=misfire, overlap=Overlap.ALLOW)
    now = NOON + timedelta(days=3 * 365, seconds=0.5)
    began = time.process_time()
    decision = decided(often, now)
    assert time.process_time() - began < 2
    newest = now - timedelta(seconds=0.5)
    assert decision.next_fire_at == newest + timedelta(seconds=1)
    assert decision.fires[0].outcome is MISSED
    assert decision.fires[0].count >= COUNTED_MISSED
    assert "at least" in decision.fires[0].reason
    fired = [fire.fire_at for fire in decision.fires if fire.outcome is FIRED]
    wanted = 100 if misfire is Misfire.CATCH_UP else 1
    assert fired == [newest - timedelta(seconds=n) for n in reversed(range(wanted))]


def test_the_newest_are_found_when_they_came_in_a_burst_long_ago():
    burst = Cron("* * 3 1 1 *")  # each second of one hour of a year
    first = burst.next_after(NOON)
    due = due_fires(burst, first=first, until=first + timedelta(days=300), keep=3)
    assert [(3, 59, s) for s in (57, 58, 59)] == [(f.hour, f.minute, f.second) for f in due.newest]
    assert due.following.year == first.year + 1


@settings(max_examples=150, deadline=None)
@given(
    every_s=st.integers(1, 5000),
    late_s=st.floats(0, 3_000_000),
    misfire=st.sampled_from(Misfire),
    overlap=st.sampled_from(Overlap),
    unfinished=st.integers(0, 3),
    waiting=st.integers(0, 120),
    limit=st.integers(1, 5),
    concurrency=st.integers(1, 3),
)
def test_no_fire_time_is_named_twice_and_none_that_is_not_due(
    every_s, late_s, misfire, overlap, unfinished, waiting, limit, concurrency
):
    some = job(
        Interval(every_s, anchor=NOON),
        misfire=misfire,
        overlap=overlap,
        catch_up_limit=limit,
        max_concurrency=concurrency,
    )
    now = at(late_s)
    decision = decided(
        some, now, unfinished=tuple(f"e{n}" for n in range(unfinished)), waiting=waiting
    )
    times = [fire.fire_at for fire in decision.fires]
    assert times == sorted(set(times))
    assert all(NOON <= fire_at <= now for fire_at in times)
    assert decision.next_fire_at > now
    assert decision.next_fire_at - now <= timedelta(seconds=every_s)
    assert all(fire.reason for fire in decision.fires if fire.outcome not in (FIRED, WAITING))
    total = sum(fire.count for fire in decision.fires)
    if late_s / every_s < COUNTED_MISSED:
        assert total == late_s // every_s + 1
    again = decided(job(Interval(every_s, anchor=NOON), next_fire_at=decision.next_fire_at), now)
    assert again.fires == ()


# Overlaps


def test_a_fire_that_meets_an_unfinished_execution_is_skipped_with_the_reason():
    decision = decided(job(), at(0.1), unfinished=RUNNING)
    assert outcomes(decision) == [(SKIPPED, NOON)]
    assert decision.fires[0].reason == (
        "1 unfinished, the oldest e1 (overlap=skip, max_concurrency=1)"
    )
    assert decision.next_fire_at == minutes(1)


def test_more_than_one_may_run_where_the_job_says_so():
    wide = job(max_concurrency=3)
    assert outcomes(decided(wide, at(0), unfinished=("a", "b"))) == [(FIRED, NOON)]
    assert outcomes(decided(wide, at(0), unfinished=("a", "b", "c"))) == [(SKIPPED, NOON)]


def test_allow_fires_whatever_runs():
    free = job(overlap=Overlap.ALLOW)
    assert outcomes(decided(free, at(0), unfinished=("a", "b"))) == [(FIRED, NOON)]


def test_queue_lets_a_fire_wait_its_turn():
    queued = job(overlap=Overlap.QUEUE)
    assert outcomes(decided(queued, at(0), unfinished=RUNNING)) == [(WAITING, NOON)]
    assert outcomes(decided(queued, at(0), waiting=1)) == [(WAITING, NOON)]
    assert outcomes(decided(queued, at(0))) == [(FIRED, NOON)]


def test_a_queue_of_fires_does_not_grow_for_ever():
    decision = decided(job(overlap=Overlap.QUEUE), at(0), unfinished=RUNNING, waiting=MAX_WAITING)
    assert outcomes(decision) == [(SKIPPED, NOON)]
    assert "100 fires are waiting already" in decision.fires[0].reason


def test_cancel_running_cancels_the_oldest_to_make_room():
    eager = job(overlap=Overlap.CANCEL_RUNNING, max_concurrency=2)
    decision = decided(eager, at(0), unfinished=("a", "b", "c"))
    assert outcomes(decision) == [(FIRED, NOON)]
    assert decision.cancel == ("a", "b")
    assert decided(eager, at(0), unfinished=("a",)).cancel == ()


def test_cancel_running_starts_only_the_newest_of_several():
    eager = job(overlap=Overlap.CANCEL_RUNNING, misfire=Misfire.CATCH_UP)
    decision = decided(eager, at(125), unfinished=RUNNING)
    assert outcomes(decision) == [(SKIPPED, NOON), (SKIPPED, minutes(1)), (FIRED, minutes(2))]
    assert decision.cancel == RUNNING


def test_waiting_fires_start_oldest_first_as_far_as_there_is_room():
    queued = job(overlap=Overlap.QUEUE, max_concurrency=2)
    waiting = (minutes(2), minutes(1), minutes(3))
    fires = release(queued, unfinished=RUNNING, waiting=waiting)
    assert [(FIRED, minutes(1))] == [(fire.outcome, fire.fire_at) for fire in fires]
    assert release(queued, unfinished=("a", "b"), waiting=waiting) == ()


# Limits


def test_a_job_ends_with_its_last_allowed_fire():
    decision = decided(job(max_fires=3, fires=2), at(0))
    assert outcomes(decision) == [(FIRED, NOON)]
    assert decision.next_fire_at is None


def test_a_fire_that_is_skipped_is_none_of_the_allowed_ones():
    decision = decided(job(max_fires=3, fires=2), at(0), unfinished=RUNNING)
    assert outcomes(decision) == [(SKIPPED, NOON)]
    assert decision.next_fire_at == minutes(1)


def test_catching_up_stops_at_the_allowed_number():
    late = job(max_fires=3, fires=1, misfire=Misfire.CATCH_UP, overlap=Overlap.ALLOW)
    decision = decided(late, minutes(9))
    assert outcomes(decision) == [(FIRED, NOON), (FIRED, minutes(1))]
    assert decision.next_fire_at is None


def test_nothing_fires_after_the_end_and_the_end_itself_does():
    ending = job(ends_at=minutes(1))
    assert decided(ending, at(0)).next_fire_at == minutes(1)
    decision = decided(ending, minutes(3))
    assert outcomes(decision) == [(MISSED, NOON), (FIRED, minutes(1))]
    assert decision.next_fire_at is None


def test_the_first_fire_is_within_start_and_end():
    def first(**limits):
        return first_fire(MINUTELY, **({"now": NOON, "starts_at": None, "ends_at": None} | limits))

    assert first() == minutes(1)
    assert first(starts_at=minutes(5)) == minutes(5)
    assert first(starts_at=minutes(-5)) == minutes(1)
    assert first(ends_at=at(30)) is None


# Jitter


def test_jitter_is_stable_within_its_bound_and_differs_between_jobs():
    shares = {jitter(f"job {n}", 60) for n in range(100)}
    assert len(shares) == 100
    assert all(timedelta() <= share < timedelta(seconds=60) for share in shares)
    assert jitter("job 1", 60) == jitter("job 1", 60)
    assert jitter("job 1", 0) == timedelta()


def test_a_job_with_jitter_is_due_by_its_share_later_and_not_before():
    late = job(jitter_s=30.0)
    share = jitter(late.id, 30.0)
    assert due_at(late.id, fire_at=NOON, jitter_s=30.0, enabled=True) == NOON + share
    assert decided(late, NOON + share - timedelta(microseconds=1)).fires == ()
    decision = decided(late, NOON + share)
    assert outcomes(decision) == [(FIRED, NOON)]
    assert decision.next_fire_at == minutes(1)


def test_a_job_that_is_paused_or_over_is_never_due():
    assert due_at("id", fire_at=NOON, jitter_s=0, enabled=False) is None
    assert due_at("id", fire_at=None, jitter_s=0, enabled=True) is None


# How a job stands


def test_a_job_that_cannot_fire_passes_the_same_times_with_the_reason():
    decision = broken(decided(job(), minutes(2)), "no such task")
    assert outcomes(decision) == [(MISSED, NOON), (FireOutcome.BROKEN, minutes(2))]
    assert decision.fires[1].reason == "no such task"
    assert decision.next_fire_at == minutes(3)


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({}, JobStatus.ACTIVE),
        ({"enabled": False, "broken_reason": "x"}, JobStatus.PAUSED),
        ({"broken_reason": "x"}, JobStatus.BROKEN),
        ({"next_fire_at": None}, JobStatus.ENDED),
    ],
)
def test_a_job_says_how_it_stands(options, status):
    assert job(**options).status is status
