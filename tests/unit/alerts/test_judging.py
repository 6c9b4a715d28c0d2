"""When alerts open, change and are resolved, and who is told."""

from __future__ import annotations

import pytest

from butler.errors import InvalidOption
from butler.monitoring.alerts.built_in import BUILT_IN
from butler.monitoring.alerts.watchman import Watchman

AGE = "queue-without-worker"


def test_a_condition_must_hold_for_a_while_before_it_opens_where_the_rule_says_so(scene):
    scene.butler.alert_rules.update(AGE, threshold=0, open_after_s=20)
    scene.enqueue()
    scene.pass_s(20)
    assert scene.unresolved() == []
    scene.look()
    assert scene.unresolved() == [(AGE, "default")]


def test_a_condition_that_comes_and_goes_does_not_flap(scene):
    scene.butler.alert_rules.update(AGE, threshold=0, resolve_after_s=30)
    for _ in range(5):
        waiting = scene.enqueue()
        scene.look()
        scene.storage.cancel([waiting])
        scene.look()
    assert len(scene.butler.alerts.list().alerts) == 1
    scene.pass_s(35)
    assert scene.unresolved() == []


def test_an_alert_stays_open_until_it_is_well_below_its_threshold(scene):
    scene.butler.alert_rules.update("queue-too-deep", threshold=10, resolve_below=0.5)
    scene.worker("default")
    ids = [scene.enqueue() for _ in range(10)]
    scene.look()
    assert scene.unresolved() == [("queue-too-deep", "default")]
    scene.storage.cancel(ids[:4])
    scene.pass_s(60)
    assert scene.unresolved() == [("queue-too-deep", "default")]
    scene.storage.cancel(ids[4:5])
    scene.pass_s(40)
    assert scene.unresolved() == []


def test_a_rule_that_is_switched_off_resolves_what_it_has_opened(scene):
    scene.butler.alert_rules.update(AGE, threshold=0)
    scene.enqueue()
    scene.look()
    scene.butler.alert_rules.update(AGE, enabled=False)
    scene.look()
    assert scene.unresolved() == []


def test_a_rule_is_about_what_its_pattern_matches(scene):
    scene.butler.alert_rules.update(AGE, threshold=0, applies_to="mail*")
    for queue in ("mail", "mails", "other"):
        scene.enqueue(queue=queue)
    scene.look()
    assert scene.unresolved() == [(AGE, "mail"), (AGE, "mails")]


def test_what_is_silenced_is_told_when_the_silence_ends_and_it_is_still_open(told, receiver):
    told.butler.alert_rules.update(AGE, threshold=0)
    told.butler.alerts.silence(for_s=30, rule="queue-*", subject="def*")
    told.enqueue()
    told.look()
    [alert] = told.butler.alerts.list().alerts
    assert (alert.silenced, receiver.told()) == (True, [])
    told.pass_s(30)
    assert receiver.told() == [("opened", AGE, "default")]


def test_what_begins_and_ends_in_a_silence_is_never_told(told, receiver):
    told.butler.alert_rules.update(AGE, threshold=0)
    told.butler.alerts.silence(for_s=300)
    waiting = told.enqueue()
    told.look()
    told.storage.cancel([waiting])
    told.pass_s(310)
    assert told.unresolved() == []
    assert receiver.told() == []


@pytest.mark.parametrize("acknowledged", [True, False])
def test_what_nobody_acknowledges_is_escalated_once(told, receiver, acknowledged):
    told.butler.alert_rules.update(
        AGE, threshold=0, escalate_after_s=60, escalate_to=["ops"], severity="critical"
    )
    told.enqueue()
    told.look()
    if acknowledged:
        told.butler.alerts.ack(told.butler.alerts.list().alerts[0].id, by="ada")
    told.pass_s(180)
    escalated = [] if acknowledged else ["escalated"]
    assert [event for event, _, _ in receiver.told()] == ["opened", *escalated]
    titles = [message["title"] for message in receiver.messages()[1:]]
    assert all(title.startswith("[critical, not acknowledged]") for title in titles)


def test_a_message_says_what_since_when_why_and_where(scenes, receiver):
    scene = scenes(
        alert_channels=f"ops={receiver.url}",
        alert_allow_private=True,
        web_public_url="https://butler.example.com/",
    )
    scene.butler.alert_rules.update(AGE, threshold=0)
    scene.enqueue()
    scene.look()
    [message] = receiver.messages()
    alert = message["alert"]
    assert message["title"] == "[critical] no worker serves 'default': 1 wait, 5 s already"
    assert message["link"] == f"https://butler.example.com/alerts/{alert['id']}"
    for part in ("since 2026-03-01 12:00:00 UTC", "likely cause: ", "what to do: start butler-"):
        assert part in message["text"]


def test_a_delivery_that_fails_is_tried_again_under_the_same_id(told, receiver):
    receiver.status = 500
    told.butler.alert_rules.update(AGE, threshold=0)
    told.enqueue()
    told.look()
    receiver.status = 204
    told.pass_s(10)
    first, second = receiver.messages()
    assert first["id"] == second["id"]
    execution = told.storage.get(first["id"])
    assert (execution.queue, execution.status, execution.attempt) == ("_butler", "succeeded", 2)
    assert told.storage.unsettled_alerts()[0].outbox == ()


def test_a_leader_that_dies_with_a_message_in_hand_loses_none(told, receiver):
    """The next one finds it in the outbox, and its execution under the same id."""
    told.butler.alert_rules.update(AGE, threshold=0)
    told.enqueue()
    told.watchman._courier._begin = lambda *_: None  # it dies here
    told.look()
    [owed] = told.storage.unsettled_alerts()[0].outbox
    told.watchman = Watchman(told.butler, clock=told.clock)
    told.look()
    assert [message["id"] for message in receiver.messages()] == [owed.id]


def test_a_channel_that_is_broken_is_reported_by_the_others(scenes, receiver):
    scene = scenes(
        alert_channels=f"bad=http://127.0.0.1:1/ ops={receiver.url}", alert_allow_private=True
    )
    scene.butler.alert_rules.update(AGE, threshold=0)
    scene.enqueue()
    scene.pass_s(40)
    assert ("channel-broken", "bad") in scene.unresolved()
    assert receiver.told() == [
        ("opened", AGE, "default"),
        ("opened", "channel-broken", "bad"),
    ]


def test_a_channel_that_the_settings_no_longer_name_does_not_fail_for_ever(told):
    told.butler.alert_rules.update(AGE, threshold=0)
    told.watchman._channels = {}
    told.enqueue()
    told.look()
    assert told.storage.unsettled_alerts()[0].outbox == ()


def test_nothing_is_said_of_butlers_own_deliveries(told, receiver):
    receiver.status = 500
    for rule in BUILT_IN:
        if rule.name != "channel-broken":
            told.butler.alert_rules.update(rule.name, at_least=1)
    told.butler.alert_rules.update(AGE, threshold=0)
    told.enqueue()
    told.pass_s(3_000)
    assert told.unresolved() == [("channel-broken", "ops"), (AGE, "default")]


def test_a_worker_that_serves_a_queue_is_not_the_leaders_own(told):
    told.butler.alert_rules.update(AGE, threshold=0)
    told.enqueue()
    told.look()
    [worker] = told.storage.workers()
    assert worker.queues == ("_butler",)
    assert (AGE, "default") in told.unresolved()


def test_a_share_that_no_task_can_reach_is_refused(scene):
    with pytest.raises(InvalidOption, match=r"a share in 0..1 \(0.25 is 25 %\), got 30"):
        scene.butler.alert_rules.update("task-failure-rate", threshold=30)
