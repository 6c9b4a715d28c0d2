"""Servers and databases for tests: ``services``, ``redis_url``, ``database_url``, ``own_services``.

Every xdist worker is a session of its own and so has its own servers.
``BUTLER_TEST_SERVERS=system`` runs on the oldest servers of the machine instead of the wheels';
if one is missing, tests fail.
"""

from __future__ import annotations

import logging
import os
import shutil
from contextlib import contextmanager

import pytest
from databases import Databases


@pytest.fixture(autouse=True)
def root_logger_as_it_was():
    """A command that is tried within this process sets the level for everything after it."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield
    root.setLevel(level)
    for handler in root.handlers[:]:
        if handler not in handlers:
            root.removeHandler(handler)


@pytest.fixture(scope="session")
def servers_origin():
    origin = os.environ.get("BUTLER_TEST_SERVERS", "wheels")
    assert origin in {"wheels", "system"}, f"BUTLER_TEST_SERVERS={origin}: wheels or system?"
    return origin


@pytest.fixture(scope="session")
def services(tmp_path_factory, servers_origin):
    """Embedded servers for the whole session; data does not survive the machine, only the test."""
    from butler.embedded import EmbeddedServices

    folder = tmp_path_factory.mktemp("services")
    with EmbeddedServices(folder, durable=False, prefer=servers_origin) as services:
        for server in (services.redis, services.postgres):
            assert server.binary.origin == servers_origin, (
                f"asked for {servers_origin}: {server.binary}"
            )
        yield services


@pytest.fixture(scope="session")
def put_cluster(tmp_path_factory, servers_origin):
    """Puts an unused Postgres cluster where embedded servers will find it at their first start.

    A copy costs a tenth of the half second of processor time that making one does.
    """
    from butler.embedded import EmbeddedServices

    folder = tmp_path_factory.mktemp("cluster")
    with EmbeddedServices(folder, durable=False, prefer=servers_origin) as services:
        data = services.postgres.data

    def put(folder):
        folder.mkdir(mode=0o700, parents=True)
        (folder / "lock").touch()
        shutil.copytree(data, folder / data.name)

    return put


@pytest.fixture
def own_services(tmp_path, servers_origin, put_cluster):
    """Durable servers of one test's own, to be killed and wiped; not migrated."""
    from butler.embedded import EmbeddedServices

    put_cluster(tmp_path / "own")
    with EmbeddedServices(tmp_path / "own", prefer=servers_origin) as services:
        yield services


@pytest.fixture
def redis_url(services):
    """The URL of a Redis without keys."""
    import redis

    with redis.Redis.from_url(services.redis_url) as client:
        client.flushall()
    return services.redis_url


@pytest.fixture(scope="session")
def databases(services):
    """Migrated databases without rows: takes and gives them back."""
    return Databases(services.database_url)


@pytest.fixture(scope="session")
def new_database(databases):
    """Makes migrated databases without rows, each given back at the end of its ``with``."""

    @contextmanager
    def make(*, unused=False):
        url = databases.take(unused=unused)
        yield url
        databases.give_back(url)

    return make


@pytest.fixture
def database_url(request, new_database):
    """The URL of a migrated database without rows, this test's own."""
    unused = request.node.get_closest_marker("unused_ledger") is not None
    with new_database(unused=unused) as url:
        yield url
