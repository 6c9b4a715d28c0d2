"""A worker in this process, on a ledger whose answers a test can spoil."""

from __future__ import annotations

import time

from butler_workers.worker import Worker
from pydantic import BaseModel

from butler import Butler, TaskContext
from butler.errors import StorageUnavailable
from butler.in_memory import memory_redis
from butler.storage.memory import MemoryStorage


class Item(BaseModel):
    n: int = 0


class SpoiltStorage:
    """A ledger that fails calls as it is told, before or after doing what they ask."""

    def __init__(self, storage):
        self._storage = storage
        self.failures = {}
        self.calls = []

    def fail(self, method, *, times, after=False, error=StorageUnavailable):
        """Fail the next calls of a method; ``after``: its work is done, the reply is lost."""
        self.failures[method] = [times, after, error]

    def __getattr__(self, name):
        inner = getattr(self._storage, name)
        if not callable(inner):
            return inner

        def call(*arguments, **options):
            self.calls.append((name, arguments, options))
            left = self.failures.get(name)
            if left and left[0] > 0:
                left[0] -= 1
                if left[1]:
                    inner(*arguments, **options)
                raise left[2]("spoilt")
            return inner(*arguments, **options)

        return call


def make_butler():
    butler = Butler(redis=memory_redis(), storage=SpoiltStorage(MemoryStorage()))

    @butler.task
    def double(request: Item) -> int:
        return request.n * 2

    @butler.task
    async def wait(request: Item, context: TaskContext) -> None:
        await context.sleep(60)

    @butler.task
    def block(request: Item, context: TaskContext) -> None:
        context.sleep(60)

    return butler


def make_worker(butler, **options):
    return Worker(butler, queues=["default"], **{"concurrency": 2, **options})


def wait_for(condition, *, timeout_s=10.0):
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.005)
    return value
