from __future__ import annotations

import pytest
from ledger_driver import fail_or_retry, race, registration

from butler import lifecycle
from butler.executions import ExecutionStatus, Priority
from butler.ids import new_id, new_token
from butler.storage.records import Claim

S = ExecutionStatus


def test_a_claim_starts_an_attempt(ledger):
    worker, token = ledger.worker(), new_token()
    id_ = ledger.enqueue(
        task="Pay",
        queue="mail",
        request='{"n": 1}',
        priority=Priority.LOW,
        timeout_s=9.0,
        user_id="u",
        tags=("a", "b"),
        parent_id=new_id(),
        fingerprint="f",
        max_attempts=5,
    )
    [claimed] = ledger.won(id_, worker=worker, token=token)
    execution = ledger.get(id_)
    assert (1, token, 0, 0, False, 1) == (
        claimed.attempt,
        claimed.claim_token,
        claimed.uncounted,
        claimed.crashes,
        claimed.alone,
        claimed.attempts_used,
    )
    for name in ("task", "queue", "priority", "timeout_s", "user_id", "tags", "parent_id"):
        assert getattr(execution, name) == getattr(claimed, name)
    assert (claimed.fingerprint, claimed.max_attempts) == ("f", 5)
    assert execution.created_at == claimed.created_at
    assert (S.RUNNING, 1, worker) == (execution.status, execution.attempt, execution.worker_id)
    assert execution.started_at is not None
    assert execution.finished_at is None


def test_a_claim_carries_the_request_as_json_text(ledger):
    import json

    claimed = ledger.running(request='{"n": [1, null]}')
    assert json.loads(claimed.request) == {"n": [1, None]}
    assert ledger.running(request=None).request is None


def test_a_batch_wins_what_is_queued_and_says_why_not_the_rest(ledger):
    ids = {status: ledger.put_in(status) for status in S}
    unknown = new_id()
    reply = ledger.claim(*ids.values(), unknown, worker=ledger.worker())
    assert [ids[S.QUEUED]] == [claimed.id for claimed in reply.won]
    expected = {ids[status]: status for status in S if status is not S.QUEUED} | {unknown: None}
    assert expected == {refused.id: refused.status for refused in reply.refused}
    assert not reply.worker_lost


def test_an_empty_claim_wins_nothing(ledger):
    reply = ledger.claim()
    assert (reply.won, reply.refused, reply.worker_lost) == ((), (), False)


def test_an_id_given_twice_is_won_once(ledger):
    id_ = ledger.enqueue()
    reply = ledger.claim(id_, id_)
    assert [id_] == [claimed.id for claimed in reply.won]
    assert ledger.get(id_).attempt == 1


def test_attempts_only_grow(ledger):
    id_ = ledger.enqueue()
    for number in (1, 2, 3):
        [claimed] = ledger.won(id_)
        assert number == claimed.attempt
        ledger.done(lifecycle.hand_back(claimed, reason="drain"))


def test_repeating_a_claim_returns_what_it_won(ledger):
    worker, token = ledger.worker(), new_token()
    ids = [ledger.enqueue() for _ in range(3)]
    first = ledger.claim(*ids, worker=worker, token=token)
    again = ledger.claim(*ids, worker=worker, token=token)
    assert sorted(first.won, key=lambda won: won.id) == sorted(again.won, key=lambda won: won.id)
    assert {1} == {ledger.get(id_).attempt for id_ in ids}


def test_repeating_a_claim_does_not_return_what_has_ended(ledger):
    worker, token = ledger.worker(), new_token()
    [claimed] = ledger.won(ledger.enqueue(), worker=worker, token=token)
    ledger.done(lifecycle.succeed(claimed, result=None))
    again = ledger.claim(claimed.id, worker=worker, token=token)
    assert (again.won, [refused.status for refused in again.refused]) == ((), [S.SUCCEEDED])


def test_another_token_wins_nothing_of_what_runs(ledger):
    worker = ledger.worker()
    claimed = ledger.running(worker=worker)
    reply = ledger.claim(claimed.id, worker=worker)
    assert (reply.won, [refused.status for refused in reply.refused]) == ((), [S.RUNNING])


def test_a_token_repeats_a_claim_for_its_own_worker_alone(ledger):
    token = new_token()
    [claimed] = ledger.won(ledger.enqueue(), worker=ledger.worker(), token=token)
    reply = ledger.claim(claimed.id, worker=ledger.worker(), token=token)
    assert (reply.won, [refused.status for refused in reply.refused]) == ((), [S.RUNNING])


def test_a_worker_nobody_registered_wins_nothing(ledger):
    id_ = ledger.enqueue()
    reply = ledger.claim(id_, worker=new_id())
    assert (reply.won, reply.worker_lost) == ((), True)
    assert ledger.status(id_) == S.QUEUED


def test_a_lost_worker_wins_nothing_for_ever(storage, ledger):
    worker, id_ = ledger.worker(), ledger.enqueue()
    assert storage.lose_worker(worker)
    storage.register_worker(registration(id=worker))
    reply = ledger.claim(id_, worker=worker)
    assert (reply.won, reply.worker_lost) == ((), True)
    assert ledger.status(id_) == S.QUEUED
    assert storage.running(worker) == []


def test_a_lost_worker_does_not_even_win_what_it_already_won(storage, ledger):
    worker, token = ledger.worker(), new_token()
    [claimed] = ledger.won(ledger.enqueue(), worker=worker, token=token)
    storage.lose_worker(worker)
    reply = ledger.claim(claimed.id, worker=worker, token=token)
    assert (reply.won, reply.worker_lost) == ((), True)


def test_a_stopped_worker_wins_nothing(storage, ledger):
    worker, id_ = ledger.worker(), ledger.enqueue()
    storage.stop_worker(worker)
    assert ledger.claim(id_, worker=worker).won == ()
    assert ledger.status(id_) == S.QUEUED


def suspect(ledger):
    """An execution whose process died, queued to run alone."""
    claimed = ledger.running()
    ledger.done(lifecycle.crash(claimed, cause="killed by signal 11"))
    return claimed.id


def test_only_a_solo_claim_wins_what_must_run_alone(ledger):
    id_ = suspect(ledger)
    reply = ledger.claim(id_)
    [refused] = reply.refused
    assert (reply.won, refused.status, refused.alone) == ((), S.QUEUED, True)
    [claimed] = ledger.won(id_, solo=True)
    assert claimed.alone


def test_a_solo_claim_wins_nothing_else(ledger):
    id_ = ledger.enqueue()
    reply = ledger.claim(id_, solo=True)
    [refused] = reply.refused
    assert (reply.won, refused.status, refused.alone) == ((), S.QUEUED, False)


def test_only_a_queued_execution_is_refused_as_alone(ledger):
    id_ = suspect(ledger)
    ledger.won(id_, solo=True)
    [refused] = ledger.claim(id_, worker=ledger.worker()).refused
    assert (refused.status, refused.alone) == (S.RUNNING, False)


def test_of_eight_claims_of_one_id_one_wins(storage, ledger):
    workers = [ledger.worker() for _ in range(8)]
    for _ in range(5):
        id_ = ledger.enqueue()
        replies = race(*[lambda w=w, i=id_: ledger.claim(i, worker=w) for w in workers])
        winners = [w for w, reply in zip(workers, replies, strict=True) if reply.won]
        assert len(winners) == 1
        execution = ledger.get(id_)
        assert (1, winners[0]) == (execution.attempt, execution.worker_id)


def test_overlapping_claims_share_out_every_id_once(storage, ledger):
    ids = [ledger.enqueue() for _ in range(60)]
    orders = [ids, list(reversed(ids)), ids[30:] + ids[:30], ids[::2] + ids[1::2]]
    workers = [ledger.worker() for _ in orders]
    replies = race(
        *[
            lambda w=w, order=order: ledger.claim(*order, worker=w)
            for w, order in zip(workers, orders, strict=True)
        ]
    )
    won = [claimed.id for reply in replies for claimed in reply.won]
    assert sorted(ids) == sorted(won)
    assert {1} == {ledger.get(id_).attempt for id_ in ids[:10]}


def test_the_same_claim_from_two_threads_is_one_claim(storage, ledger):
    ids = tuple(ledger.enqueue() for _ in range(20))
    claim = Claim(worker_id=ledger.worker(), token=new_token(), ids=ids)
    first, second = race(lambda: storage.claim(claim), lambda: storage.claim(claim))
    assert sorted(ids) == sorted(won.id for won in first.won) == sorted(w.id for w in second.won)
    assert {1} == {won.attempt for won in (*first.won, *second.won)}


def test_no_claim_follows_a_loss(storage, ledger):
    for _ in range(5):
        worker = ledger.worker()
        ids = [ledger.enqueue() for _ in range(12)]

        def lose(worker=worker):
            assert storage.lose_worker(worker)
            return {attempt.id for attempt in storage.running(worker)}

        seen, *_ = race(lose, *[lambda w=worker, i=i: ledger.claim(i, worker=w) for i in ids])
        assert seen == {attempt.id for attempt in storage.running(worker)}


@pytest.mark.parametrize("ending", ["retry", "hand_back"])
def test_a_waiting_execution_is_not_under_its_last_worker(storage, ledger, ending):
    worker = ledger.worker()
    claimed = ledger.running(worker=worker)
    hand_back = lifecycle.hand_back(claimed, reason="drain")
    ledger.done(hand_back if ending == "hand_back" else fail_or_retry(claimed))
    assert storage.running(worker) == []


@pytest.mark.parametrize("options", [{}, {"unique_key": "k"}, {"delay_s": 0.0}])
def test_a_claim_tells_the_trace_of_the_enqueue(ledger, options):
    trace = f"00-{'a' * 32}-{'b' * 16}-01"
    assert ledger.running(traceparent=trace, **options).traceparent == trace
    assert ledger.running().traceparent is None
