"""A worker whose ledger loses replies, forgets claims, or gives the worker up."""

import threading

import pytest
import redis
from butler_workers.completer import Ending
from worker_kit import Item, make_butler, make_worker, wait_for

from butler import TaskContext, lifecycle, task
from butler.errors import QueueUnavailable, SchemaOutdated
from butler.executions import AttemptOutcome, ExecutionStatus
from butler.hands import Hands
from butler.parks import Parks
from butler.queues import WireKeys
from butler.storage.records import Claim, HeartbeatReply


@pytest.fixture
def butler():
    with make_butler() as butler:
        yield butler


@pytest.fixture
def worker(butler):
    worker = make_worker(butler)
    worker.start()
    yield worker
    worker.drain(0)


def calls(butler, method):
    return [arguments for name, arguments, _ in butler.storage.calls if name == method]


def status(handle):
    return handle.execution().status


def start_waiting(butler, worker):
    """An execution whose task runs on this worker."""
    handle = butler.enqueue("wait", Item())
    wait_for(lambda: handle.id in worker._attempts and worker._attempts[handle.id].started_at)
    return handle


def beat(butler, worker):
    """A heartbeat that is sent and answered now."""
    (reply,) = butler.storage.heartbeat([worker.id])
    worker.on_heartbeat(reply, sent_at=worker.lease._clock.monotonic())


def test_a_claim_whose_reply_was_lost_is_repeated_under_its_token(butler, worker):
    butler.storage.fail("claim", times=2, after=True)
    handle = butler.enqueue("double", Item(n=4))
    assert handle.result(timeout_s=10) == 8
    assert handle.execution().attempt == 1
    tokens = [claim.token for (claim,) in calls(butler, "claim")]
    assert len(tokens) == 3
    assert len(set(tokens)) == 1


def test_an_ending_whose_reply_was_lost_is_written_again_and_counts_once(butler, worker):
    butler.storage.fail("finish", times=2, after=True)
    handle = butler.enqueue("double", Item(n=4))
    assert handle.result(timeout_s=10) == 8
    wait_for(lambda: worker.idle)
    assert len(calls(butler, "finish")) == 3
    assert [attempt.outcome for attempt in handle.execution().attempts] == [
        AttemptOutcome.SUCCEEDED
    ]


def test_endings_wait_for_a_ledger_that_is_away(butler, worker):
    butler.storage.fail("finish", times=4)
    handles = butler.enqueue_many([("double", Item(n=n)) for n in range(20)])
    assert [handle.result(timeout_s=20) for handle in handles] == [2 * n for n in range(20)]


def test_an_attempt_whose_claim_the_ledger_forgot_is_claimed_again_and_ended(butler, worker):
    handle = start_waiting(butler, worker)
    forget_claim(butler, handle)
    worker.cancel(handle.id)
    wait_for(lambda: status(handle).finished)
    execution = handle.execution()
    assert (execution.status, execution.attempt) == (ExecutionStatus.CANCELLED, 1)


def test_a_forgotten_claim_is_reasserted_at_the_second_heartbeat_that_misses_it(butler, worker):
    handle = start_waiting(butler, worker)
    forget_claim(butler, handle)
    beat(butler, worker)
    assert status(handle) is ExecutionStatus.QUEUED
    beat(butler, worker)
    execution = handle.execution()
    assert (execution.status, execution.attempt) == (ExecutionStatus.RUNNING, 1)


def test_what_runs_elsewhere_by_now_is_ended_here_without_a_word(butler, worker):
    handle = start_waiting(butler, worker)
    worker._fetcher.stop()
    forget_claim(butler, handle)
    other = make_worker(butler)
    other.start()
    try:
        butler.wire.push([entry_of(butler, handle)])
        wait_for(lambda: handle.execution().worker_id == other.id)
        beat(butler, worker)
        beat(butler, worker)
        wait_for(lambda: worker.idle)
        assert handle.execution().worker_id == other.id
        assert status(handle) is ExecutionStatus.RUNNING
    finally:
        other.drain(0)


def test_its_own_forgotten_execution_fetched_anew_ends_the_first_attempt(butler, worker):
    handle = start_waiting(butler, worker)
    first = worker._attempts[handle.id]
    forget_claim(butler, handle)
    butler.wire.push([entry_of(butler, handle)])
    second = wait_for(lambda: (a := worker._attempts.get(handle.id)) is not first and a)
    wait_for(lambda: first.over)
    assert second.claimed.claim_token != first.claimed.claim_token
    assert worker._attempts[handle.id] is second
    worker.cancel(handle.id)
    wait_for(lambda: status(handle) is ExecutionStatus.CANCELLED)


def test_a_row_that_runs_under_its_id_but_not_here_is_handed_back_after_a_lease(butler):
    # Long enough for a loaded machine: it fetches nothing once the lease is over.
    worker = make_worker(butler, lease_s=0.5)
    worker.start()
    handle = start_waiting(butler, worker)
    stray = worker._attempts.pop(handle.id)
    beat(butler, worker)
    assert status(handle) is ExecutionStatus.RUNNING
    # It may be running again by the time we look.
    wait_for(lambda: beat(butler, worker) or handle.execution().attempts)
    first = handle.execution().attempts[0]
    assert (first.number, first.outcome) == (1, AttemptOutcome.HANDED_BACK)
    stray.control.request_cancel("the test is over")
    worker.drain(0)


def test_a_worker_that_was_given_up_ends_what_it_runs_and_writes_nothing(butler):
    lost = []
    worker = make_worker(butler, on_lost=lambda: lost.append(True))
    worker.start()
    handle = start_waiting(butler, worker)
    worker.on_heartbeat(HeartbeatReply(worker_id=worker.id, lost=True), sent_at=0.0)
    wait_for(lambda: worker.idle)
    assert lost == [True]
    assert status(handle) is ExecutionStatus.RUNNING
    assert calls(butler, "finish") == []
    worker.life.end()


def test_a_claim_of_a_worker_that_was_given_up_gives_its_hand_back(butler, worker):
    butler.storage.lose_worker(worker.id)
    handle = butler.enqueue("double", Item())
    wait_for(lambda: worker.lease.lost)
    wait_for(lambda: not Hands(butler.redis).ids(worker.id))
    assert status(handle) is ExecutionStatus.QUEUED
    assert butler.wire.depth("default") == 1


def test_nothing_starts_under_a_lease_that_is_not_fresh(butler):
    worker = make_worker(butler, lease_s=0.0)
    worker.start()
    handle = butler.enqueue("double", Item())
    beat_once = worker.lease.fresh
    assert not beat_once
    assert status(handle) is ExecutionStatus.QUEUED
    worker.lease.lease_s = 60.0
    worker.lease.renew(worker.lease._clock.monotonic())
    assert handle.result(timeout_s=10) == 0
    worker.drain(0)


def test_a_cancel_that_only_the_heartbeat_tells_of_is_obeyed(butler, worker):
    handle = start_waiting(butler, worker)
    butler.storage.cancel([handle.id])
    beat(butler, worker)
    wait_for(lambda: status(handle) is ExecutionStatus.CANCELLED)


def test_an_end_that_came_after_another_attempt_began_changes_nothing(butler, worker, caplog):
    handle = start_waiting(butler, worker)
    (row,) = butler.storage.running(worker.id)
    butler.storage.finish([lifecycle.lose(row, reason="the test says so")])
    worker.cancel(handle.id)
    wait_for(lambda: worker.idle)
    assert status(handle) in (ExecutionStatus.QUEUED, ExecutionStatus.RUNNING)
    assert "attempt.fenced" in caplog.text


def test_what_was_popped_goes_back_when_its_claim_failed_unforeseen(butler, worker):
    butler.storage.fail("claim", times=1, error=SchemaOutdated)
    handle = butler.enqueue("double", Item(n=4))
    assert handle.result(timeout_s=10) == 8
    wait_for(lambda: not Hands(butler.redis).ids(worker.id))


def test_what_was_refused_while_redis_went_away_is_sorted_again(butler, monkeypatch):
    butler.register(limited)
    worker = make_worker(butler)
    failing = fail_once(monkeypatch, worker._fetcher._parks, "park")
    worker.start()
    first, second = butler.enqueue_many([(limited, Item(n=n)) for n in (1, 2)])
    wait_for(lambda: failing == [])
    wait_for(lambda: first.status is ExecutionStatus.RUNNING)
    wait_for(lambda: Parks(butler.redis).page(0, 10))
    worker.cancel(first.id)
    wait_for(lambda: second.status is ExecutionStatus.RUNNING)
    worker.drain(0)


def test_what_is_queued_again_while_redis_was_away_is_pushed_later(butler, worker, monkeypatch):
    handle = start_waiting(butler, worker)
    failing = fail_once(monkeypatch, butler.wire, "push")
    attempt = worker._attempts[handle.id]
    transition = lifecycle.hand_back(attempt.claimed, reason="the test says so")
    worker._completer.put(Ending(attempt.claimed, transition))
    wait_for(lambda: failing == [] and handle.execution().attempt == 2)
    worker.cancel(handle.id)
    attempt.control.request_cancel("the test is over")


@pytest.mark.parametrize("error", [redis.TimeoutError, redis.ConnectionError, RuntimeError])
def test_commands_are_heard_after_whatever_went_wrong(butler, worker, monkeypatch, error):
    monkeypatch.setattr("butler_workers.presence.SILENCE_PAUSE_S", 0)
    handle = start_waiting(butler, worker)
    channel = WireKeys.commands(worker.name)
    pubsub = wait_for(lambda: worker._presence._worker).pubsub
    failing = fail_once(monkeypatch, pubsub, "get_message", error)
    butler.redis.publish(channel, "not JSON")
    wait_for(lambda: failing == [])
    butler.wire.request_stop(handle.id, worker.name)
    wait_for(lambda: status(handle) is ExecutionStatus.CANCELLED)


def test_a_ledger_that_hangs_holds_up_no_stop(butler, monkeypatch):
    answered = threading.Event()
    worker = make_worker(butler)
    worker.start()
    monkeypatch.setattr("butler_workers.enrolment.SIGN_OFF_S", 0.05)
    monkeypatch.setattr(butler.storage._storage, "stop_worker", lambda _: answered.wait(60))
    try:
        assert worker.drain(0)
        assert not answered.is_set()
    finally:
        answered.set()


@task(max_concurrency=1)
async def limited(request: Item, context: TaskContext) -> None:
    await context.sleep(60)


def fail_once(monkeypatch, owner, method, error=QueueUnavailable):
    """Let Redis be away at the next call of a method; what is returned is empty afterwards."""
    left, real = [error("spoilt")], getattr(owner, method)

    def call(*arguments, **options):
        if left:
            raise left.pop()
        return real(*arguments, **options)

    monkeypatch.setattr(owner, method, call)
    return left


def entry_of(butler, handle):
    entries = butler.storage.queued(min_age_s=-1, after=None, limit=10)
    return next(entry for _, entry in entries if entry.id == handle.id)


def forget_claim(butler, handle):
    """What a crash of Postgres does to a claim that was not on disk yet."""
    rows = butler.storage._storage._rows
    row = rows.get(handle.id)
    rows.move(row, ExecutionStatus.QUEUED)
    row.attempt -= 1
    row.claim_token = ""
    row.worker_id = None


def test_an_end_that_its_worker_told_the_ledger_alone_is_shown_by_who_pops_it_next(butler, worker):
    butler.redis.flushall()
    handle = butler.enqueue("double", Item())
    assert handle.result(timeout_s=10) == 0
    wait_for(lambda: worker.idle)
    # As a worker leaves it that is killed between the two: started, without an expiry, in its hand.
    key = WireKeys.job(handle.id)
    butler.redis.hset(key, mapping={"status": "started", "attempt": 0, "ended_at": ""})
    butler.redis.persist(key)
    butler.redis.zadd(WireKeys.registry("wip", "default"), {f"{handle.id}:1": 9e9})
    butler.redis.rpush(WireKeys.list("default"), handle.id)
    wait_for(lambda: butler.redis.hget(key, "status") == b"finished")
    wait_for(lambda: not butler.redis.exists(WireKeys.registry("wip", "default")))
    assert butler.redis.ttl(key) > 0


def test_what_is_still_in_the_hand_of_a_worker_that_ends_goes_back(butler):
    """Suspects of a crash, handed to a supervisor that died before it gave them to a solo child."""
    asked = []
    worker = make_worker(butler, on_alone=lambda execution_id, name: asked.append(execution_id))
    handle = butler.enqueue("double", Item())
    worker._enrolment.register()
    claim = Claim(worker_id=worker.id, token=worker.id, ids=(handle.id,))
    (claimed,) = butler.storage.claim(claim).won
    butler.storage.finish([lifecycle.crash(claimed, cause="the test says so")])
    worker.start()
    wait_for(lambda: asked == [handle.id])
    assert worker.drain(0)
    assert butler.wire.depth("default") == 1
    assert not butler.redis.keys("butler:hand*")


def test_what_it_is_offered_starts_without_a_pop(butler, worker):
    assert butler.enqueue("double", Item(n=1)).result(timeout_s=10) == 2
    wait_for(lambda: butler.redis.exists(WireKeys.seat(worker.id)))
    popped = butler.redis.get(WireKeys.popped(worker.id))
    assert butler.enqueue("double", Item(n=2)).result(timeout_s=10) == 4
    assert butler.redis.get(WireKeys.popped(worker.id)) == popped


def test_an_offer_whose_call_was_lost_runs_all_the_same(butler, worker, monkeypatch):
    lose = worker._fetcher._seat._redis.blpop
    lost = []

    def blpop(*arguments, **options):
        found = lose(*arguments, **options)
        if found is not None and found[1] and not lost:
            lost.append(found)
            raise redis.ConnectionError("the connection broke while the reply was on its way")
        return found

    monkeypatch.setattr(worker._fetcher._seat._redis, "blpop", blpop)
    wait_for(lambda: butler.redis.exists(WireKeys.seat(worker.id)))
    handles = []
    while not lost:
        handles.append(butler.enqueue("double", Item(n=3)))
        assert handles[-1].result(timeout_s=10) == 6
    assert handles[-1].execution().attempt == 1


def test_a_worker_that_stops_gives_back_what_it_is_offered_meanwhile(butler):
    worker = make_worker(butler)
    worker.start()
    wait_for(lambda: butler.redis.exists(WireKeys.seat(worker.id)))
    worker._fetcher._stopping.set()
    handle = butler.enqueue("double", Item())
    wait_for(lambda: butler.wire.depth("default") == 1)
    worker.drain(0)
    assert status(handle) is ExecutionStatus.QUEUED
    assert not butler.redis.keys(f"butler:*:{worker.id}")


def test_a_worker_without_a_free_slot_is_offered_nothing(butler, monkeypatch):
    worker = make_worker(butler, concurrency=1)
    monkeypatch.setattr(worker._fetcher._pace, "ahead", lambda *_, **__: 2)
    pop, sat = worker._fetcher._hand.pop, []
    monkeypatch.setattr(
        worker._fetcher._hand, "pop", lambda *a, **k: sat.append(k.get("sit_s")) or pop(*a, **k)
    )
    worker.start()
    start_waiting(butler, worker)
    looks = len(sat)
    wait_for(lambda: len(sat) > looks + 1)
    assert sat[0] > 0
    assert sat[looks + 1] == 0
    assert butler.redis.zscore(WireKeys.seats("default"), worker.id) is None
    worker.drain(0)
