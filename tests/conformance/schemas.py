"""The schema that the conformance tests on Postgres use one after another."""

from __future__ import annotations

import itertools

import psycopg
from psycopg import sql
from wiper import Wiper

from butler.storage.migrate import migrate


class Schemas:
    """One migrated schema without rows, and another one when that was not left as it was."""

    def __init__(self, url):
        self.url = url
        self._numbers = itertools.count(1)
        self._schema = None
        self._wiper = None

    def take(self):
        """The name of a migrated schema without rows."""
        if self._schema is None:
            self._schema = f"conformance_{next(self._numbers)}"
            migrate(self.url, schema=self._schema)
            with psycopg.connect(self.url, autocommit=True) as connection:
                self._wiper = Wiper(connection, self._schema)
        return self._schema

    def give_back(self):
        """End the use of the schema that was taken last."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            if not self._wipe(connection):
                drop = sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE")
                connection.execute(drop.format(sql.Identifier(self._schema)))
                self._schema = None

    def _wipe(self, connection):
        try:
            return self._wiper.wipe(connection)
        except psycopg.Error:
            return False
