from __future__ import annotations

from datetime import timedelta

import pytest
from ledger_driver import race, registration

from butler import lifecycle
from butler.executions import ExecutionStatus
from butler.ids import new_id

S = ExecutionStatus


def pulse(storage, worker):
    """The worker's pulse; None when it is not watched."""
    return next((pulse for pulse in storage.pulses() if pulse.id == worker), None)


def row(storage, worker):
    return next((row for row in storage.workers() if row.id == worker), None)


def test_a_registered_worker_can_be_seen(storage, ledger):
    worker = registration(
        name="bee", host="alpha", pid=12, queues=("a", "b"), tasks=("t", "u"), concurrency=7
    )
    storage.register_worker(worker)
    seen = row(storage, worker.id)
    assert (
        seen.name,
        seen.host,
        seen.pid,
        seen.queues,
        seen.tasks,
        seen.concurrency,
    ) == ("bee", "alpha", 12, ("a", "b"), ("t", "u"), 7)
    assert (seen.running, seen.lost, seen.stopped_at) == (0, False, None)
    assert seen.started_at == seen.heartbeat_at
    assert timedelta(0) == seen.started_at.utcoffset()


def test_registering_again_changes_nothing(storage):
    worker = registration()
    storage.register_worker(worker)
    storage.heartbeat([worker.id])
    counter = pulse(storage, worker.id).counter
    storage.register_worker(worker)
    assert counter == pulse(storage, worker.id).counter
    assert len(storage.workers()) == 1


def test_workers_may_share_a_name(storage):
    for _ in range(2):
        storage.register_worker(registration(name="bee"))
    assert [seen.name for seen in storage.workers()] == ["bee", "bee"]


def test_a_heartbeat_raises_the_counter(storage, ledger):
    worker, other = ledger.worker(), ledger.worker()
    first, still = pulse(storage, worker), pulse(storage, other)
    [reply] = storage.heartbeat([worker])
    assert (worker, False, ()) == (reply.worker_id, reply.lost, reply.running)
    assert first.counter < pulse(storage, worker).counter
    assert still == pulse(storage, other)
    assert row(storage, worker).heartbeat_at >= row(storage, worker).started_at


def test_a_heartbeat_tells_what_runs(storage, ledger):
    worker = ledger.worker()
    claimed = [ledger.running(worker=worker) for _ in range(3)]
    ledger.running(worker=ledger.worker())
    [reply] = storage.heartbeat([worker])
    assert {(c.id, c.attempt, c.claim_token) for c in claimed} == {
        (a.id, a.attempt, a.claim_token) for a in reply.running
    }
    assert sorted(reply.running, key=lambda a: a.id) == sorted(
        storage.running(worker), key=lambda a: a.id
    )


def test_what_runs_can_be_ended_by_who_reads_it(storage, ledger):
    worker = ledger.worker()
    claimed = ledger.running(worker=worker, max_attempts=5)
    [attempt] = storage.running(worker)
    for name in ("uncounted", "max_attempts", "crashes", "alone", "attempts_used"):
        assert getattr(claimed, name) == getattr(attempt, name)
    assert not attempt.cancel_requested
    assert ledger.finish(lifecycle.lose(attempt, reason="no heartbeat")).applied


def test_heartbeats_are_answered_in_order(storage, ledger):
    living, lost, unknown = ledger.worker(), ledger.worker(), new_id()
    storage.lose_worker(lost)
    replies = storage.heartbeat([unknown, lost, living])
    assert [(unknown, True), (lost, True), (living, False)] == [
        (reply.worker_id, reply.lost) for reply in replies
    ]


def test_an_empty_heartbeat_is_fine(storage):
    assert storage.heartbeat([]) == []


def test_a_lost_workers_counter_stands_still(storage, ledger):
    worker = ledger.worker()
    ledger.running(worker=worker)
    storage.lose_worker(worker)
    before = pulse(storage, worker)
    storage.heartbeat([worker])
    assert before == pulse(storage, worker)


def test_a_worker_is_lost_if_its_counter_stands_where_it_was_seen(storage, ledger):
    worker = ledger.worker()
    seen = pulse(storage, worker).counter
    storage.heartbeat([worker])
    assert not storage.lose_worker(worker, counter=seen)
    assert not row(storage, worker).lost
    assert storage.lose_worker(worker, counter=pulse(storage, worker).counter)
    assert row(storage, worker).lost


def test_a_lost_worker_stays_lost(storage, ledger):
    worker = ledger.worker()
    assert storage.lose_worker(worker)
    assert storage.lose_worker(worker)
    assert storage.lose_worker(worker, counter=-1)
    [reply] = storage.heartbeat([worker])
    assert reply.lost


def test_losing_an_unknown_worker_is_false(storage):
    assert not storage.lose_worker(new_id())


def test_losing_a_worker_leaves_its_rows_to_the_rescuer(storage, ledger):
    worker = ledger.worker()
    claimed = ledger.running(worker=worker)
    storage.lose_worker(worker)
    assert ledger.status(claimed.id) == S.RUNNING
    assert [claimed.id] == [attempt.id for attempt in storage.running(worker)]
    assert pulse(storage, worker).lost


def test_a_lost_worker_is_watched_until_nothing_runs(storage, ledger):
    worker = ledger.worker()
    claimed = ledger.running(worker=worker)
    storage.lose_worker(worker)
    assert pulse(storage, worker) is not None
    ledger.done(lifecycle.lose(claimed, reason="no heartbeat"))
    assert pulse(storage, worker) is None


def test_a_lost_worker_with_nothing_running_is_not_watched(storage, ledger):
    worker = ledger.worker()
    storage.lose_worker(worker)
    assert pulse(storage, worker) is None
    assert row(storage, worker).lost


def test_a_stopped_worker_is_not_watched(storage, ledger):
    worker = ledger.worker()
    storage.stop_worker(worker)
    seen = row(storage, worker)
    assert pulse(storage, worker) is None
    assert not seen.lost
    assert seen.stopped_at >= seen.started_at


def test_stopping_twice_keeps_the_first_time(storage, ledger):
    worker = ledger.worker()
    storage.stop_worker(worker)
    first = row(storage, worker).stopped_at
    storage.stop_worker(worker)
    storage.stop_worker(new_id())
    assert first == row(storage, worker).stopped_at


def test_workers_say_how_much_they_run(storage, ledger):
    worker, idle = ledger.worker(), ledger.worker()
    claimed = [ledger.running(worker=worker) for _ in range(3)]
    ledger.done(lifecycle.succeed(claimed[0], result=None))
    assert (row(storage, worker).running, row(storage, idle).running) == (2, 0)


def test_nothing_runs_under_an_unknown_worker(storage):
    assert storage.running(new_id()) == []


@pytest.mark.parametrize("reason", sorted(lifecycle.WAITING_FOR_WORKER))
def test_a_worker_that_knows_the_task_releases_what_waits_for_it(storage, ledger, reason):
    waiting = ledger.running(task="New Task")
    ledger.done(lifecycle.hand_back(waiting, reason=reason, delay_s=3600))
    ledger.worker(tasks=("Old Task",))
    assert ledger.stage() == []
    ledger.worker(tasks=("Old Task", "New Task"))
    assert storage.next_due_in_s() <= 0
    assert [waiting.id] == [entry.id for entry in ledger.stage()]


def test_a_new_worker_releases_nothing_that_waits_for_its_time(storage, ledger):
    ledger.enqueue(task="New Task", delay_s=3600)
    rescheduled = ledger.running(task="New Task")
    ledger.done(lifecycle.reschedule(rescheduled, delay_s=3600, reason="rate limited"))
    ledger.worker(tasks=("New Task",))
    assert ledger.stage() == []


def test_a_heartbeat_and_a_loss_leave_one_truth(storage, ledger):
    for _ in range(10):
        worker = ledger.worker()
        seen = pulse(storage, worker).counter
        [reply], lost = race(
            lambda worker=worker: storage.heartbeat([worker]),
            lambda worker=worker, seen=seen: storage.lose_worker(worker, counter=seen),
        )
        assert reply.lost == lost == row(storage, worker).lost


def test_overlapping_heartbeats_each_count(storage, ledger):
    workers = [ledger.worker() for _ in range(20)]
    before = {worker: pulse(storage, worker).counter for worker in workers}
    race(*[lambda order=order: storage.heartbeat(order) for order in (workers, workers[::-1])] * 2)
    for worker in workers:
        assert pulse(storage, worker).counter >= before[worker] + 4
