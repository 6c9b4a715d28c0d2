"""What the models have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Shown(BaseModel):
    """Something we show: read from a record's attributes."""

    model_config = ConfigDict(from_attributes=True)


class Given(BaseModel):
    """Something we are given: what we do not know is refused, not ignored."""

    model_config = ConfigDict(extra="forbid")
