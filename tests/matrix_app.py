"""One task for each isolation, which ends in whatever way the matrix of outcomes asks for."""

import asyncio
import ctypes
import os
import time
from typing import Literal

from pydantic import BaseModel

from butler import Butler, RetryPolicy, TaskContext

butler = Butler()
ONCE = RetryPolicy(max_attempts=1)


class Cell(BaseModel):
    """``wait``: for a cancel, a timeout or the end of the process; ``deaf``: hears none of them."""

    how: Literal["return", "raise", "wait", "deaf"]


@butler.task(name="async", retry=ONCE)
async def in_loop(cell: Cell, context: TaskContext) -> int:
    """A coroutine."""
    context.log.info("begun in %d", os.getpid())
    while cell.how == "deaf":
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            context.log.info("not listening")
    try:
        if cell.how == "wait" and context.attempt == 1:
            await context.sleep(600)
        return end_of(cell)
    finally:
        context.log.info("cleaned up")


@butler.task(name="thread", retry=ONCE)
def in_thread(cell: Cell, context: TaskContext) -> int:
    """A function."""
    context.log.info("begun in %d", os.getpid())
    if cell.how == "deaf":
        ctypes.CDLL(None).sleep(600)
    try:
        if cell.how == "wait" and context.attempt == 1:
            context.sleep(600)
        return end_of(cell)
    finally:
        context.log.info("cleaned up")


@butler.task(name="process", retry=ONCE, isolation="process")
def in_process(cell: Cell, context: TaskContext) -> int:
    """A function in a process of its own."""
    context.log.info("begun in %d", os.getpid())
    while cell.how == "deaf":
        try:
            time.sleep(600)
        except BaseException:
            context.log.info("not listening")
    try:
        if cell.how == "wait" and context.attempt == 1:
            context.sleep(600)
        return end_of(cell)
    finally:
        context.log.info("cleaned up")


def end_of(cell: Cell) -> int:
    """What a task comes to that is not ended from outside."""
    if cell.how == "raise":
        raise ValueError("as it was asked to")
    return 7


tasks = (in_loop, in_thread, in_process)
