"""Promise G3 on real servers: whoever dies, every fire time fires exactly once."""

import os
import random
import signal
import time

import psycopg
import pytest
from fleet import wait_for
from fleet_app import Item

from butler import Interval

pytestmark = [pytest.mark.xdist_group("chaos"), pytest.mark.timeout(300)]

JOBS = 500
# The leader's lease is a second; BUTLER_TEST_LEADERS_S=60 kills for a minute.
LASTS_S = float(os.environ.get("BUTLER_TEST_LEADERS_S", "15"))
LEADER_LEASE_S = 1
KILL_EVERY_S = 2
KILLS = 5
# Longer than any lease; BUTLER_TEST_OUTAGE_S=60 is a minute's.
OUTAGE_S = float(os.environ.get("BUTLER_TEST_OUTAGE_S", "18"))

# Of each job: how many fire times it has from the first to the last, and how many were recorded,
# fired, and made an execution of their own.
AUDIT = """
SELECT
    j.name,
    extract(epoch FROM max(f.fire_at) - min(f.fire_at))::integer + 1,
    count(*), count(*) FILTER (WHERE f.outcome = 'fired'), count(DISTINCT e.id)
FROM butler.recurring_jobs AS j
JOIN butler.recurring_fires AS f ON f.job_id = j.id
LEFT JOIN butler.executions AS e ON e.id = f.execution_id
GROUP BY j.name
"""

UNFINISHED = """
SELECT count(*) FROM butler.executions WHERE status NOT IN ('succeeded', 'failed', 'cancelled')
"""


@pytest.fixture
def ask(ledger):
    def ask(query):
        with psycopg.connect(ledger.database_url, autocommit=True) as connection:
            return connection.execute(query).fetchall()

    return ask


def every_second(butler, count):
    for n in range(count):
        butler.recurring.create(
            f"job {n}",
            "work",
            Interval(1),
            request=Item(n=n),
            misfire="catch_up",
            overlap="allow",
        )


def leader_of(butler, schedulers):
    holder = butler.storage.leadership().holder or ""
    return next((process for process in schedulers if f"-{process.pid}-" in holder), None)


def assert_each_time_fired_once(ask, *, jobs=JOBS):
    rows = ask(AUDIT)
    assert len(rows) == jobs
    wrong = [row for row in rows if len(set(row[1:])) != 1]
    assert wrong == []
    # No execution that no fire knows of.
    [(executions,)] = ask("SELECT count(*) FROM butler.executions WHERE task = 'work'")
    assert executions == sum(row[1] for row in rows)


def wait_until_all_have_caught_up(butler, ask, fleet):
    now = butler.storage.now()
    wait_for(
        lambda: ask("SELECT min(last_fire_at) FROM butler.recurring_jobs")[0][0] >= now,
        what="every job has fired up to now",
        fleet=fleet,
    )


def test_leaders_killed_one_after_another_fire_every_second_of_500_jobs_once(butler, fleet, ask):
    rng = random.Random(3)
    every_second(butler, JOBS)
    fleet.environment["BUTLER_LEADER_LEASE_S"] = str(LEADER_LEASE_S)
    schedulers = [fleet.start_scheduler(), fleet.start_scheduler()]
    ends_at = time.monotonic() + LASTS_S
    kills = 0
    while time.monotonic() < ends_at or kills < KILLS:
        leader = wait_for(lambda: leader_of(butler, schedulers), timeout_s=20, fleet=fleet)
        time.sleep(rng.uniform(0, KILL_EVERY_S))
        leader.send_signal(signal.SIGKILL)
        leader.wait()
        kills += 1
        schedulers.remove(leader)
        schedulers.append(fleet.start_scheduler())
    wait_until_all_have_caught_up(butler, ask, fleet)
    for process in schedulers:
        process.terminate()
        process.wait()
    assert_each_time_fired_once(ask)


def test_an_outage_of_postgres_loses_no_fire_and_runs_nothing_twice(
    butler, fleet, ledger, ask, endings
):
    every_second(butler, 50)
    fleet.start_scheduler()
    fleet.start_worker(processes=2)
    wait_for(lambda: ask("SELECT min(fires) FROM butler.recurring_jobs")[0][0] >= 2, fleet=fleet)
    # Some end while the ledger is away, some after it is back.
    running = [
        butler.enqueue("awork", Item(n=n, seconds=seconds))
        for n, seconds in enumerate([OUTAGE_S / 2, OUTAGE_S + 5] * 4)
    ]
    wait_for(lambda: all(handle.status == "running" for handle in running), fleet=fleet)
    ledger.postgres.kill()
    time.sleep(OUTAGE_S)
    ledger.postgres.start()
    for handle in running:
        handle.result(timeout_s=60)
    wait_until_all_have_caught_up(butler, ask, fleet)
    butler.recurring.bulk("pause", task="work")
    wait_for(lambda: set(ask(UNFINISHED)) == {(0,)}, what="all have ended", fleet=fleet)
    assert [handle.execution().attempt for handle in running] == [1] * len(running)
    assert set(endings().values()) == {1}
    assert_each_time_fired_once(ask, jobs=50)


def test_a_wiped_redis_and_a_killed_postgres_cost_no_fire(butler, fleet, ledger, ask):
    every_second(butler, JOBS)
    scheduler = fleet.start_scheduler()
    wait_for(lambda: ask("SELECT min(fires) FROM butler.recurring_jobs")[0][0] >= 2, fleet=fleet)
    butler.redis.flushall()
    wait_for(lambda: ask("SELECT min(fires) FROM butler.recurring_jobs")[0][0] >= 5, fleet=fleet)
    ledger.postgres.kill()
    ledger.postgres.start()
    wait_until_all_have_caught_up(butler, ask, fleet)

    def all_on_the_wire():
        waiting = butler.redis.lrange("rq:queue:default", 0, -1)
        return len(set(waiting)) == ask("SELECT count(*) FROM butler.executions")[0][0]

    butler.recurring.bulk("pause", task="work")
    wait_for(all_on_the_wire, what="what the wipe took is pushed again", fleet=fleet)
    scheduler.terminate()
    scheduler.wait()
    assert_each_time_fired_once(ask)
