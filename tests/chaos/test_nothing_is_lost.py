"""Promises G1, G2, G4 and G5 on real servers and processes that are killed, stopped and wiped."""

import os
import random
import signal
import time
from collections import Counter
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
import redis
from fleet import live_workers, wait_for
from fleet_app import Item

from butler.storage.stats import Span, StatsQuery, Step

pytestmark = [pytest.mark.xdist_group("chaos"), pytest.mark.timeout(300)]

# Of the worker that stands still, for three times as long. Without it, a lease is 15 s.
LEASE_S = float(os.environ.get("BUTLER_TEST_LEASE_S", "5"))


def succeeded(url):
    with psycopg.connect(url) as connection:
        query = "SELECT count(*) FROM butler.executions WHERE status = 'succeeded'"
        return connection.execute(query).fetchone()[0]


def enqueue(butler, count, *, task="awork", seconds=0.0):
    return butler.enqueue_many([(task, Item(n=n, seconds=seconds)) for n in range(count)])


def assert_statistics_are_a_recount(butler, url):
    """Each attempt that is over was counted once, by task and how it ended, also after kills."""
    with psycopg.connect(url) as connection:
        recount = connection.execute(
            "SELECT task, outcome, count(*) FROM ("
            "SELECT e.task, a.outcome FROM butler.execution_attempts AS a "
            "JOIN butler.executions AS e ON e.id = a.execution_id UNION ALL "
            "SELECT task, 'succeeded' FROM butler.executions WHERE status = 'succeeded'"
            ") AS ended GROUP BY task, outcome"
        ).fetchall()
    today = Step.DAY.begin(datetime.now(UTC))
    span = Span(step=Step.DAY, since=today - timedelta(days=1), until=today + timedelta(days=2))
    counted = Counter()
    for cell in butler.storage.stats(StatsQuery(spans=(span,), by=("task",))):
        counted[cell.task, cell.ending.value] += cell.number
        assert cell.run.total == cell.wait.total == cell.number
    assert {(task, outcome): number for task, outcome, number in recount} == counted


def assert_each_ended_once(handles, endings):
    ended = endings()
    assert {handle.id for handle in handles} == ended.keys()
    assert set(ended.values()) == {1}


def test_five_kills_among_five_thousand_executions_lose_and_repeat_nothing(
    butler, fleet, ledger, endings
):
    rng = random.Random(5)
    fleet.start_worker(processes=2)
    fleet.start_scheduler()
    wait_for(lambda: len(live_workers(butler)) == 2, what="two workers", fleet=fleet)
    handles = enqueue(butler, 5_000, task="work", seconds=0.005)
    for kill in range(1, 6):
        wait_for(
            lambda at=kill * 700: succeeded(ledger.database_url) >= at,
            what=f"progress before kill {kill}",
            fleet=fleet,
        )
        time.sleep(rng.uniform(0, 0.2))
        living = wait_for(lambda: live_workers(butler), what="a living worker", fleet=fleet)
        os.kill(rng.choice(living).pid, signal.SIGKILL)
    wait_for(
        lambda: succeeded(ledger.database_url) == len(handles),
        timeout_s=120,
        what="all succeeded",
        fleet=fleet,
    )
    assert_each_ended_once(handles, endings)
    assert_statistics_are_a_recount(butler, ledger.database_url)


def test_an_emptied_redis_loses_no_queued_execution(butler, fleet, ledger, endings):
    fleet.start_scheduler()
    handles = enqueue(butler, 2_000)
    fleet.start_worker(processes=2)
    wait_for(lambda: succeeded(ledger.database_url) > 100, what="some progress", fleet=fleet)
    redis.Redis.from_url(ledger.redis_url).flushall()
    wait_for(
        lambda: succeeded(ledger.database_url) == len(handles),
        timeout_s=90,
        what="all succeeded after FLUSHALL",
        fleet=fleet,
    )
    assert_each_ended_once(handles, endings)


def test_a_worker_stopped_for_long_and_continued_finishes_nothing_twice(
    butler, fleet, ledger, endings
):
    fleet.environment["BUTLER_LEASE_S"] = str(LEASE_S)
    fleet.start_scheduler()
    stopped = fleet.start_worker(processes=1)
    wait_for(lambda: len(live_workers(butler)) == 1, what="a worker", fleet=fleet)
    handles = enqueue(butler, 40, task="work", seconds=0.5)
    wait_for(lambda: succeeded(ledger.database_url) >= 8, what="some progress", fleet=fleet)
    frozen = [stopped.pid, live_workers(butler)[0].pid]
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    stood_still_since = time.monotonic()
    fleet.start_worker(processes=1)
    wait_for(
        lambda: succeeded(ledger.database_url) == len(handles),
        timeout_s=40,
        what="the other worker took over",
        fleet=fleet,
    )
    wait_for(
        lambda: time.monotonic() - stood_still_since > 3 * LEASE_S,
        timeout_s=4 * LEASE_S,
        what="its lease is over",
    )
    for pid in frozen:
        os.kill(pid, signal.SIGCONT)
    again = enqueue(butler, 50)
    for handle in again:
        handle.result(timeout_s=30)
    wait_for(
        lambda: "worker.lost" in fleet.logs(), what="the stopped worker learns of it", fleet=fleet
    )
    assert_each_ended_once(handles + again, endings)


def test_postgres_killed_and_restarted_amid_two_thousand_loses_and_repeats_nothing(
    butler, fleet, ledger, endings
):
    fleet.start_scheduler()
    handles = enqueue(butler, 2_000)
    fleet.start_worker(processes=2)
    wait_for(lambda: succeeded(ledger.database_url) > 200, what="some progress", fleet=fleet)
    ledger.postgres.kill()
    ledger.postgres.start()
    wait_for(
        lambda: succeeded(ledger.database_url) == len(handles),
        timeout_s=120,
        what="all succeeded after the crash",
        fleet=fleet,
    )
    assert_each_ended_once(handles, endings)
    assert_statistics_are_a_recount(butler, ledger.database_url)
