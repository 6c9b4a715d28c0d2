"""Making a used ledger as good as new, for a hundredth of what another one costs.

A test that gets a used ledger must not be able to tell. `Wiper.wipe` brings back the rows; what it
cannot bring back (the catalogue, statistics, the size of tables) it compares with what was there at
first, and says when such a ledger is not to be used again.
"""

from __future__ import annotations

import json

from psycopg.rows import scalar_row

# DDL leaves another number of rows here or a newer transaction. The pg_temp schemas that sessions
# leave behind hold nothing.
_CATALOGUE = " UNION ALL ".join(
    f"SELECT '{name}', count(*), max(xmin::text::bigint) FROM {name} WHERE {condition}"
    for name, condition in {
        "pg_attribute": "true",
        "pg_class": "true",
        "pg_constraint": "true",
        "pg_extension": "true",
        "pg_index": "true",
        "pg_namespace": "nspname !~ '^pg_(toast_)?temp_'",
        "pg_proc": "true",
        "pg_trigger": "true",
        "pg_db_role_setting": "setdatabase = (SELECT oid FROM pg_database "
        "WHERE datname = current_database())",
    }.items()
)
_STATISTICS = (
    "SELECT count(*) FROM pg_statistic JOIN pg_class ON pg_class.oid = starelid "
    "WHERE relnamespace = to_regnamespace(%s)"
)
_SIZE = "SELECT sum(pg_relation_size(oid)) FROM pg_class WHERE relnamespace = to_regnamespace(%s)"
_GROWTH = 1_000_000
_TABLES = "SELECT format('%%I.%%I', schemaname, tablename) FROM pg_tables WHERE schemaname = %s"
_SEQUENCES = (
    "SELECT format('SELECT setval(%%L, %%s, %%L)', format('%%I.%%I', schemaname, sequencename), "
    "coalesce(last_value, start_value), last_value IS NOT NULL) "
    "FROM pg_sequences WHERE schemaname = %s"
)
_COLUMNS = (
    "SELECT string_agg(quote_ident(attname), ', ') FROM pg_attribute "
    "WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''"
)


class Wiper:
    """Knows a ledger as it is now, freshly migrated, and brings it or a copy of it back there."""

    def __init__(self, connection, schema):
        self._schema = schema
        ask = connection.cursor(row_factory=scalar_row).execute
        # No trigger and no foreign key is to have a say.
        steps = ["SET LOCAL lock_timeout = '5s'", "SET LOCAL session_replication_role = replica"]
        self._tables = ask(_TABLES, (schema,)).fetchall()
        for table in self._tables:
            steps.append(f"DELETE FROM {table}")
            rows = ask(f"SELECT coalesce(jsonb_agg(t), '[]') FROM {table} AS t").fetchone()
            if rows:
                columns = ask(_COLUMNS, (table,)).fetchone()
                values = json.dumps(rows).replace("'", "''")
                steps.append(
                    f"INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} "
                    f"FROM jsonb_populate_recordset(NULL::{table}, '{values}')"
                )
        steps += ask(_SEQUENCES, (schema,)).fetchall()
        self._statement = "; ".join(["BEGIN", *steps, "COMMIT"])
        self._first = self._seen(connection)

    def wipe(self, connection):
        """Bring back the rows, and take away tables of a test's own.

        False, and the rows left as they are, when other things differ too. Raises psycopg's errors,
        for one when an open transaction holds a row.
        """
        for (table,) in connection.execute(_TABLES, (self._schema,)).fetchall():
            if table not in self._tables:
                connection.execute(f"DROP TABLE {table} CASCADE")
        *traits, size = self._seen(connection)
        *first_traits, first_size = self._first
        if traits != first_traits or size > first_size + _GROWTH:
            return False
        connection.execute(self._statement)
        connection.execute("SELECT pg_stat_reset()")
        return True

    def _seen(self, connection):
        catalogue = connection.execute(_CATALOGUE).fetchall()
        (statistics,) = connection.execute(_STATISTICS, (self._schema,)).fetchone()
        (size,) = connection.execute(_SIZE, (self._schema,)).fetchone()
        return catalogue, statistics, size
