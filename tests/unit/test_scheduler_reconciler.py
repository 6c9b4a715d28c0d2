import uuid

import pytest
from butler_scheduler.held import PAGE, HeldIds, read_held
from butler_scheduler.reconciler import BEHIND_S, PERIOD_S, Reconciler
from scheduler_kit import Bench

from butler.ids import new_id
from butler.queues import WireKeys


@pytest.fixture
def bench():
    return Bench()


def new_reconciler(bench, **options):
    return Reconciler(
        bench.ledger,
        wire=bench.wire,
        hands=bench.hands,
        leader=bench.leader,
        clock=bench.clock,
        **options,
    )


@pytest.fixture
def reconciler(bench):
    """One that has had its first look, which compares everything, at an empty ledger."""
    reconciler = new_reconciler(bench)
    bench.tick(reconciler)
    return reconciler


def after(bench, reconciler, seconds):
    """Tick once a second."""
    for _ in range(seconds):
        bench.clock.advance(1)
        bench.tick(reconciler)


# The cheap check


def test_a_row_that_was_never_pushed_is_pushed_when_it_is_five_seconds_old(bench, reconciler):
    ids = bench.enqueue(2)
    after(bench, reconciler, 4)
    assert bench.waiting() == []
    after(bench, reconciler, 1)
    assert bench.waiting() == ids


def test_a_row_that_waits_in_its_list_is_left_alone(bench, reconciler):
    ids = bench.enqueue(2, push=True)
    after(bench, reconciler, 20)
    assert bench.waiting() == ids


def test_a_row_whose_hash_was_removed_later_is_pushed_by_the_sweep(bench, reconciler):
    (id_,) = bench.enqueue(push=True)
    after(bench, reconciler, 10)
    bench.redis.delete(WireKeys.job(id_), WireKeys.list("default"))
    after(bench, reconciler, 2)
    assert bench.waiting() == [id_]


@pytest.mark.parametrize("status", ["failed", "canceled", "finished", "started"])
def test_a_hash_that_says_something_else_than_queued_is_written_anew(bench, reconciler, status):
    (id_,) = bench.enqueue(push=True)
    bench.redis.delete(WireKeys.list("default"))
    bench.redis.hset(WireKeys.job(id_), "status", status)
    after(bench, reconciler, 6)
    assert bench.waiting() == [id_]
    assert bench.redis.hget(WireKeys.job(id_), "status") == b"queued"


def test_an_id_in_a_workers_hand_is_not_pushed_though_its_hash_is_gone(bench, reconciler):
    (id_,) = bench.enqueue(push=True)
    hand = bench.worker()
    hand.pop(1, token="t")
    bench.redis.delete(WireKeys.job(id_))
    after(bench, reconciler, 20)
    assert bench.waiting() == []


def test_a_lost_push_is_found_in_seconds_however_long_the_backlog(bench):
    reconciler = new_reconciler(bench, page=10)
    bench.tick(reconciler)
    bench.enqueue(200, push=True)
    after(bench, reconciler, 10)
    (lost,) = bench.enqueue()
    after(bench, reconciler, 5)
    assert bench.waiting()[200:] == [lost]


def test_one_tick_reads_a_bounded_number_of_pages(bench):
    reconciler = new_reconciler(bench, page=10)
    bench.tick(reconciler)
    bench.enqueue(200, push=True)
    bench.clock.advance(6)
    bench.ledger.calls.clear()
    bench.tick(reconciler)
    assert bench.ledger.calls.count("queued") == 6


def test_many_lost_pushes_are_not_made_to_wait_for_a_tick_each(bench):
    reconciler = new_reconciler(bench, page=10)
    bench.tick(reconciler)
    ids = bench.enqueue(200)
    bench.clock.advance(5)
    pauses = []
    while len(bench.waiting()) < 200:
        pauses.append(bench.tick(reconciler))
    assert bench.waiting() == ids
    assert set(pauses) == {BEHIND_S}
    assert bench.tick(reconciler) == PERIOD_S


# The whole comparison


def test_after_a_flushall_everything_is_pushed_again_in_order(bench, reconciler):
    ids = bench.enqueue(2_000, push=True)
    after(bench, reconciler, 2)
    bench.redis.flushall()
    after(bench, reconciler, 1)
    assert bench.waiting() == ids


def test_rows_that_were_too_young_at_a_flushall_follow_when_they_are_of_age(bench, reconciler):
    (id_,) = bench.enqueue(push=True)
    bench.redis.flushall()
    after(bench, reconciler, 1)
    assert bench.waiting() == []
    after(bench, reconciler, 3)
    assert bench.waiting() == [id_]


def test_an_id_that_left_its_list_for_nowhere_is_found_when_a_scheduler_begins_to_lead(bench):
    ids = bench.enqueue(3, push=True)
    bench.redis.lpop(WireKeys.list("default"))
    bench.clock.advance(2)
    bench.tick(new_reconciler(bench))
    assert bench.waiting() == [*ids[1:], ids[0]]


def test_the_whole_comparison_comes_again_in_its_time(bench):
    reconciler = new_reconciler(bench, full_every_s=30)
    bench.tick(reconciler)
    (id_,) = bench.enqueue(push=True)
    bench.redis.lpop(WireKeys.list("default"))
    after(bench, reconciler, 29)
    assert bench.waiting() == []
    after(bench, reconciler, 1)
    assert bench.waiting() == [id_]


def test_what_a_hand_holds_is_not_pushed_by_the_comparison(bench):
    bench.enqueue(2, push=True)
    bench.worker().pop(2, token="t")
    bench.clock.advance(10)
    bench.tick(new_reconciler(bench))
    assert bench.waiting() == []


def test_what_a_plain_rq_worker_has_popped_and_not_claimed_yet_is_not_pushed(bench):
    running, abandoned = bench.enqueue(2, push=True)
    bench.redis.delete(WireKeys.list("default"))
    now_s = bench.redis.time()[0]
    started = {f"{running}:e1": now_s + 60, f"{abandoned}:e2": now_s - 60}
    bench.redis.zadd(WireKeys.registry("wip", "default"), started)
    bench.clock.advance(10)
    bench.tick(new_reconciler(bench))
    assert bench.waiting() == [abandoned]


def test_the_comparison_pages_through_rows(bench):
    reconciler = new_reconciler(bench, page=7)
    ids = bench.enqueue(50)
    bench.clock.advance(3)
    bench.tick(reconciler)
    assert bench.waiting() == ids


def test_all_priorities_and_queues_are_compared(bench):
    kept = bench.enqueue(push=True, queue="a", priority="high")
    kept += bench.enqueue(push=True, queue="a", priority="low")
    (lost,) = bench.enqueue(queue="b", priority="high")
    bench.clock.advance(3)
    bench.tick(new_reconciler(bench))
    assert bench.waiting("a.high") + bench.waiting("a.low") == kept
    assert bench.waiting("b.high") == [lost]


# Leading


def test_a_scheduler_that_does_not_lead_pushes_nothing(bench, reconciler):
    bench.enqueue()
    bench.leader.wind_down()
    bench.ledger.calls.clear()
    after(bench, reconciler, 10)
    assert bench.waiting() == []
    assert bench.ledger.calls == []


def test_a_comparison_ends_when_leadership_does_and_is_done_again_by_who_leads_then(bench):
    reconciler = new_reconciler(bench, page=10)
    ids = bench.enqueue(50)
    bench.clock.advance(3)
    push = bench.wire.push

    def push_and_lose_leadership(entries):
        pushed = push(entries)
        bench.leader.wind_down()
        return pushed

    bench.wire.push = push_and_lose_leadership
    bench.tick(reconciler)
    assert bench.waiting() == ids[:10]
    bench.wire.push = push
    bench.leader.tick(0)
    bench.tick(reconciler)
    assert bench.waiting() == ids


# Held ids


def test_held_ids_know_what_they_hold_and_nothing_else():
    ids = [new_id() for _ in range(1_000)]
    held = HeldIds(ids)
    assert len(held) == 1_000
    assert all(id_ in held for id_ in ids)
    assert not any(new_id() in held for _ in range(1_000))


def test_ids_of_plain_rq_jobs_do_no_harm():
    mine = str(uuid.uuid4())
    held = HeldIds(["report", "x" * 36, mine])
    assert mine in held
    assert "report" not in held
    assert len(held) == 1


@pytest.mark.parametrize("count", [0, 1, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE])
def test_lists_are_read_whole_whatever_their_length(bench, count):
    ids = [new_id() for _ in range(count)]
    bench.redis.sadd(WireKeys.queues, WireKeys.list("default"))
    if ids:
        bench.redis.rpush(WireKeys.list("default"), *ids)
    held = read_held(bench.redis, bench.hands)
    assert len(held) == count
    assert all(id_ in held for id_ in ids)


def test_pops_while_a_list_is_read_hide_nothing_that_stays(bench):
    ids = [new_id() for _ in range(3 * PAGE)]
    bench.redis.sadd(WireKeys.queues, WireKeys.list("default"))
    bench.redis.rpush(WireKeys.list("default"), *ids)

    class Popping:
        """A client beside which a worker pops after each page."""

        smembers = staticmethod(bench.redis.smembers)
        time = staticmethod(bench.redis.time)
        zrangebyscore = staticmethod(bench.redis.zrangebyscore)
        zscan_iter = staticmethod(bench.redis.zscan_iter)

        def lrange(self, key, start, stop):
            page = bench.redis.lrange(key, start, stop)
            bench.redis.lpop(key, 100)
            return page

    held = read_held(Popping(), bench.hands)
    assert all(id_ in held for id_ in ids[400:])
