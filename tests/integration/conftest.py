"""A fleet of real processes on the session's servers, for tests of the commands."""

import pytest
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
