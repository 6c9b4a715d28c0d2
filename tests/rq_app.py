"""The application that plain RQ workers run in tests, and plain RQ jobs beside it."""

import os
import time
from pathlib import Path

from pydantic import BaseModel

from butler import Butler, RetryPolicy, TaskContext

butler = Butler()


class Item(BaseModel):
    n: int = 0
    seconds: float = 0.0
    path: str = ""


@butler.task
def work(request: Item) -> int:
    """A short piece of work."""
    time.sleep(request.seconds)
    return request.n


@butler.task
async def awork(request: Item) -> int:
    """The same as a coroutine."""
    return request.n


@butler.task
def leave_a_line(request: Item) -> None:
    """Waits for a file beside, then leaves a line in its own: as many lines as runs."""
    while not Path(f"{request.path}.told").exists():
        time.sleep(0.1)
    with Path(request.path).open("a") as file:
        file.write("ran\n")


@butler.task(retry=RetryPolicy(max_attempts=3, base_s=0.01, jitter="none"))
def flaky(request: Item, context: TaskContext) -> int:
    """Fails until its last attempt."""
    if context.attempt < context.max_attempts:
        raise ConnectionError(f"attempt {context.attempt}")
    return request.n


@butler.task(retry=RetryPolicy(max_attempts=3, base_s=600, jitter="none"))
def patient(request: Item) -> None:
    """Fails, and is tried again in ten minutes."""
    raise ConnectionError("not yet")


@butler.task(retry=RetryPolicy(max_attempts=1))
def broken(request: Item) -> float:
    """Raises in the user's own code."""
    return request.n / 0


@butler.task
def until_cancelled(request: Item, context: TaskContext) -> None:
    """Runs until it is cancelled, and leaves a line when it was told."""
    try:
        if request.path:
            Path(request.path).write_text("begun\n")
        while True:
            context.sleep(10)
    finally:
        if request.path:
            Path(request.path).write_text("told\n")


@butler.task
def deaf(request: Item) -> int:
    """Writes its process id into a file and does not listen for three minutes."""
    Path(request.path).write_text(str(os.getpid()))
    time.sleep(180)
    return request.n


@butler.task
def once_deaf(request: Item, context: TaskContext) -> int:
    """Like deaf at its first attempt; comes back at once at the next."""
    if context.attempt == 1:
        Path(request.path).write_text(str(os.getpid()))
        time.sleep(180)
    return request.n


tasks = (work, awork, leave_a_line, flaky, patient, broken, until_cancelled, deaf, once_deaf)


# Plain RQ jobs


def add(a, b):
    return a + b


def fail_plainly():
    raise ValueError("as plain as can be")


def fail_twice(path):
    with Path(path).open("a") as file:
        file.write("tried\n")
    if len(Path(path).read_text().splitlines()) < 3:
        raise ConnectionError("not yet")
    return "at last"


def sleep_plainly(seconds, path=None):
    if path is not None:
        Path(path).write_text(str(os.getpid()))
    time.sleep(seconds)
    return "slept"


def on_success(job, connection, result):
    connection.set(f"told:{job.id}", f"success {result}")


def on_failure(job, connection, kind, error, traceback):
    connection.set(f"told:{job.id}", f"failure {kind.__name__}")
