"""The tasks of the measurements."""

import asyncio
import os
import struct
import time

from pydantic import BaseModel

from butler import Butler, TaskContext

butler = Butler()
_opened = {}


class Job(BaseModel):
    sent_at: float
    to: str = "a@b.c"
    subject: str = "hi"


class Done(BaseModel):
    ok: int


class Nap(BaseModel):
    seconds: float


def note_end(sent_at):
    """Append when it was sent and when it ran, 16 bytes, to a file; as the other systems' tasks."""
    file = _opened.get(os.getpid())
    if file is None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        file = _opened[os.getpid()] = os.open(os.environ["BENCH_ENDS"], flags)
    os.write(file, struct.pack("dd", sent_at, time.time()))


@butler.task(queue="bench")
def noop(request: Job) -> Done:
    if request.sent_at:
        note_end(request.sent_at)
    return Done(ok=1)


@butler.task(queue="bench")
async def anoop(request: Job) -> Done:
    if request.sent_at:
        note_end(request.sent_at)
    return Done(ok=1)


@butler.task(queue="bench")
async def nap(request: Nap) -> None:
    await asyncio.sleep(request.seconds)


class Reports(BaseModel):
    calls: int


class Reported(BaseModel):
    us_a_call: float


@butler.task(queue="bench", timeout_s=60)
def report_often(request: Reports, context: TaskContext) -> Reported:
    calls = request.calls
    began = time.perf_counter()
    for number in range(calls):
        context.report_progress(100 * number / calls, "working")
    return Reported(us_a_call=(time.perf_counter() - began) / calls * 1e6)


class Share(BaseModel):
    tenant: str
    n: int = 0


@butler.task(queue="bench", fair_by="tenant")
def fair_noop(request: Share) -> Done:
    return Done(ok=1)


@butler.task(queue="bench")
def plain_noop(request: Share) -> Done:
    return Done(ok=1)


class Talk(BaseModel):
    times: int
    pause_s: float


@butler.task(queue="bench")
async def talk(request: Talk, context: TaskContext) -> None:
    """Report and log when that was."""
    for number in range(request.times):
        await asyncio.sleep(request.pause_s)
        context.report_progress(100 * number / request.times, repr(time.time()))
        context.log.info("%r", time.time())
