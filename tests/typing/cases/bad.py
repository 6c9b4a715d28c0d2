"""What both type checkers must refuse: every line marked ``# error``, and no other."""

from __future__ import annotations

from dataclasses import dataclass

from butler import Butler, Handle, Provide, Task, TaskContext, TaskResult, task
from butler.client import ButlerClient, RemoteTask


@dataclass
class Email:
    to: str


@dataclass
class Receipt:
    id: str


butler = Butler()


@butler.task
async def send(request: Email, context: TaskContext) -> Receipt:
    await context.enqueue(send, Email(to="a"))  # error
    context.enqueue(send, "a")  # error
    return Receipt(id="1")


@task
def send_sync(request: Email) -> TaskResult[Receipt]:
    return TaskResult.success(Receipt(id="1"))


@task
def ping() -> None: ...


@task
async def tick(context: TaskContext) -> int:
    return 1


@task(timeout=5)  # error
def misspelt(request: Email) -> None: ...


@task(timeout_s="5")  # error
def mistyped(request: Email) -> None: ...


@task(isolation="fork")  # error
def isolated(request: Email) -> None: ...


class SendEmail(Task[Email, Receipt]):
    def execute(self, request: Email, context: TaskContext) -> Receipt:
        return Receipt(id="1")


class WrongResult(Task[Email, Receipt]):
    def execute(self, request: Email, context: TaskContext) -> int:  # error
        return 1


class WrongOption(Task[Email, Receipt]):
    timeout_s = "5"  # error

    def execute(self, request: Email, context: TaskContext) -> Receipt:
        return Receipt(id="1")


class Beat(Task[None, int]):
    def execute(self, request: None, context: TaskContext) -> int:
        return 1


class Sender:
    async def execute(self, request: Email, context: TaskContext) -> Receipt:
        return Receipt(id="1")


# A wrong request

send.enqueue("a")  # error
send.enqueue()  # error
send_sync.enqueue(1)  # error
ping.enqueue("a")  # error
tick.enqueue(1)  # error
SendEmail.enqueue("a")  # error
SendEmail.enqueue()  # error
Beat.enqueue(1)  # error
butler.enqueue(send, "a")  # error
butler.enqueue(send)  # error
butler.enqueue(send_sync, 1)  # error
butler.enqueue(ping, 1)  # error
butler.enqueue(SendEmail, "a")  # error
butler.enqueue(SendEmail)  # error
butler.enqueue(Sender(), "a")  # error
butler.enqueue(Sender())  # error
butler.enqueue(1, Email(to="a"))  # error
butler.enqueue_many([send, Email(to="a")])  # error

# A wrong option

send.enqueue(Email(to="a"), delay=1)  # error
send.enqueue(Email(to="a"), delay_s="1")  # error
send.enqueue(Email(to="a"), priority="urgent")  # error
SendEmail.enqueue(Email(to="a"), queu="x")  # error
butler.enqueue(send, Email(to="a"), max_atempts=1)  # error
butler.enqueue("send", {}, run_at="now")  # error
send.enqueue(Email(to="a"), transaction="postgresql://x")  # error
send.enqueue(Email(to="a"), expires_at=5)  # error
send.enqueue(Email(to="a"), replace="yes")  # error
send.statement("a")  # error
ping.statement(1)  # error
send.statement(Email(to="a"), placeholders="?")  # error
butler.list(stauts="queued")  # error

# A wrong request, awaited

async def use_aio() -> None:
    await butler.aio.enqueue(send, "a")  # error
    await butler.aio.enqueue(send)  # error
    await butler.aio.enqueue(SendEmail, "a")  # error
    await butler.aio.enqueue(Sender(), "a")  # error
    await butler.aio.enqueue(send, Email(to="a"), delay=1)  # error
    await butler.aio.list(stauts="queued")  # error
    number: int = await (await butler.aio.enqueue(send, Email(to="a"))).result()  # error
    butler.aio.enqueue(send, Email(to="a")).id  # error

# A wrong result

receipt: Receipt = send.enqueue(Email(to="a")).result()
number: int = send.enqueue(Email(to="a")).result()  # error
handle: Handle[int] = SendEmail.enqueue(Email(to="a"))  # error
send_sync("a")  # error

# A wrong provider


def get_receipt() -> Receipt:
    return Receipt(id="1")


async def get_number() -> int:
    return 1


def not_this(request: Email, db: Email = Provide(get_receipt)) -> None: ...  # error


def nor_this(request: Email, db: Email = Provide(get_number)) -> None: ...  # error


Provide(get_receipt, scope="proces")  # error
Provide(get_receipt())  # error
Provide()  # error


@task
def with_receipt(request: Email, db: Receipt = Provide(get_receipt)) -> None: ...


with_receipt.enqueue(Receipt(id="1"))  # error
with_receipt(Email(to="a"), db=1)  # error


class HalfAMiddleware:
    def attempt(self, request: object, context: TaskContext) -> object: ...


butler.add_middleware(HalfAMiddleware())  # error


client = ButlerClient("https://jobs.example.com")
client.enqueue(RemoteTask("pack", Email, int), "a")  # error
client.list(statu="failed")  # error
client.cancel(3)  # error
client.queues.pause()  # error
client.recurring.update("daily", overlap="skip")  # error
