"""A value that would not arrive equal is refused, and the field is named."""

from __future__ import annotations

import collections
import datetime as dt
import decimal
from typing import Any

import pytest
from pydantic import (
    SecretStr,
)

from tests.unit.codec_kit import (
    BERLIN,
    NAN,
    Box,
    Circle,
    Drawing,
    HalfBase64,
    Hashing,
    Lying,
    MaybeFloat,
    Movie,
    NanToken,
    Open,
    Order,
    Private,
    Shape,
    Tree,
    refused,
)


def with_token(token: int) -> Private:
    request = Private()
    request._token = token
    return request


def cyclic() -> Tree:
    tree = Tree()
    tree.children = [tree]
    return tree


REFUSED = [
    (NanToken, NanToken(x=NAN), "x"),
    (Box[float], Box[float](item=NAN), "item"),
    (MaybeFloat, MaybeFloat(x=NAN), "x"),
    (dict[str, list[Any]], {"a": [1, float("inf")]}, "a[1]"),
    (HalfBase64, HalfBase64(data=b"abc"), "data"),
    (Drawing, Drawing(shapes=[Shape(), Circle()]), "shapes[1]"),
    (Open, Open(day=dt.date(2020, 1, 1)), "day"),
    (Private, with_token(5), "_token"),
    (Hashing, Hashing(password="a"), "password"),
    (Lying, Lying(n=(1, 2)), "n"),
    (Order, Order.model_construct(id="one", amount=2.0), "id"),
    (Order, Order.model_construct(id=1, amount=-2.0), "amount"),
    (Order, Order.model_construct(id="1", amount=2.0), "id"),
    (Order, Order.model_construct(id=True, amount=2.0), "id"),
    (Order, Order.model_construct(amount=2.0), "id"),
    (Order, {"id": 1, "amount": 2.0, "note": "x"}, "dict would arrive as Order"),
    (Shape, Circle(), "Circle would arrive as Shape"),
    (Movie, {"title": "M", "year": 1931, "stars": 5}, "stars"),
    (Tree, cyclic(), "children[0]"),
    (Box[bytes], Box[bytes](item=b"\xff"), "item"),
    (dict[str, Any], {"a": {"b": (1, 2)}}, "a.b"),
    (dict[str, Any], {"a": {1: 2}}, "a[1]"),
    (dict[str, Any], {"a": Shape()}, "a"),
    pytest.param(dict[str, Any], {"a": object()}, "a", id="an-object"),
    (dict[str, Any], {"a": SecretStr("x")}, "a"),
    (dict[str, Any], {"a": decimal.Decimal(1)}, "a"),
    (dict[str, Any], collections.OrderedDict(a=1), "OrderedDict"),
    (dict[int | str, int], {1: 1, "1": 2}, "[1]"),
    (collections.deque[int], collections.deque([1], maxlen=2), "maxlen"),
    (dt.time, dt.time(1, tzinfo=BERLIN), "time zone"),
    (dt.date | str, "2020-01-01", "str would arrive as date"),
    (bool, 1, "int would arrive as bool"),
    (dict[str, str], {"ok": "", "a b": "x\0"}, "['a b']"),
    (dict[str, str], {"a\0": ""}, "a key with a NUL"),
    (list[str], ["\\u0000", "\\\\\0"], "[1]"),
    (list[str], ["ok"] * 1000 + ["\ud800"], "[1000]"),
    (Box[dict[str, list[str]]], Box(item={"a": ["", "\udfff"]}), "item.a[1]"),
    (dict[str, str], {"\ud800": ""}, "lone surrogate"),
    (None, 5, "null"),
]


@pytest.mark.parametrize(("type_", "value", "named"), REFUSED, ids=lambda v: ascii(v)[:40])
def test_a_value_that_would_not_arrive_equal_is_refused_and_its_place_named(
    type_: Any, value: Any, named: str
) -> None:
    error = refused(type_, value)
    assert str(error).startswith('request of "T"')
    assert named in str(error)
    assert error.errors
    assert all(set(entry) == {"loc", "msg", "type"} for entry in error.errors)


@pytest.mark.parametrize("key", ["\0", "\ud800", "\0\ud800"])
def test_the_errors_of_a_refusal_can_be_stored(key: str) -> None:
    for type_, value in [(dict[str, int], {key: "x"}), (dict[str, Any], {key: (1,)})]:
        error = refused(type_, value)
        steps = [step for entry in error.errors for step in (*entry["loc"], entry["msg"])]
        text = "".join([str(error), *map(str, steps)])
        assert "\0" not in text
        assert text.encode()


def test_a_refusal_never_repeats_the_values_it_was_given() -> None:
    for type_, value in [
        (Box[int], Box.model_construct(item="hunter2")),
        (Hashing, Hashing(password="hunter2")),
        (Open, Open(a=SecretStr("hunter2"))),
    ]:
        error = refused(type_, value)
        assert "hunter2" not in f"{error} {error.errors}"
