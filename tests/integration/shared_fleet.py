"""One fleet for all tests of a module, where a worker's start is not what they are about.

A module imports the fixtures and is one xdist group: Redis is emptied for the tests of others, and
those must not come in between.
"""

import pytest
import redis
from fleet import Fleet

from butler import Butler


@pytest.fixture(scope="module")
def fleet(services, new_database, tmp_path_factory):
    with new_database() as database_url:
        with redis.Redis.from_url(services.redis_url) as client:
            client.flushall()
        fleet = Fleet(
            redis_url=services.redis_url,
            database_url=database_url,
            folder=tmp_path_factory.mktemp("fleet"),
        )
        yield fleet
        fleet.end()


@pytest.fixture(scope="module")
def butler(fleet):
    from fleet_app import tasks

    urls = (fleet.environment[name] for name in ("BUTLER_REDIS_URL", "BUTLER_DATABASE_URL"))
    with Butler(*urls) as butler:
        for task in tasks:
            butler.register(task)
        yield butler
