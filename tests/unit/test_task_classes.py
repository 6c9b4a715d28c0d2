"""Tasks written as classes or as plain objects: what is read, and which fail at definition."""

from __future__ import annotations

import types
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import pytest
from pydantic import BaseModel

from butler.context import TaskContext  # noqa: TC001 - tasks' annotations are read
from butler.errors import DefinitionError
from butler.results import TaskResult
from butler.retries import RetryPolicy
from butler.task_spec import spec_of_object
from butler.tasks import Task, class_spec

CONTEXT: Any = object()


class Email(BaseModel):
    to: str


@dataclass
class Receipt:
    id: str


class Opaque: ...


def refused(define) -> str:
    with pytest.raises(DefinitionError) as caught:
        define()
    return str(caught.value)


# Classes


class SendEmail(Task[Email, Receipt]):
    """Sends one."""

    tags = ("mail",)
    timeout_s = 5
    retry = RetryPolicy(max_attempts=1)

    def execute(self, request: Email, context: TaskContext) -> Receipt:
        self.count = getattr(self, "count", 0) + 1
        return Receipt(id=f"{request.to} {self.count}")


class Beat(Task[None, int]):
    async def execute(self, request: None, context: TaskContext) -> TaskResult[int]:
        return TaskResult.success(1)


Item = TypeVar("Item")
Made = TypeVar("Made")


class Export(Task[Item, list[Made]], Generic[Made, Item]):
    tags = ("export",)
    aliases = ("old",)

    def execute(self, request, context):
        return [request]


class ExportEmail(Export[Receipt, Email]):
    timeout_s = None


class ExportMore(ExportEmail):
    """More."""


def test_name_description_and_options_come_from_the_class():
    assert SendEmail.name == "SendEmail"
    assert SendEmail.description == "Sends one."
    assert SendEmail.options.tags == ("mail",)
    assert SendEmail.options.timeout_s == 5
    assert SendEmail.options.retry.max_attempts == 1
    assert (SendEmail.request_type, SendEmail.result_type) == (Email, Receipt)


def test_a_class_without_docstring_does_not_get_that_of_task():
    assert Beat.description == ""


def test_each_attempt_gets_an_instance_of_its_own():
    spec = class_spec(SendEmail)
    assert spec.invoke(Email(to="a"), CONTEXT).id == "a 1"
    assert spec.invoke(Email(to="a"), CONTEXT).id == "a 1"


def test_an_async_execute_makes_the_class_async():
    assert class_spec(Beat).is_async
    assert Beat.request_type is type(None)


def test_types_are_found_through_generic_bases():
    assert (ExportEmail.request_type, ExportEmail.result_type) == (Email, list[Receipt])
    assert (ExportMore.request_type, ExportMore.result_type) == (Email, list[Receipt])


def test_a_generic_class_is_abstract():
    with pytest.raises(DefinitionError, match="Export is abstract"):
        class_spec(Export)


def test_options_are_inherited_but_for_name_description_and_aliases():
    assert ExportMore.options.timeout_s is None
    assert ExportMore.options.tags == ("export",)
    assert (ExportMore.name, ExportMore.description) == ("ExportMore", "More.")
    assert ExportMore.options.aliases == ()


def test_a_name_set_on_a_base_is_not_inherited():
    class Base(Task[int, int]):
        name = "base"

        def execute(self, request, context):
            return request

    class Child(Base): ...

    assert (Base.name, Child.name) == ("base", "Child")


def test_types_may_be_given_as_text():
    class Quoted(Task["Email", "Receipt"]):
        def execute(self, request, context): ...

    assert (Quoted.request_type, Quoted.result_type) == (Email, Receipt)


def test_unique_key_of_a_class_is_a_static_method():
    class Keyed(Task[Email, None]):
        @staticmethod
        def unique_key(request: Email) -> str:
            return request.to

        def execute(self, request, context): ...

    assert Keyed.options.unique_key(Email(to="a")) == "a"


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"time_out_s": 5}, "no option 'time_out_s'; did you mean \"timeout_s\"?"),
        ({"max_atempts": 5}, "write retry=RetryPolicy(max_attempts=...)"),
        ({"max_attempts": 5}, "write retry=RetryPolicy(max_attempts=...)"),
        ({"timeout": 5}, 'did you mean "timeout_s"?'),
        ({"timeout_s": -1}, "timeout_s must be > 0, got -1"),
        ({"options": 1}, "'options' is a name that Task itself uses"),
        ({"isolation": "async"}, 'isolation="async" is not for a plain def'),
        ({"unique_key": lambda self, request: "x"}, "unique_key must be a str or a function"),
        ({"execute": lambda self, request: 1}, "execute must take (self, request, context)"),
        ({"execute": lambda self, r, c, more=1: 1}, "got more: more"),
        ({"execute": 5}, "execute: a task is a def or an async def"),
    ],
)
def test_a_class_that_cannot_work_fails_at_definition(attributes, message):
    def execute(self, request, context): ...

    with pytest.raises(DefinitionError) as caught:
        types.new_class(
            "Wrong",
            (Task[Email, Receipt],),
            exec_body=lambda body: body.update({"execute": execute, **attributes}),
        )
    assert message in str(caught.value)


def test_attributes_of_ones_own_are_no_misspelt_options():
    class Own(Task[Email, None]):
        retries_left = 5
        smtp_host = "localhost"
        _timeout = 5

        def queued(self): ...

        def execute(self, request, context): ...

    assert Own.name == "Own"


def test_a_class_without_types_is_refused():
    with pytest.raises(DefinitionError, match="no request and result types"):

        class Untyped(Task):
            def execute(self, request, context): ...


def test_a_class_without_execute_is_abstract():
    class Base(Task[Email, Receipt]):
        timeout_s = 1

    with pytest.raises(DefinitionError, match="Base is abstract"):
        class_spec(Base)


def test_a_class_that_needs_arguments_must_be_registered_as_an_instance():
    class Mail(Task[Email, None]):
        def __init__(self, host: str) -> None: ...

        def execute(self, request, context): ...

    with pytest.raises(DefinitionError, match=r"register an instance, butler.register\(Mail"):
        class_spec(Mail, instantiable=True)


# Objects


@dataclass
class Sender:
    """Sends."""

    name: str = "sender"
    timeout_s: float = 7

    def execute(self, request: Email, context: TaskContext) -> Receipt:
        return Receipt(id=self.name)


def test_an_object_with_execute_is_a_task():
    spec = spec_of_object(Sender())
    assert (spec.name, spec.description, spec.options.timeout_s) == ("sender", "Sends.", 7)
    assert (spec.request_type, spec.result_type) == (Email, Receipt)
    assert spec.invoke(Email(to="a"), CONTEXT) == Receipt(id="sender")


def test_an_object_is_called_by_its_class_when_it_has_no_name():
    class Plain:
        async def execute(self, request: int, context: TaskContext) -> int:
            return request

    spec = spec_of_object(Plain())
    assert (spec.name, spec.is_async) == ("Plain", True)


def test_an_object_whose_execute_is_not_annotated_is_refused():
    class Plain:
        def execute(self, request, context): ...

    assert "parameter 'request' has no annotation" in refused(lambda: spec_of_object(Plain()))


@pytest.mark.parametrize("thing", [5, Sender, print])
def test_what_is_no_task_is_refused(thing):
    assert "is no task: register a function decorated with @task" in refused(
        lambda: spec_of_object(thing)
    )
