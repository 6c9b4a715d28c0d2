"""A watched ledger in memory, on a clock that stands still, and a receiver of webhooks."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import fakeredis
import pytest
from webhook_receiver import Receiver

from butler import Butler, lifecycle
from butler.clock import ManualClock
from butler.executions import ErrorRecord
from butler.ids import new_id, new_token
from butler.monitoring.alerts.watchman import Watchman
from butler.settings import load_settings
from butler.storage.base import MAX_BATCH
from butler.storage.memory import MemoryStorage
from butler.storage.records import Claim, NewExecution, WorkerRegistration

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
LOOK_S = 5.0


class SlowLedger(MemoryStorage):
    """A ledger that takes ``answer_s`` to say what time it is."""

    answer_s = 0.0

    def now(self):
        self._clock.advance(self.answer_s)
        return super().now()


class Scene:
    """A ledger, who leads it, and short ways to trouble."""

    def __init__(self, clock, **settings):
        self.clock = clock
        self.storage = SlowLedger(clock=clock)
        self.butler = Butler(
            redis=fakeredis.FakeRedis(server=fakeredis.FakeServer()),
            storage=self.storage,
            clock=clock,
            settings=load_settings(**settings),
        )
        self.epoch = self.storage.take_leadership("us", observed=self.storage.leadership())
        self.watchman = Watchman(self.butler, clock=clock)
        self.workers = {}

    def step(self):
        self.watchman.step(epoch=self.epoch)
        self.storage.stage(epoch=self.epoch, limit=MAX_BATCH)

    def look(self):
        """The next look at the ledger, and deliveries until none is left to be made now."""
        self.clock.advance(LOOK_S)
        self.step()
        deadline = time.monotonic() + 20
        while any(not future.done() for future in self.watchman._courier._under_way.values()):
            assert time.monotonic() < deadline
            time.sleep(0.002)
        self.step()

    def pass_s(self, seconds):
        """Let time go by, with a look every five seconds."""
        for _ in range(int(seconds / LOOK_S)):
            self.look()

    def unresolved(self):
        found = self.butler.alerts.list(state=("open", "acknowledged")).alerts
        return sorted((alert.rule, alert.subject) for alert in found)

    def worker(self, *queues, host="alpha"):
        worker = WorkerRegistration(
            id=new_id(),
            name=f"w-{host}",
            host=host,
            pid=1,
            supervisor_id="s",
            queues=queues or ("default",),
            tasks=("send",),
            concurrency=1,
        )
        self.storage.register_worker(worker)
        return worker.id

    def enqueue(self, task="send", queue="default", **options):
        new = NewExecution(id=new_id(), task=task, queue=queue, request=None, **options)
        self.storage.insert([new])
        return new.id

    def claim(self, execution_id, worker_id, *, solo=False):
        claim = Claim(worker_id=worker_id, token=new_token(), ids=(execution_id,), solo=solo)
        return self.storage.claim(claim).won[0]

    def run(self, worker_id, *, error=None, task="send", took_s=0.0):
        """One execution from its enqueue to its end."""
        claimed = self.claim(self.enqueue(task), worker_id)
        self.clock.advance(took_s)
        if error is None:
            ended = lifecycle.succeed(claimed, result="1")
        else:
            ended = lifecycle.fail(claimed, error=ErrorRecord(type="ValueError", message=error))
        self.storage.finish([ended])
        return claimed.id


@pytest.fixture
def clock():
    return ManualClock(START)


@pytest.fixture
def receiver():
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def scenes(clock):
    """Makes scenes with settings, and ends them."""
    made = []

    def make(**settings):
        made.append(Scene(clock, **settings))
        return made[-1]

    yield make
    for scene in made:
        scene.watchman.stand_down()
        scene.butler.close()


@pytest.fixture
def scene(scenes):
    """One that tells nobody."""
    return scenes()


@pytest.fixture
def told(scenes, receiver):
    """One that tells the receiver."""
    return scenes(alert_channels=f"ops={receiver.url}", alert_allow_private=True)
