"""Middleware: around every enqueue and every attempt, in the order in which it was added."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from dataclasses import replace

import pytest

from butler import Butler, ExecutionStatus, Provide, TaskContext, TaskResult, task
from butler.errors import ButlerError, DefinitionError
from butler.testing import assert_enqueued, run_pending

caller: ContextVar[str] = ContextVar("caller", default="nobody")


@pytest.fixture
def butler():
    with Butler.in_memory() as butler:
        yield butler


@pytest.fixture
def log():
    return []


class Logging:
    def __init__(self, log, name="it"):
        self.log = log
        self.name = name

    def attempt(self, request, context, call_next):
        self.log.append(f"{self.name} before {context.task}")
        try:
            return call_next(request, context)
        finally:
            self.log.append(f"{self.name} after")

    async def aattempt(self, request, context, call_next):
        self.log.append(f"{self.name} before {context.task}")
        try:
            return await call_next(request, context)
        finally:
            self.log.append(f"{self.name} after")


class Counting:
    def __init__(self, log):
        self.log = log

    def enqueue(self, orders, call_next):
        self.log.append([order.task_name for order in orders])
        return call_next(orders)


def define(butler, log, *, is_async, fails=False):
    def body():
        log.append("work")
        if fails:
            raise KeyError("it")

    if is_async:

        @butler.task
        async def work() -> None:
            body()
    else:

        @butler.task
        def work() -> None:
            body()

    return work


# Around an attempt


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("first", ["the task", "the middleware"])
def test_the_first_added_is_the_outermost_whenever_the_task_came(butler, log, is_async, first):
    if first == "the task":
        work = define(butler, log, is_async=is_async)
    butler.add_middleware(Logging(log, "outer"))
    butler.add_middleware(Logging(log, "inner"))
    if first == "the middleware":
        work = define(butler, log, is_async=is_async)
    work.enqueue()
    run_pending(butler)
    assert log == ["outer before work", "inner before work", "work", "inner after", "outer after"]


@pytest.mark.parametrize("is_async", [False, True])
def test_it_sees_the_tasks_error(butler, log, is_async):
    class Noting(Logging):
        def attempt(self, request, context, call_next):
            try:
                return call_next(request, context)
            except KeyError as error:
                log.append(repr(error))
                raise

        async def aattempt(self, request, context, call_next):
            try:
                return await call_next(request, context)
            except KeyError as error:
                log.append(repr(error))
                raise

    butler.add_middleware(Noting(log))
    work = define(butler, log, is_async=is_async, fails=True)
    work.enqueue()
    (execution,) = run_pending(butler)
    assert execution.status is ExecutionStatus.RETRYING
    assert log == ["work", "KeyError('it')"]


def test_its_own_error_is_the_attempts(butler, log):
    class Refusing(Logging):
        def attempt(self, request, context, call_next):
            raise PermissionError("not today")

    butler.add_middleware(Refusing(log))
    define(butler, log, is_async=False).enqueue()
    (execution,) = run_pending(butler)
    assert execution.attempts[0].error.message == "not today"
    assert log == []


def test_it_may_change_request_and_result(butler):
    class Doubling:
        def attempt(self, request, context, call_next):
            return call_next(request * 2, context) + 1

        async def aattempt(self, request, context, call_next):
            return await call_next(request * 2, context) + 1

    butler.add_middleware(Doubling())

    @butler.task
    def same(request: int) -> int:
        return request

    @butler.task
    async def asame(request: int) -> int:
        return request

    same.enqueue(3)
    asame.enqueue(4)
    assert [execution.result for execution in run_pending(butler)] == [7, 9]


def test_it_sees_what_the_task_returned_and_is_outside_of_the_providers(butler, log):
    seen = []

    class Seeing(Logging):
        def attempt(self, request, context, call_next):
            seen.append(call_next(request, context))
            log.append("after")
            return seen[0]

    def get_db():
        yield "db"
        log.append("closed")

    butler.add_middleware(Seeing(log))

    @butler.task
    def work(db: str = Provide(get_db)) -> TaskResult[str]:
        return TaskResult.failure("no", retry=False)

    work.enqueue()
    run_pending(butler)
    assert type(seen[0]) is TaskResult
    assert log == ["closed", "after"]


def test_it_is_around_the_attempts_of_classes_aliases_and_workers(butler, log):
    from butler import Task

    butler.add_middleware(Logging(log))

    @butler.register
    class Send(Task[int, int]):
        aliases = ("old-send",)

        def execute(self, request: int, context: TaskContext) -> int:
            return request

    with butler.worker():
        assert butler.enqueue("old-send", 3).result(timeout_s=10) == 3
    assert log == ["it before Send", "it after"]


def test_one_butlers_middleware_is_not_anothers(butler, log):
    @task
    def work() -> None: ...

    butler.add_middleware(Logging(log))
    butler.register(work)
    with Butler.in_memory() as other:
        other.register(work)
        other.enqueue(work)
        run_pending(other)
    assert log == []


def test_without_middleware_a_task_is_called_as_it_was_defined(butler, log):
    work = define(butler, log, is_async=False)
    assert butler.registry.get("work") is work.spec
    butler.add_middleware(Counting(log))
    assert butler.registry.get("work") is work.spec
    butler.add_middleware(Logging(log))
    assert butler.registry.get("work").call is not work.spec.call


# Around an enqueue


def test_every_enqueue_goes_through_it_once_with_all_its_orders(butler, log):
    butler.add_middleware(Counting(log))

    @butler.task
    def child() -> None: ...

    @butler.task
    def work(context: TaskContext) -> None:
        context.enqueue(child)

    work.enqueue()
    butler.enqueue_many([(work, None), ("child", None)])
    asyncio.run(enqueue_in_loop(work))
    assert log == [["work"], ["work", "child"], ["work"]]
    run_pending(butler)
    assert log[3:] == [["child"]] * 3


async def enqueue_in_loop(work):
    await work.aenqueue()


def test_it_may_change_what_is_enqueued(butler):
    class Stamping:
        def enqueue(self, orders, call_next):
            return call_next(
                [replace(each, options={**each.options, "user_id": "ann"}) for each in orders]
            )

    butler.add_middleware(Stamping())

    @butler.task
    def work() -> None: ...

    work.enqueue()
    assert_enqueued(work, user_id="ann")


def test_it_runs_in_the_context_variables_of_the_coroutine_that_enqueues(butler, log):
    class Reading:
        def enqueue(self, orders, call_next):
            log.append(caller.get())
            return call_next(orders)

    butler.add_middleware(Reading())

    @butler.task
    def work() -> None: ...

    async def main():
        caller.set("a request")
        await work.aenqueue()

    asyncio.run(main())
    assert log == ["a request"]


def test_it_may_refuse_and_nothing_is_written(butler):
    class Refusing:
        def enqueue(self, orders, call_next):
            raise PermissionError("not now")

    butler.add_middleware(Refusing())

    @butler.task
    def work() -> None: ...

    with pytest.raises(PermissionError, match="not now"):
        work.enqueue()
    assert butler.list().executions == ()


def test_one_that_loses_orders_is_told(butler):
    class Losing:
        def enqueue(self, orders, call_next):
            return call_next(orders[:0])

    butler.add_middleware(Losing())

    @butler.task
    def work() -> None: ...

    with pytest.raises(
        ButlerError, match=r"Losing\.enqueue must return a handle for each of the 1"
    ):
        work.enqueue()


# Adding


def test_the_decorator_adds_an_object_of_the_class(butler, log):
    @butler.middleware
    class Noting:
        def enqueue(self, orders, call_next):
            log.append("noted")
            return call_next(orders)

    define(butler, log, is_async=False).enqueue()
    assert log == ["noted"]
    assert isinstance(Noting, type)


def test_what_is_no_middleware_is_refused(butler):
    class Misspelt:
        def atempt(self, request, context, call_next): ...

    class Half:
        def attempt(self, request, context, call_next): ...

    with pytest.raises(DefinitionError, match=r'Misspelt is no middleware.*did you mean "attempt"'):
        butler.add_middleware(Misspelt())
    with pytest.raises(DefinitionError, match="has attempt and no aattempt, so it would miss"):
        butler.add_middleware(Half())
    with pytest.raises(DefinitionError, match=r"takes an object: add_middleware\(Half\(...\)\)"):
        butler.add_middleware(Half)
    with pytest.raises(DefinitionError, match="stands above a class"):
        butler.middleware(lambda: None)
