"""Provided parameters: definitions that could not work are refused where they are written."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import pytest

from butler import Provide, Task, TaskContext, task
from butler.errors import DefinitionError
from butler.testing import make_context

if TYPE_CHECKING:
    from somewhere_else import Db


def refused(define) -> str:
    with pytest.raises(DefinitionError) as caught:
        define()
    return str(caught.value)


@dataclass
class Unhashable:
    def __call__(self): ...


def test_what_is_no_provider_is_refused():
    def get_db():
        yield 1

    assert "without ()" in refused(lambda: Provide(get_db()))
    assert "takes a function or a class, got 5" in refused(lambda: Provide(5))
    assert "must be hashable" in refused(lambda: Provide(Unhashable()))


def test_an_unknown_scope_is_refused():
    assert 'did you mean "process"?' in refused(lambda: Provide(int, scope="proces"))


def test_a_context_manager_is_refused_because_its_value_is_what_it_yields():
    @contextlib.contextmanager
    def get_db():
        yield 1

    def define():
        @task
        def work(db: Db = Provide(get_db)): ...

    assert "leave @contextmanager off" in refused(define)


def test_an_async_provider_of_a_def_task_is_refused_wherever_it_is_needed():
    async def get_session(): ...

    def get_users(session=Provide(get_session)): ...

    def define():
        @task
        def work(users: Db = Provide(get_users)): ...

    message = refused(define)
    assert "'users' needs" in message
    assert "get_session, which is async, and a def task has no event loop" in message


def test_a_parameter_of_a_provider_that_nobody_provides_is_refused():
    def get_db(url): ...

    def get_more(ctx): ...

    def define(provider):
        @task
        def work(db: Db = Provide(provider)): ...

    message = refused(lambda: define(get_db))
    assert "get_db takes 'url', and nothing provides it: mark it with Provide(...)" in message
    assert "(or TaskContext, if it is the context)" in refused(lambda: define(get_more))


def test_a_circle_is_refused():
    def first(other="later"): ...

    def second(other=Provide(first)): ...

    first.__defaults__ = (Provide(second),)

    def define():
        @task
        def work(db: Db = Provide(first)): ...

    message = refused(define)
    assert "need each other in a circle" in message
    assert message.count("first") == 3


def test_a_process_wide_value_is_not_made_of_what_is_one_attempts():
    def get_url(): ...

    def get_pool(url=Provide(get_url)): ...

    def of_context(context: TaskContext): ...

    def define(provider):
        @task
        def work(db: Db = Provide(provider, scope="process")): ...

    assert "Provide(test_a_process" in refused(lambda: define(get_pool))
    assert "which is one attempt's" in refused(lambda: define(of_context))


def test_what_is_provided_comes_last_and_can_be_passed_by_name():
    def early():
        @task
        def work(db: Annotated[int, Provide(int)], request: int): ...

    def positional():
        @task
        def work(request: int, db: Annotated[int, Provide(int)], /): ...

    assert "comes after the other parameters" in refused(early)
    assert "must not be positional-only" in refused(positional)


def test_a_second_data_parameter_is_told_of_provide():
    def define():
        @task
        def work(request: int, db: int): ...

    assert "mark what the worker shall make with Provide(...)" in refused(define)


def test_an_execute_that_takes_more_is_told_of_provide():
    def define():
        class Send(Task[int, int]):
            def execute(self, request, context, db=None): ...

    assert "got more: db; mark what the worker shall make" in refused(define)


def test_a_direct_call_without_what_is_provided_says_what_to_pass():
    @task
    def work(request: int, db: Db = Provide(dict)):
        return request, db

    assert work(1, "db") == (1, "db")
    assert work(1, db="db") == (1, "db")
    with pytest.raises(TypeError, match=r"called directly, so nothing is provided: pass db=\.\.\."):
        work(1)


def test_the_mark_says_what_it_is_when_it_is_taken_for_the_value():
    class Send(Task[int, int]):
        def execute(self, request, context, db=Provide(dict)):
            return db.items()

    with pytest.raises(AttributeError, match=r"Provide\(dict\) has no 'items': only a worker"):
        Send().execute(1, make_context())
