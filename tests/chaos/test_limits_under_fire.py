"""Limits hold while workers are killed and stopped and Redis is wiped; and everything ends.

The suite plays a small scene. ``BUTLER_TEST_LIMITS=big`` plays a large one (ten worker processes,
twenty keys, kills and stops of children, supervisors and schedulers), ``BUTLER_TEST_SEED`` another.
"""

from __future__ import annotations

import os
import random
import signal
import threading
from dataclasses import dataclass

import psycopg
import pytest
import redis
from fleet import live_workers, wait_for
from fleet_app import Item, limited

LIMIT = 2


@dataclass(frozen=True, kw_only=True)
class Scene:
    """How many of what; ``deeds`` happen in a random order, evenly over the work."""

    supervisors: int
    processes: int
    schedulers: int
    keys: int
    executions: int
    seconds: float
    lease_s: float
    deeds: dict[str, int]
    patience_s: float


SMALL = Scene(
    supervisors=1,
    processes=4,
    schedulers=1,
    keys=5,
    executions=200,
    seconds=0.05,
    lease_s=15,
    deeds={"kill_child": 3, "wipe": 1},
    patience_s=90,
)
BIG = Scene(
    supervisors=2,
    processes=5,
    schedulers=2,
    keys=20,
    executions=6_000,
    seconds=0.1,
    lease_s=4,
    deeds={
        "kill_child": 12,
        "stop_child": 6,
        "kill_supervisor": 3,
        "stop_supervisor": 4,
        "kill_scheduler": 2,
        "wipe": 1,
    },
    patience_s=240,
)
SCENE = {"": SMALL, "big": BIG}[os.environ.get("BUTLER_TEST_LIMITS", "")]
SEED = int(os.environ.get("BUTLER_TEST_SEED", "6"))

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
STARTS = "SELECT count(*) FROM public.moments WHERE step = 1"
PEAKS = """
SELECT max(live) FROM (
    SELECT sum(step) OVER (PARTITION BY key ORDER BY at, step) AS live FROM public.moments
) AS running
"""


class Fire:
    """What happens to the fleet."""

    def __init__(self, fleet, butler, ledger, rng):
        self.fleet, self.butler, self.ledger, self.rng = fleet, butler, ledger, rng
        self.supervisors = [self.start_worker() for _ in range(SCENE.supervisors)]
        self.schedulers = [fleet.start_scheduler() for _ in range(SCENE.schedulers)]
        self.stopped = []

    def start_worker(self):
        return self.fleet.start_worker(processes=SCENE.processes, concurrency=8)

    def kill_child(self):
        os.kill(self.child(), signal.SIGKILL)

    def stop_child(self):
        self.stop(self.child())

    def kill_supervisor(self):
        at = self.rng.randrange(len(self.supervisors))
        self.supervisors[at].kill()
        self.supervisors[at] = self.start_worker()

    def stop_supervisor(self):
        self.stop(self.rng.choice(self.supervisors).pid)

    def kill_scheduler(self):
        at = self.rng.randrange(len(self.schedulers))
        self.schedulers[at].kill()
        self.schedulers[at] = self.fleet.start_scheduler()

    def wipe(self):
        redis.Redis.from_url(self.ledger.redis_url).flushall()

    def child(self):
        """The pid of one that is there: the ledger may still name one that has just died."""
        alive = [w.pid for w in live_workers(self.butler) if os.path.exists(f"/proc/{w.pid}")]  # noqa: PTH110
        return self.rng.choice(alive)

    def stop(self, pid):
        """Hold a process up for up to three leases."""
        os.kill(pid, signal.SIGSTOP)
        for_s = self.rng.uniform(0.2, 3) * SCENE.lease_s
        timer = threading.Timer(for_s, self.go_on, (pid,))
        timer.start()
        self.stopped.append((pid, timer))

    def go_on(self, pid):
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            return

    def die_down(self):
        for pid, timer in self.stopped:
            timer.cancel()
            self.go_on(pid)


@pytest.mark.timeout(2 * SCENE.patience_s)
def test_kills_stops_and_a_wiped_redis_let_no_limit_be_exceeded(butler, fleet, ledger, endings):
    rng = random.Random(SEED)
    with psycopg.connect(ledger.database_url, autocommit=True) as connection:
        connection.execute(RECORD)
    butler.register(limited)
    fleet.environment["BUTLER_LEASE_S"] = str(SCENE.lease_s)
    fire = Fire(fleet, butler, ledger, rng)
    expected = SCENE.supervisors * SCENE.processes
    wait_for(
        lambda: len(live_workers(butler)) == expected,
        timeout_s=SCENE.patience_s,
        what="all workers",
        fleet=fleet,
    )
    work = [Item(n=n, seconds=SCENE.seconds, keys=SCENE.keys) for n in range(SCENE.executions)]
    handles = butler.enqueue_many((limited, item) for item in work)
    deeds = [deed for deed, times in SCENE.deeds.items() for _ in range(times)]
    rng.shuffle(deeds)
    try:
        for n, deed in enumerate(deeds, 1):
            progress = SCENE.executions * n // (len(deeds) + 2)
            wait_for(
                lambda at=progress: len(endings()) >= at,
                timeout_s=SCENE.patience_s,
                what=f"progress to {progress}",
                fleet=fleet,
            )
            getattr(fire, deed)()
        wait_for(
            lambda: len(endings()) == len(handles),
            timeout_s=SCENE.patience_s,
            what="every one ended",
            fleet=fleet,
        )
    finally:
        fire.die_down()
    assert set(endings().values()) == {1}
    with psycopg.connect(ledger.database_url) as connection:
        (peak,) = connection.execute(PEAKS).fetchone()
        (starts,) = connection.execute(STARTS).fetchone()
    print(f"{len(handles)} executions, {starts} attempts, peak {peak}; {' '.join(deeds)}")
    assert peak == LIMIT
