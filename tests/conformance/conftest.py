"""The storages that are held to the suite. A new backend adds one line to ``BACKENDS``.

One that lives elsewhere is named by ``BUTLER_TEST_STORAGE=module:factory``; the factory returns an
empty storage at each call.
"""

from __future__ import annotations

import importlib
import os

import pgbouncer
import pytest
from ledger_driver import LedgerDriver
from schemas import Schemas


def _memory(request):
    from butler.storage.memory import MemoryStorage

    return MemoryStorage()


def _postgres(request):
    from butler.storage.postgres import PostgresStorage

    url, schema = request.getfixturevalue("empty_schema")
    return PostgresStorage(url, schema=schema)


def _pooled(request):
    from butler.storage.postgres import PostgresStorage

    _, schema = request.getfixturevalue("empty_schema")
    url = request.getfixturevalue("pooled_url")
    return PostgresStorage(url, schema=schema)


def _yours(request):
    module, _, factory = os.environ["BUTLER_TEST_STORAGE"].partition(":")
    return getattr(importlib.import_module(module), factory)()


BACKENDS = {"memory": _memory, "postgres": _postgres}
# Where it is missing, test_postgres_pgbouncer says so; a CI run fails there.
if pgbouncer.find_program() is not None:
    BACKENDS["pgbouncer"] = _pooled
if "BUTLER_TEST_STORAGE" in os.environ:
    BACKENDS["yours"] = _yours


@pytest.fixture(params=sorted(BACKENDS))
def storage(request):
    """An empty, prepared storage of each kind."""
    storage = BACKENDS[request.param](request)
    storage.prepare()
    yield storage
    storage.close()


@pytest.fixture(scope="session")
def pooled_url(services, tmp_path_factory):
    """The session's database behind a PgBouncer in transaction mode."""
    with pgbouncer.pooled(
        services.database_url, tmp_path_factory.mktemp("pgbouncer"), sessions=4
    ) as url:
        yield url


@pytest.fixture(scope="session")
def schemas(services):
    """Migrated schemas without rows, in one database."""
    return Schemas(services.database_url)


@pytest.fixture
def empty_schema(schemas):
    """A database's URL and the name of a migrated schema without rows."""
    yield schemas.url, schemas.take()
    schemas.give_back()


@pytest.fixture
def ledger(storage):
    """A driver that brings executions into any state by legal moves alone."""
    return LedgerDriver(storage)
