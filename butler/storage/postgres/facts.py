"""What is true of a PostgreSQL server; asked on a connection of its own, changing nothing."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from butler.errors import StorageUnavailable
from butler.storage.postgres.url import connect_options, described, redacted

if TYPE_CHECKING:
    from psycopg.abc import QueryNoTemplate

_FACTS = """
SELECT
    pg_backend_pid(),
    extract(epoch FROM clock_timestamp())::float8,
    current_setting('max_connections')::integer
        - current_setting('superuser_reserved_connections')::integer,
    (SELECT count(*)::integer FROM pg_stat_activity WHERE backend_type = 'client backend'),
    pg_is_in_recovery()
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """A PostgreSQL server as one connection sees it.

    ``version`` is like 180006. ``clock_ahead_s`` is how far its clock is ahead of this machine's,
    right to within ``clock_error_s``. ``connections`` may be open at once, ``used`` are.
    """

    name: str
    version: int
    pooled: bool
    clock_ahead_s: float
    clock_error_s: float
    connections: int
    used: int
    read_only: bool


def read_server_facts(database_url: str, *, timeout_s: float = 10.0) -> ServerFacts:
    """Ask the server; raises `StorageUnavailable`, `SettingsError`."""
    import psycopg

    options: dict[str, Any] = connect_options(database_url, timeout_s=timeout_s)
    # Whatever is there shall be described, a standby too.
    options["target_session_attrs"] = "any"
    try:
        with psycopg.connect("", **options, autocommit=True, prepare_threshold=None) as connection:
            before = time.time()
            row = connection.execute(cast("QueryNoTemplate", _FACTS.encode())).fetchone()
            after = time.time()
            assert row is not None
            pid, clock, connections, used, read_only = row
            return ServerFacts(
                name=described(database_url),
                version=connection.info.server_version,
                pooled=pid != connection.info.backend_pid,
                clock_ahead_s=clock - (before + after) / 2,
                clock_error_s=(after - before) / 2,
                connections=connections,
                used=used,
                read_only=read_only,
            )
    except psycopg.Error as error:
        reason = redacted(" ".join(str(error).split()))
        raise StorageUnavailable(f"{described(database_url)} cannot be used: {reason}") from error
