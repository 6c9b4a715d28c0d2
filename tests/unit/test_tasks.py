"""The forms of a task: what is read from each, and which definitions fail at once."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable  # noqa: TC003 - tasks' annotations are read
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel

from butler.context import TaskContext  # noqa: TC001 - tasks' annotations are read
from butler.errors import DefinitionError, TaskNotBound
from butler.executions import Priority
from butler.function_tasks import FunctionTask, task
from butler.results import TaskResult

CONTEXT: Any = object()


class Email(BaseModel):
    to: str


@dataclass
class Receipt:
    id: str


class Opaque: ...


# Functions


@task
def send(request: Email, context: TaskContext) -> Receipt:
    """Send it.

    Slowly.
    """
    return Receipt(id=f"{request.to} {context is CONTEXT}")


@task(name="Send later", tags=["mail"], timeout_s=5, priority="high", queue="mail")
async def send_later(request: Email) -> TaskResult[Receipt]:
    return TaskResult.success(Receipt(id=request.to))


@task()
def ping() -> None: ...


@task
async def tick(context: TaskContext) -> int:
    return 1 if context is CONTEXT else 0


@task
def keyword_context(request: int, *, context: TaskContext) -> bool:
    return context is CONTEXT


@task
def context_alone_by_keyword(*, context: TaskContext) -> bool:
    return context is CONTEXT


def test_name_and_description_come_from_the_function():
    assert send.name == "send"
    assert send.options.description == "Send it.\n\nSlowly."


def test_options_may_be_given_to_the_decorator():
    options = send_later.options
    assert (options.name, options.tags, options.timeout_s) == ("Send later", ("mail",), 5)
    assert (options.priority, options.queue) == (Priority.HIGH, "mail")


def test_request_and_result_types_are_read_from_the_annotations():
    assert (send.request_type, send.result_type) == (Email, Receipt)
    assert (send_later.request_type, send_later.result_type) == (Email, Receipt)
    assert (ping.request_type, ping.result_type) == (type(None), type(None))
    assert (tick.request_type, tick.result_type) == (type(None), int)


def test_def_runs_in_a_thread_and_async_def_in_the_loop():
    assert (send.spec.is_async, send.options.isolation) == (False, "thread")
    assert (send_later.spec.is_async, send_later.options.isolation) == (True, "async")


def test_a_decorated_function_stays_callable():
    assert send(Email(to="a"), CONTEXT) == Receipt(id="a True")
    assert ping() is None
    assert asyncio.run(tick(CONTEXT)) == 1


def test_a_decorated_function_keeps_its_name_docstring_and_signature():
    assert send.__name__ == "send"
    assert send.__doc__ is not None
    assert list(inspect.signature(send).parameters) == ["request", "context"]


def test_invoke_passes_what_the_function_takes():
    assert send.spec.invoke(Email(to="a"), CONTEXT) == Receipt(id="a True")
    assert ping.spec.invoke(None, CONTEXT) is None
    assert asyncio.run(tick.spec.invoke(None, CONTEXT)) == 1
    assert keyword_context.spec.invoke(1, CONTEXT) is True
    assert context_alone_by_keyword.spec.invoke(None, CONTEXT) is True
    returned = asyncio.run(send_later.spec.invoke(Email(to="a"), CONTEXT))
    assert returned == TaskResult.success(Receipt(id="a"))


def test_types_that_are_local_to_the_defining_function_are_found():
    class Local(BaseModel):
        x: int

    @task
    def use(request: Local) -> Local:
        return request

    assert use.request_type is use.result_type is Local


def test_a_context_imported_for_type_checkers_only_is_found():
    namespace = {}
    code = "def use(request: int, context: 'TaskContext') -> int: return request"
    exec(code, namespace)
    assert task(namespace["use"]).spec.invoke(1, CONTEXT) == 1


def test_any_type_that_pydantic_validates_is_a_request():
    @task
    def add(request: tuple[int, int]) -> dict[str, list[int]]:
        return {"sum": [sum(request)]}

    assert add.spec.request.decode(add.spec.request.encode((1, 2))) == (1, 2)


def test_a_union_with_task_result_is_unwrapped():
    @task
    def maybe(request: int) -> TaskResult[int] | str:
        return TaskResult.failure("no") if request else "x"

    assert maybe.result_type == int | str


def test_a_function_without_return_annotation_may_return_anything():
    @task
    def free(request: int):
        return {"a": request}

    assert free.result_type is Any


def test_definition_carries_what_other_processes_need():
    definition = send_later.spec.definition(app="shop")
    assert (definition.name, definition.tags, definition.app) == ("Send later", ("mail",), "shop")
    assert definition.request_schema["required"] == ["to"]
    assert definition.fingerprint == send_later.spec.fingerprint
    assert definition.options["queue"] == "mail"


def refused(define) -> str:
    with pytest.raises(DefinitionError) as caught:
        define()
    return str(caught.value)


def test_a_second_data_parameter_is_refused():
    def send(to: str, body: str) -> None: ...

    assert "got 2 data parameters (to, body)" in refused(lambda: task(send))


def test_a_parameter_without_annotation_has_no_schema():
    def send(to): ...

    assert "parameter 'to' has no annotation" in refused(lambda: task(send))


def test_a_context_without_annotation_is_refused_with_a_hint():
    def send(request: Email, context): ...

    assert "(or TaskContext, if it is the context)" in refused(lambda: task(send))


def test_a_type_without_schema_is_refused():
    def send(request: Opaque) -> None: ...

    assert 'request of "send"' in refused(lambda: task(send))


def test_a_result_type_without_schema_is_refused():
    def send(request: Email) -> Opaque: ...

    assert 'result of "send"' in refused(lambda: task(send))


def test_an_annotation_that_does_not_exist_is_refused():
    def send(request: Nowhere) -> None: ...  # noqa: F821

    message = refused(lambda: task(send))
    assert (
        "task 'send': an annotation cannot be resolved (name 'Nowhere' is not defined)" in message
    )


def test_variadic_parameters_are_refused():
    def send(*args: str) -> None: ...

    assert "not *args" in refused(lambda: task(send))


def test_two_contexts_are_refused():
    def send(request: Email, a: TaskContext, b: TaskContext) -> None: ...

    assert "got a, b" in refused(lambda: task(send))


def test_a_request_after_the_context_is_refused():
    def send(context: TaskContext, request: Email) -> None: ...

    assert "the request comes first" in refused(lambda: task(send))


def test_a_request_with_a_default_is_refused():
    def send(request: int = 5) -> None: ...

    assert "must have no default" in refused(lambda: task(send))


def test_a_keyword_only_request_is_refused():
    def send(*, request: int) -> None: ...

    assert "must not be keyword-only" in refused(lambda: task(send))


def test_a_plain_def_cannot_run_in_the_event_loop():
    def send(request: Email) -> None: ...

    message = refused(lambda: task(isolation="async")(send))
    assert 'isolation="async" is not for a plain def' in message


def test_an_async_def_cannot_run_in_a_thread():
    async def send(request: Email) -> None: ...

    assert 'isolation="thread"' in refused(lambda: task(isolation="thread")(send))


def test_generators_are_refused():
    def numbers(request: int):
        yield request

    async def async_numbers(request: int):
        yield request

    assert "must not yield" in refused(lambda: task(numbers))
    assert "must not yield" in refused(lambda: task(async_numbers))


def test_a_def_that_returns_an_awaitable_is_refused():
    def send(request: Email) -> Awaitable[int]: ...

    assert "write async def" in refused(lambda: task(send))


def test_a_lambda_needs_a_name():
    assert "give it a name" in refused(lambda: task(lambda: 1))
    assert task(name="one")(lambda: 1).name == "one"


def test_a_method_is_refused():
    def method(self, request: Email) -> None: ...

    assert "a method cannot be a task" in refused(lambda: task(method))


@pytest.mark.parametrize("thing", [5, Email, staticmethod(print)])
def test_what_is_no_function_is_refused(thing):
    assert "a task is a def or an async def" in refused(lambda: task(thing))


def test_options_are_given_by_name_only():
    assert "@task(name=..." in refused(lambda: task("send"))


def test_a_misspelt_option_says_what_was_meant():
    def send(request: Email) -> None: ...

    message = refused(lambda: task(time_out_s=5)(send))
    assert message == "task 'send': no option 'time_out_s'; did you mean \"timeout_s\"?"


def test_a_unique_key_must_be_a_function_of_the_request_alone():
    def send(request: Email) -> None: ...

    assert "unique_key" in refused(lambda: task(unique_key=lambda a, b: "x")(send))


def test_a_task_without_butler_says_how_to_register_it():
    with pytest.raises(TaskNotBound, match=r"call butler\.register\(send\), or name"):
        send.enqueue(Email(to="a"))


def test_a_decorated_function_shows_its_name():
    assert isinstance(send, FunctionTask)
    assert repr(send) == "<task 'send'>"
