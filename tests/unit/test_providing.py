"""Provided parameters: what an attempt is given, and how it is cleaned up."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from typing import TYPE_CHECKING, Annotated

import pytest

from butler import Butler, Provide, Task, TaskContext, task
from butler.testing import make_context, run_pending

if TYPE_CHECKING:
    # Named by the annotations of provided parameters only: need not exist at run time.
    from somewhere_else import Db


@pytest.fixture
def log():
    return []


@pytest.fixture
def make_db(log):
    """A provider that logs what becomes of its value."""

    def make(name="db"):
        def get_db():
            log.append(f"open {name}")
            try:
                yield name
            except BaseException as error:
                log.append(f"{type(error).__name__} in {name}")
                raise
            finally:
                log.append(f"close {name}")

        return get_db

    return make


def run(definition, request=None, context=None):
    """One attempt, called as a worker calls it."""
    value = definition.spec.invoke(request, context or make_context())
    return asyncio.run(value) if definition.spec.is_async else value


# What is given


def test_a_value_is_given_by_default_or_by_annotation():
    def get_db():
        return "db"

    @task
    def by_default(request: int, db: Db = Provide(get_db)) -> str:
        return f"{request} {db}"

    @task
    def by_annotation(request: int, context: TaskContext, db: Annotated[str, Provide(get_db)]):
        return f"{request} {context.attempt} {db}"

    @task
    def by_keyword(*, db: Annotated[str, Provide(get_db)]):
        return db

    assert run(by_default, 1) == "1 db"
    assert run(by_annotation, 1) == "1 1 db"
    assert run(by_keyword) == "db"


def test_a_provided_parameter_is_no_request():
    @task
    def work(context: TaskContext, *, db: Db = Provide(lambda: "db")) -> str:
        return db

    assert work.request_type is type(None)
    assert run(work) == "db"


@pytest.mark.parametrize("form", ["positional", "keyword"])
def test_the_context_goes_where_it_stood(form):
    if form == "positional":

        @task
        def work(request: int, context: TaskContext, /, db: Db = Provide(lambda: "db")):
            return request, context.task, db
    else:

        @task
        def work(request: int, *, context: TaskContext, db: Db = Provide(lambda: "db")):
            return request, context.task, db

    assert run(work, 7, make_context(task="it")) == (7, "it", "db")


def test_providers_take_providers_and_the_context():
    def get_url(context: TaskContext):
        return f"url of {context.user_id}"

    def get_db(url: Annotated[str, Provide(get_url)], size: int = 3):
        return f"db at {url}, {size}"

    @task
    def work(db: Db = Provide(get_db)):
        return db

    assert run(work, context=make_context(user_id="ann")) == "db at url of ann, 3"


def test_a_value_is_made_once_an_attempt_however_often_it_is_needed(log):
    def get_db():
        log.append("made")
        return object()

    def get_users(db=Provide(get_db)):
        return db

    @task
    def work(db: Db = Provide(get_db), users: Db = Provide(get_users)):
        return db is users

    assert run(work)
    assert run(work)
    assert log == ["made", "made"]


@pytest.mark.parametrize("kind", ["async def", "async generator", "def", "generator", "class"])
def test_an_async_task_is_given_values_of_every_kind(kind):
    async def coroutine():
        return "value"

    async def async_generator():
        yield "value"

    def generator():
        yield "value"

    class Made:
        def __eq__(self, other):
            return other == "value"

        __hash__ = None

    providers = {
        "async def": coroutine,
        "async generator": async_generator,
        "def": lambda: "value",
        "generator": generator,
        "class": Made,
    }

    @task
    async def work(db: Db = Provide(providers[kind])):
        return db

    assert run(work) == "value"


def test_a_partial_and_an_object_that_can_be_called_are_providers():
    class Pool:
        def __call__(self):
            yield "from the pool"

    def get(name):
        yield name

    @task
    def work(a: str = Provide(Pool()), b: str = Provide(functools.partial(get, "b"))):
        return a, b

    assert run(work) == ("from the pool", "b")


def test_a_class_is_given_to_its_init_and_its_execute(make_db, log):
    class Send(Task[int, str]):
        def __init__(self, db: Db = Provide(make_db("init"))) -> None:
            self.db = db

        def execute(self, request, context, mailer: Db = Provide(make_db("execute"))):
            return f"{request} {self.db} {mailer}"

    butler = Butler.in_memory()
    butler.register(Send)
    Send.enqueue(1)
    (execution,) = run_pending(butler)
    assert execution.result == "1 init execute"
    assert log == ["open init", "open execute", "close execute", "close init"]


def test_a_class_whose_init_is_annotated_can_be_registered():
    class Send(Task[int, str]):
        def __init__(self, db: Annotated[str, Provide(lambda: "db")]) -> None:
            self.db = db

        async def execute(self, request, context, *, more: Annotated[str, Provide(lambda: "m")]):
            return self.db + more

    butler = Butler.in_memory()
    butler.register(Send)
    Send.enqueue(1)
    assert run_pending(butler)[0].result == "dbm"


def test_an_object_is_given_to_its_execute():
    class Send(Task[int, str]):
        def __init__(self, host: str) -> None:
            self.host = host

        def execute(self, request, context, db: Db = Provide(lambda: "db")):
            return self.host + db

    class Plain:
        def execute(
            self, request: int, context: TaskContext, db: Db = Provide(lambda: "db")
        ) -> str:
            return f"{request}{db}"

    butler = Butler.in_memory()
    butler.enqueue(butler.register(Send("host ")), 1)
    butler.enqueue(butler.register(Plain()), 2)
    assert [execution.result for execution in run_pending(butler)] == ["host db", "2db"]


# What is cleaned up


def test_clean_up_runs_in_reverse_order_after_a_result(make_db, log):
    @task
    def work(a: Db = Provide(make_db("a")), b: Db = Provide(make_db("b"))):
        log.append("work")

    run(work)
    assert log == ["open a", "open b", "work", "close b", "close a"]


@pytest.mark.parametrize("is_async", [False, True])
def test_an_error_is_raised_at_each_yield_and_is_the_attempts(make_db, log, is_async):
    if is_async:

        @task
        async def work(a: Db = Provide(make_db("a")), b: Db = Provide(make_db("b"))):
            raise KeyError("it")
    else:

        @task
        def work(a: Db = Provide(make_db("a")), b: Db = Provide(make_db("b"))):
            raise KeyError("it")

    with pytest.raises(KeyError, match="it"):
        run(work)
    assert log[2:] == ["KeyError in b", "close b", "KeyError in a", "close a"]


@pytest.mark.parametrize("is_async", [False, True])
def test_a_provider_that_swallows_the_error_makes_no_success_of_it(is_async):
    if is_async:

        async def swallow():
            with contextlib.suppress(ValueError):
                yield

        @task
        async def work(db: Db = Provide(swallow)):
            raise ValueError("it")
    else:

        def swallow():
            with contextlib.suppress(ValueError):
                yield

        @task
        def work(db: Db = Provide(swallow)):
            raise ValueError("it")

    with pytest.raises(ValueError, match="it"):
        run(work)


def test_an_error_of_a_clean_up_fails_the_attempt_and_stops_no_other(make_db, log):
    def commit():
        yield
        raise OSError("not committed")

    @task
    def work(a: Db = Provide(make_db("a")), b: Db = Provide(commit)):
        return 1

    with pytest.raises(OSError, match="not committed"):
        run(work)
    assert log == ["open a", "OSError in a", "close a"]


def test_a_provider_that_fails_has_those_before_it_cleaned_up(make_db, log):
    def broken():
        raise OSError("no connection")
        yield

    @task
    def work(a: Db = Provide(make_db("a")), b: Db = Provide(broken)):
        log.append("work")

    with pytest.raises(OSError, match="no connection"):
        run(work)
    assert log == ["open a", "OSError in a", "close a"]


def test_the_traceback_of_a_tasks_error_does_not_show_its_providers(make_db):
    from butler.text import describe_error

    @task
    def work(a: Db = Provide(make_db("a"))):
        raise KeyError("it")

    with pytest.raises(KeyError) as caught:
        run(work)
    shown = describe_error(caught.value).traceback
    assert "in work" in shown
    assert "in get_db" not in shown


@pytest.mark.parametrize("is_async", [False, True])
def test_a_generator_must_yield_once(is_async):
    def twice():
        yield 1
        yield 2

    async def atwice():
        yield 1
        yield 2

    if is_async:

        @task
        async def work(db: int = Provide(atwice)): ...
    else:

        @task
        def work(db: int = Provide(twice)): ...

    with pytest.raises(Exception, match="yields more than once"):
        run(work)


def test_a_generator_that_never_yields_says_so():
    def never():
        return
        yield

    @task
    def work(db: int = Provide(never)): ...

    with pytest.raises(Exception, match="never ended without a yield"):
        run(work)


def test_a_cancelled_async_task_is_cleaned_up_in_full(make_db, log):
    async def get_session():
        try:
            yield "session"
        finally:
            await asyncio.sleep(0)
            log.append("closed session")

    @task
    async def work(a: Db = Provide(make_db("a")), s: Db = Provide(get_session)):
        log.append("waiting")
        await asyncio.sleep(60)

    async def cancel_it():
        running = asyncio.create_task(work.spec.invoke(None, make_context()))
        await asyncio.wait({running}, timeout=0.01)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(cancel_it())
    assert log[-3:] == ["closed session", "CancelledError in a", "close a"]
