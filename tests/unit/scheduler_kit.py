"""What the scheduler's unit tests share: a ledger that can be paused, a leader, executions."""

from datetime import UTC, datetime

import fakeredis
from butler_scheduler.leader import Leader

from butler.clock import ManualClock
from butler.errors import StorageUnavailable
from butler.hands import Hand, Hands
from butler.ids import new_id
from butler.queues import QueueWire, WireKeys
from butler.recovery import Recovery
from butler.storage.base import MAX_BATCH
from butler.storage.memory import MemoryStorage
from butler.storage.records import Claim, ExecutionQuery, NewExecution, WorkerRegistration

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
FOR_EVER_S = 1e9


class Ledger:
    """A `MemoryStorage` behind a line that can be down, or take ``answer_s`` for each call."""

    def __init__(self, clock):
        self.memory = MemoryStorage(clock=clock)
        self.clock = clock
        self.down = False
        self.answer_s = 0.0
        self.lose_answers = False
        self.calls = []

    def __getattr__(self, name):
        method = getattr(self.memory, name)

        def call(*args, **kwargs):
            self.calls.append(name)
            if self.down:
                raise StorageUnavailable("the ledger is down")
            self.clock.advance(self.answer_s)
            answer = method(*args, **kwargs)
            if self.lose_answers:
                raise StorageUnavailable("the answer was lost")
            return answer

        return call


class Bench:
    """A ledger, a Redis and a scheduler's parts, on a clock that stands still."""

    def __init__(self, *, leading=True):
        self.clock = ManualClock(START)
        self.ledger = Ledger(self.clock)
        self.redis = fakeredis.FakeRedis(server=fakeredis.FakeServer())
        self.wire = QueueWire(self.redis, ledger_id=self.ledger.ledger_id())
        self.hands = Hands(self.redis)
        self.recovery = Recovery(self.ledger, self.wire, self.hands)
        self.leader = self.new_leader("us", lease_s=FOR_EVER_S)
        if leading:
            self.leader.tick(0)

    def new_leader(self, holder, *, lease_s=5.0):
        return Leader(self.ledger, holder=holder, lease_s=lease_s, clock=self.clock)

    def depose(self):
        """Another scheduler leads, and ours has not noticed."""
        storage = self.ledger.memory
        assert storage.take_leadership("another", observed=storage.leadership()) is not None

    def enqueue(self, count=1, *, task="t", queue="default", push=False, **options):
        rows = [
            NewExecution(id=new_id(), task=task, queue=queue, request=None, **options)
            for _ in range(count)
        ]
        for first in range(0, count, MAX_BATCH):
            self.ledger.memory.insert(rows[first : first + MAX_BATCH])
        if push:
            entries = self.ledger.memory.queued(min_age_s=0, after=None, limit=100_000)
            new = {row.id for row in rows}
            self.wire.push([entry for _, entry in entries if entry.id in new])
        return [row.id for row in rows]

    def waiting(self, name="default"):
        """Ids in a list, in order."""
        return [raw.decode() for raw in self.redis.lrange(WireKeys.list(name), 0, -1)]

    def worker(self, id_="w1", *, name=None, queues=("default",)):
        """Register a worker and open its hand."""
        self.ledger.memory.register_worker(
            WorkerRegistration(
                id=id_,
                name=name or id_,
                host="h",
                pid=1,
                supervisor_id="s",
                queues=queues,
                tasks=("t",),
                concurrency=4,
            )
        )
        hand = Hand(self.redis, worker_id=id_, worker_name=name or id_, queues=queues)
        hand.open()
        return hand

    def run(self, hand, limit=10):
        """Let a worker pop and claim; returns the ids it runs."""
        ids = tuple(id_ for id_, _ in hand.pop(limit, token=new_id()))
        reply = self.ledger.memory.claim(Claim(worker_id=hand.worker_id, token=new_id(), ids=ids))
        assert len(reply.won) == len(ids)
        return list(ids)

    def statuses(self):
        return {str(k): v for k, v in self.ledger.memory.count(ExecutionQuery()).items() if v}

    def tick(self, service):
        return service.tick(self.clock.monotonic())
