"""``butler health``, ``alerts`` and ``rules`` on real servers."""

from __future__ import annotations

from dataclasses import replace

import pytest
from postgres_scenes import add_worker

from butler.clock import ManualClock
from butler.ids import new_id
from butler.monitoring.alerts.alert import Notice, NoticeEvent
from butler.monitoring.alerts.watchman import Watchman


@pytest.fixture
def epoch(butler):
    return butler.storage.take_leadership("us", observed=butler.storage.leadership())


def test_health_says_how_it_is_by_text_json_and_exit_code(run_butler, butler):
    ran = run_butler("health")
    assert ran.code == 2  # no scheduler leads
    assert ran.lines[1].split()[:2] == ["unhealthy", "leader"]
    assert ran.err.startswith("unhealthy at ")
    butler.storage.take_leadership("us", observed=butler.storage.leadership())
    form = run_butler("health", "--json")
    assert (form.code, form.json["level"]) == (0, "healthy")
    names = {check["name"] for check in form.json["checks"]}
    assert {"postgres", "redis", "schema", "clock", "leader", "queue_age", "backlog"} <= names
    lost = add_worker(butler.storage)
    butler.storage.lose_worker(lost)
    assert run_butler("health").code == 1


def test_alerts_are_listed_acknowledged_and_silenced(run_butler, butler, epoch):
    butler.alert_rules.update("queue-without-worker", threshold=0)
    butler.enqueue("work", {"n": 1})
    clock = ManualClock(butler.storage.now())
    watchman = Watchman(butler, clock=clock)
    watchman.step(epoch=epoch)
    [alert] = butler.alerts.list().alerts
    assert run_butler("alerts", "list").lines[1].split()[:3] == [alert.id, "open", "critical"]
    shown = run_butler("alerts", "show", alert.id).out
    assert "start butler-worker --queues default" in shown
    assert run_butler("alerts", "ack", alert.id, "--by", "ada").out == f"{alert.id} acknowledged\n"
    assert butler.alerts.get(alert.id).acknowledged_by == "ada"

    run_butler("alerts", "silence", "--for", "2h", "--rule", "queue-*", "--by", "ada")
    [silence] = run_butler("alerts", "silence", "--list", "--json").json["silences"]
    assert (silence["rule"], silence["created_by"]) == ("queue-*", "ada")
    assert run_butler("alerts", "silence", "--end", silence["id"]).code == 0
    assert run_butler("alerts", "silence", "--list").err == "nothing is silenced\n"
    assert run_butler("alerts", "silence").code == 2

    add_worker(butler.storage)
    clock.advance(5)
    watchman.step(epoch=epoch)
    assert run_butler("alerts", "list").err == "no alerts\n"
    [form] = run_butler("alerts", "list", "--all", "--json").json["alerts"]
    assert (form["state"], form["acknowledged_by"]) == ("resolved", "ada")
    assert run_butler("alerts", "show", new_id()).code == 1


def test_a_message_that_is_owed_is_shown(run_butler, butler, epoch):
    butler.alert_rules.update("queue-without-worker", threshold=0)
    butler.enqueue("work", {"n": 1})
    Watchman(butler, clock=ManualClock(butler.storage.now())).step(epoch=epoch)
    [alert] = butler.alerts.list().alerts
    owed = Notice(id=new_id(), event=NoticeEvent.OPENED, channel="ops")
    butler.storage.write_alerts([replace(alert, outbox=(owed,))], epoch=epoch)
    assert "still to be told  ops" in run_butler("alerts", "show", alert.id).out


def test_rules_are_listed_changed_added_and_deleted(run_butler, butler):
    rows = run_butler("rules", "list").lines[1:]
    assert "queue-waits-too-long" in {row.split()[0] for row in rows}
    ran = run_butler("rules", "set", "queue-waits-too-long", "--threshold", "60", "--off", "--json")
    assert (ran.json["threshold"], ran.json["enabled"], ran.json["version"]) == (60, False, 1)
    run_butler("rules", "add", "mine", "queue_age", "--applies-to", "mail", "--open-after", "2m")
    shown = run_butler("rules", "show", "mine").out
    assert "opens after 2 min" in " ".join(shown.split())
    assert run_butler("rules", "delete", "mine", "--dry-run").out == "mine would be deleted\n"
    assert run_butler("rules", "delete", "mine").out == "mine deleted\n"
    assert run_butler("rules", "delete", "mine").code == 1
    assert "back" in run_butler("rules", "delete", "queue-waits-too-long").out
    assert butler.alert_rules.get("queue-waits-too-long").enabled
    refused = run_butler("rules", "set", "task-unknwn", "--off")
    assert (refused.code, "task-unknown" in refused.err) == (1, True)
