"""What the models have in common."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict

from butler.option_texts import check_aware


def _in_utc(moment: datetime) -> datetime:
    """Zones may be a day off UTC here, and in Postgres only sixteen hours."""
    return check_aware("a time", moment)


Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]
"""A time that we are given: with a zone, in UTC once it is read."""


def given_like(example: dict[str, Any]) -> ConfigDict:
    """The configuration of something we are given, with an example for the document."""
    return ConfigDict(extra="forbid", json_schema_extra={"examples": [example]})


class Shown(BaseModel):
    """Something we show: read from a record's attributes."""

    model_config = ConfigDict(from_attributes=True)


class Given(BaseModel):
    """Something we are given: what we do not know is refused, not ignored."""

    model_config = ConfigDict(extra="forbid")
