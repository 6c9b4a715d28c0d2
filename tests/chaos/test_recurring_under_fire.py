"""Promise G3 on real servers: whoever dies, every fire time fires exactly once."""

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
LASTS_S = 60
KILL_EVERY_S = 5

# Of each job: how many fire times it has from the first to the last, and how many were recorded,
# fired, and made an execution of their own.
AUDIT = """
SELECT
    j.name,
    extract(epoch FROM max(f.fire_at) - min(f.fire_at))::integer + 1,
    count(*), count(*) FILTER (WHERE f.outcome = 'fired'), count(DISTINCT e.id)
FROM butler.recurring_jobs AS j
JOIN butler.recurring_fires AS f ON f.job_id = j.id
LEFT JOIN butler.executions AS e ON e.id = f.execution_id AND e.run_at = f.fire_at
GROUP BY j.name
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


def assert_each_time_fired_once(ask):
    rows = ask(AUDIT)
    assert len(rows) == JOBS
    wrong = [row for row in rows if len(set(row[1:])) != 1]
    assert wrong == []
    # No execution that no fire knows of.
    [(executions,)] = ask("SELECT count(*) FROM butler.executions")
    assert executions == sum(row[1] for row in rows)


def wait_until_all_have_caught_up(butler, ask, fleet):
    now = butler.storage.now()
    wait_for(
        lambda: ask("SELECT min(last_fire_at) FROM butler.recurring_jobs")[0][0] >= now,
        what="every job has fired up to now",
        fleet=fleet,
    )


def test_a_minute_of_killed_leaders_fires_every_second_of_500_jobs_once(butler, fleet, ask):
    rng = random.Random(3)
    every_second(butler, JOBS)
    schedulers = [fleet.start_scheduler(), fleet.start_scheduler()]
    ends_at = time.monotonic() + LASTS_S
    kills = 0
    while time.monotonic() < ends_at:
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
    assert kills >= 5
    assert_each_time_fired_once(ask)


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
