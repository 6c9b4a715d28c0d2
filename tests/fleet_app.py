"""The application the tests' fleets run."""

import asyncio
import ctypes
import os
import signal
import time

from pydantic import BaseModel

from butler import Butler, RetryPolicy, TaskContext

butler = Butler()


class Item(BaseModel):
    n: int = 0
    seconds: float = 0.0


@butler.task
def work(request: Item) -> int:
    """A short piece of work."""
    time.sleep(request.seconds)
    return request.n


@butler.task
async def awork(request: Item) -> int:
    """The same as a coroutine."""
    await asyncio.sleep(request.seconds)
    return request.n


@butler.task(retry=RetryPolicy(max_attempts=3, base_s=0.01, jitter="none"))
def flaky(request: Item, context: TaskContext) -> int:
    """Fails until its last attempt."""
    if context.attempt < context.max_attempts:
        raise ConnectionError(f"attempt {context.attempt}")
    return request.n


@butler.task
async def endless(request: Item, context: TaskContext) -> None:
    """Runs until it is cancelled."""
    while True:
        await context.sleep(10)


@butler.task
def endless_thread(request: Item, context: TaskContext) -> None:
    """Runs in a thread until it is cancelled."""
    while True:
        context.sleep(10)


@butler.task(timeout_s=0.5, retry=RetryPolicy(max_attempts=1))
def overdue(request: Item) -> None:
    """Never ends by itself, and does not listen."""
    while True:
        time.sleep(0.01)


@butler.task(retry=RetryPolicy(max_attempts=1))
def broken(request: Item) -> float:
    """Raises in the user's own code."""
    return request.n / 0


@butler.task
def crash(request: Item) -> None:
    """Takes its process down."""
    if request.n == signal.SIGSEGV:
        ctypes.string_at(0)
    os.kill(os.getpid(), signal.SIGKILL)


few = Butler()
few.register(awork)

empty = Butler()

tasks = (work, awork, flaky, endless, endless_thread, overdue, broken, crash)
