"""The application the tests' fleets run."""

import asyncio
import ctypes
import logging
import os
import signal
import time

from pydantic import BaseModel

from butler import Butler, RetryPolicy, TaskContext

butler = Butler()


class Item(BaseModel):
    n: int = 0
    seconds: float = 0.0
    keys: int = 5


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


@butler.task(timeout_s=1.5, retry=RetryPolicy(max_attempts=1))
def deaf(request: Item) -> None:
    """Blocks in C for a minute: n = 0 lets other threads run, n = 1 does not."""
    library = ctypes.PyDLL(None) if request.n else ctypes.CDLL(None)
    library.sleep(60)


@butler.task
def hoard(request: Item) -> int:
    """Takes MiB and does not give them back."""
    HOARD.append(bytearray(os.urandom(1024) * 1024 * request.n))
    return len(HOARD)


HOARD: list[bytearray] = []
ISOLATED = {"isolation": "process", "retry": RetryPolicy(max_attempts=1)}


@butler.task(**ISOLATED)
def isolated_work(request: Item, context: TaskContext) -> int:
    """Work in a process of its own; returns its pid."""
    context.report_progress(50, "half")
    time.sleep(request.seconds)
    return os.getpid()


@butler.task(**ISOLATED)
async def isolated_coroutine(request: Item, context: TaskContext) -> int:
    """The same as a coroutine."""
    await context.sleep(request.seconds)
    return os.getpid()


@butler.task(**ISOLATED)
def isolated_crash(request: Item) -> None:
    """Ends its process in the way that is asked for."""
    if request.n == signal.SIGSEGV:
        ctypes.string_at(0)
    if request.n == 0:
        os._exit(7)
    os.kill(os.getpid(), request.n)


@butler.task(timeout_s=0.5, **ISOLATED)
def isolated_overdue(request: Item) -> None:
    """Sleeps through its timeout; with n = 1 it also refuses to be interrupted."""
    while True:
        try:
            time.sleep(60)
        except BaseException:
            if request.n == 0:
                raise


@butler.task(memory_limit_mb=400, **ISOLATED)
def isolated_hungry(request: Item) -> int:
    """Takes more memory than it may."""
    return len(bytearray(request.n * 1024 * 1024))


few = Butler()
few.register(awork)

empty = Butler()


@butler.task
def talk(request: Item, context: TaskContext) -> None:
    """Logs in each way there is; n lines more, then works for a while."""
    context.log.info("from the context")
    logging.getLogger("shop.library").warning("from a library")
    print("from print")
    for n in range(request.n):
        context.log.info("line %d", n)
    context.sleep(request.seconds)
    context.log.info("done")


@butler.task
async def atalk(request: Item, context: TaskContext) -> None:
    """The same as a coroutine."""
    context.log.info("from the context")
    await asyncio.to_thread(logging.getLogger("shop.library").warning, "from a library")
    print("from print")
    for n in range(request.n):
        context.log.info("line %d", n)
    await context.sleep(request.seconds)
    context.log.info("done")


@butler.task(**ISOLATED)
def isolated_talk(request: Item, context: TaskContext) -> None:
    """The same in a process of its own."""
    talk(request, context)


@butler.task(**ISOLATED)
def isolated_last_words(request: Item, context: TaskContext) -> None:
    """Is gone before anybody else in its process gets to do something."""
    context.log.info("last words")
    os._exit(7)


@butler.task(**ISOLATED, timeout_s=1)
def isolated_flood(request: Item, context: TaskContext) -> None:
    """Logs until it is interrupted."""
    while True:
        context.log.info("x" * 300)


@butler.task
def family(request: Item, context: TaskContext) -> None:
    """Enqueues two of its kind, until n is 0."""
    for _ in range(2 if request.n else 0):
        context.enqueue("family", Item(n=request.n - 1))


tasks = (
    talk,
    atalk,
    isolated_talk,
    isolated_last_words,
    isolated_flood,
    family,
    work,
    awork,
    flaky,
    endless,
    endless_thread,
    overdue,
    deaf,
    hoard,
    broken,
    crash,
    isolated_work,
    isolated_coroutine,
    isolated_crash,
    isolated_overdue,
    isolated_hungry,
)


@butler.task(max_concurrency=2, concurrency_key=lambda item: f"key:{item.n % item.keys}")
def limited(request: Item) -> int:
    """Two at a time for each key."""
    time.sleep(request.seconds)
    return request.n


class Share(BaseModel):
    tenant: str
    n: int = 0
    seconds: float = 0.0


@butler.task(fair_by="tenant")
def shared(request: Share) -> str:
    """Takes turns with those of other tenants."""
    time.sleep(request.seconds)
    return request.tenant
