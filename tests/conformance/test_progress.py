from __future__ import annotations

from datetime import timedelta

from ledger_driver import fail_or_retry, forged, race

from butler import lifecycle
from butler.executions import Progress
from butler.ids import new_id, new_token
from butler.storage.records import ProgressReport

CAP = 100
"""What every backend records of one execution unless it is told otherwise."""


def report(claimed, percent, message=None, *, record=True):
    return ProgressReport(
        execution_id=claimed.id,
        attempt=claimed.attempt,
        claim_token=claimed.claim_token,
        percent=percent,
        message=message,
        record=record,
    )


def test_progress_shows_on_the_execution(storage, ledger):
    claimed = ledger.running()
    storage.report_progress([report(claimed, 12.5, "reading")])
    assert Progress(percent=12.5, message="reading") == ledger.get(claimed.id).progress
    storage.report_progress([report(claimed, 60.0)])
    assert Progress(percent=60.0) == ledger.get(claimed.id).progress


def test_progress_is_recorded_oldest_first(storage, ledger):
    claimed, other = ledger.running(), ledger.running()
    storage.report_progress([report(claimed, 10.0, "a"), report(other, 1.0)])
    storage.report_progress([report(claimed, 20.0)])
    events = storage.events(claimed.id)
    assert [(event.percent, event.message) for event in events] == [(10.0, "a"), (20.0, None)]
    for event in events:
        assert (claimed.id, 1, "progress") == (event.execution_id, event.attempt, event.kind)
        assert timedelta(0) == event.at.utcoffset()
    assert events[0].at <= events[1].at


def test_the_last_report_of_a_batch_is_the_newest(storage, ledger):
    claimed = ledger.running()
    storage.report_progress([report(claimed, float(percent)) for percent in range(10)])
    assert Progress(percent=9.0) == ledger.get(claimed.id).progress
    assert [float(n) for n in range(10)] == [event.percent for event in storage.events(claimed.id)]


def test_unrecorded_progress_shows_but_leaves_no_history(storage, ledger):
    claimed = ledger.running()
    storage.report_progress([report(claimed, 50.0, record=False)])
    assert Progress(percent=50.0) == ledger.get(claimed.id).progress
    assert storage.events(claimed.id) == []


def test_the_history_is_capped_and_the_newest_still_shows(storage, ledger):
    claimed, other = ledger.running(), ledger.running()
    for start in range(0, 150, 30):
        storage.report_progress(
            [report(claimed, float(percent) / 2) for percent in range(start, start + 30)]
        )
    storage.report_progress([report(other, 1.0)])
    assert len(storage.events(claimed.id)) == CAP
    assert Progress(percent=74.5) == ledger.get(claimed.id).progress
    assert len(storage.events(other.id)) == 1


def test_the_cap_holds_within_one_batch(storage, ledger):
    claimed = ledger.running()
    storage.report_progress([report(claimed, n / 10) for n in range(CAP + 50)])
    assert len(storage.events(claimed.id)) == CAP


def test_the_cap_counts_over_all_attempts(storage, ledger):
    claimed = ledger.running()
    storage.report_progress([report(claimed, n / 10) for n in range(CAP)])
    ledger.done(lifecycle.hand_back(claimed, reason="drain"))
    [second] = ledger.won(claimed.id)
    storage.report_progress([report(second, 1.0)])
    assert len(storage.events(claimed.id)) == CAP


def test_a_stale_attempt_changes_nothing(storage, ledger):
    claimed = ledger.running()
    ledger.done(lifecycle.lose(claimed, reason="no heartbeat"))
    [second] = ledger.won(claimed.id)
    storage.report_progress([report(second, 10.0)])
    before = ledger.get(claimed.id)
    stale = (
        claimed,
        forged(second, claim_token=new_token()),
        forged(second, attempt=3),
        forged(second, id=new_id()),
        forged(second, id="nonsense"),
    )
    storage.report_progress([report(attempt, 99.0) for attempt in stale])
    assert before == ledger.get(claimed.id)
    assert [event.percent for event in storage.events(claimed.id)] == [10.0]


def test_an_attempt_that_is_over_reports_nothing(storage, ledger):
    claimed = ledger.running()
    ledger.done(fail_or_retry(claimed))
    before = ledger.get(claimed.id)
    storage.report_progress([report(claimed, 99.0)])
    assert before == ledger.get(claimed.id)
    assert storage.events(claimed.id) == []


def test_history_outlives_its_attempt(storage, ledger):
    claimed = ledger.running()
    storage.report_progress([report(claimed, 30.0)])
    ledger.done(fail_or_retry(claimed))
    ledger.stage()
    [second] = ledger.won(claimed.id)
    storage.report_progress([report(second, 5.0)])
    assert [(e.attempt, e.percent) for e in storage.events(claimed.id)] == [(1, 30.0), (2, 5.0)]


def test_a_new_attempt_begins_without_progress(storage, ledger):
    claimed = ledger.running()
    storage.report_progress([report(claimed, 30.0)])
    ledger.done(lifecycle.hand_back(claimed, reason="drain"))
    ledger.won(claimed.id)
    assert ledger.get(claimed.id).progress is None


def test_a_success_keeps_its_last_progress(storage, ledger):
    claimed = ledger.running()
    storage.report_progress([report(claimed, 100.0, "done")])
    ledger.done(lifecycle.succeed(claimed, result=None))
    assert Progress(percent=100.0, message="done") == ledger.get(claimed.id).progress


def test_an_empty_batch_is_fine(storage):
    assert storage.report_progress([]) is None


def test_overlapping_reports_and_ends_do_not_deadlock(storage, ledger):
    claimed = ledger.won(*[ledger.enqueue() for _ in range(40)])
    reports = [report(attempt, 10.0) for attempt in claimed]
    ends = [lifecycle.succeed(attempt, result=None) for attempt in claimed]
    _, _, finished = race(
        lambda: storage.report_progress(reports),
        lambda: storage.report_progress(reports[::-1]),
        lambda: storage.finish(ends[20:] + ends[:20]),
    )
    assert all(reply.applied for reply in finished)
