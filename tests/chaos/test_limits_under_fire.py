"""Limits hold while workers are killed and Redis is wiped; and everything ends."""

from __future__ import annotations

import os
import random
import signal

import psycopg
import redis
from fleet import live_workers, wait_for
from fleet_app import Item, limited

# The moment is read while the name's lock is held, an end's before its commit: intervals that
# overlap here have overlapped.
RECORD = """
CREATE TABLE public.moments (
    n bigint GENERATED ALWAYS AS IDENTITY, key text, step integer, at timestamptz
);
CREATE FUNCTION public.note_moment() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.moments (key, step, at) VALUES (
        NEW.limit_keys ->> 'concurrency',
        CASE WHEN NEW.status = 'running' THEN 1 ELSE -1 END,
        clock_timestamp()
    );
    RETURN NULL;
END $$;
CREATE TRIGGER note_moment AFTER UPDATE ON butler.executions FOR EACH ROW
WHEN (NEW.limit_keys IS NOT NULL AND (NEW.status = 'running') <> (OLD.status = 'running'))
EXECUTE FUNCTION public.note_moment();
"""
PEAKS = """
SELECT max(live) FROM (
    SELECT sum(step) OVER (PARTITION BY key ORDER BY at, step) AS live FROM public.moments
) AS running
"""


def test_kills_and_a_wiped_redis_let_no_limit_be_exceeded(butler, fleet, ledger, endings):
    rng = random.Random(6)
    with psycopg.connect(ledger.database_url, autocommit=True) as connection:
        connection.execute(RECORD)
    butler.register(limited)
    fleet.start_scheduler()
    fleet.start_worker(processes=4, concurrency=8)
    wait_for(lambda: len(live_workers(butler)) == 4, what="four workers", fleet=fleet)
    handles = butler.enqueue_many((limited, Item(n=n, seconds=0.05)) for n in range(200))
    for progress in (20, 50, 80):
        wait_for(lambda at=progress: len(endings()) >= at, what="progress", fleet=fleet)
        victim = rng.choice(live_workers(butler)).pid
        os.kill(victim, signal.SIGKILL)
    redis.Redis.from_url(ledger.redis_url).flushall()
    wait_for(
        lambda: len(endings()) == len(handles), timeout_s=90, what="every one ended", fleet=fleet
    )
    assert set(endings().values()) == {1}
    with psycopg.connect(ledger.database_url) as connection:
        assert connection.execute(PEAKS).fetchone() == (2,)
