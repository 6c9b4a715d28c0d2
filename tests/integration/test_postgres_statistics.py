"""Statistics in a real PostgreSQL: what only it can get wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from postgres_scenes import start_many

from butler import lifecycle
from butler.executions import ErrorRecord
from butler.histograms import bucket_of
from butler.storage.stats import MINUTES_KEPT, STATISTICS_KEPT, Span, StatsQuery, Step

A_DAY = timedelta(days=1)
BOOM = ErrorRecord(type="ValueError", message="boom", traceback="Traceback: boom")


def _by_task(storage):
    """What was counted this day and the last, by task and ending."""
    day = Step.DAY.begin(datetime.now(UTC))
    span = Span(step=Step.DAY, since=day - A_DAY, until=day + A_DAY)
    cells = storage.stats(StatsQuery(spans=(span,), by=("task",)))
    return {(cell.task, cell.ending.value): cell for cell in cells}


def test_postgres_and_python_sort_durations_into_the_same_buckets(connection):
    durations = [0.0, 0.4, 1.0, 1.5, *(3 * 1.37**n for n in range(90)), 1e18]
    found = connection.execute(
        "SELECT butler.stats_bucket(d) FROM unnest(%s::float8[]) WITH ORDINALITY AS u (d, n) "
        "ORDER BY n",
        [durations],
    ).fetchall()
    assert [bucket_of(each) for each in durations] == [row[0] for row in found]


def test_merging_nothing_is_nothing_and_order_does_not_matter(connection):
    def merged(one, other):
        return connection.execute(
            "SELECT butler.stats_merged(%s::bigint[], %s::bigint[])", [one, other]
        ).fetchone()[0]

    one, other = [(1 << 40) + 2, (3 << 40) + 1], [(3 << 40) + 5]
    assert merged(None, None) is None
    assert merged(one, None) == merged(None, one) == one
    assert merged(one, other) == merged(other, one) == [(1 << 40) + 2, (3 << 40) + 6]


def test_a_batch_of_many_tasks_is_one_row_and_rows_of_the_release_before_are_added_to_it(
    storage, connection
):
    batch = [each for n in range(3) for each in start_many(storage, 1, task=f"task {n}")]
    storage.finish([lifecycle.succeed(each, result=None) for each in batch])
    one, other = start_many(storage, 2)
    storage.finish([lifecycle.succeed(one, result=None), lifecycle.fail(other, error=BOOM)])
    rows = connection.execute("SELECT ends FROM butler.stats_batches ORDER BY ends").fetchall()
    assert rows == [(2,), (3,)]
    connection.execute(
        "INSERT INTO butler.stats_deltas (at, task, queue, ending, status, number, wait_us, "
        "run_us, waits, runs) VALUES (date_trunc('minute', now()), 'task 0', 'default', "
        "'succeeded', 'succeeded', 2, 20, 2000000, '{150,150}', '{690,700}')"
    )
    epoch = storage.take_leadership("us", observed=storage.leadership())
    before = _by_task(storage)
    assert [before[f"task {n}", "succeeded"].number for n in range(3)] == [3, 1, 1]
    assert before["task 0", "succeeded"].run.total == 3
    while storage.fold_stats(epoch=epoch, limit=1):
        pass
    assert _by_task(storage) == before
    unfolded = "SELECT count(*) FROM butler.stats_unfolded"
    assert connection.execute(unfolded).fetchone() == (0,)


def test_minutes_go_after_days_and_the_rest_after_months(storage, connection):
    now = datetime.now(UTC)
    ages = {
        Step.MINUTE: (MINUTES_KEPT - A_DAY, MINUTES_KEPT + A_DAY),
        Step.HOUR: (STATISTICS_KEPT - A_DAY, STATISTICS_KEPT + A_DAY),
        Step.DAY: (STATISTICS_KEPT - A_DAY, STATISTICS_KEPT + A_DAY),
    }
    for step, each in ages.items():
        for age in each:
            connection.execute(
                "INSERT INTO butler.stats (step, at, task, queue, ending, status, number, "
                "wait_us, run_us) VALUES (%s, %s, 't', 'q', 'lost', 'queued', 1, 0, 0)",
                [step.value, step.begin(now - age)],
            )
    old = now - STATISTICS_KEPT - A_DAY
    for at in (old, now):
        connection.execute(
            "INSERT INTO butler.error_counts VALUES (%s, 't', %s, 1)", [at, at.isoformat()]
        )
        connection.execute(
            "INSERT INTO butler.error_groups "
            "VALUES ('t', %s, 'E', '', '', gen_random_uuid(), %s, %s)",
            [at.isoformat(), at, at],
        )
    epoch = storage.take_leadership("us", observed=storage.leadership())
    removed = 0
    while gone := storage.prune_stats(epoch=epoch, limit=1):
        removed += gone
    assert removed == 5
    always = datetime(2000, 1, 1, tzinfo=UTC)
    for step in Step:
        span = Span(step=step, since=always, until=now)
        assert [cell.number for cell in storage.stats(StatsQuery(spans=(span,)))] == [1]
    assert storage.prune_stats(epoch=epoch, limit=100) == 0
