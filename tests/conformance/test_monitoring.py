"""How a ledger does, and its alerts, rules and silences."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from ledger_driver import fail, new_execution, race, registration
from recurring_kit import FUTURE, PAST, add, fire, fired, plan

from butler import lifecycle
from butler.errors import InvalidOption
from butler.ids import new_id
from butler.monitoring.alerts.alert import (
    Alert,
    AlertQuery,
    AlertState,
    Notice,
    NoticeEvent,
    Silence,
)
from butler.monitoring.alerts.rule import AlertRule, RuleKind, Severity
from butler.recurring.job import FireOutcome
from butler.storage.monitoring_records import INTERNAL_QUEUE
from butler.storage.recurring_records import FireRow

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
FAR_AWAY = datetime(2090, 1, 1, tzinfo=UTC)


@pytest.fixture
def epoch(storage):
    """The epoch of a leader."""
    return storage.take_leadership("us", observed=storage.leadership())


def alert(**options):
    defaults = {
        "id": new_id(),
        "rule": "queue-waits-too-long",
        "kind": "queue_age",
        "subject": "mail",
        "state": AlertState.OPEN,
        "severity": Severity.WARNING,
        "since": NOON,
        "opened_at": NOON,
        "updated_at": NOON,
        "value": 300.5,
        "summary": "it \x00waits",
    }
    return Alert(**(defaults | options))


def notice(channel="ops"):
    return Notice(id=new_id(), event=NoticeEvent.OPENED, channel=channel)


def silence(**options):
    defaults = {"id": new_id(), "rule": "*", "subject": "*", "starts_at": NOON, "ends_at": FAR_AWAY}
    return Silence(**(defaults | options))


# The picture


def test_an_empty_ledger_has_an_empty_picture(storage):
    seen = storage.picture()
    assert (seen.leader, seen.queues, seen.running, seen.ends, seen.jobs) == (None, (), (), (), ())
    assert abs(seen.now - storage.now()) < timedelta(minutes=1)


def test_a_picture_shows_what_waits_and_runs_by_queue(storage, ledger, epoch):
    first = ledger.enqueue(queue="mail")
    ledger.enqueue(queue="mail")
    ledger.enqueue(queue=INTERNAL_QUEUE)
    running = ledger.enqueue(timeout_s=7.0)
    ledger.claim(running)
    seen = storage.picture()
    assert seen.leader == "us"
    assert [(queue.queue, queue.depth) for queue in seen.queues] == [("mail", 2)]
    assert seen.queues[0].oldest_queued_at == storage.get(first).queued_at
    assert [(each.id, each.timeout_s) for each in seen.running] == [(running, 7.0)]
    assert [worker.running for worker in seen.workers] == [1]


def test_a_picture_shows_how_executions_ended_newest_first(storage, ledger):
    good, bad = ledger.enqueue(), ledger.enqueue()
    ledger.enqueue()
    for id_, end in ((good, None), (bad, "boom")):
        [won] = ledger.claim(id_).won
        error = lifecycle.ErrorRecord(type="ValueError", message="boom")
        done = lifecycle.fail(won, error=error) if end else lifecycle.succeed(won, result="1")
        storage.finish([done])
    newest, oldest = storage.picture().ends
    assert (newest.id, newest.succeeded, newest.error) == (bad, False, "ValueError: boom")
    assert (oldest.id, oldest.succeeded, oldest.error) == (good, True, None)
    assert oldest.took_s >= 0


def test_a_picture_shows_what_no_worker_knows(storage, ledger):
    id_ = ledger.enqueue(task="Newer")
    [won] = ledger.claim(id_).won
    storage.finish([lifecycle.hand_back(won, reason=lifecycle.UNKNOWN_TASK, delay_s=1)])
    [waiting] = storage.picture().waiting
    assert (waiting.task, waiting.reason, waiting.count) == ("Newer", lifecycle.UNKNOWN_TASK, 1)
    assert waiting.since == storage.get(id_).attempts[0].finished_at


def test_a_picture_shows_lost_workers(storage):
    worker = registration()
    storage.register_worker(worker)
    storage.lose_worker(worker.id)
    assert [each.lost for each in storage.picture().workers] == [True]


def test_a_picture_shows_jobs_that_are_overdue_or_cannot_fire(storage):
    now = storage.now()
    late, broken = add(storage), add(storage)
    at = {"next_fire_at": FUTURE, "due_at": FUTURE}
    fire(storage, plan(broken, counted=0, broken_reason="no such task", **at))
    add(storage, enabled=False)
    add(storage, next_fire_at=now, due_at=now)
    add(storage, next_fire_at=FUTURE, due_at=FUTURE)
    seen = {job.name: (job.task, job.broken_reason) for job in storage.picture().jobs}
    assert seen == {late.name: ("Send Mail", None), broken.name: ("Send Mail", "no such task")}


def test_a_picture_shows_fires_newest_first_with_the_ends_of_their_executions(storage, ledger):
    ends = {}
    for end in (lambda won: lifecycle.succeed(won, result=None), fail, lifecycle.cancel, None):
        said, row = add(storage), fired()
        fire(storage, plan(said, row))
        if end is not None:
            ledger.done(end(ledger.won(row.execution.id)[0]))
        ends[said.name] = row.execution.id
    skipped = add(storage)
    row = FireRow(fire_at=PAST, outcome=FireOutcome.SKIPPED, reason="overlap")
    fire(storage, plan(skipped, row, counted=0))
    seen = storage.picture().fires
    assert [each.job for each in seen] == [skipped.name, *reversed(ends)]
    assert [each.outcome for each in seen] == ["skipped", *["fired"] * 4]
    assert [each.execution_id for each in seen] == [None, *reversed(ends.values())]
    assert [each.succeeded for each in seen] == [None, None, None, False, True]
    assert [each.took_s is not None for each in seen] == [False, False, False, True, True]
    assert [each.finished_at is not None for each in seen] == [False, False, False, True, True]
    assert {each.fire_at for each in seen} == {PAST}


# Alerts


def test_an_alert_is_read_as_it_was_written(storage, epoch):
    new = alert(outbox=(notice(),), channels=("ops",), execution_id=new_id(), cause="ä")
    [written] = storage.write_alerts([new], epoch=epoch)
    assert storage.get_alert(new.id) == written
    assert replace(written, summary="") == replace(new, summary="")
    assert storage.get_alert(new_id()) is None
    assert storage.get_alert("nothing") is None


def test_without_leading_no_alert_is_written(storage, epoch):
    storage.resign_leadership("us", epoch=epoch)
    assert storage.write_alerts([alert()], epoch=epoch) == []
    assert storage.alerts(AlertQuery()).alerts == ()


def test_of_one_rule_and_subject_one_alert_is_unresolved(storage, epoch):
    first = alert()
    storage.write_alerts([first], epoch=epoch)
    assert storage.write_alerts([alert()], epoch=epoch) == []
    done = replace(first, state=AlertState.RESOLVED, resolved_at=NOON)
    storage.write_alerts([done], epoch=epoch)
    assert len(storage.write_alerts([alert()], epoch=epoch)) == 1
    assert len(storage.alerts(AlertQuery()).alerts) == 2


def test_an_acknowledged_alert_stays_so_until_it_is_resolved(storage, epoch):
    new = alert()
    storage.write_alerts([new], epoch=epoch)
    seen = storage.acknowledge_alert(new.id, by="ada")
    assert (seen.state, seen.acknowledged_by) == (AlertState.ACKNOWLEDGED, "ada")
    [kept] = storage.write_alerts([replace(new, value=2.0)], epoch=epoch)
    assert (kept.state, kept.acknowledged_by, kept.value) == (
        AlertState.ACKNOWLEDGED,
        "ada",
        2.0,
    )
    [over] = storage.write_alerts(
        [replace(kept, state=AlertState.RESOLVED, resolved_at=NOON)], epoch=epoch
    )
    assert (over.state, over.acknowledged_by, over.resolved_at) == (
        AlertState.RESOLVED,
        "ada",
        NOON,
    )
    assert storage.acknowledge_alert(new.id, by="bob").acknowledged_by == "ada"
    assert storage.acknowledge_alert(new_id(), by=None) is None


def test_a_resolved_alert_only_loses_messages(storage, epoch):
    owed = notice()
    new = alert(state=AlertState.RESOLVED, resolved_at=NOON, outbox=(owed,))
    storage.write_alerts([new], epoch=epoch)
    assert [each.outbox for each in storage.unsettled_alerts()] == [(owed,)]
    [kept] = storage.write_alerts(
        [replace(new, state=AlertState.OPEN, resolved_at=None, value=9.0, outbox=())], epoch=epoch
    )
    assert (kept.state, kept.value, kept.outbox) == (AlertState.RESOLVED, 300.5, ())
    assert storage.unsettled_alerts() == []


def test_alerts_are_listed_newest_first_in_pages_by_every_filter(storage, epoch):
    new = [alert(subject=subject, rule=rule) for subject in "ab" for rule in "rs"]
    storage.write_alerts(new, epoch=epoch)
    storage.acknowledge_alert(new[0].id, by=None)
    first = storage.alerts(AlertQuery(limit=3))
    assert [each.id for each in first.alerts] == [each.id for each in new[:0:-1]]
    rest = storage.alerts(AlertQuery(limit=3, after=first.next_cursor))
    assert ([each.id for each in rest.alerts], rest.next_cursor) == ([new[0].id], None)

    def found(**filters):
        return [each.id for each in storage.alerts(AlertQuery(**filters)).alerts]

    assert found(states=frozenset({AlertState.ACKNOWLEDGED})) == [new[0].id]
    assert found(subject="a", rule="s") == [new[1].id]
    with pytest.raises(InvalidOption, match="limit"):
        storage.alerts(AlertQuery(limit=0))


def test_two_leaders_open_one_alert(storage, epoch):
    calls = [lambda new=alert(): storage.write_alerts([new], epoch=epoch) for _ in range(2)]

    def attempt(call):
        try:
            return len(call())
        except Exception:
            return 0

    assert sum(race(*[lambda call=call: attempt(call) for call in calls])) == 1


def test_what_was_resolved_long_ago_is_removed(storage, epoch):
    old = datetime(2020, 1, 1, tzinfo=UTC)
    gone = alert(state=AlertState.RESOLVED, resolved_at=old)
    storage.write_alerts([gone, alert(subject="other")], epoch=epoch)
    storage.add_silence(silence(starts_at=old, ends_at=old + timedelta(hours=1)))
    assert storage.prune_alerts(epoch=epoch + 1) == 0
    assert storage.prune_alerts(epoch=epoch) == 2
    assert [each.subject for each in storage.alerts(AlertQuery()).alerts] == ["other"]


# Rules


def test_a_rule_is_written_only_over_the_version_that_was_read(storage):
    rule = AlertRule(name="mine", kind=RuleKind.QUEUE_DEPTH, threshold=7.5, channels=("ops",))
    assert not storage.write_alert_rule(rule, version=1)
    assert storage.write_alert_rule(rule, version=0)
    assert not storage.write_alert_rule(rule, version=0)
    assert storage.alert_rules() == [replace(rule, version=1)]
    assert storage.write_alert_rule(replace(rule, enabled=False), version=1)
    assert storage.alert_rules() == [replace(rule, version=2, enabled=False)]
    assert storage.delete_alert_rule("mine")
    assert not storage.delete_alert_rule("mine")


# Silences


def test_a_silence_holds_until_it_ends_or_is_ended(storage):
    long, short = silence(), silence(ends_at=FAR_AWAY - timedelta(days=1), created_by="ada")
    for new in (long, short, short):
        storage.add_silence(new)
    assert storage.silences() == [short, long]
    assert storage.end_silence(short.id, at=storage.now())
    assert not storage.end_silence(short.id, at=storage.now())
    assert not storage.end_silence("nothing", at=storage.now())
    assert storage.silences() == [long]


def test_a_batch_of_new_executions_does_not_show_as_ended(storage):
    storage.insert([new_execution() for _ in range(3)])
    assert storage.picture().ends == ()
