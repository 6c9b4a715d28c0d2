"""Providers, lifespan, middleware and test kit: what both type checkers must take, and infer."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any, assert_type

from butler import Butler, Execution, Handle, Provide, Task, TaskContext, TaskResult
from butler.middleware import AsyncAttemptNext, AttemptNext, EnqueueNext, Order
from butler.testing import assert_enqueued, make_context, run_pending


@dataclass
class Email:
    to: str


@dataclass
class Receipt:
    id: str


butler = Butler()


# Provided parameters

class Db:
    def name(self) -> str:
        return "db"


def get_plain() -> Db:
    return Db()


def get_and_close() -> Iterator[Db]:
    yield Db()


def get_generated() -> Generator[Db, None, None]:
    yield Db()


async def get_awaited() -> Db:
    return Db()


async def get_and_aclose() -> AsyncIterator[Db]:
    yield Db()


async def get_agenerated() -> AsyncGenerator[Db, None]:
    yield Db()


assert_type(Provide(get_plain), Db)
assert_type(Provide(get_and_close), Db)
assert_type(Provide(get_generated), Db)
assert_type(Provide(get_awaited), Db)
assert_type(Provide(get_and_aclose, scope="process"), Db)
assert_type(Provide(get_agenerated), Db)
assert_type(Provide(Db, scope="attempt"), Db)


def get_user(context: TaskContext, db: Db = Provide(get_and_close)) -> str | None:
    return context.user_id


@butler.task
def with_db(request: Email, db: Db = Provide(get_and_close)) -> Receipt:
    return Receipt(id=db.name())


@butler.task
async def with_more(
    request: Email,
    context: TaskContext,
    *,
    db: Annotated[Db, Provide(get_awaited)],
    user: str | None = Provide(get_user),
) -> TaskResult[Receipt]:
    return TaskResult.success(Receipt(id=db.name()))


@butler.task
def with_db_alone(db: Db = Provide(get_plain)) -> int:
    return 1


@butler.task
def with_context(context: TaskContext, db: Db = Provide(get_plain)) -> int:
    return 1


assert_type(with_db.enqueue(Email(to="a")), Handle[Receipt])
assert_type(with_db(Email(to="a"), db=Db()), Receipt)
assert_type(with_more.enqueue(Email(to="a")), Handle[Receipt])
assert_type(butler.enqueue(with_more, Email(to="a")), Handle[Receipt])
assert_type(with_db_alone.enqueue(), Handle[int])
assert_type(with_context.enqueue(), Handle[int])


@butler.register
class WithDb(Task[Email, Receipt]):
    def __init__(self, db: Db = Provide(get_and_close, scope="process")) -> None:
        self.db = db

    def execute(
        self, request: Email, context: TaskContext, user: str | None = Provide(get_user)
    ) -> Receipt:
        return Receipt(id=self.db.name())


assert_type(WithDb.enqueue(Email(to="a")), Handle[Receipt])


# Lifespan, middleware, tests

@butler.lifespan
async def lifespan(butler: Butler) -> AsyncIterator[Db]:
    yield Db()


@asynccontextmanager
async def managed() -> AsyncGenerator[Db]:
    yield Db()


Butler(lifespan=managed)
Butler(lifespan=get_and_close)


@butler.middleware
class Passing:
    def enqueue(self, orders: Sequence[Order], call_next: EnqueueNext) -> list[Handle[Any]]:
        return call_next(orders)

    def attempt(self, request: Any, context: TaskContext, call_next: AttemptNext) -> Any:
        return call_next(request, context)

    async def aattempt(
        self, request: Any, context: TaskContext, call_next: AsyncAttemptNext
    ) -> Any:
        return await call_next(request, context)


butler.add_middleware(Passing())

with butler.override(get_plain, Db()), butler.worker(concurrency=1):
    assert_type(run_pending(butler, fast_forward=True), list[Execution])
    assert_type(assert_enqueued(with_db, request={"to": "a"}), Execution)
with_context(make_context(butler, user_id="ann"), db=Db())
