"""Values that JSON in the ledger cannot hold are refused alone, and visibly."""

from __future__ import annotations

import pytest
from ledger_driver import fail, fail_or_retry, new_execution

from butler import lifecycle
from butler.errors import ButlerError
from butler.executions import AttemptOutcome, ErrorRecord, ExecutionStatus
from butler.storage.records import ExecutionQuery, ProgressReport

S = ExecutionStatus
UNSTORABLE = {
    "NUL": '{"a": ["\\u0000"]}',
    "NUL in a key": '{"\\u0000": 1}',
    "raw NUL": '"a\x00b"',
    "lone high surrogate": '"\\ud800"',
    "lone low surrogate": '["\\udc00"]',
    "raw surrogate": '"\ud800"',
    "NaN": "NaN",
    "infinity": '{"a": -Infinity}',
    "no JSON": "{",
}
STORABLE = {
    "an escaped backslash before u0000": ('"\\\\u0000"', "\\u0000"),
    "a surrogate pair": ('"\\ud83d\\ude00"', "😀"),
    "an emoji": ('"😀"', "😀"),
    "the word NaN": ('"NaN"', "NaN"),
}


@pytest.mark.parametrize("text", UNSTORABLE.values(), ids=UNSTORABLE)
def test_a_result_that_cannot_be_stored_fails_alone(storage, ledger, text):
    first, culprit, last = (ledger.running() for _ in range(3))
    replies = storage.finish(
        [
            lifecycle.succeed(first, result="1"),
            lifecycle.succeed(culprit, result=text),
            lifecycle.succeed(last, result="2"),
        ]
    )
    assert [reply.status for reply in replies] == [S.SUCCEEDED, S.FAILED, S.SUCCEEDED]
    assert [reply.applied for reply in replies] == [True, True, True]
    assert [reply.rejected is None for reply in replies] == [True, False, True]
    execution = ledger.get(culprit.id)
    [attempt] = execution.attempts
    assert (execution.status, execution.result) == (S.FAILED, None)
    assert attempt.outcome == AttemptOutcome.FAILED
    assert "could not be stored" in execution.error.message
    assert execution.error == attempt.error


@pytest.mark.parametrize(("text", "value"), STORABLE.values(), ids=STORABLE)
def test_what_only_looks_unstorable_is_stored(ledger, text, value):
    claimed = ledger.running()
    assert ledger.finish(lifecycle.succeed(claimed, result=text)).status == S.SUCCEEDED
    assert value == ledger.get(claimed.id).result


def test_a_whole_batch_of_culprits_fails_one_by_one(storage, ledger):
    claimed = ledger.won(*[ledger.enqueue() for _ in range(5)])
    replies = storage.finish([lifecycle.succeed(a, result="NaN") for a in claimed])
    assert {S.FAILED} == {reply.status for reply in replies}
    assert storage.count(ExecutionQuery()) == {S.FAILED: 5}


def test_a_repeated_refusal_is_recognised_as_ones_own(ledger):
    claimed = ledger.running()
    end = lifecycle.succeed(claimed, result='"\\u0000"')
    first = ledger.finish(end)
    before = ledger.get(claimed.id)
    again = ledger.finish(end)
    assert (True, S.FAILED) == (again.applied, again.status) == (first.applied, first.status)
    assert before == ledger.get(claimed.id)


def test_a_zombies_unstorable_result_changes_nothing(ledger):
    claimed = ledger.running()
    ledger.done(lifecycle.hand_back(claimed, reason="drain"))
    before = ledger.get(claimed.id)
    assert not ledger.finish(lifecycle.succeed(claimed, result="NaN")).applied
    assert before == ledger.get(claimed.id)


def test_an_unstorable_result_of_a_cancelled_run_ends_cancelled(ledger):
    claimed = ledger.running()
    ledger.cancel(claimed.id)
    assert ledger.finish(lifecycle.succeed(claimed, result="NaN")).status == S.CANCELLED


@pytest.mark.parametrize("message", ["a\x00b", "a\ud800b"], ids=["NUL", "surrogate"])
def test_an_error_that_cannot_be_stored_fails_alone(storage, ledger, message):
    culprit, neighbour = ledger.running(), ledger.running()
    error = ErrorRecord(type="ValueError", message=message)
    replies = storage.finish([fail_or_retry(culprit, error=error), fail(neighbour)])
    assert [reply.status for reply in replies] == [S.FAILED, S.FAILED]
    assert [reply.rejected is None for reply in replies] == [False, True]
    assert ledger.get(culprit.id).error is not None


@pytest.mark.parametrize("text", UNSTORABLE.values(), ids=UNSTORABLE)
def test_a_request_that_cannot_be_stored_is_raised_and_nothing_is_written(storage, text):
    with pytest.raises(ButlerError, match="Send Mail"):
        storage.insert([new_execution(), new_execution(request=text)])
    assert storage.count(ExecutionQuery()) == {}


@pytest.mark.parametrize(
    "options",
    [{"user_id": "a\x00"}, {"unique_key": "\ud800"}, {"tags": ("a", "\x00")}, {"queue": "\x00"}],
    ids=["user_id", "unique_key", "tags", "queue"],
)
def test_an_option_that_cannot_be_stored_is_raised_and_nothing_is_written(storage, options):
    with pytest.raises(ButlerError, match="Send Mail"):
        storage.insert([new_execution(), new_execution(**options)])
    assert storage.count(ExecutionQuery()) == {}


@pytest.mark.parametrize("message", ["a\x00b", "a\ud800b"], ids=["NUL", "surrogate"])
def test_progress_text_is_never_refused(storage, ledger, message):
    claimed, neighbour = ledger.running(), ledger.running()
    storage.report_progress(
        [
            ProgressReport(
                execution_id=attempt.id,
                attempt=attempt.attempt,
                claim_token=attempt.claim_token,
                percent=50.0,
                message=message if attempt is claimed else "fine",
            )
            for attempt in (claimed, neighbour)
        ]
    )
    shown = ledger.get(claimed.id).progress
    assert shown.percent == 50.0
    assert "\x00" not in shown.message
    assert shown.message.startswith("a")
    assert shown.message.encode()
    assert [shown.message] == [event.message for event in storage.events(claimed.id)]
    assert ledger.get(neighbour.id).progress.message == "fine"
