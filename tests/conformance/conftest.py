"""The storages that are held to the suite. A new backend adds one line to ``BACKENDS``."""

from __future__ import annotations

import pytest
from ledger_driver import LedgerDriver


def _memory(request):
    from butler.storage.memory import MemoryStorage

    return MemoryStorage()


def _postgres(request):
    from butler.storage.postgres import PostgresStorage

    return PostgresStorage(request.getfixturevalue("database_url"), migrate="auto")


BACKENDS = {"memory": _memory, "postgres": _postgres}


@pytest.fixture(params=sorted(BACKENDS))
def storage(request):
    """An empty, prepared storage of each kind."""
    storage = BACKENDS[request.param](request)
    storage.prepare()
    yield storage
    storage.close()


@pytest.fixture
def ledger(storage):
    """A driver that brings executions into any state by legal moves alone."""
    return LedgerDriver(storage)
