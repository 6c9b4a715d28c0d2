"""A fair key goes with its execution wherever that is pushed from."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from ledger_driver import eventually, fail, new_execution
from recurring_kit import add, changed, definition, fire, fired, get, plan

from butler import lifecycle
from butler.executions import ExecutionStatus
from butler.limiting import LimitKeys
from butler.storage.limits import MadeKeys

ACME = LimitKeys(concurrency="c", fair="acme")


def queued_keys(storage):
    return {e.id: e.fair_key for _, e in storage.queued(min_age_s=0, after=None, limit=100)}


def test_what_is_queued_is_read_back_with_its_key(storage, ledger):
    acme, plain = ledger.enqueue(limit_keys=ACME), ledger.enqueue()
    keyless = ledger.enqueue(limit_keys=LimitKeys(rate="r"))
    assert queued_keys(storage) == {acme: "acme", plain: None, keyless: None}


def test_many_keys_are_written_at_once(storage):
    new = [new_execution(limit_keys=LimitKeys(fair=f"tenant {n}")) for n in range(5)]
    new += [new_execution(limit_keys=LimitKeys(fair="keyed"), unique_key="k")]
    storage.insert(new)
    assert queued_keys(storage) == {each.id: each.limit_keys.fair for each in new}


def test_what_becomes_due_is_staged_with_its_key(storage, ledger):
    epoch = ledger.lead()
    id_ = ledger.enqueue(limit_keys=ACME, run_at=datetime(2020, 1, 1, tzinfo=UTC), unpushed=True)
    (entry,) = storage.stage(epoch=epoch, limit=10)
    assert (entry.id, entry.fair_key) == (id_, "acme")


def test_an_attempt_that_is_handed_back_keeps_its_key_also_when_that_is_told_twice(ledger):
    back = lifecycle.hand_back(ledger.running(limit_keys=ACME), reason="drained")
    assert [ledger.finish(back).entry.fair_key for _ in range(2)] == ["acme", "acme"]


def test_operators_moves_keep_it(ledger):
    attempt = ledger.running(limit_keys=ACME)
    ledger.done(fail(attempt))
    assert ledger.retry(attempt.id).entry.fair_key == "acme"
    assert ledger.cancel(attempt.id).entry.fair_key == "acme"


def test_what_expires_is_taken_off_by_its_key(storage, ledger):
    epoch = ledger.lead()
    soon = datetime.now(UTC) + timedelta(seconds=0.2)
    swept, claimed = (ledger.enqueue(limit_keys=ACME, expires_at=soon) for _ in range(2))
    (refused,) = eventually(
        lambda: (
            [r for r in ledger.claim(claimed).refused if r.expired is not None]
            if datetime.now(UTC) > soon + timedelta(seconds=0.1)
            else None
        )
    )
    assert refused.expired.fair_key == "acme"
    (entry,) = storage.expire(epoch=epoch, limit=10)
    assert (entry.id, entry.fair_key) == (swept, "acme")


@pytest.mark.parametrize("queue", ["default", "mail"])
def test_what_is_replaced_leaves_by_its_old_key_and_comes_by_the_new_one(storage, ledger, queue):
    ledger.enqueue(limit_keys=ACME, unique_key="k")
    new = new_execution(
        limit_keys=LimitKeys(fair="globex"), unique_key="k", replace=True, queue=queue
    )
    (reply,) = storage.insert([new])
    assert (reply.replaced, reply.status) == (True, ExecutionStatus.QUEUED)
    assert (reply.left.fair_key, reply.entry.fair_key) == ("acme", "globex")


def test_a_fire_takes_its_turn_under_its_key(storage):
    keyed, plain = add(storage), add(storage)
    keys = LimitKeys(fair="acme")
    replies = fire(storage, plan(keyed, fired(limit_keys=keys)), plan(plain, fired()))
    entries = [entry for reply in replies for entry in reply.entries]
    assert [entry.fair_key for entry in entries] == ["acme", None]
    assert queued_keys(storage) == {entry.id: entry.fair_key for entry in entries}


def test_a_recurring_job_keeps_the_key_of_its_request_as_long_as_the_request(storage):
    said = add(storage, fair_key="acme")
    assert get(storage, said).fair_key == "acme"
    other = definition(id=said.id, fair_key="globex")
    storage.change_recurring([changed(other, keep_request=True, request=None)])
    assert get(storage, said).fair_key == "acme"
    storage.change_recurring([changed(other, version=2)])
    assert get(storage, said).fair_key == "globex"


def test_a_key_that_code_makes_later_is_noted_beside_the_others(storage, ledger):
    plain, named = ledger.enqueue(), ledger.enqueue(limit_keys=LimitKeys(rate="r"))
    keyed = ledger.enqueue(limit_keys=ACME)
    made = LimitKeys(fair="globex")
    storage.note_limit_keys(
        [MadeKeys(execution_id=id_, keys=made) for id_ in (plain, named, keyed)]
    )
    assert queued_keys(storage) == {plain: "globex", named: "globex", keyed: "acme"}
