"""What reads of the API take with ten million executions: a list with each filter that an index
answers, with those that look at a bounded number of rows, and one execution; p95, beside 50 ms.

The rows are made by SQL; ``--keep FOLDER`` keeps them for the next run (5 GB, some ten minutes).
"""

import argparse
import json
import os
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from statistics import median

from kit import HERE, percentile, print_rows, row, show
from web_server import Connection, serving

API = "/api/v1/executions"
ASKED_MS = 50.0
# As history.py makes them, with something for each filter to find.
FILL = """
INSERT INTO butler.executions (
    id, task, queue, priority, status, request, result, error, attempt, max_attempts, run_at,
    created_at, queued_at, started_at, finished_at, worker_id, claim_token, user_id, tags, parent_id
)
SELECT
    (
        lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7'
        || substr(md5(n::text), 1, 3) || '8' || substr(md5(n::text), 4, 15)
    )::uuid,
    CASE WHEN n %% 10 = 0 THEN 'mail' ELSE 'noop' END,
    CASE WHEN n %% 7 = 0 THEN 'other' ELSE 'bench' END, 'normal',
    CASE WHEN n %% 50 = 0 THEN 'failed' WHEN n %% 501 = 0 THEN 'cancelled' ELSE 'succeeded' END,
    jsonb_build_object('to', 'user' || n %% 1000, 'order', jsonb_build_object('number', n)),
    CASE WHEN n %% 50 <> 0 THEN '{"ok": 1}'::jsonb END,
    CASE WHEN n %% 50 = 0 THEN jsonb_build_object(
        'type', 'ValueError', 'message', 'order ' || n || ' is refused'
    ) END,
    1, 3, at, at, at, at, at, gen_random_uuid(), gen_random_uuid(), 'user' || n %% 1000,
    CASE WHEN n %% 10 = 0 THEN '{post}'::text[] ELSE '{}' END,
    CASE WHEN n %% 1000 = 0 THEN '018f0000-0000-7000-8000-000000000001'::uuid END
FROM generate_series(%(first)s::integer, %(last)s::integer) AS n
CROSS JOIN LATERAL (
    SELECT now() - make_interval(secs => 2592000.0 * (1 - n / %(all)s::float8)) AS at
) AS t
"""


def queries(ids):
    """Paths by what they ask for."""
    day = "created_after=2026-11-01T00:00:00Z"
    return {
        "GET one": [f"{API}/{id_}" for id_ in ids],
        "list": [API],
        "list, a page deep inside": [f"{API}?cursor={id_}" for id_ in ids],
        "status=failed": [f"{API}?status=failed"],
        "status=running": [f"{API}?status=running&status=queued"],
        "status=failed&task": [f"{API}?status=failed&task=mail"],
        "user_id": [f"{API}?user_id=user{n}" for n in range(1_000)],
        "parent_id": [f"{API}?parent_id=018f0000-0000-7000-8000-000000000001"],
        "created_after, created_before": [f"{API}?{day}&created_before=2026-11-10T00:00:00Z"],
        "task": [f"{API}?task=mail"],
        "queue": [f"{API}?queue=other"],
        "tag": [f"{API}?tag=post"],
        "task that nothing has": [f"{API}?task=nothing"],
        "text in errors": [f"{API}?task=mail&text=refused"],
        "text that nothing has": [f"{API}?task=mail&text=nothing"],
        "request field": [f"{API}?task=mail&request.to=user{n}" for n in range(0, 1_000, 10)],
        "request field that nothing has": [f"{API}?task=mail&request.to=nobody"],
    }


def reads(url, arguments):
    ids = fill(url, arguments.rows)
    rows = []
    with serving() as (_, port):
        connection = Connection(port)
        for name, paths in queries(ids).items():
            asked = (paths * arguments.requests)[: arguments.requests + 5]
            answers = [connection.timed("GET", path) for path in asked][5:]
            took = [ms for ms, _ in answers]
            truncated = sum(bool(answer.get("truncated")) for _, answer in answers)
            show(f"{name}: p50 {median(took):.1f} ms, truncated {truncated} of {len(answers)}")
            rows.append(
                row(
                    f"{name}, p95",
                    "ms",
                    [(percentile(took, 0.95), ASKED_MS)],
                    beside="asked",
                    at_most=1,
                )
            )
    return rows


def fill(url, count):
    """Makes the rows that are not there; some of their ids, of all ages."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        there = connection.execute(
            "SELECT count(*) FROM (SELECT FROM butler.executions LIMIT %s) AS e", (count,)
        ).fetchone()[0]
        if there < count:
            began = time.perf_counter()
            for first in range(1, count + 1, 1_000_000):
                last = min(first + 999_999, count)
                connection.execute(FILL, {"first": first, "last": last, "all": count})
            connection.execute("VACUUM (ANALYZE) butler.executions")
            connection.execute("CHECKPOINT")
            show(f"{count:,} rows made in {time.perf_counter() - began:.0f} s")
        sample = "SELECT id::text FROM butler.executions TABLESAMPLE SYSTEM_ROWS (200)"
        connection.execute("CREATE EXTENSION IF NOT EXISTS tsm_system_rows")
        return [id_ for (id_,) in connection.execute(sample)]


@contextmanager
def place(keep):
    """The folder of the servers' data."""
    if keep:
        yield Path(keep)
        return
    with tempfile.TemporaryDirectory(prefix="butler-bench-") as folder:
        yield Path(folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000, help="executions to read among")
    parser.add_argument("--keep", metavar="FOLDER", help="of the servers, for the next run")
    parser.add_argument("--requests", type=int, default=100, help="of each kind of read")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    arguments = parser.parse_args()

    from butler.embedded import EmbeddedServices

    sys.path.insert(0, str(HERE))
    with place(arguments.keep) as folder, EmbeddedServices(folder / "servers") as services:
        os.environ["BUTLER_REDIS_URL"] = services.redis_url
        os.environ["BUTLER_DATABASE_URL"] = services.database_url
        os.environ["BUTLER_MIGRATE"] = "auto"
        from bench_tasks import butler

        butler.storage.register_tasks(butler.tasks())
        rows = reads(services.database_url, arguments)
    if arguments.json:
        print(json.dumps([asdict(each) | {"met": each.met} for each in rows], indent=2))
    else:
        print_rows(rows)


if __name__ == "__main__":
    main()
