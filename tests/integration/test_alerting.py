"""A scheduler, a worker and a webhook, all real: what goes wrong is told once."""

from __future__ import annotations

import os
import signal

import pytest
from fleet import live_workers, wait_for
from webhook_receiver import Receiver


@pytest.fixture
def receiver():
    receiver = Receiver()
    yield receiver
    receiver.close()


def serving(butler):
    """Workers of the default queue: the leader has one of its own for messages."""
    return [worker for worker in live_workers(butler) if "default" in worker.queues]


def test_a_jammed_queue_a_failing_task_and_a_dead_worker_are_told_once(butler, fleet, receiver):
    fleet.environment["BUTLER_ALERT_CHANNELS"] = f"ops={receiver.url}"
    fleet.environment["BUTLER_ALERT_ALLOW_PRIVATE"] = "true"
    butler.storage.prepare()
    butler.alert_rules.update("queue-without-worker", threshold=1)
    butler.alert_rules.update("health-check-red", enabled=False)  # a busy machine may be slow
    jammed = butler.enqueue("broken", {"n": 1}, queue="nobodys")
    fleet.start_worker()
    fleet.start_scheduler()
    [worker] = wait_for(lambda: serving(butler), what="a worker", fleet=fleet)
    for number in range(5):
        butler.enqueue("broken", {"n": number})
    wanted = {
        ("opened", "queue-without-worker", "nobodys"),
        ("opened", "task-fails-in-a-row", "broken"),
    }
    wait_for(lambda: wanted <= set(receiver.told()), what="two alerts", fleet=fleet)
    os.kill(worker.pid, signal.SIGKILL)
    butler.cancel(jammed.id)
    wanted |= {
        ("resolved", "queue-without-worker", "nobodys"),
        ("opened", "worker-lost", worker.host),
    }
    wait_for(lambda: wanted <= set(receiver.told()), what="four messages", fleet=fleet)
    assert sorted(receiver.told()) == sorted(wanted)
