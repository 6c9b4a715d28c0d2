"""What takes turns ends once each while workers are killed and Redis is wiped."""

from __future__ import annotations

import os
import random
import signal

import redis
from fleet import live_workers, wait_for
from fleet_app import Share, shared

TENANTS = "abcde"


def test_kills_and_a_wiped_redis_lose_and_double_nothing_that_takes_turns(
    butler, fleet, ledger, endings
):
    rng = random.Random(13)
    butler.register(shared)
    fleet.start_scheduler()
    fleet.start_worker(processes=2, concurrency=4)
    wait_for(lambda: len(live_workers(butler)) == 2, what="two workers", fleet=fleet)
    shares = [Share(tenant=tenant, n=n, seconds=0.02) for n in range(80) for tenant in TENANTS]
    handles = butler.enqueue_many((shared, share) for share in shares)
    client = redis.Redis.from_url(ledger.redis_url)
    for progress in (60, 150):
        wait_for(lambda at=progress: len(endings()) >= at, what="progress", fleet=fleet)
        os.kill(rng.choice(live_workers(butler)).pid, signal.SIGKILL)
        if progress == 150:
            client.flushall()
    cancelled = [handle.id for handle in handles[-50:]]
    changed = {move.id for move in butler.cancel_many(cancelled) if move.changed}
    wait_for(
        lambda: len(endings()) == len(handles), timeout_s=90, what="every one ended", fleet=fleet
    )
    assert set(endings().values()) == {1}
    assert changed
    wait_for(
        lambda: not client.keys("butler:turns:*") + client.keys("butler:waiting:*"),
        what="no key left",
        fleet=fleet,
    )
