"""An application with a lifespan and provided values, which write down what becomes of them."""

import asyncio
import os
from pathlib import Path

from butler import Butler, Provide, TaskContext

JOURNAL = Path(os.environ["JOURNAL"])


def write(line):
    with JOURNAL.open("a") as file:
        file.write(f"{line}\n")


async def lifespan(butler):
    write("open")
    if "FAIL" in os.environ:
        raise OSError("no such database")
    yield {"loop": asyncio.get_running_loop()}
    await asyncio.sleep(0)
    write("close")


butler = Butler(lifespan=lifespan)
isolating = Butler(lifespan=lifespan)


def get_pool():
    write("open pool")
    yield "pool"
    write("close pool")


def get_session(pool=Provide(get_pool, scope="process")):
    try:
        yield f"session of {pool}"
    except BaseException as error:
        write(f"rolled back: {type(error).__name__}")
        raise


@butler.task
async def same_loop(context: TaskContext) -> bool:
    return context.state["loop"] is asyncio.get_running_loop()


@butler.task
def work(session: str = Provide(get_session)) -> str:
    return session


@isolating.task(isolation="process")
def isolated(context: TaskContext, session: str = Provide(get_session)) -> str:
    return f"{session} in {'loop' in context.state}"


@butler.task(timeout_s=0.3)
def overdue(session: str = Provide(get_session)) -> None:
    while True:
        sum(range(1000))


@butler.task
async def endless(session: str = Provide(get_session)) -> None:
    await asyncio.sleep(600)
