import contextlib

import pytest
from butler_scheduler.rescuer import SWEEP_AFTER_S, Rescuer
from butler_scheduler.stray_hands import StrayHands
from scheduler_kit import START, Bench

from butler.errors import QueueUnavailable, StorageUnavailable
from butler.executions import AttemptOutcome, Priority
from butler.hands import Announcement
from butler.queues import WireKeys

LEASE_S = 15.0
STEP_S = 0.5


@pytest.fixture
def bench():
    return Bench()


def new_rescuer(bench, **options):
    return Rescuer(
        bench.ledger,
        recovery=bench.recovery,
        leader=bench.leader,
        unregister=options.pop("unregister", lambda name, queues: None),
        lease_s=LEASE_S,
        clock=bench.clock,
    )


@pytest.fixture
def rescuer(bench):
    return new_rescuer(bench)


def watch(bench, rescuer, seconds, *, beating=()):
    """Tick at the rescuer's rhythm while some workers heartbeat every five seconds."""
    for step in range(int(seconds / STEP_S)):
        bench.clock.advance(STEP_S)
        if beating and step % 10 == 9 and not bench.ledger.down:
            bench.ledger.memory.heartbeat(beating)
        with contextlib.suppress(StorageUnavailable):
            bench.tick(rescuer)


def lost(bench):
    return {row.id for row in bench.ledger.memory.workers() if row.lost}


def test_a_silent_workers_executions_are_queued_again_after_a_lease(bench, rescuer):
    ids = bench.enqueue(3, push=True)
    bench.run(bench.worker())
    bench.tick(rescuer)
    watch(bench, rescuer, LEASE_S - STEP_S)
    assert lost(bench) == set()
    watch(bench, rescuer, STEP_S)
    assert lost(bench) == {"w1"}
    assert bench.statuses() == {"queued": 3}
    assert sorted(bench.waiting()) == ids
    (attempt,) = bench.ledger.memory.get(ids[0]).attempts
    assert (attempt.outcome, attempt.counted) == (AttemptOutcome.LOST, False)
    assert attempt.error.message == "worker w1 was silent for 15 s"


def test_what_a_silent_worker_had_popped_and_not_claimed_goes_back(bench, rescuer):
    ids = bench.enqueue(3, push=True)
    bench.worker().pop(2, token="t")
    watch(bench, rescuer, LEASE_S + 1)
    assert bench.waiting() == ids
    assert bench.hands.workers() == set()


def test_workers_that_heartbeat_lose_nothing(bench, rescuer):
    bench.enqueue(2, push=True)
    bench.run(bench.worker())
    watch(bench, rescuer, 120, beating=["w1"])
    assert lost(bench) == set()
    assert bench.statuses() == {"running": 2}


def test_only_the_silent_worker_is_given_up(bench, rescuer):
    bench.worker("w1")
    bench.worker("w2")
    watch(bench, rescuer, 30, beating=["w2"])
    assert lost(bench) == {"w1"}


@pytest.mark.parametrize("outage_s", [7, 60, 3600])
def test_a_ledger_that_was_down_makes_nobody_lost(bench, rescuer, outage_s):
    bench.enqueue(2, push=True)
    bench.run(bench.worker())
    watch(bench, rescuer, 4)
    bench.ledger.down = True
    watch(bench, rescuer, outage_s, beating=["w1"])
    bench.ledger.down = False
    watch(bench, rescuer, 30, beating=["w1"])
    assert lost(bench) == set()
    assert bench.statuses() == {"running": 2}


def test_a_ledger_that_answers_late_makes_nobody_lost(bench, rescuer):
    bench.worker()
    bench.ledger.answer_s = 1.1
    watch(bench, rescuer, 60)
    assert lost(bench) == set()


def test_a_rescuer_that_was_stopped_itself_counts_nothing_of_that_time(bench, rescuer):
    bench.worker()
    watch(bench, rescuer, 2)
    bench.clock.advance(3600)
    watch(bench, rescuer, 4, beating=["w1"])
    assert lost(bench) == set()


def test_a_worker_that_speaks_between_the_look_and_the_verdict_is_not_lost(bench, rescuer):
    bench.worker()
    watch(bench, rescuer, LEASE_S - 1)
    recover = bench.recovery.recover

    def speak_first(*args, **kwargs):
        bench.ledger.memory.heartbeat(["w1"])
        return recover(*args, **kwargs)

    bench.recovery.recover = speak_first
    watch(bench, rescuer, 3)
    assert lost(bench) == set()


def test_a_new_leader_watches_a_whole_lease_first(bench):
    bench.worker()
    watch(bench, new_rescuer(bench), LEASE_S - 1)
    bench.leader.wind_down()
    bench.leader.tick(0)
    successor = new_rescuer(bench)
    bench.tick(successor)
    watch(bench, successor, LEASE_S - STEP_S)
    assert lost(bench) == set()
    watch(bench, successor, STEP_S)
    assert lost(bench) == {"w1"}


def test_a_scheduler_that_leads_again_starts_its_watch_anew(bench, rescuer):
    bench.worker()
    watch(bench, rescuer, LEASE_S - 1)
    bench.leader.wind_down()
    bench.leader.tick(0)
    watch(bench, rescuer, LEASE_S - 1)
    assert lost(bench) == set()
    watch(bench, rescuer, 1 + STEP_S)
    assert lost(bench) == {"w1"}


def test_a_scheduler_that_does_not_lead_gives_nobody_up(bench, rescuer):
    bench.worker()
    bench.leader.wind_down()
    watch(bench, rescuer, 60)
    assert lost(bench) == set()


def test_a_lost_worker_under_which_rows_still_run_is_swept(bench, rescuer):
    ids = bench.enqueue(2, push=True)
    bench.run(bench.worker())
    bench.ledger.memory.lose_worker("w1")
    watch(bench, rescuer, SWEEP_AFTER_S)
    assert bench.statuses() == {"running": 2}
    watch(bench, rescuer, STEP_S)
    assert bench.statuses() == {"queued": 2}
    assert sorted(bench.waiting()) == ids


def test_a_worker_that_is_lost_after_a_long_silence_is_left_to_its_supervisor_first(bench, rescuer):
    bench.enqueue(push=True)
    bench.run(bench.worker())
    watch(bench, rescuer, LEASE_S - 1)
    bench.ledger.memory.lose_worker("w1")
    watch(bench, rescuer, SWEEP_AFTER_S)
    assert bench.statuses() == {"running": 1}


def test_more_than_a_batch_of_a_dead_workers_executions_are_queued_again(bench, rescuer):
    bench.enqueue(1_500, push=True)
    hand = bench.worker()
    bench.run(hand, limit=1_000)
    bench.run(hand, limit=500)
    watch(bench, rescuer, LEASE_S + 1)
    assert bench.statuses() == {"queued": 1_500}
    assert len(bench.waiting()) == 1_500


def test_a_stopped_worker_under_which_rows_still_run_is_swept(bench, rescuer):
    bench.enqueue(push=True)
    bench.run(bench.worker())
    bench.ledger.memory.stop_worker("w1")
    watch(bench, rescuer, SWEEP_AFTER_S + STEP_S)
    assert bench.statuses() == {"queued": 1}


def test_one_worker_that_cannot_be_rescued_does_not_stop_the_others(bench, rescuer):
    bench.worker("w1")
    bench.worker("w2")
    bench.worker("w3")
    recover = bench.recovery.recover

    def refuse_one(worker_id, *args, **kwargs):
        if worker_id == "w1":
            raise RuntimeError("cannot be rescued")
        return recover(worker_id, *args, **kwargs)

    bench.recovery.recover = refuse_one
    with pytest.raises(RuntimeError, match="cannot be rescued"):
        watch(bench, rescuer, 20)
    assert lost(bench) == {"w2", "w3"}


# What RQ's tools show


def test_a_rescued_worker_disappears_from_rqs_registrations(bench):
    bench.worker("w1", name="host.1", queues=("a", "b"))
    keys = ["rq:workers", *(f"rq:workers:{q}{s}" for q in "ab" for s in (".high", "", ".low"))]
    for key in keys:
        bench.redis.sadd(key, "rq:worker:host.1", "rq:worker:other")
    bench.redis.hset("rq:worker:host.1", "birth", "x")
    rescuer = new_rescuer(bench, unregister=bench.hands.unregister)
    watch(bench, rescuer, LEASE_S + 1)
    assert [bench.redis.smembers(key) for key in keys] == [{b"rq:worker:other"}] * len(keys)
    assert not bench.redis.exists("rq:worker:host.1")


def test_what_ends_with_its_worker_is_shown_as_that_and_no_longer_as_running(bench, rescuer):
    hand = bench.worker("w1")
    cancelled, again = bench.enqueue(2, push=True)
    bench.run(hand)
    hand.announce(
        [
            Announcement(
                id=id_, attempt=1, queue="default", priority=Priority.NORMAL, started_at=START
            )
            for id_ in (cancelled, again)
        ]
    )
    bench.ledger.memory.cancel([cancelled])
    watch(bench, rescuer, LEASE_S + 1)
    assert bench.statuses() == {"cancelled": 1, "queued": 1}
    shown = [bench.redis.hget(f"rq:job:{id_}", "status") for id_ in (cancelled, again)]
    assert shown == [b"canceled", b"queued"]
    assert bench.redis.ttl(f"rq:job:{cancelled}") > 0
    assert bench.waiting() == [again]
    assert bench.redis.keys("rq:wip:*") + bench.redis.keys("rq:execution*") == []
    assert bench.redis.keys("rq:worker:*:executions") == []


def test_a_name_that_a_live_worker_has_taken_over_stays_registered(bench):
    bench.worker("old", name="host.1")
    bench.worker("new", name="host.1")
    removed = []
    rescuer = new_rescuer(bench, unregister=lambda name, queues: removed.append(name))
    watch(bench, rescuer, 30, beating=["new"])
    assert lost(bench) == {"old"}
    assert removed == []


def test_a_silent_redis_does_not_stop_a_rescue(bench):
    def refuse(name, queues):
        raise QueueUnavailable("away")

    bench.worker("w1")
    bench.worker("w2")
    watch(bench, new_rescuer(bench, unregister=refuse), LEASE_S + 1)
    assert lost(bench) == {"w1", "w2"}


# Stray hands


@pytest.fixture
def stray_hands(bench):
    return StrayHands(bench.ledger, hands=bench.hands, leader=bench.leader, clock=bench.clock)


def test_the_hand_of_a_lost_worker_goes_back_at_the_second_look(bench, stray_hands):
    ids = bench.enqueue(2, push=True)
    bench.worker().pop(2, token="t")
    bench.ledger.memory.lose_worker("w1")
    bench.tick(stray_hands)
    assert bench.waiting() == []
    bench.tick(stray_hands)
    assert bench.waiting() == ids
    assert bench.hands.workers() == set()


def test_the_hand_of_a_worker_that_the_ledger_learns_of_in_time_stays(bench, stray_hands):
    bench.redis.sadd(WireKeys.hands, "w1")
    bench.tick(stray_hands)
    bench.worker("w1")
    bench.tick(stray_hands)
    bench.tick(stray_hands)
    assert bench.hands.workers() == {"w1"}


def test_the_hands_of_live_workers_stay(bench, stray_hands):
    bench.enqueue(2, push=True)
    bench.worker().pop(2, token="t")
    for _ in range(5):
        bench.tick(stray_hands)
    assert bench.waiting() == []


def test_a_scheduler_that_does_not_lead_puts_no_hand_back(bench, stray_hands):
    bench.redis.sadd(WireKeys.hands, "w1")
    bench.tick(stray_hands)
    bench.leader.wind_down()
    for _ in range(3):
        bench.tick(stray_hands)
    assert bench.hands.workers() == {"w1"}
