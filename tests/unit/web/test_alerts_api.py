from __future__ import annotations

from datetime import UTC, datetime

import pytest

from butler import Interval
from butler.errors import DeliveryFailed
from butler.ids import new_id
from butler.monitoring.alerts.alert import Alert, AlertState
from butler.monitoring.alerts.alerts import Alerts
from butler.monitoring.alerts.rule import Severity
from butler.web import shared

ALERTS, RULES = "/api/v1/alerts", "/api/v1/alert-rules"
SILENCES, CHANNELS = "/api/v1/alert-silences", "/api/v1/alert-channels"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def opened(butler):
    """Opens an alert, as the leading scheduler does; its id."""
    epoch = butler.storage.take_leadership("us", observed=butler.storage.leadership())

    def add(kind="queue_age", subject="mail", **options):
        alert = Alert(
            id=new_id(),
            rule=f"about-{kind}",
            kind=kind,
            subject=subject,
            state=AlertState.OPEN,
            severity=Severity.WARNING,
            since=NOON,
            opened_at=NOON,
            updated_at=NOON,
            value=300.5,
            summary="it waits",
            **options,
        )
        assert butler.storage.write_alerts([alert], epoch=epoch)
        return alert.id

    return add


def ids(answer):
    return [alert["id"] for alert in answer.json()["alerts"]]


def test_health_says_the_worst_first_and_what_to_do(client, enqueued):
    found = client("viewer").get("/api/v1/health").json()
    assert found["level"] == found["checks"][0]["level"]
    served = {check["name"]: check for check in found["checks"]}["queue_workers"]
    assert (served["level"], served["subject"]) == ("degraded", "mail")
    assert served["remedy"] == "start butler-worker --queues mail"
    assert client("viewer", queues=["mail"]).get("/api/v1/health").status_code == 403


def test_health_is_looked_at_once_for_all_who_ask_within_a_moment(client, butler, monkeypatch):
    looks = []
    report = butler.health.report
    monkeypatch.setattr(butler.health, "report", lambda: looks.append(1) or report())
    monkeypatch.setattr(shared, "FRESH_S", 60.0)
    viewer = client("viewer")
    for _ in range(3):
        assert viewer.get("/api/v1/health").status_code == 200
    assert len(looks) == 1


def test_alerts_are_listed_newest_first_and_filtered(client, opened):
    viewer = client("viewer")
    first, second = opened(), opened(kind="lost_worker", subject="alpha")
    assert ids(viewer.get(ALERTS)) == [second, first]
    page = viewer.get(ALERTS, params={"limit": 1})
    assert ids(page) == [second]
    assert ids(viewer.get(ALERTS, params={"cursor": page.json()["next_cursor"]})) == [first]
    assert ids(viewer.get(ALERTS, params={"state": "open", "subject": "mail"})) == [first]
    assert ids(viewer.get(ALERTS, params={"state": ["resolved", "acknowledged"]})) == []
    assert viewer.get(ALERTS, params={"cursor": "x"}).status_code == 422


def test_an_alert_is_acknowledged_by_whoever_calls(client, opened):
    id_ = opened()
    seen = client("operator", name="ada").post(f"{ALERTS}/{id_}/acknowledge").json()
    assert (seen["state"], seen["acknowledged_by"]) == ("acknowledged", "ada")
    again = client("operator", name="bob").post(f"{ALERTS}/{id_}/acknowledge").json()
    assert again["acknowledged_by"] == "ada"
    assert client("operator").post(f"{ALERTS}/{new_id()}/acknowledge").status_code == 404


def test_an_alert_tells_no_secret_of_the_execution_it_is_about(client, butler, opened):
    id_ = butler.enqueue("send", {"to": "ada", "key": "s3cret-value"}).id
    told = {"cause": "the last error: bad s3cret-value"}
    alert = opened("failure_rate", "send", execution_id=id_, **told)
    gone = opened("run_time", "send", execution_id=new_id(), **told)
    viewer = client("viewer")
    assert viewer.get(f"{ALERTS}/{alert}").json()["cause"] == "the last error: bad ***"
    assert viewer.get(f"{ALERTS}/{gone}").json()["cause"] == ""
    assert "s3cret-value" not in viewer.get(ALERTS).text


def test_an_alert_outside_of_a_tokens_scope_does_not_exist_for_it(client, butler, opened):
    butler.recurring.create("Nightly", "send", Interval(3600), request={"to": "ada"})
    elsewhere = butler.enqueue("send", {"to": "ada"}, queue="default").id
    mine = [
        opened("queue_depth", "mail"),
        opened("failure_rate", "send"),
        opened("late_fire", "Nightly"),
    ]
    others = [
        opened("queue_depth", "default"),
        opened("failure_rate", "ping"),
        opened("unknown_task", "renamed"),
        opened("late_fire", "Weekly"),
        opened("lost_worker", "alpha"),
        opened("run_time", "send", execution_id=elsewhere),
    ]
    caller = client("operator", queues=["mail"])
    assert ids(caller.get(ALERTS)) == mine[::-1]
    for id_ in others:
        assert caller.get(f"{ALERTS}/{id_}").status_code == 404
        assert caller.post(f"{ALERTS}/{id_}/acknowledge").status_code == 404
    assert ids(client("viewer", tags=["post"]).get(ALERTS)) == [others[-1], mine[2], mine[1]]
    assert butler.alerts.get(others[0]).state == "open"


def test_alerts_are_silenced_for_a_while(client, butler):
    caller = client("operator", name="ada")
    said = {"for_s": 3600, "rule": "queue-*", "reason": "moving"}
    made = caller.post(SILENCES, json=said)
    assert (made.status_code, made.json()["created_by"]) == (201, "ada")
    [found] = caller.get(SILENCES).json()["silences"]
    assert found == made.json()
    assert caller.delete(f"{SILENCES}/{found['id']}").status_code == 204
    assert caller.delete(f"{SILENCES}/{found['id']}").status_code == 404
    assert caller.get(SILENCES).json()["silences"] == []
    for wrong in ({}, {"for_s": 0}, {"for_s": 1e12}, {"for_s": 1, "rule": "\0"}):
        assert caller.post(SILENCES, json=wrong).status_code == 422


def test_a_channel_is_tried(client, butler, monkeypatch):
    monkeypatch.setattr(Alerts, "channels", lambda alerts: ["ops", "slack"])
    tried = []

    def send(alerts, channel):
        tried.append(channel)
        if channel == "slack":
            raise DeliveryFailed("hooks.slack.com answered 404")

    monkeypatch.setattr(Alerts, "test", send)
    caller = client("operator")
    assert caller.get(CHANNELS).json() == {"channels": ["ops", "slack"]}
    assert caller.post(f"{CHANNELS}/ops/test").json() == {"channel": "ops"}
    failed = caller.post(f"{CHANNELS}/slack/test")
    assert (failed.status_code, failed.json()["type"]) == (502, "urn:butler:problem:not-delivered")
    assert caller.post(f"{CHANNELS}/pager/test").status_code == 404
    assert tried == ["ops", "slack"]


def test_a_built_in_rule_is_changed_and_goes_back_to_what_it_was(operator):
    path = f"{RULES}/queue-waits-too-long"
    found = operator.get(path)
    assert (found.json()["threshold"], found.headers["ETag"]) == (300.0, '"0"')
    tag = {"If-Match": found.headers["ETag"]}
    assert operator.patch(path, json={"threshold": 60}).status_code == 428
    changed = operator.patch(path, json={"threshold": 60, "channels": ["ops"]}, headers=tag)
    assert (changed.json()["threshold"], changed.headers["ETag"]) == (60.0, '"1"')
    assert operator.patch(path, json={"threshold": 61}, headers=tag).status_code == 412
    back = operator.patch(path, json={"threshold": None}, headers={"If-Match": "*"}).json()
    assert (back["threshold"], back["channels"]) == (300.0, ["ops"])
    assert operator.delete(path, headers=tag).status_code == 412
    assert operator.delete(path).status_code == 204
    assert operator.get(path).json() == found.json()


def test_a_rule_of_ones_own_is_made_and_removed(operator):
    new = {"name": "reports/slow?", "kind": "run_time_p95", "threshold": 20, "window_s": 3600}
    made = operator.post(RULES, json=new)
    assert (made.status_code, made.json()["built_in"]) == (201, False)
    path = made.headers["Location"]
    assert path == f"{RULES}/reports%2Fslow%3F"
    assert operator.get(path).json() == made.json()
    assert operator.post(RULES, json=new).status_code == 409
    assert operator.post(RULES, json=new | {"name": "worker-lost"}).status_code == 409
    assert operator.get(RULES).json()["rules"][-1]["name"] == "reports/slow?"
    assert operator.delete(path).status_code == 204
    assert operator.delete(path).status_code == 404


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "luck"},
        {"severity": "fatal"},
        {"threshold": -1},
        {"channels": ["\0"]},
        {"escalate_to": ["boss"]},
        {"nonsense": 1},
    ],
)
def test_a_rule_that_cannot_be_is_refused(operator, wrong):
    new = {"name": "mine", "kind": "queue_age"} | wrong
    assert operator.post(RULES, json=new).status_code == 422
    assert len(operator.get(RULES).json()["rules"]) == 15


def test_rules_and_silences_are_for_tokens_that_are_bound_to_nothing(client):
    bound = client("operator", queues=["mail"])
    for path in (RULES, f"{RULES}/worker-lost", SILENCES, CHANNELS):
        assert bound.get(path).status_code == 403
