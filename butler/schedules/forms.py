"""The JSON form of schedules, as pydantic models: one union, discriminated by ``type``.

Loaded when a form is first read or a schema is first asked for; the schedules themselves stay
plain values that know nothing of pydantic. A form builds its schedule while it is validated, so
an error inside a combination carries the place where it stands.
"""

from __future__ import annotations

import reprlib
from datetime import date, datetime, time
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic_core import core_schema as core

from butler.errors import InvalidSchedule, did_you_mean
from butler.schedules import AnyOf, Between, Cron, Except, Interval, Once, Schedule
from butler.schedules.base import MAX_PARTS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema, ErrorDetails


def _whole_day(value: object) -> object:
    """``2026-12-31`` is a day and not its midnight, which pydantic would make of it."""
    return date.fromisoformat(value) if isinstance(value, str) and len(value) == 10 else value


DayOrMoment = Annotated[datetime | date, BeforeValidator(_whole_day)]


class Form(BaseModel):
    """One kind of schedule as it is written down; ``schedule_value`` is what it stands for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    _value: Schedule = PrivateAttr()

    @property
    def schedule_value(self) -> Schedule:
        """The schedule, built while the form was validated."""
        return self._value

    @model_validator(mode="after")
    def _build_once(self) -> Self:
        self._value = self.build()
        return self

    def build(self) -> Schedule:
        """The schedule of these fields; raises ``InvalidSchedule``."""
        raise NotImplementedError


class CronForm(Form):
    """The times of a zone's wall clock that a cron expression allows."""

    type: Literal["cron"]
    expression: str = Field(examples=["30 2 * * *"])
    timezone: str = Field(default="UTC", examples=["Europe/Berlin"])

    def build(self) -> Schedule:
        """A ``Cron``."""
        return Cron(self.expression, timezone=self.timezone)


class IntervalForm(Form):
    """Every so many seconds of real time, in step with the anchor."""

    type: Literal["interval"]
    every_s: float
    anchor: datetime | None = None

    def build(self) -> Schedule:
        """An ``Interval``."""
        return Interval(self.every_s, anchor=self.anchor)


class OnceForm(Form):
    """One instant."""

    type: Literal["once"]
    at: datetime

    def build(self) -> Schedule:
        """A ``Once``."""
        return Once(self.at)


class AnyOfForm(Form):
    """Fires when any of its schedules does."""

    type: Literal["any_of"]
    schedules: tuple[AnyForm, ...]

    def build(self) -> Schedule:
        """An ``AnyOf``."""
        return AnyOf(*(form.schedule_value for form in self.schedules))


class ExceptForm(Form):
    """A schedule without the days of a calendar."""

    type: Literal["except"]
    schedule: AnyForm
    dates: tuple[date, ...] = ()
    yearly: tuple[str, ...] = Field(default=(), examples=[["12-25"]])
    weekdays: tuple[str, ...] = Field(default=(), examples=[["sat", "sun"]])
    timezone: str = ""

    def build(self) -> Schedule:
        """An ``Except``."""
        return Except(
            self.schedule.schedule_value,
            dates=self.dates,
            yearly=self.yearly,
            weekdays=self.weekdays,
            timezone=self.timezone,
        )


class BetweenForm(Form):
    """A schedule inside limits of dates, hours, weekdays and number."""

    type: Literal["between"]
    schedule: AnyForm
    start: DayOrMoment | None = None
    end: DayOrMoment | None = None
    opens: time | None = None
    closes: time | None = None
    weekdays: tuple[str, ...] = Field(default=(), examples=[["mon", "tue"]])
    max_fires: int | None = None
    timezone: str = ""

    def build(self) -> Schedule:
        """A ``Between``."""
        return Between(
            self.schedule.schedule_value,
            start=self.start,
            end=self.end,
            opens=self.opens,
            closes=self.closes,
            weekdays=self.weekdays,
            max_fires=self.max_fires,
            timezone=self.timezone,
        )


AnyForm = Annotated[
    CronForm | IntervalForm | OnceForm | AnyOfForm | ExceptForm | BetweenForm,
    Field(discriminator="type"),
]
for _form in (AnyOfForm, ExceptForm, BetweenForm):
    _form.model_rebuild()

FORMS: dict[type[Schedule], type[Form]] = {
    Cron: CronForm,
    Interval: IntervalForm,
    Once: OnceForm,
    AnyOf: AnyOfForm,
    Except: ExceptForm,
    Between: BetweenForm,
}
TYPES = ("cron", "interval", "once", "any_of", "except", "between")


def read_schedule(form: Mapping[str, Any]) -> Schedule:
    """The schedule of a form; ``InvalidSchedule`` names the key and what it may be."""
    _check_depth(form)
    try:
        return _adapter().validate_python(form).schedule_value
    except ValidationError as error:
        problems = error.errors(include_url=False)[:3]
        raise InvalidSchedule("; ".join(map(_explain, problems))) from error


def core_schema(cls: type[Schedule], handler: GetCoreSchemaHandler) -> CoreSchema:
    """How pydantic reads and writes a field annotated with ``cls``: the form, or an instance."""
    form = FORMS.get(cls, AnyForm)
    from_form = core.no_info_after_validator_function(
        lambda value: value.schedule_value, handler.generate_schema(form)
    )
    return core.no_info_wrap_validator_function(
        lambda value, read: value if isinstance(value, cls) else read(value),
        from_form,
        serialization=core.plain_serializer_function_ser_schema(lambda value: value.to_json()),
    )


@lru_cache(maxsize=1)
def _adapter() -> TypeAdapter[Form]:
    return TypeAdapter(AnyForm)


def _check_depth(form: object) -> None:
    """Refuse nesting that no schedule can have, before anything recurses into it."""
    level = [form]
    for _ in range(MAX_PARTS + 1):
        inner = [part for part in level if isinstance(part, dict)]
        level = [part["schedule"] for part in inner if "schedule" in part]
        for part in inner:
            if isinstance(many := part.get("schedules"), list | tuple):
                level += many
    if level:
        raise InvalidSchedule(f"a schedule has at most {MAX_PARTS} parts, nested ones counted")


def _explain(error: ErrorDetails) -> str:
    """One line from pydantic's first error: where it stands, then what is wrong."""
    place = ""
    for step in error["loc"]:
        if isinstance(step, int):
            place += f"[{step}]"
        elif step not in TYPES:
            place += f".{step}" if place else step
    context = error.get("ctx", {})
    match error["type"]:
        case "union_tag_invalid":
            tag = context["tag"]
            reason = f"type must be one of {', '.join(TYPES)}, got {tag!r}"
            reason += did_you_mean(tag, TYPES)
        case "union_tag_not_found":
            reason = f"type is missing, expected one of {', '.join(TYPES)}"
        case "extra_forbidden":
            reason = f"no such key in a schedule of type {error['loc'][-2]!r}"
        case "value_error":
            reason = str(context["error"])
        case "missing":
            reason = "is missing"
        case _:
            reason = f"{error['msg']}, got {reprlib.repr(error['input'])}"
    return f"{place}: {reason}" if place else reason
