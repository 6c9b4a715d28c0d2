"""Each move of the table is possible, and no other one is, whoever tries it."""

from __future__ import annotations

import pytest
from ledger_driver import fail, fail_or_retry, new_execution

from butler import lifecycle
from butler.executions import ExecutionStatus
from butler.lifecycle import MOVES

S = ExecutionStatus
PAIRS = [(before, after) for before in S for after in S]
LEGAL = [pair for pair in PAIRS if pair[1] in MOVES[pair[0]]]
ILLEGAL = [pair for pair in PAIRS if pair[1] not in MOVES[pair[0]]]


def finishing(build):
    return lambda ledger, id_: ledger.finish(build(ledger.attempt_of(id_)))


WAYS_TO = {
    S.SCHEDULED: [finishing(lambda a: lifecycle.reschedule(a, delay_s=60, reason="later"))],
    S.QUEUED: [
        lambda ledger, id_: ledger.stage(),
        lambda ledger, id_: ledger.retry(id_),
        finishing(lambda a: lifecycle.hand_back(a, reason="drain")),
    ],
    S.RUNNING: [lambda ledger, id_: ledger.claim(id_, worker=ledger.worker())],
    S.RETRYING: [finishing(fail_or_retry)],
    S.SUCCEEDED: [finishing(lambda a: lifecycle.succeed(a, result="1"))],
    S.FAILED: [finishing(fail)],
    S.CANCELLED: [lambda ledger, id_: ledger.cancel(id_), finishing(lifecycle.cancel)],
}


def replace_for_later(ledger, id_):
    ledger.storage.insert([new_execution(unique_key="k", replace=True, delay_s=60)])


MORE_WAYS = {(S.QUEUED, S.SCHEDULED): [replace_for_later]}


@pytest.mark.parametrize(("before", "after"), LEGAL)
def test_a_legal_move_is_made(ledger, before, after):
    id_ = ledger.put_in(before, unique_key="k")
    for way in [*WAYS_TO[after], *MORE_WAYS.get((before, after), [])]:
        if ledger.status(id_) is not after:
            way(ledger, id_)
    assert after == ledger.status(id_)


@pytest.mark.parametrize(("before", "after"), ILLEGAL)
def test_an_illegal_move_changes_nothing(ledger, before, after):
    id_ = ledger.put_in(before)
    untouched = ledger.get(id_)
    for way in WAYS_TO[after]:
        way(ledger, id_)
    assert untouched == ledger.get(id_)


@pytest.mark.parametrize("status", S)
def test_the_driver_puts_executions_where_it_says(ledger, status):
    assert status == ledger.status(ledger.put_in(status))
