"""A ledger, tasks and a user's own connection to its database."""

from __future__ import annotations

import psycopg
import pytest
from transaction_scenes import make_table, new_butler


@pytest.fixture
def scene(redis_url, database_url):
    make_table(database_url)
    butler, ship, bill = new_butler(redis_url, database_url)
    with butler:
        yield butler, ship, bill


@pytest.fixture
def butler(scene):
    return scene[0]


@pytest.fixture
def ship(scene):
    return scene[1]


@pytest.fixture
def bill(scene):
    return scene[2]


@pytest.fixture
def connection(database_url, scene):
    with psycopg.connect(database_url) as connection:
        yield connection
