"""The desk."""

from __future__ import annotations

import pytest
from recurring_desk import (
    Desk,
)


@pytest.fixture
def desk():
    return Desk()
