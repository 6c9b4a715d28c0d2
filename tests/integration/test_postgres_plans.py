"""The hot statements find their rows by the primary key, whatever the statistics say.

A claim that took the partial index on queued rows was seven times slower; a plan that was made for
a small table and kept while the table grew read all of it for each id.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from postgres_scenes import add_worker, custom_plan, insert_many, start_many

import butler.storage.postgres
from butler import lifecycle
from butler.executions import ErrorRecord
from butler.ids import new_id, new_token
from butler.limiting import make_rule
from butler.storage.logs import LogLine
from butler.storage.migrate import migrate
from butler.storage.monitoring_records import INTERNAL_QUEUE
from butler.storage.postgres import PostgresStorage
from butler.storage.records import Claim, ExecutionQuery, ProgressReport

pytestmark = pytest.mark.unused_ledger

BOOM = ErrorRecord(type="ValueError", message="boom")
STATEMENTS = Path(butler.storage.postgres.__file__).parent / "sql"
HOT = ("claim", "finish_succeeded", "finish", "report_progress", "write_logs", "insert_unique")


def sent_by(storage):
    """Each hot statement with the parameters that the storage sends for a batch."""
    sent = {}
    connections = storage._connections

    def noting(door):
        def note(name, params=None, **options):
            if name in HOT:
                sent[name] = (connections.statements[name].decode(), params)
            return door(name, params, **options)

        return note

    doors = ("run", "ask", "write")
    for door in doors:
        setattr(connections, door, noting(getattr(connections, door)))
    first, second, third = start_many(storage, 3)
    storage.report_progress(
        [
            ProgressReport(
                execution_id=each.id,
                attempt=each.attempt,
                claim_token=each.claim_token,
                percent=1.0,
                message=None,
            )
            for each in (first, second, third)
        ]
    )
    storage.write_logs(
        [
            LogLine(
                execution_id=each.id,
                attempt=1,
                number=1,
                at=datetime.now(UTC),
                level=20,
                logger="shop",
                message="a line",
            )
            for each in (first, second, third)
        ]
    )
    storage.finish([lifecycle.succeed(first, result=None), lifecycle.succeed(second, result=None)])
    storage.finish([lifecycle.fail(third, error=BOOM)])
    insert_many(storage, 1, unique_key="invoice-7")
    for door in doors:
        delattr(connections, door)
    assert set(sent) == set(HOT)
    return sent


def generic_plan(connection, statement, params):
    """The plan that a prepared statement settles on."""
    names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", statement)))
    numbered = re.sub(r"%\((\w+)\)s", lambda m: f"${names.index(m[1]) + 1}", statement)
    connection.execute("SET plan_cache_mode = force_generic_plan")
    connection.execute(f"PREPARE hot AS {numbered}")
    given = ", ".join(psycopg.sql.Literal(params[name]).as_string(connection) for name in names)
    rows = connection.execute(f"EXPLAIN EXECUTE hot ({given})").fetchall()
    connection.execute("DEALLOCATE hot")
    return "\n".join(line for (line,) in rows)


def fill(connection, *, rows):
    connection.execute(
        "INSERT INTO butler.executions "
        "(id, task, queue, priority, status, request, max_attempts, run_at, created_at, queued_at) "
        "SELECT gen_random_uuid(), 'Send Mail', 'default', 'normal', "
        "(ARRAY['queued', 'running', 'succeeded', 'scheduled'])[1 + n %% 4], '{}', 3, "
        "now(), now(), now() FROM generate_series(1, %s) AS n",
        (rows,),
    )
    connection.execute(
        "INSERT INTO butler.unique_keys SELECT 'Send Mail', n::text, gen_random_uuid() "
        "FROM generate_series(1, %s) AS n",
        (rows,),
    )


STATES = {
    "empty": (0, None),
    "empty and analyzed": (0, "ANALYZE"),
    "empty and vacuumed": (0, "VACUUM ANALYZE"),
    "small and analyzed": (60, "ANALYZE"),
    "full and never analyzed": (50_000, None),
    "full and analyzed": (50_000, "ANALYZE"),
}


@pytest.mark.parametrize("state", STATES)
def test_hot_statements_use_the_primary_key_alone(state, storage, connection):
    rows, upkeep = STATES[state]
    sent = sent_by(storage)
    if rows == 0:
        connection.execute("DELETE FROM butler.executions")
    fill(connection, rows=rows)
    if upkeep:
        connection.execute(f"{upkeep} butler.executions, butler.unique_keys, butler.workers")

    for name, (statement, params) in sent.items():
        for plan in (
            generic_plan(connection, statement, params),
            custom_plan(connection, statement, params),
        ):
            used = set(re.findall(r"using (executions_\w+)", plan))
            assert used == {"executions_pkey"}, f"{name}:\n{plan}"
            assert "Seq Scan on executions" not in plan, f"{name}:\n{plan}"
            assert "Seq Scan on unique_keys" not in plan, f"{name}:\n{plan}"
            assert "Heap Scan on executions" not in plan, f"{name}:\n{plan}"


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("query", ["standings", "get_many"])
def test_what_is_read_for_waits_is_found_by_the_primary_key_alone(
    query, state, storage, connection
):
    rows, upkeep = STATES[state]
    fill(connection, rows=rows)
    if upkeep:
        connection.execute(f"{upkeep} butler.executions, butler.execution_attempts")
    statement = storage._connections.statements[query].decode()
    params = {"ids": "{" + ",".join(new_id() for _ in range(50)) + "}"}
    for plan in (
        generic_plan(connection, statement, params),
        custom_plan(connection, statement, params),
    ):
        # A bitmap scan is as good here, where nothing is locked.
        assert set(re.findall(r"executions_\w+", plan)) == {"executions_pkey"}, plan
        assert "Seq Scan on executions" not in plan, plan


def test_a_claim_planned_on_a_small_table_stays_fast_when_the_table_has_grown(storage, connection):
    worker_id = add_worker(storage)
    for _ in range(8):  # after five runs the server may settle on a plan and keep it
        ids = insert_many(storage, 5)
        storage.claim(Claim(worker_id=worker_id, token=new_token(), ids=ids))
    connection.execute("ANALYZE butler.executions")
    for _ in range(8):
        ids = insert_many(storage, 5)
        storage.claim(Claim(worker_id=worker_id, token=new_token(), ids=ids))
    connection.execute("ALTER TABLE butler.executions SET (autovacuum_enabled = off)")
    before = _rows_read_by_scanning(connection)
    fill(connection, rows=20_000)
    ids = insert_many(storage, 500)

    reply = storage.claim(Claim(worker_id=worker_id, token=new_token(), ids=ids))

    assert len(reply.won) == 500
    assert _rows_read_by_scanning(connection) == before


@pytest.mark.parametrize("upkeep", [None, "ANALYZE"])
def test_a_limited_claim_planned_on_small_tables_stays_fast_when_they_have_grown(
    upkeep, storage, connection
):
    storage.set_limit("Send Mail", make_rule(max_concurrency=1_000, rate="100000/second"))
    worker_id = add_worker(storage)

    def claim(count):
        ids = insert_many(storage, count)
        return storage.claim(Claim(worker_id=worker_id, token=new_token(), ids=ids)).won

    claim(5)
    if upkeep:
        connection.execute(f"{upkeep} butler.executions, butler.limit_slots, butler.limit_states")
    for _ in range(8):
        assert len(claim(5)) == 5
    # What ran before a limit is looked for in the first half minute alone.
    connection.execute("UPDATE butler.limits SET changed_at = now() - interval '1 minute'")
    connection.execute("ALTER TABLE butler.executions SET (autovacuum_enabled = off)")
    fill(connection, rows=20_000)
    connection.execute(
        "INSERT INTO butler.limit_states SELECT n::text FROM generate_series(1, 20000) AS n"
    )
    connection.execute(
        "INSERT INTO butler.limit_slots "
        "SELECT n::text, gen_random_uuid(), 1 FROM generate_series(1, 20000) AS n"
    )
    before = [_rows_read_by_scanning(connection, table) for table in LIMITED]
    assert len(claim(100)) == 100
    assert [_rows_read_by_scanning(connection, table) for table in LIMITED] == before


LIMITED = ("executions", "limit_slots", "limit_states")


def _rows_read_by_scanning(connection, table="executions"):
    connection.execute("SELECT pg_stat_clear_snapshot()")
    (number,) = connection.execute(
        "SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = %s", (table,)
    ).fetchone()
    return number


def test_tables_that_were_made_small_again_end_the_use_of_prepared_statements(
    storage, connection, database_url
):
    storage.prepare()
    assert storage._connections._prepared
    connection.execute("VACUUM FULL butler.executions")

    again = PostgresStorage(database_url)
    again.prepare()
    assert not again._connections._prepared
    assert len(start_many(again, 3)) == 3
    again.close()

    assert migrate(database_url) == []
    cured = PostgresStorage(database_url)
    cured.prepare()
    assert cured._connections._prepared
    assert cured.count(ExecutionQuery()) == {"running": 3}
    cured.close()


def test_growing_the_tables_leaves_no_row_behind(connection):
    tables = ("executions", "unique_keys")
    for table in tables:
        assert connection.execute(f"SELECT count(*) FROM butler.{table}").fetchone() == (0,)
        size = f"SELECT pg_relation_size('butler.{table}') / 8192"
        assert connection.execute(size).fetchone()[0] >= 64
    connection.execute("VACUUM butler.executions, butler.unique_keys")
    for table in tables:
        size = f"SELECT pg_relation_size('butler.{table}') / 8192"
        assert connection.execute(size).fetchone()[0] >= 64


@pytest.mark.parametrize("query", ["stage", "next_due", "queued", "running", "expire"])
def test_the_schedulers_statements_use_the_index_made_for_them(query, storage, connection):
    fill(connection, rows=20_000)
    connection.execute(
        "INSERT INTO butler.executions "
        "(id, task, queue, priority, status, max_attempts, run_at, created_at, finished_at) "
        "SELECT gen_random_uuid(), 'Send Mail', 'default', 'normal', 'succeeded', 3, now(), now(), "
        "now() FROM generate_series(1, 40000)"
    )
    connection.execute("ANALYZE butler.executions")
    index, params = {
        "stage": ("executions_due", {"floor": None, "epoch": "1", "limit": "100"}),
        "next_due": ("executions_due", {"floor": None}),
        "queued": (
            "executions_queued",
            {"min_age_s": "5.0", "after_at": None, "after_id": None, "limit": "100"},
        ),
        "running": ("executions_running", {"ids": f"{{{new_id()}}}"}),
        "expire": ("executions_expiring", {"epoch": "1", "limit": "100"}),
    }[query]
    statement = storage._connections.statements[query].decode()
    plan = custom_plan(connection, statement, params)
    assert f"using {index}" in plan or f"on {index}" in plan, plan


PICTURES = {
    "picture_queues": {"internal": INTERNAL_QUEUE, "seen": "1000"},
    "picture_waiting": {"reasons": "{unknown_task,other_schema}"},
    "picture_running": {"internal": INTERNAL_QUEUE, "seen": "1000"},
    "picture_ends": {"internal": INTERNAL_QUEUE, "seen": "1000", "failures": "100"},
    "picture_fires": {"seen": "100"},
    "picture_jobs": {"overdue_s": "5.0"},
    "workers": {},
}


@pytest.fixture(scope="module")
def full_ledger(new_database):
    """A ledger with a past: nearly all executions are over, and there are statistics."""
    with (
        new_database(unused=True) as url,
        psycopg.connect(url, autocommit=True, prepare_threshold=None) as connection,
    ):
        connection.execute(
            "INSERT INTO butler.executions (id, task, queue, priority, status, request, "
            "max_attempts, run_at, created_at, queued_at, finished_at) "
            "SELECT gen_random_uuid(), 'Send Mail', 'default', 'normal', CASE WHEN n % 100 = 0 "
            "THEN (ARRAY['queued', 'running', 'failed', 'scheduled'])[1 + n / 100 % 4] "
            "ELSE 'succeeded' END, '{}', 3, now() + n * interval '1 s', now(), now(), now() "
            "FROM generate_series(1, 60000) AS n"
        )
        connection.execute(
            "INSERT INTO butler.stats SELECT 'minute', now() - n * interval '1 minute', "
            "'task ' || t, 'default', 'succeeded', 'succeeded', 9, 9, 9, '{1}', '{1}' "
            "FROM generate_series(1, 3000) AS n, generate_series(1, 10) AS t"
        )
        connection.execute(
            "INSERT INTO butler.stats_packed "
            "SELECT date_trunc('hour', now()) - n * interval '1 hour', 'task ' || t, "
            "'default', 'succeeded', 'succeeded', m, m, m, m, m, m, m, m "
            "FROM generate_series(24, 400) AS n, generate_series(1, 10) AS t, "
            "(SELECT array_agg(x) FROM generate_series(0, 59) AS x) AS u (m)"
        )
        connection.execute("VACUUM ANALYZE butler.executions, butler.stats, butler.stats_packed")
        yield connection


@pytest.mark.parametrize("query", PICTURES)
def test_what_rules_are_held_against_is_read_without_looking_at_all_executions(query, full_ledger):
    statement = (STATEMENTS / f"{query}.sql").read_text().replace("{schema}", "butler")
    plan = custom_plan(full_ledger, statement, PICTURES[query])
    assert "Seq Scan on executions" not in plan, plan


@pytest.mark.parametrize("with_times", ["t", "f"])
def test_statistics_of_some_minutes_are_found_by_the_primary_key(with_times, full_ledger):
    now = datetime.now(UTC)
    params = {
        "steps": "{minute,hour}",
        "sinces": f"{{{now - timedelta(minutes=9)},{now}}}",
        "untils": f"{{{now},{now + timedelta(days=1)}}}",
        "internal": INTERNAL_QUEUE,
        "by_task": "t",
        "by_queue": "f",
        "with_times": with_times,
        **dict.fromkeys(("every", "task", "queue")),
    }
    statement = (STATEMENTS / "stats_read.sql").read_text().replace("{schema}", "butler")
    for plan in (
        generic_plan(full_ledger, statement, params),
        custom_plan(full_ledger, statement, params),
    ):
        assert "stats_pkey" in plan, plan
        assert "Seq Scan on stats x" not in plan, plan
        assert "stats_packed_at" in plan, plan
        assert "Seq Scan on stats_packed" not in plan, plan


def test_the_minutes_to_pack_next_are_found_by_the_primary_key(full_ledger):
    params = {"epoch": "1", "plain_for": "1 day", "limit": "20"}
    statement = (STATEMENTS / "stats_pack.sql").read_text().replace("{schema}", "butler")
    for plan in (
        generic_plan(full_ledger, statement, params),
        custom_plan(full_ledger, statement, params),
    ):
        assert "stats_pkey" in plan, plan
        assert "Seq Scan on stats" not in plan, plan
