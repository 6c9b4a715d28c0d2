"""The scheduler's statements find their rows by an index, on full tables and on analyzed ones."""

from __future__ import annotations

import sys
from pathlib import Path

import psycopg
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "conformance"))
from recurring_kit import FUTURE, PAST, add, fired, plan

pytestmark = pytest.mark.unused_ledger


STATEMENTS = {
    "recurring_pulse": {"recurring_jobs": "recurring_jobs_due"},
    "recurring_due": {"recurring_jobs": "recurring_jobs_due"},
    "recurring_fire": {"recurring_jobs": "recurring_jobs_pkey"},
    "recurring_fires": {"recurring_fires": "recurring_fires_pkey"},
    "prune_executions": {"executions": "executions_pkey"},
    "prune_fires": {"recurring_fires": "recurring_fires_recorded"},
}


def sent_by(storage):
    """Each statement with the parameters that the storage sends."""
    sent = {}
    run = storage._connections.run

    def note(name, params=None, *, hot=False):
        if name in STATEMENTS:
            sent[name] = (storage._connections.statements[name].decode(), params)
        return run(name, params or {}, hot=hot)

    storage._connections.run = note
    said = add(storage, due_at=PAST)
    storage.recurring_pulse()
    storage.due_recurring(limit=250)
    storage.fire_recurring([plan(said, fired())])
    from butler.storage.recurring_records import FireQuery

    storage.recurring_fires(FireQuery(job_id=said.id))
    storage.prune_executions(epoch=1, after=None, limit=1000)
    storage.prune_fires(epoch=1, limit=1000)
    storage._connections.run = run
    assert set(sent) == set(STATEMENTS)
    return sent


def fill(connection):
    connection.execute(
        "INSERT INTO butler.recurring_jobs (id, name, task, schedule, enabled, misfire,"
        " misfire_grace_s, catch_up_limit, overlap, max_concurrency, jitter_s, tags, description,"
        " change_id, next_fire_at, due_at, created_at, updated_at)"
        " SELECT gen_random_uuid(), 'filler ' || n, 't', '{}', true, 'skip', 1, 1, 'skip', 1, 0,"
        " '{}', '', gen_random_uuid(), %(at)s, %(at)s, now(), now()"
        " FROM generate_series(1, 20000) AS n",
        {"at": FUTURE},
    )
    connection.execute(
        "INSERT INTO butler.recurring_fires (job_id, fire_at, outcome, manual, count, recorded_at)"
        " SELECT j.id, now() + n * interval '1 s', 'skipped', false, 1, now()"
        " FROM (SELECT id FROM butler.recurring_jobs LIMIT 2000) AS j, generate_series(1, 20) AS n"
    )
    connection.execute(
        "INSERT INTO butler.executions (id, task, queue, priority, status, max_attempts, run_at,"
        " created_at) SELECT gen_random_uuid(), 't', 'default', 'normal', 'cancelled', 1, now(),"
        " now() FROM generate_series(1, 50000)"
    )


@pytest.mark.parametrize("upkeep", [None, "ANALYZE"])
def test_no_statement_of_the_scheduler_reads_a_whole_table(upkeep, storage, connection):
    sent = sent_by(storage)
    fill(connection)
    if upkeep:
        connection.execute(upkeep)
    for name, expected in STATEMENTS.items():
        statement, params = sent[name]
        rows = psycopg.ClientCursor(connection).execute(f"EXPLAIN {statement}", params).fetchall()
        shown = "\n".join(line for (line,) in rows)
        for table, index in expected.items():
            assert index in shown, f"{name}\n{shown}"
            assert f"Seq Scan on {table}" not in shown, f"{name}\n{shown}"
