"""What the tests on the session's servers share: the drivers, and a fleet of real processes."""

import os
import sys
from pathlib import Path

import psycopg
import pytest
import redis as redis_driver
from command_runner import run_butler  # noqa: F401 - a fixture of all these tests
from fleet import Fleet

from butler import Butler
from butler.storage.postgres import PostgresStorage


@pytest.fixture
def butler(redis_url, database_url):
    from fleet_app import tasks

    with Butler(redis_url, database_url) as butler:
        for task in tasks:
            butler.register(task)
        yield butler


@pytest.fixture
def storage(database_url):
    storage = PostgresStorage(database_url)
    yield storage
    storage.close()


@pytest.fixture
def connection(database_url):
    """One beside the storage's, to look and to meddle."""
    with psycopg.connect(database_url, autocommit=True, prepare_threshold=None) as connection:
        yield connection


@pytest.fixture
def redis(redis_url):
    with redis_driver.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def fleet(redis_url, database_url, tmp_path):
    fleet = Fleet(redis_url=redis_url, database_url=database_url, folder=tmp_path)
    yield fleet
    fleet.end()


@pytest.fixture
def terminal(redis_url, database_url):
    """The environment of a user's terminal: the two URLs, and the commands on the path."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BUTLER_")}
    commands = Path(sys.executable).parent
    return {
        **kept,
        "PATH": f"{commands}{os.pathsep}{kept['PATH']}",
        "BUTLER_REDIS_URL": redis_url,
        "BUTLER_DATABASE_URL": database_url,
    }
