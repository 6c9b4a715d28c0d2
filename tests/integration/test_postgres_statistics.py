"""Statistics in a real PostgreSQL: what only it can get wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from butler.histograms import bucket_of
from butler.storage.stats import MINUTES_KEPT, STATISTICS_KEPT, Span, StatsQuery, Step

A_DAY = timedelta(days=1)


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
