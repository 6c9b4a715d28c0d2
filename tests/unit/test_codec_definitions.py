"""Types whose values can never travel are refused where the task is defined."""

from __future__ import annotations

import collections
import dataclasses
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Generic, NamedTuple, TypeVar

import pytest
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, PlainValidator
from typing_extensions import TypedDict

from butler.codec import Codec
from butler.errors import DefinitionError

T = TypeVar("T")


class Excluding(BaseModel):
    shown: int = 1
    hidden: int = Field(1, exclude=True)


@dataclasses.dataclass
class ExcludingDataclass:
    hidden: Annotated[int, Field(exclude=True)]


class ExcludingDict(TypedDict):
    hidden: Annotated[int, Field(exclude=True)]


class Box(BaseModel, Generic[T]):
    item: T


class Point(NamedTuple):
    x: int


@dataclasses.dataclass(frozen=True)
class Key:
    x: int


class Node(BaseModel):
    below: list[Node] = []
    excluding: Excluding | None = None


class Cells(BaseModel):
    cells: dict[tuple[int, int], str] = {}


class NamedLikeASchema(BaseModel):
    """Field names and defaults that look like parts of a core schema."""

    type: str = "callable"
    config: dict[str, int] = {}
    default: Any = {"type": "callable"}
    metadata: dict[str, Any] = {"type": "is-instance", "serialization_exclude": True}


class HidingExcluding(BaseModel):
    metadata: Excluding = Excluding()


class Opaque:
    pass


class Arbitrary(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    handle: Opaque


class Unfinished(BaseModel):
    other: NotDefinedAnywhere  # noqa: F821


@pytest.mark.parametrize(
    "type_",
    [
        Excluding,
        ExcludingDataclass,
        ExcludingDict,
        list[Excluding],
        Box[dict[str, Excluding]],
        Node,
        HidingExcluding,
        int | Excluding,
        tuple[int, Excluding],
        dict[str, ExcludingDict],
    ],
    ids=str,
)
def test_a_field_with_exclude_is_refused_however_deep_it_lies(type_: Any) -> None:
    with pytest.raises(DefinitionError, match=r"\.hidden has exclude=True") as caught:
        Codec(type_, label='request of "T"')
    assert str(caught.value).startswith('request of "T": ')


@pytest.mark.parametrize(
    ("type_", "place"),
    [
        (Cells, "Cells.cells"),
        (dict[tuple[int, int], str], "it is a mapping"),
        (list[Box[dict[Point, int]]], ".item"),
        (dict[Key, int], "'dataclass'"),
        (dict[frozenset[int], int], "'frozenset'"),
        (dict[str, dict[int | tuple[int, int], str]], "'tuple'"),
        (dict[Annotated[tuple[int, int], Field(strict=True)], str], "'tuple'"),
    ],
    ids=str,
)
def test_keys_without_a_json_form_are_refused(type_: Any, place: str) -> None:
    with pytest.raises(DefinitionError, match="use a list of pairs") as caught:
        Codec(type_, label="request")
    assert place in str(caught.value)


@pytest.mark.parametrize(
    ("type_", "reason"),
    [
        (Callable[[], int], "callable"),
        (Iterable[int], "read once"),
        (type[int], "holds a class"),
        (Arbitrary, "Arbitrary.handle has no JSON form"),
        (collections.OrderedDict[str, int], "keys in order"),
        (Opaque, "can make no schema for Opaque"),
        (5, "can make no schema for 5"),
        pytest.param(lambda: 1, "expected a type, got the function", id="a-function"),
        (Unfinished, "'NotDefinedAnywhere', which is not defined yet"),
        (list["NotDefinedAnywhere"], "not defined yet"),  # noqa: F821
    ],
    ids=str,
)
def test_a_type_that_json_or_pydantic_cannot_hold_is_refused_with_the_reason(
    type_: Any, reason: str
) -> None:
    with pytest.raises(DefinitionError, match=r'^request of "T": ') as caught:
        Codec(type_, label='request of "T"')
    assert reason in str(caught.value)


def pairs(value: Any) -> Any:
    return dict(map(tuple, [(tuple(k), v) for k, v in value])) if isinstance(value, list) else value


Pairs = Annotated[
    dict[tuple[int, int], str],
    BeforeValidator(pairs),
    PlainSerializer(lambda cells: [[list(key), value] for key, value in cells.items()]),
]
ByName = Annotated[
    Opaque, PlainValidator(lambda value: value), PlainSerializer(lambda value: str(value))
]


def test_keys_with_a_json_form_of_the_users_own_are_taken() -> None:
    codec = Codec(Pairs, label="request")
    assert codec.decode(codec.encode({(1, 2): "a"})) == {(1, 2): "a"}


def test_fields_that_are_named_like_parts_of_a_schema_are_only_fields() -> None:
    codec = Codec(NamedLikeASchema, label="request")
    assert codec.decode(codec.encode(NamedLikeASchema())) == NamedLikeASchema()


def test_a_recursive_model_is_taken() -> None:
    class Tree(BaseModel):
        below: dict[str, list[Tree]] = {}

    Tree.model_rebuild(_types_namespace={"Tree": Tree})
    assert Codec(Tree, label="request").decode('{"below": {"a": [{}]}}').below == {"a": [Tree()]}


def test_the_json_schema_is_what_a_request_may_look_like_by_alias() -> None:
    class Aliased(BaseModel):
        to: int = Field(alias="recipient")

    schema = Codec(Aliased, label="request").schema()
    assert schema["properties"] == {"recipient": {"title": "Recipient", "type": "integer"}}


def test_the_json_schema_of_a_type_that_travels_by_field_name_is_by_name_too() -> None:
    class ReadOnlyAlias(BaseModel):
        to: int = Field(validation_alias="recipient")

    codec = Codec(ReadOnlyAlias, label="request")
    assert codec.schema()["properties"] == {"to": {"title": "To", "type": "integer"}}
    assert codec.decode('{"to": 1}') == codec.validate({"recipient": 1})


def test_a_type_without_a_json_schema_still_has_one_that_says_nothing() -> None:
    assert Codec(ByName, label="request").schema() == {}


def test_the_schema_can_be_stored_whatever_the_defaults_are() -> None:
    class Odd(BaseModel):
        x: float = float("nan")
        text: str = "\0"
        opaque: Annotated[Any, PlainValidator(lambda value: value)] = Opaque()

    codec = Codec(Odd, label="request")
    properties = codec.schema()["properties"]
    assert properties["x"]["default"] is None
    assert "\0" not in properties["text"]["default"]
    assert len(codec.fingerprint) == 16


def test_the_fingerprint_changes_with_the_schema_only() -> None:
    class First(BaseModel):
        a: int

    class Changed(BaseModel):
        a: str

    Changed.__name__ = "First"
    first, changed = (Codec(type_, label="request") for type_ in (First, Changed))
    assert first.fingerprint == Codec(First, label="another label").fingerprint
    assert first.fingerprint != changed.fingerprint
    assert set(first.fingerprint) <= set("0123456789abcdef")


FINGERPRINT = """
from pydantic import BaseModel
from butler.codec import Codec
class Tags(BaseModel):
    tags: set[str] = {"a", "b", "c", "d", "e", "f"}
print(Codec(Tags, label="request").fingerprint)
"""


def test_the_fingerprint_is_the_same_in_every_process() -> None:
    prints = set()
    for seed in ("1", "2", "3"):
        done = subprocess.run(
            [sys.executable, "-c", FINGERPRINT],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed},
        )
        prints.add(done.stdout)
    assert len(prints) == 1


def test_making_a_codec_for_a_model_is_cheap_enough_for_the_import_of_a_module() -> None:
    class Order(BaseModel):
        id: int
        amount: float
        note: str = ""

    best = float("inf")
    for _ in range(20):
        start = time.perf_counter()
        Codec(Order, label="request")
        best = min(best, time.perf_counter() - start)
    assert best < 0.001
