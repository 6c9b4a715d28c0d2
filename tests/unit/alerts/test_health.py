"""Health in memory: users' own checks, recurring jobs' history, and alerts beside a worker."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest

from butler import Butler
from butler.errors import DefinitionError
from butler.monitoring.health.jobs import job_health
from butler.monitoring.health.verdict import HealthLevel
from butler.storage.monitoring_records import WatchedFire


def found(scene, name):
    [check] = [check for check in scene.butler.health.report().checks if check.name == name]
    return check.level, check.reason


@pytest.mark.parametrize(
    ("returned", "level", "reason"),
    [
        (None, "healthy", "passed"),
        (False, "unhealthy", "did not pass"),
        ("disk is full", "unhealthy", "disk is full"),
        (("degraded", "nearly full"), "degraded", "nearly full"),
        (7, "unhealthy", "returned int"),
    ],
)
def test_a_check_of_ones_own_says_how_it_is(scene, returned, level, reason):
    scene.butler.health.check("disk")(lambda: returned)
    assert found(scene, "disk") == (level, reason)


def test_a_check_that_raises_is_unhealthy_and_a_coroutine_is_awaited(scene):
    @scene.butler.health.check
    def raises():
        raise OSError("gone")

    @scene.butler.health.check
    async def awaited():
        return "slow"

    assert found(scene, "raises") == ("unhealthy", "OSError: gone")
    assert found(scene, "awaited") == ("unhealthy", "slow")
    with pytest.raises(DefinitionError, match="two health checks"):
        scene.butler.health.check("raises")(lambda: None)


def fires(scene, *outcomes):
    """Newest first: a number is a success that took so long, None a failure."""
    now = scene.clock.now()
    return [
        WatchedFire(
            job="j",
            fire_at=now - timedelta(hours=n),
            recorded_at=now,
            outcome="fired",
            execution_id="e",
            succeeded=took is not None,
            finished_at=now - timedelta(hours=n),
            took_s=took,
        )
        for n, took in enumerate(outcomes)
    ]


@pytest.mark.parametrize(
    ("outcomes", "level", "reason"),
    [
        ((20, 20, 20, 20, 20, 20), "healthy", "fires on time and succeeds"),
        ((90, 20, 20, 20, 20, 20), "degraded", "its last run took 1 min 30 s, usually"),
        ((None, 20), "degraded", "failed once"),
        ((None, None, None, 20), "unhealthy", "failed 3 times in a row"),
    ],
)
def test_a_job_is_judged_by_its_own_history(scene, outcomes, level, reason):
    health = job_health("j", fires(scene, *outcomes), broken_reason=None, late_s=0)
    assert health.level is HealthLevel(level)
    assert health.reason.startswith(reason)


def test_alerts_open_in_memory_beside_a_worker():
    with Butler.in_memory() as butler:

        @butler.task
        def task() -> None:
            """Nothing."""

        butler.alert_rules.update("queue-without-worker", threshold=0)
        butler.enqueue(task, queue="nobodys")
        with butler.worker(queues=["default"]):
            deadline = time.monotonic() + 30
            while not butler.alerts.list().alerts:
                assert time.monotonic() < deadline
                time.sleep(0.01)
        assert butler.alerts.list().alerts[0].subject == "nobodys"
