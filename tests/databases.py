"""Databases for tests, used again: making one takes a hundred times longer than wiping it."""

from __future__ import annotations

import itertools

import psycopg
from psycopg import sql
from wiper import Wiper

from butler.storage.migrate import migrate

TEMPLATE = "butler_template"


class Databases:
    """Migrated databases without rows on one server, each under a name that no other ever had.

    So whoever outlives the test it belonged to finds no database, and not another test's.
    """

    def __init__(self, server_url):
        self._server_url = server_url
        self._numbers = itertools.count(1)
        self._wiped = []
        self._wiper = None

    def take(self, *, unused=False):
        """The URL of a database that is as good as new, or that really is."""
        if self._wiper is None:
            self._make_template()
        name = f"test_{next(self._numbers)}"
        if self._wiped and not unused:
            self._tell("ALTER DATABASE {} RENAME TO {}", self._wiped.pop(), name)
        else:
            self._tell("CREATE DATABASE {} TEMPLATE {}", name, TEMPLATE)
        return self.url(name)

    def give_back(self, url):
        """End a database's use: everybody in it is thrown out."""
        name = url.partition("@/")[2].partition("?")[0]
        if self._wipe(url):
            self._wiped.append(name)
        else:
            self._tell("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)

    def url(self, name):
        """Where the database of this name is."""
        return self._server_url.replace("@/butler?", f"@/{name}?")

    def _wipe(self, url):
        try:
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
                return self._wiper.wipe(connection)
        except psycopg.Error:
            return False

    def _make_template(self):
        self._tell("CREATE DATABASE {}", TEMPLATE)
        migrate(self.url(TEMPLATE))
        with psycopg.connect(self.url(TEMPLATE), autocommit=True) as connection:
            self._wiper = Wiper(connection, "butler")

    def _tell(self, statement, *names):
        quoted = sql.SQL(statement).format(*map(sql.Identifier, names))
        with psycopg.connect(self._server_url, autocommit=True) as connection:
            connection.execute(quoted)
