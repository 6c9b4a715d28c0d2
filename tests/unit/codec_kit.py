"""Types of every kind that a codec meets."""

import dataclasses
import datetime as dt
import decimal
import enum
import functools
import threading
import uuid
import zoneinfo
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar

import pytest
from pydantic import (
    AliasChoices,
    AliasPath,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    PrivateAttr,
    RootModel,
    Secret,
    SecretBytes,
    SecretStr,
    computed_field,
    field_serializer,
    field_validator,
)
from typing_extensions import TypedDict

from butler.codec import Codec
from butler.errors import InvalidRequest

T = TypeVar("T")
NAN = float("nan")
BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")


class Order(BaseModel):
    id: int
    amount: float = Field(gt=0)
    note: str = "x"


class Login(BaseModel):
    password: SecretStr
    keys: dict[str, list[SecretBytes]] = {}
    born: Secret[dt.date] | None = None


class Sealed(BaseModel):
    """Writes its secret its own way; the codec must not put the plain text in its place."""

    card: SecretStr

    @field_serializer("card", when_used="json")
    def seal(self, card: SecretStr) -> str:
        return "sealed:" + card.get_secret_value()[::-1]

    @field_validator("card", mode="before")
    @classmethod
    def unseal(cls, card: Any) -> Any:
        if isinstance(card, str) and card.startswith("sealed:"):
            return card.removeprefix("sealed:")[::-1]
        return card


class Salary(Secret[float]):
    def _display(self) -> str:
        return "$****.**"


class Aliased(BaseModel):
    to: str = Field(alias="recipient")


class ReadAlias(BaseModel):
    to: str = Field(validation_alias="recipient")
    cc: str = Field(validation_alias=AliasChoices("copy", AliasPath("people", 1)))


class WriteAlias(BaseModel):
    to: str = Field(serialization_alias="recipient")


class Swapped(BaseModel):
    a: int = Field(validation_alias="b")
    b: int = Field(validation_alias="a")


class Area(BaseModel):
    model_config = ConfigDict(extra="forbid")
    width: int
    height: int

    @computed_field
    @property
    def area(self) -> int:
        return self.width * self.height


class Cached(BaseModel):
    n: int = 1

    @functools.cached_property
    def double(self) -> int:
        return self.n * 2


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")


class Private(BaseModel):
    _token: int = PrivateAttr(0)
    _lock: Any = PrivateAttr(default_factory=threading.Lock)


class NanText(BaseModel):
    model_config = ConfigDict(ser_json_inf_nan="strings")
    x: float


class NanToken(BaseModel):
    model_config = ConfigDict(ser_json_inf_nan="constants")
    x: float


class MaybeFloat(BaseModel):
    x: float | None


class Base64(BaseModel):
    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")
    data: bytes


class HalfBase64(BaseModel):
    model_config = ConfigDict(ser_json_bytes="base64")
    data: bytes


class Shape(BaseModel):
    kind: str = "shape"


class Circle(Shape):
    radius: int = 1


class Drawing(BaseModel):
    title: str = ""
    shapes: list[Shape] = []


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    lives: int = 1


class Pets(BaseModel):
    tagged: Annotated[Cat | Dog, Field(discriminator="kind")]
    plain: Cat | Dog
    note: int | str


class Box(BaseModel, Generic[T]):
    item: T


class Numbers(RootModel[list[int]]):
    pass


class Hashing(BaseModel):
    password: str

    @field_validator("password")
    @classmethod
    def hash(cls, password: str) -> str:
        return password + "#"


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)
    day: dt.date
    ids: set[uuid.UUID]
    price: decimal.Decimal


class Tree(BaseModel):
    children: "list[Tree]" = []


class Lying(BaseModel):
    n: Any

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None


class Money:
    """A class pydantic does not know, without an __eq__."""

    def __init__(self, cents: int) -> None:
        self.cents = cents


def read_money(value: Any) -> Money:
    return value if isinstance(value, Money) else Money(value)


def misread_money(value: Any) -> Money:
    return value if isinstance(value, Money) else Money(0)


class Bill(BaseModel):
    total: Annotated[Money, PlainValidator(read_money), PlainSerializer(lambda m: m.cents)]


class BadBill(BaseModel):
    total: Annotated[Money, PlainValidator(misread_money), PlainSerializer(lambda m: m.cents)]


class Colour(enum.Enum):
    RED = "red"


class Mood(enum.StrEnum):
    GOOD = "good"


class Point(NamedTuple):
    x: int
    y: int


class Movie(TypedDict):
    title: str
    year: Annotated[int, Field(alias="released")]


@dataclasses.dataclass(frozen=True, slots=True)
class Span:
    start: int
    stop: int = 3


class FrozenDatetime(dt.datetime):
    """What time-freezing test tools and date libraries hand out."""


def codec(type_: Any, **options: Any) -> Codec:
    return Codec(type_, label='request of "T"', **options)


def trip(type_: Any, value: Any) -> Any:
    made = codec(type_)
    return made.decode(made.encode(value))


def refused(type_: Any, value: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        codec(type_).encode(value)
    return caught.value
