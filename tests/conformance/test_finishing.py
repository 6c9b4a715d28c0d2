from __future__ import annotations

import pytest
from ledger_driver import BOOM, fail, fail_or_retry, forged, race

from butler import lifecycle
from butler.executions import AttemptOutcome, ErrorRecord, ExecutionStatus
from butler.ids import new_id, new_token
from butler.storage.base import MAX_BATCH
from butler.storage.records import ExecutionQuery

S = ExecutionStatus
O = AttemptOutcome  # noqa: E741
ENQUEUED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ATTEMPTED = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_a_success_keeps_its_result(ledger):
    claimed = ledger.running()
    finished = ledger.finish(lifecycle.succeed(claimed, result='{"sum": 3, "x": [null, 1.5]}'))
    execution = ledger.get(claimed.id)
    assert (finished.applied, finished.status, finished.rejected) == (True, S.SUCCEEDED, None)
    assert execution.result == {"sum": 3, "x": [None, 1.5]}
    assert (execution.status, execution.error) == (S.SUCCEEDED, None)
    assert execution.started_at <= execution.finished_at


@pytest.mark.parametrize(("text", "value"), [(None, None), ("null", None), ('"a"', "a"), ("7", 7)])
def test_a_result_is_any_json_value(ledger, text, value):
    claimed = ledger.running()
    ledger.done(lifecycle.succeed(claimed, result=text))
    assert value == ledger.get(claimed.id).result


@pytest.mark.parametrize(
    "end",
    [
        fail_or_retry,
        lambda claimed: lifecycle.reschedule(claimed, delay_s=0, reason=None),
        lambda claimed: lifecycle.hand_back(claimed, reason="its worker shut down"),
    ],
)
def test_the_next_attempt_learns_the_trace_of_the_one_before(ledger, end):
    first = ledger.running(traceparent=ENQUEUED)
    ledger.done(lifecycle.traced(end(first), ATTEMPTED))
    ledger.stage()
    [second] = ledger.won(first.id)
    assert second.traceparent == ATTEMPTED
    ledger.done(lifecycle.traced(end(second), None))
    ledger.stage()
    [third] = ledger.won(first.id)
    assert third.traceparent == ATTEMPTED


def test_an_attempt_that_says_no_trace_leaves_that_of_the_enqueue(ledger):
    claimed = ledger.running(traceparent=ENQUEUED)
    ledger.done(lifecycle.lose(claimed, reason="no heartbeat"))
    [again] = ledger.won(claimed.id)
    assert again.traceparent == ENQUEUED


def test_a_success_at_the_first_try_is_one_attempt_when_read(ledger):
    worker = ledger.worker()
    claimed = ledger.running(worker=worker)
    ledger.done(lifecycle.succeed(claimed, result=None))
    execution = ledger.get(claimed.id)
    [attempt] = execution.attempts
    assert (1, O.SUCCEEDED, True, worker) == (
        attempt.number,
        attempt.outcome,
        attempt.counted,
        attempt.worker_id,
    )
    assert execution.started_at == attempt.started_at
    assert execution.finished_at == attempt.finished_at
    assert attempt.error is None


def test_a_failure_keeps_its_error(ledger):
    error = ErrorRecord(
        type="pydantic.ValidationError",
        message="1 error ü",
        traceback="Traceback …",
        details=({"loc": ["n"], "msg": "too small"},),
    )
    claimed = ledger.running()
    ledger.done(fail(claimed, error=error))
    execution = ledger.get(claimed.id)
    [attempt] = execution.attempts
    assert error == execution.error == attempt.error
    assert (attempt.outcome, attempt.counted, attempt.number) == (O.FAILED, True, 1)
    assert execution.result is None


def test_a_time_out_is_told_from_a_failure(ledger):
    claimed = ledger.running()
    ledger.done(lifecycle.fail(claimed, error=BOOM, outcome=O.TIMED_OUT))
    assert [attempt.outcome for attempt in ledger.get(claimed.id).attempts] == [O.TIMED_OUT]


def test_every_attempt_is_recorded_in_order(ledger):
    id_ = ledger.enqueue(max_attempts=5)
    [first] = ledger.won(id_)
    ledger.done(fail_or_retry(first))
    ledger.stage()
    [second] = ledger.won(id_)
    ledger.done(lifecycle.hand_back(second, reason="drain"))
    [third] = ledger.won(id_)
    ledger.done(lifecycle.lose(third, reason="no heartbeat"))
    [fourth] = ledger.won(id_)
    ledger.done(lifecycle.reschedule(fourth, delay_s=0, reason="later"))
    ledger.stage()
    [fifth] = ledger.won(id_)
    ledger.done(lifecycle.crash(fifth, cause="killed by signal 9"))
    [sixth] = ledger.won(id_, solo=True)
    ledger.done(lifecycle.succeed(sixth, result=None))
    execution = ledger.get(id_)
    assert [(a.number, a.outcome, a.counted) for a in execution.attempts] == [
        (1, O.FAILED, True),
        (2, O.HANDED_BACK, False),
        (3, O.LOST, False),
        (4, O.RESCHEDULED, False),
        (5, O.CRASHED, False),
        (6, O.SUCCEEDED, True),
    ]
    assert (execution.attempt, execution.uncounted, execution.attempts_used) == (6, 4, 2)
    assert all(a.started_at <= a.finished_at for a in execution.attempts)


def test_a_failure_leaves_no_error_on_a_later_success(ledger):
    claimed = ledger.running()
    ledger.done(fail_or_retry(claimed))
    ledger.stage()
    [again] = ledger.won(claimed.id)
    ledger.done(lifecycle.succeed(again, result="1"))
    execution = ledger.get(claimed.id)
    assert (execution.error, execution.result) == (None, 1)
    assert execution.attempts[0].error == BOOM


def test_an_entry_says_what_the_wire_needs(ledger):
    claimed = ledger.running(queue="mail", timeout_s=4.5)
    entry = ledger.finish(lifecycle.hand_back(claimed, reason="drain")).entry
    assert (claimed.id, "Send Mail", "mail", 1, 4.5, claimed.created_at) == (
        entry.id,
        entry.task,
        entry.queue,
        entry.attempt,
        entry.timeout_s,
        entry.created_at,
    )
    assert claimed.priority == entry.priority


@pytest.mark.parametrize(
    "forgery",
    [{"attempt": 2}, {"attempt": 0}, {"claim_token": new_token()}],
    ids=["newer", "older", "other token"],
)
def test_without_the_right_attempt_and_token_nothing_changes(ledger, forgery):
    claimed = ledger.running()
    before = ledger.get(claimed.id)
    finished = ledger.finish(lifecycle.succeed(forged(claimed, **forgery), result="1"))
    assert (finished.applied, finished.status) == (False, S.RUNNING)
    assert before == ledger.get(claimed.id)


def test_an_execution_that_is_gone_is_reported(ledger):
    claimed = ledger.running()
    ledger.done(fail(claimed))
    ledger.delete(claimed.id)
    for gone in (claimed, forged(claimed, id=new_id()), forged(claimed, id="nonsense")):
        finished = ledger.finish(lifecycle.succeed(gone, result=None))
        assert (gone.id, False, None, None) == (
            finished.id,
            finished.applied,
            finished.status,
            finished.entry,
        )


ENDINGS = {
    "success": lambda claimed: lifecycle.succeed(claimed, result="1"),
    "failure": fail,
    "retry": fail_or_retry,
    "reschedule": lambda claimed: lifecycle.reschedule(claimed, delay_s=60, reason=None),
    "cancel": lifecycle.cancel,
    "hand back": lambda claimed: lifecycle.hand_back(claimed, reason="drain"),
    "loss": lambda claimed: lifecycle.lose(claimed, reason="no heartbeat"),
    "crash": lambda claimed: lifecycle.crash(claimed, cause="exit 1"),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_repeated_finish_is_recognised_as_ones_own(ledger, ending):
    claimed = ledger.running()
    first = ledger.finish(ENDINGS[ending](claimed))
    before = ledger.get(claimed.id)
    assert first.applied
    assert first == ledger.finish(ENDINGS[ending](claimed))
    assert before == ledger.get(claimed.id)


def test_a_repeated_finish_is_recognised_after_the_next_claim(ledger):
    claimed = ledger.running()
    ledger.done(lifecycle.hand_back(claimed, reason="drain"))
    ledger.won(claimed.id)
    before = ledger.get(claimed.id)
    again = ledger.finish(lifecycle.hand_back(claimed, reason="drain"))
    assert (again.applied, again.status) == (True, S.RUNNING)
    assert before == ledger.get(claimed.id)


@pytest.mark.parametrize("giving_up", ["hand back", "loss", "crash"])
def test_a_zombie_changes_nothing_after_its_attempt_was_given_up(ledger, giving_up):
    claimed = ledger.running()
    ledger.done(ENDINGS[giving_up](claimed))
    before = ledger.get(claimed.id)
    for late in (lifecycle.succeed(claimed, result='"late"'), fail(claimed)):
        finished = ledger.finish(late)
        assert (finished.applied, finished.status) == (False, S.QUEUED)
        assert before == ledger.get(claimed.id)


def test_a_zombie_changes_nothing_under_the_next_attempt(ledger):
    claimed = ledger.running()
    ledger.done(lifecycle.lose(claimed, reason="no heartbeat"))
    [second] = ledger.won(claimed.id)
    before = ledger.get(claimed.id)
    late = ledger.finish(lifecycle.succeed(claimed, result='"late"'))
    assert (late.applied, late.status, late.entry.attempt) == (False, S.RUNNING, 2)
    assert before == ledger.get(claimed.id)
    ledger.done(lifecycle.succeed(second, result='"mine"'))
    assert ledger.get(claimed.id).result == "mine"


def test_a_batch_is_answered_in_order_and_each_item_alone(storage, ledger):
    claimed = [ledger.running() for _ in range(4)]
    replies = storage.finish(
        [
            fail(claimed[3]),
            lifecycle.succeed(forged(claimed[2], attempt=9), result=None),
            lifecycle.succeed(forged(claimed[1], id=new_id()), result=None),
            lifecycle.succeed(claimed[0], result="1"),
        ]
    )
    assert [(reply.applied, reply.status) for reply in replies] == [
        (True, S.FAILED),
        (False, S.RUNNING),
        (False, None),
        (True, S.SUCCEEDED),
    ]


def test_the_same_end_twice_in_a_batch_is_written_once(storage, ledger):
    claimed = ledger.running()
    replies = storage.finish([fail(claimed), fail(claimed)])
    assert [reply.applied for reply in replies] == [True, True]
    assert len(ledger.get(claimed.id).attempts) == 1


def test_an_empty_batch_is_fine(storage):
    assert storage.finish([]) == []


def test_a_full_batch_is_finished(storage, ledger):
    ids = [ledger.enqueue() for _ in range(20)]
    from ledger_driver import new_execution

    ids += [r.id for r in storage.insert([new_execution() for _ in range(MAX_BATCH - len(ids))])]
    replies = storage.finish(
        [lifecycle.succeed(claimed, result="1") for claimed in ledger.won(*ids)]
    )
    assert sum(reply.applied for reply in replies) == MAX_BATCH
    assert storage.count(ExecutionQuery()) == {S.SUCCEEDED: MAX_BATCH}


def test_overlapping_batches_of_the_same_ends_all_say_applied(storage, ledger):
    claimed = ledger.won(*[ledger.enqueue() for _ in range(60)])
    ends = [lifecycle.succeed(attempt, result="1") for attempt in claimed]
    orders = [ends, list(reversed(ends)), ends[30:] + ends[:30], ends[::2] + ends[1::2]]
    replies = race(*[lambda order=order: storage.finish(order) for order in orders])
    assert all(reply.applied for batch in replies for reply in batch)
    assert storage.count(ExecutionQuery()) == {S.SUCCEEDED: 60}


def test_of_overlapping_batches_that_disagree_one_end_is_written_each(storage, ledger):
    claimed = ledger.won(*[ledger.enqueue() for _ in range(40)])
    won, lost = race(
        lambda: storage.finish([lifecycle.succeed(a, result="1") for a in claimed]),
        lambda: storage.finish([fail(a) for a in reversed(claimed)]),
    )
    for success, failure in zip(won, reversed(lost), strict=True):
        assert success.id == failure.id
        assert sorted([success.applied, failure.applied]) == [False, True]
        expected = S.SUCCEEDED if success.applied else S.FAILED
        assert expected == ledger.status(success.id)


def test_a_finish_and_the_loss_of_its_worker_leave_one_end(storage, ledger):
    for _ in range(10):
        worker = ledger.worker()
        claimed = ledger.running(worker=worker)

        def rescue(worker=worker):
            assert storage.lose_worker(worker)
            lost = [lifecycle.lose(a, reason="gone") for a in storage.running(worker)]
            return [reply.applied for reply in storage.finish(lost)]

        finished, rescued = race(
            lambda claimed=claimed: ledger.finish(lifecycle.succeed(claimed, result="1")), rescue
        )
        assert finished.applied != any(rescued)
        expected = S.SUCCEEDED if finished.applied else S.QUEUED
        assert expected == ledger.status(claimed.id)
        assert len(ledger.get(claimed.id).attempts) == 1
