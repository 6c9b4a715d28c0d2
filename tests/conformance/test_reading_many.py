from __future__ import annotations

import pytest
from ledger_driver import BOOM, fail

from butler import lifecycle
from butler.errors import InvalidOption
from butler.executions import ExecutionStatus, Progress
from butler.ids import new_id
from butler.storage.base import MAX_BATCH
from butler.storage.records import ProgressReport, Standing


def test_standings_say_how_executions_stand(storage, ledger):
    queued = ledger.enqueue(tags=("x",))
    running = ledger.running()
    storage.report_progress(
        [
            ProgressReport(
                execution_id=running.id,
                attempt=running.attempt,
                claim_token=running.claim_token,
                percent=12.5,
                message="reading",
            )
        ]
    )
    found = {standing.id: standing for standing in storage.standings([running.id, queued])}
    assert found == {
        queued: Standing(
            id=queued,
            task="Send Mail",
            queue="default",
            tags=("x",),
            status=ExecutionStatus.QUEUED,
            attempt=0,
            progress=None,
        ),
        running.id: Standing(
            id=running.id,
            task="Send Mail",
            queue="default",
            tags=(),
            status=ExecutionStatus.RUNNING,
            attempt=1,
            progress=Progress(percent=12.5, message="reading"),
        ),
    }


@pytest.mark.parametrize("status", ExecutionStatus)
def test_a_standing_agrees_with_the_execution_in_every_state(storage, ledger, status):
    execution = ledger.get(
        ledger.running().id if status is ExecutionStatus.RUNNING else ledger.put_in(status)
    )
    [standing] = storage.standings([execution.id])
    assert (execution.status, execution.attempt) == (standing.status, standing.attempt)
    assert (execution.task, execution.progress) == (standing.task, standing.progress)


def test_many_are_read_as_one_is(storage, ledger):
    done, failed = ledger.running(), ledger.running()
    ledger.done(lifecycle.succeed(done, result='{"ok": 1}'))
    ledger.done(fail(failed, error=BOOM))
    waiting = ledger.enqueue(tags=("a",), user_id="u")
    ids = [done.id, failed.id, waiting]
    found = {execution.id: execution for execution in storage.get_many(ids)}
    assert found == {execution_id: ledger.get(execution_id) for execution_id in ids}
    assert len(found[failed.id].attempts) == 1


def test_what_does_not_exist_is_left_out_and_what_is_asked_twice_comes_once(storage, ledger):
    known = ledger.enqueue()
    asked = [known, new_id(), "nonsense", known]
    assert [standing.id for standing in storage.standings(asked)] == [known]
    assert [execution.id for execution in storage.get_many(asked)] == [known]


def test_nothing_asked_is_nothing_found(storage):
    assert storage.standings([]) == []
    assert storage.get_many([]) == []


def test_more_than_a_batch_is_refused(storage):
    for read in (storage.standings, storage.get_many):
        with pytest.raises(InvalidOption, match=f"at most {MAX_BATCH}"):
            read([new_id()] * (MAX_BATCH + 1))
