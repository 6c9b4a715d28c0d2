"""Statistics in a real PostgreSQL: what only it can get wrong."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from postgres_scenes import start_many

import butler.storage.postgres
from butler import lifecycle
from butler.executions import ErrorRecord
from butler.histograms import Histogram, bucket_of
from butler.monitoring.windows import Window
from butler.storage.stats import PLAIN_FOR, STATISTICS_KEPT, Span, StatsQuery, Step

A_DAY = timedelta(days=1)
BOOM = ErrorRecord(type="ValueError", message="boom", traceback="Traceback: boom")


def _by_task(storage):
    """What was counted this day and the last, by task and ending."""
    day = Step.DAY.begin(datetime.now(UTC))
    span = Span(step=Step.DAY, since=day - A_DAY, until=day + A_DAY)
    cells = storage.stats(StatsQuery(spans=(span,), by=("task",)))
    return {(cell.task, cell.ending.value): cell for cell in cells}


def add_ends(connection, step, at, *, task="t", numbers, times=(), count=1):
    """A folded row a way to end; each has attempts of these times (seconds), ``count`` of each."""
    packed = [(bucket << 40) + n * count for bucket, n in Histogram.of(times).counts.items()]
    times_us = int(sum(times) * 1e6)
    for ending, number in numbers.items():
        key = (step.value, step.begin(at), task, ending)
        connection.execute(
            "INSERT INTO butler.stats VALUES (%s, %s, %s, 'q', %s, 'queued', %s, %s, %s, %s, %s)",
            [*key, number, number * 7, times_us, packed or None, packed[:1] or None],
        )


def old_minutes(connection, *, hours=3):
    """Two tasks' minutes of the newest hours that may be packed, and of the hour after these.

    When the hour that stays plain begins.
    """
    random = Random(7)
    plain = Step.HOUR.begin(datetime.now(UTC) - PLAIN_FOR)
    for minute in range(-60 * hours, 60, 3):
        for task in ("mail", "report"):
            times = [random.lognormvariate(0, 1) for _ in range(random.randrange(9))]
            numbers = {"succeeded": len(times) + 1, "lost": 2}
            at = plain + timedelta(minutes=minute)
            add_ends(connection, Step.MINUTE, at, task=task, numbers=numbers, times=times)
    return plain


def read_all(storage, spans):
    """What is read of these spans, kept apart as far as can be."""
    query = StatsQuery(spans=spans, every=Step.MINUTE, by=("task", "queue"))
    return {(c.at, c.task, c.ending.value): c for c in storage.stats(query)}


def plain_and_packed(connection):
    return connection.execute(
        "SELECT (SELECT count(*) FROM butler.stats), (SELECT count(*) FROM butler.stats_packed)"
    ).fetchone()


def test_packed_minutes_are_read_to_the_last_bucket_as_when_they_were_plain(storage, connection):
    plain = old_minutes(connection)
    now = datetime.now(UTC)
    windows = [
        Window(plain - timedelta(minutes=ago), plain + timedelta(minutes=20), now=now)
        for ago in (181, 100, 61, 17)
    ]
    spans = [window.spans() for window in windows]
    spans.append((windows[0].span_of(Step.MINUTE),))
    before = [read_all(storage, each) for each in spans]
    assert len(before[-1]) == 67 * 4
    epoch = storage.take_leadership("us", observed=storage.leadership())
    steps = Counter()
    while (packed := storage.pack_stats(epoch=epoch, limit=3)) > 0:
        steps[packed] += 1
        assert [read_all(storage, each) for each in spans] == before
    assert steps == {3: 3, 1: 3}
    assert plain_and_packed(connection) == (20 * 4, 3 * 4)

    at = plain - timedelta(minutes=90)
    add_ends(connection, Step.MINUTE, at, task="mail", numbers={"lost": 5}, times=[2.0])
    late = read_all(storage, spans[-1])
    assert late[at, "mail", "lost"].number == before[-1][at, "mail", "lost"].number + 5
    assert storage.pack_stats(epoch=epoch, limit=3) == 1
    assert plain_and_packed(connection) == (20 * 4, 3 * 4 + 1)
    assert read_all(storage, spans[-1]) == late


def test_a_bucket_holds_any_number_packed(storage, connection):
    at = Step.MINUTE.begin(datetime.now(UTC) - PLAIN_FOR * 2)
    span = (Span(step=Step.MINUTE, since=at, until=at + timedelta(minutes=1)),)
    counts = [*range(1, 70), *(2**n + d for n in range(7, 21) for d in (-1, 0, 1)), 3_000_001]
    for count in counts:
        add_ends(
            connection,
            Step.MINUTE,
            at,
            task=f"task {count}",
            numbers={"failed": count},
            times=[0.0, 1e-6 * 1.37**count if count < 90 else 1e9],
            count=count,
        )
    before = read_all(storage, span)
    assert len(before) == len(counts)
    epoch = storage.take_leadership("us", observed=storage.leadership())
    assert storage.pack_stats(epoch=epoch, limit=1_000) == len(counts)
    assert read_all(storage, span) == before


def test_a_packing_that_does_not_come_to_its_end_has_changed_nothing(storage, connection):
    plain = old_minutes(connection, hours=1)
    span = (Span(step=Step.MINUTE, since=plain - A_DAY, until=plain + A_DAY),)
    before = read_all(storage, span)
    epoch = storage.take_leadership("us", observed=storage.leadership())
    folder = Path(butler.storage.postgres.__file__).parent / "sql"
    statement = (folder / "stats_pack.sql").read_text().replace("{schema}", "butler")
    params = {"epoch": epoch, "plain_for": "1 day", "limit": 3}
    with connection.transaction(force_rollback=True):
        assert connection.execute(statement, params).fetchone() == (3,)
        assert plain_and_packed(connection) == (20 * 5, 3)
        assert read_all(storage, span) == before
    assert plain_and_packed(connection) == (20 * 8, 0)
    assert read_all(storage, span) == before


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


def test_statistics_go_after_months(storage, connection):
    now = datetime.now(UTC)
    for step in Step:
        for age in (A_DAY, STATISTICS_KEPT - A_DAY, STATISTICS_KEPT + A_DAY):
            add_ends(connection, step, now - age, numbers={"lost": 1})
    epoch = storage.take_leadership("us", observed=storage.leadership())
    while storage.pack_stats(epoch=epoch, limit=10):
        pass
    late = now - STATISTICS_KEPT - A_DAY
    add_ends(connection, Step.MINUTE, late, numbers={"lost": 1})
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
    removed = 0
    while gone := storage.prune_stats(epoch=epoch, limit=1):
        removed += gone
    assert removed == 6
    always = datetime(2000, 1, 1, tzinfo=UTC)
    for step in Step:
        span = Span(step=step, since=always, until=now)
        assert [cell.number for cell in storage.stats(StatsQuery(spans=(span,)))] == [2]
    assert storage.prune_stats(epoch=epoch, limit=100) == 0
