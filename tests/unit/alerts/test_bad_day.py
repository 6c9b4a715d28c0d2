"""A bad day: each trouble is alerted in the time that docs/alerts.md promises, and nothing else."""

from __future__ import annotations

from butler.monitoring.alerts.built_in import BY_NAME
from butler.recurring.job import Misfire, Overlap
from butler.storage.recurring_records import RecurringDefinition

LOOK_S = 5.0


def add_job(scene, name="nightly"):
    """A recurring job that should have fired now."""
    now = scene.clock.now()
    definition = RecurringDefinition(
        id="0195f000-0000-7000-8000-000000000001",
        name=name,
        task="send",
        request=None,
        schedule='{"type": "interval", "every_s": 60, "anchor": "2026-03-01T00:00:00+00:00"}',
        enabled=True,
        misfire=Misfire.FIRE_ONCE,
        misfire_grace_s=300,
        catch_up_limit=1,
        overlap=Overlap.SKIP,
        max_concurrency=1,
        jitter_s=0,
        starts_at=None,
        ends_at=None,
        max_fires=None,
        queue=None,
        priority=None,
        max_attempts=None,
        timeout_s=None,
        tags=(),
        description="",
        owner=None,
        source=None,
        unique_key=None,
        fair_key=None,
        fingerprint=None,
        next_fire_at=now,
        due_at=now,
    )
    assert scene.storage.insert_recurring([definition]) == [True]
    return definition


def opens_within(scene, rule, subject, *, seconds):
    """Let time go by until the alert is open; how long it took."""
    began = scene.clock.monotonic()
    while (rule, subject) not in scene.unresolved():
        assert scene.clock.monotonic() - began < seconds, f"{rule} is not open in {seconds} s"
        scene.look()
    return scene.clock.monotonic() - began


def test_a_bad_day_is_told_once_and_nothing_else(told, receiver):
    scene = told
    worker = scene.worker("default", "mail")
    for _ in range(30):
        scene.run(worker)
    scene.pass_s(60)
    assert scene.unresolved() == []

    # A task begins to fail.
    for _ in range(5):
        scene.run(worker, error="boom")
    opens_within(scene, "task-fails-in-a-row", "send", seconds=2 * LOOK_S)
    for _ in range(30):
        scene.run(worker)
    scene.look()
    assert scene.unresolved() == []

    # A worker dies.
    other = scene.worker("default", "mail", host="beta")
    scene.storage.lose_worker(other)
    opens_within(scene, "worker-lost", "beta", seconds=2 * LOOK_S)

    # A queue jams: its worker lives, and takes nothing.
    stuck = scene.enqueue(queue="mail")
    after = BY_NAME["queue-waits-too-long"].threshold + 2 * LOOK_S
    opens_within(scene, "queue-waits-too-long", "mail", seconds=after)
    assert scene.unresolved() == [("queue-waits-too-long", "mail")]  # beta is forgotten by now
    scene.storage.cancel([stuck])
    scene.pass_s(BY_NAME["queue-waits-too-long"].resolve_after_s + LOOK_S)
    assert scene.unresolved() == []

    # A recurring job is late.
    job = add_job(scene)
    after = BY_NAME["recurring-job-late"].threshold + 2 * LOOK_S
    opens_within(scene, "recurring-job-late", "nightly", seconds=after)
    scene.storage.delete_recurring([job.id])
    scene.look()
    assert scene.unresolved() == []

    # Postgres slows.
    scene.storage.answer_s = 1.5
    after = BY_NAME["health-check-red"].open_after_s + 4 * LOOK_S
    opens_within(scene, "health-check-red", "postgres", seconds=after)
    scene.storage.answer_s = 0.0
    scene.pass_s(BY_NAME["health-check-red"].resolve_after_s + 2 * LOOK_S)
    assert scene.unresolved() == []

    troubles = [
        ("task-fails-in-a-row", "send"),
        ("worker-lost", "beta"),
        ("queue-waits-too-long", "mail"),
        ("recurring-job-late", "nightly"),
        ("health-check-red", "postgres"),
    ]
    expected = {(event, *each) for each in troubles for event in ("opened", "resolved")}
    assert sorted(receiver.told()) == sorted(expected)
    ids = [message["id"] for message in receiver.messages()]
    assert len(set(ids)) == len(ids)


def test_a_queue_without_worker_is_told_though_no_worker_lives(told, receiver):
    scene = told
    scene.enqueue()
    opens_within(scene, "queue-without-worker", "default", seconds=45)
    assert scene.unresolved() == [("queue-without-worker", "default")]
    assert receiver.told() == [("opened", "queue-without-worker", "default")]
    scene.worker()
    scene.look()
    assert scene.unresolved() == []
    assert receiver.told()[1:] == [("resolved", "queue-without-worker", "default")]
