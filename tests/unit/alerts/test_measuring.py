"""What each kind of rule sees, on a ledger in memory."""

from __future__ import annotations

import time
from dataclasses import replace

from butler import lifecycle
from butler.executions import ErrorRecord
from butler.monitoring.alerts.built_in import BUILT_IN
from butler.monitoring.alerts.figures import LedgerFigures
from butler.monitoring.alerts.judge import Judge, Standing
from butler.monitoring.alerts.measure import View
from butler.monitoring.alerts.measuring import Measures


def measures(scene):
    picture = scene.storage.picture()
    figures = LedgerFigures(scene.storage, now=picture.now)
    return Measures(View(picture=picture, figures=figures))


def value_of(scene, rule_name, subject):
    rule = scene.butler.alert_rules.get(rule_name)
    found = {measure.subject: measure for measure in measures(scene).of(rule)}
    return found[subject].value if subject in found else None


def test_failures_in_a_row_end_with_a_success(scene):
    worker = scene.worker()
    for _ in range(3):
        scene.run(worker, error="boom")
        scene.clock.advance(1)
    assert value_of(scene, "task-fails-in-a-row", "send") == 3
    scene.run(worker)
    assert value_of(scene, "task-fails-in-a-row", "send") is None


def test_a_success_that_has_left_the_picture_still_ends_a_row(scene, monkeypatch):
    worker = scene.worker()
    for _ in range(2):
        scene.run(worker, error="boom")
    scene.clock.advance(120)
    scene.run(worker)
    scene.clock.advance(60)
    for _ in range(3):
        scene.run(worker, error="boom")
    whole = scene.storage.picture
    picture = whole()
    cut = replace(picture, ends=tuple(end for end in picture.ends if not end.succeeded))
    monkeypatch.setattr(scene.storage, "picture", lambda: cut)
    assert value_of(scene, "task-fails-in-a-row", "send") == 3


def test_a_failure_rate_says_since_when_it_fails(scene):
    worker = scene.worker()
    for _ in range(20):
        scene.run(worker)
    scene.clock.advance(120)
    began = scene.clock.now()
    for _ in range(10):
        scene.run(worker, error="boom")
        scene.clock.advance(1)
    [measure] = measures(scene).of(scene.butler.alert_rules.get("task-failure-rate"))
    assert (measure.value, measure.since) == (1 / 3, began)


def test_a_failure_rate_needs_enough_executions_and_looks_back_for_its_window_only(scene):
    worker = scene.worker()
    for number in range(19):
        scene.run(worker, error="boom" if number % 2 else None)
    assert value_of(scene, "task-failure-rate", "send") is None
    scene.run(worker)
    assert value_of(scene, "task-failure-rate", "send") == 9 / 20
    scene.clock.advance(720)
    assert value_of(scene, "task-failure-rate", "send") is None


def test_a_run_is_too_long_against_what_the_task_usually_takes(scene):
    worker = scene.worker()
    for _ in range(25):
        scene.run(worker, took_s=10)
    scene.claim(scene.enqueue(), worker)
    scene.clock.advance(59)
    assert value_of(scene, "task-runs-too-long", "send") is None
    scene.clock.advance(1)
    assert 5.9 < value_of(scene, "task-runs-too-long", "send") < 6.1


def test_a_task_that_was_given_up_for_its_crashes_is_poison(scene):
    worker = scene.worker()
    claimed = scene.claim(scene.enqueue(), worker)
    for _ in range(4):
        [done] = scene.storage.finish([lifecycle.crash(claimed, cause="killed by signal 11")])
        if done.status == "failed":
            break
        claimed = scene.claim(claimed.id, worker, solo=True)
    assert value_of(scene, "task-kills-its-process", "send") == 1


def test_a_thousand_rules_are_held_within_a_second(scene):
    """A whole look on Postgres takes 0.4 s: 1,015 rules, 60,000 executions of 300 tasks."""
    worker = scene.worker()
    for number in range(300):
        failed = scene.claim(scene.enqueue(f"task{number}"), worker)
        error = ErrorRecord(type="ValueError", message="boom")
        scene.storage.finish([lifecycle.fail(failed, error=error)])
    rules = [
        scene.butler.alert_rules.create(f"r{n}", BUILT_IN[n % 15].kind, applies_to=f"task{n}*")
        for n in range(1_000)
    ]
    began = time.process_time()
    standing = Standing(alerts=(), silences=(), channels=("ops",))
    Judge().decide(rules, measures(scene), standing, now=scene.clock.now())
    assert time.process_time() - began < 1.0
