"""What a worker gets equals what was enqueued."""

from __future__ import annotations

import collections
import datetime as dt
import decimal
import json
import pathlib
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import (
    BaseModel,
    SecretBytes,
    SecretStr,
    field_validator,
)

from butler.codec import ResultCodec
from butler.errors import InvalidRequest, ResultNotStorable
from tests.unit.codec_kit import (
    BERLIN,
    NAN,
    Aliased,
    Area,
    BadBill,
    Base64,
    Bill,
    Box,
    Cached,
    Colour,
    Dog,
    Drawing,
    FrozenDatetime,
    Login,
    Money,
    Mood,
    Movie,
    NanText,
    Numbers,
    Open,
    Order,
    Pets,
    Point,
    Private,
    ReadAlias,
    Salary,
    Sealed,
    Shape,
    Span,
    Strict,
    Swapped,
    Tree,
    WriteAlias,
    codec,
    refused,
    trip,
)

CARRIED = [
    (Order, Order(id=1, amount=2)),
    (Login, Login(password="hunter2", keys={"a": [SecretBytes(b"k")]}, born=dt.date(2020, 1, 1))),
    (list[Login], [Login(password=""), Login(password="**********")]),
    (Sealed, Sealed(card="4111")),
    (Salary, Salary(1.5)),
    (set[SecretStr], {SecretStr("a"), SecretStr("b")}),
    (Aliased, Aliased(recipient="a")),
    (ReadAlias, ReadAlias(recipient="a", copy="b")),
    (WriteAlias, WriteAlias(to="a")),
    (Swapped, Swapped(a=1, b=2)),
    (Area, Area(width=2, height=3)),
    (Open, Open(a=[1, {"b": None}])),
    (Base64, Base64(data=b"\xff\x00")),
    (Drawing, Drawing(shapes=[Shape(), Shape(kind="x")])),
    (Pets, Pets(tagged=Dog(), plain=Dog(), note="1")),
    (Box[int], Box[int](item=1)),
    (Box[int], Box(item=1)),
    (list[Box[list[int]]], [Box[list[int]](item=[1])]),
    (Numbers, Numbers([1, 2])),
    (
        Strict,
        Strict(day=dt.date(2020, 1, 1), ids={uuid.UUID(int=1)}, price=decimal.Decimal("1.10")),
    ),
    (Tree, Tree(children=[Tree(children=[Tree()]), Tree()])),
    (Span, Span(1)),
    (Point, Point(1, 2)),
    (Movie, {"title": "M", "year": 1931}),
    (dict[uuid.UUID, Span], {uuid.UUID(int=7): Span(1)}),
    (dict[int, dict[dt.date, str]], {1: {dt.date(2020, 1, 1): "x"}}),
    (dict[bool, int], {True: 1, False: 0}),
    (collections.Counter[str], collections.Counter("aab")),
    (collections.deque[int], collections.deque([1, 2])),
    (tuple[int, ...], (1, 2)),
    (frozenset[tuple[int, str]], frozenset({(1, "a")})),
    (bytes, b"text"),
    (decimal.Decimal, decimal.Decimal("1.1000")),
    (dt.datetime, dt.datetime(2026, 1, 1, 1, 2, 3, 4)),  # noqa: DTZ001  # naive on purpose
    (dt.datetime, dt.datetime(2026, 1, 1, tzinfo=dt.UTC)),
    (dt.timedelta, dt.timedelta(days=-1, microseconds=7)),
    (dt.time, dt.time(1, 2, 3, 4)),
    (pathlib.Path, pathlib.Path("/a/b")),
    (Colour, Colour.RED),
    (Mood, Mood.GOOD),
    (str, Mood.GOOD),
    (int, 2**80),
    (float, 1e300),
    (float, 1),
    (decimal.Decimal, 1),
    (int | None, None),
    (Any, {"a": [1, 2.5, None, True, "x", {"b": []}]}),
    (str, "a literal \\u0000, \\\\u0000, NaN and Infinity"),
    (str, "🎩 \u2028 \x7f \x01"),
]


@pytest.mark.parametrize(("type_", "value"), CARRIED, ids=lambda v: str(v)[:40])
def test_a_value_that_can_travel_arrives_equal(type_: Any, value: Any) -> None:
    assert trip(type_, value) == value


@pytest.mark.parametrize(("type_", "value"), CARRIED, ids=lambda v: str(v)[:40])
def test_what_is_written_is_json_without_python_only_tokens(type_: Any, value: Any) -> None:
    def no_constant(token: str) -> None:
        raise AssertionError(token)

    json.loads(codec(type_).encode(value), parse_constant=no_constant)


def test_secrets_are_written_in_plain_text_because_the_worker_needs_them() -> None:
    assert codec(Login).encode(Login(password="hunter2")) == (
        '{"password":"hunter2","keys":{},"born":null}'
    )


def test_a_secret_with_a_serializer_of_its_own_stays_as_that_wrote_it() -> None:
    assert codec(Sealed).encode(Sealed(card="4111")) == '{"card":"sealed:1114"}'


def test_fields_are_written_by_alias_where_that_reads_back_and_by_name_elsewhere() -> None:
    assert codec(Aliased).encode(Aliased(recipient="a")) == '{"recipient":"a"}'
    assert codec(ReadAlias).encode(ReadAlias(recipient="a", copy="b")) == '{"to":"a","cc":"b"}'
    assert codec(WriteAlias).encode(WriteAlias(to="a")) == '{"to":"a"}'


def test_nan_travels_where_the_model_writes_it_as_text() -> None:
    arrived = trip(NanText, NanText(x=NAN))
    assert arrived.x != arrived.x
    assert trip(NanText, NanText(x=float("-inf"))).x == float("-inf")


def test_a_class_without_eq_is_compared_by_its_attributes() -> None:
    assert trip(Bill, Bill(total=Money(5))).total.cents == 5
    assert "total.cents" in str(refused(BadBill, BadBill(total=Money(5))))


def test_a_local_time_that_happens_twice_keeps_its_offset() -> None:
    second = dt.datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=1)
    arrived = trip(dt.datetime, second)
    assert (arrived.replace(tzinfo=None), arrived.utcoffset()) == (
        second.replace(tzinfo=None, fold=0),
        dt.timedelta(hours=1),
    )


def test_a_datetime_of_a_subclass_arrives_as_the_equal_datetime() -> None:
    frozen = FrozenDatetime(2026, 1, 1, tzinfo=dt.UTC)
    assert trip(dt.datetime, frozen) == dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def test_a_cached_property_is_no_part_of_the_value() -> None:
    request = Cached()
    assert request.double == 2
    assert trip(Cached, request) == Cached()


def test_private_attributes_that_are_made_anew_do_not_stand_in_the_way() -> None:
    assert isinstance(trip(Private, Private()), Private)


def test_text_over_the_limit_is_refused_with_its_size_and_the_limit() -> None:
    bounded = codec(str, max_bytes=10)
    assert bounded.encode("12345678") == '"12345678"'
    with pytest.raises(InvalidRequest, match=r"takes 11 bytes as JSON, and the limit is 10"):
        bounded.encode("éééé1")


def test_a_mebibyte_is_the_limit_where_none_is_given() -> None:
    assert codec(str).encode("a" * (1024 * 1024 - 2))
    with pytest.raises(InvalidRequest, match="1048577 bytes"):
        codec(str).encode("a" * (1024 * 1024 - 1))


def test_a_validator_that_raises_an_error_of_its_own_refuses_the_request() -> None:
    class Broken(BaseModel):
        name: str

        @field_validator("name")
        @classmethod
        def look_up(cls, name: str) -> str:
            return {"known": "known"}[name]

    with pytest.raises(InvalidRequest, match="KeyError") as caught:
        codec(Broken).encode(Broken.model_construct(name="unknown"))
    assert isinstance(caught.value.__cause__, KeyError)


def test_a_type_of_none_has_no_text() -> None:
    nothing = codec(None)
    assert nothing.encode(None) is None
    assert nothing.decode(None) is None
    assert nothing.decode("null") is None
    assert nothing.schema() == {"type": "null"}


def test_none_for_an_optional_type_is_json_null() -> None:
    assert codec(Order | None).encode(None) == "null"
    assert codec(Order | None).decode(None) is None


def test_decoding_what_does_not_fit_raises_with_the_field_errors() -> None:
    with pytest.raises(InvalidRequest, match=r"does not fit Order: id: .*; amount: ") as caught:
        codec(Order).decode('{"id": "x", "amount": 0}')
    assert [entry["loc"] for entry in caught.value.errors] == [("id",), ("amount",)]


@pytest.mark.parametrize("text", [None, "", "{", "[]", '{"id": 1, "amount": 1, "note": "\\ud800"}'])
def test_decoding_what_is_no_such_json_raises(text: str | None) -> None:
    with pytest.raises(InvalidRequest):
        codec(Order).decode(text)


def test_many_field_errors_are_counted_rather_than_listed() -> None:
    with pytest.raises(InvalidRequest, match=r"; and 995 more$") as caught:
        codec(list[int]).decode(json.dumps(["x"] * 1000))
    assert len(caught.value.errors) == 100


def test_validating_takes_an_instance_as_it_is() -> None:
    order = Order(id=1, amount=2)
    assert codec(Order).validate(order) is order


@pytest.mark.parametrize(
    ("type_", "data", "expected"),
    [
        (Order, {"id": "1", "amount": 2}, Order(id=1, amount=2.0)),
        (
            Strict,
            {"day": "2020-01-01", "ids": [str(uuid.UUID(int=1))], "price": "1.10"},
            Strict(day=dt.date(2020, 1, 1), ids={uuid.UUID(int=1)}, price=decimal.Decimal("1.10")),
        ),
        (Base64, {"data": "_w=="}, Base64(data=b"\xff")),
        (Span, {"start": 1}, Span(1)),
        (tuple[int, str], [1, "a"], (1, "a")),
        (dict[int, str], {1: "a"}, {1: "a"}),
        (Order, {"id": decimal.Decimal(1), "amount": 2}, Order(id=1, amount=2.0)),
        (ReadAlias, {"recipient": "a", "people": ["x", "b"]}, ReadAlias(recipient="a", copy="b")),
        (ReadAlias, {"to": "a", "cc": "b"}, ReadAlias(recipient="a", copy="b")),
        (None, None, None),
    ],
)
def test_validating_takes_plain_data_by_the_rules_of_json(
    type_: Any, data: Any, expected: Any
) -> None:
    assert codec(type_).validate(data) == expected


@pytest.mark.parametrize(
    ("data", "named"),
    [
        ({"id": "x", "amount": 2}, "id"),
        ({"id": 1, "amount": 2, "note": "\ud800"}, "note"),
        ("x", "Order"),
        (object(), "Order"),
        (None, "Order"),
    ],
)
def test_validating_refuses_what_does_not_fit(data: Any, named: str) -> None:
    with pytest.raises(InvalidRequest, match=named) as caught:
        codec(Order).validate(data)
    assert caught.value.errors


def test_a_result_that_cannot_be_kept_says_that_the_work_ran() -> None:
    results = ResultCodec(dict[str, Any], label='result of "T"')
    assert results.decode(results.encode({"a": 1})) == {"a": 1}
    for value in ({"a": (1, 2)}, {"a": "\0"}, {"a": NAN}, {"a": "x" * 2_000_000}, None):
        with pytest.raises(
            ResultNotStorable, match=r'^the work ran, its result could not be stored: result of "T"'
        ):
            results.encode(value)


def test_a_stored_result_that_no_longer_fits_is_no_failure_to_store() -> None:
    with pytest.raises(InvalidRequest, match='result of "T" does not fit Order'):
        ResultCodec(Order, label='result of "T"').decode("{}")


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
plain = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=5), inner, max_size=4)
        | st.tuples(inner, inner)
    ),
    max_leaves=12,
)


@given(plain)
def test_whatever_is_encoded_arrives_with_the_same_repr(value: Any) -> None:
    try:
        text = codec(Any).encode(value)
    except InvalidRequest:
        return
    assert repr(codec(Any).decode(text)) == repr(value)
    assert "\\u0000" not in text.replace("\\\\", "")


@given(st.builds(Order, id=st.integers(), amount=st.floats(min_value=0.1), note=st.text()))
def test_an_order_is_refused_only_for_infinity_or_nul(order: Order) -> None:
    try:
        arrived = trip(Order, order)
    except InvalidRequest:
        assert order.amount == float("inf") or "\0" in order.note or abs(order.id) > 10**4299
    else:
        assert arrived == order
