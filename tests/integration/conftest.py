"""A fleet of real processes on the session's servers, for tests of the commands."""

import os
import sys
from pathlib import Path

import pytest
from command_runner import run_butler  # noqa: F401 - a fixture of all these tests
from fleet import Fleet

from butler import Butler


@pytest.fixture
def butler(redis_url, database_url):
    from fleet_app import tasks

    with Butler(redis_url, database_url) as butler:
        for task in tasks:
            butler.register(task)
        yield butler


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
