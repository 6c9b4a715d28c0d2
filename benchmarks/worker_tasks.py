"""What `workers.py` runs: nothing at all, and waiting to be cancelled, in each isolation."""

from pydantic import BaseModel

from butler import Butler, TaskContext

butler = Butler()
SEEN = "seen"


class Nothing(BaseModel):
    pass


@butler.task(name="noop thread", queue="cost")
def noop_in_thread(request: Nothing) -> None:
    pass


@butler.task(name="noop process", queue="cost", isolation="process")
def noop_in_process(request: Nothing) -> None:
    pass


@butler.task(name="wait async", queue="cost")
async def wait_in_loop(request: Nothing, context: TaskContext) -> None:
    context.log.info("waiting")
    try:
        await context.sleep(600)
    finally:
        context.log.info(SEEN)


@butler.task(name="wait thread", queue="cost")
def wait_in_thread(request: Nothing, context: TaskContext) -> None:
    context.log.info("waiting")
    try:
        context.sleep(600)
    finally:
        context.log.info(SEEN)


@butler.task(name="wait process", queue="cost", isolation="process")
def wait_in_process(request: Nothing, context: TaskContext) -> None:
    context.log.info("waiting")
    try:
        context.sleep(600)
    finally:
        context.log.info(SEEN)
