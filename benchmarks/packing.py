"""How large minutes are, plain and packed, and what packing and reading them takes.

Some hours of tasks that end once, 10 and 100 times a minute, with wait and run times that scatter
as log-normals do, are written as a fold would leave them, read, packed, and read again: what is
read must be the same.
"""

import argparse
import json
import random
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg

DAYS_KEPT = 90
AT_ONCE = 20


def fill(connection, *, tasks, hours, a_minute):
    """Minutes from long enough ago; when they begin."""
    from butler.histograms import Histogram
    from butler.storage.stats import Step

    chance = random.Random(1)
    begin = Step.HOUR.begin(datetime.now(UTC) - timedelta(days=3))
    connection.execute("TRUNCATE butler.stats, butler.stats_packed")
    with connection.cursor().copy("COPY butler.stats FROM STDIN") as rows:
        for minute in range(60 * hours):
            at = begin + timedelta(minutes=minute)
            for task in range(tasks):
                row = [
                    "minute",
                    at,
                    f"Send mail {task}",
                    "default",
                    "succeeded",
                    "succeeded",
                    a_minute,
                ]
                packed = []
                for mu, sigma in ((-6, 1), (-3, 0.5)):
                    times = [chance.lognormvariate(mu, sigma) for _ in range(a_minute)]
                    row.append(int(sum(times) * 1e6))
                    counts = Histogram.of(times).counts
                    packed.append([(bucket << 40) + n for bucket, n in counts.items()])
                rows.write_row((*row, *packed))
    connection.execute("VACUUM ANALYZE butler.stats")
    return begin


def read(storage, begin, *, hours):
    """Everything by the minute and task; how long that took."""
    from butler.storage.stats import Span, StatsQuery, Step

    span = Span(step=Step.MINUTE, since=begin, until=begin + timedelta(hours=hours))
    started = time.perf_counter()
    cells = storage.stats(StatsQuery(spans=(span,), every=Step.MINUTE, by=("task",)))
    return {(cell.at, cell.task): cell for cell in cells}, time.perf_counter() - started


def kb_a_task_day(connection, table, *, tasks, hours):
    query = "SELECT pg_total_relation_size(%s::regclass)"
    (size,) = connection.execute(query, [f"butler.{table}"]).fetchone()
    return size / 1000 / tasks / hours * 24


def measure(storage, connection, *, tasks, hours, a_minute):
    begin = fill(connection, tasks=tasks, hours=hours, a_minute=a_minute)
    plain_kb = kb_a_task_day(connection, "stats", tasks=tasks, hours=hours)
    before, plain_s = read(storage, begin, hours=hours)
    epoch = storage.take_leadership("bench", observed=storage.leadership())
    steps = []
    while True:
        started = time.perf_counter()
        if not storage.pack_stats(epoch=epoch, limit=AT_ONCE):
            break
        steps.append(time.perf_counter() - started)
    after, packed_s = read(storage, begin, hours=hours)
    assert after == before
    packed_kb = kb_a_task_day(connection, "stats_packed", tasks=tasks, hours=hours)
    return {
        "ends_a_minute": a_minute,
        "plain_kb_a_task_day": plain_kb,
        "packed_kb_a_task_day": packed_kb,
        "plain_gb_of_50_tasks": plain_kb * 50 * DAYS_KEPT / 1e6,
        "packed_gb_of_50_tasks": packed_kb * 50 * DAYS_KEPT / 1e6,
        "pack_s_an_hour": sum(steps) / hours,
        "longest_step_s": max(steps),
        "read_plain_s": plain_s,
        "read_packed_s": packed_s,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=50)
    parser.add_argument("--hours", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()

    from butler.embedded import EmbeddedServices
    from butler.storage.postgres import PostgresStorage

    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedServices(Path(folder, "servers")) as services,
        psycopg.connect(services.database_url, autocommit=True) as connection,
    ):
        storage = PostgresStorage(services.database_url, migrate="auto")
        storage.prepare()
        found = [
            measure(
                storage, connection, tasks=arguments.tasks, hours=arguments.hours, a_minute=a_minute
            )
            for a_minute in (1, 10, 100)
        ]
        storage.close()
    if arguments.json:
        print(json.dumps(found, indent=2))
        return
    for name in found[0]:
        print(f"{name:24}" + "".join(f"{each[name]:12.4g}" for each in found))


if __name__ == "__main__":
    main()
