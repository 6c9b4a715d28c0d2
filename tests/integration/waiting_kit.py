"""Butlers, workers and channels, for the tests that wait."""

from __future__ import annotations

from fleet import live_workers, wait_for
from fleet_app import endless
from waiting_app import nap, walk

from butler import Butler
from butler.queues import WireKeys

TIMEOUT_S = 60


def made(redis_url, database_url):
    butler = Butler(redis_url, database_url)
    for task in (nap, walk, endless):
        butler.register(task)
    return butler


def serve(fleet, butler, *, app="waiting_app:butler", concurrency=250):
    before = len(live_workers(butler))
    fleet.start_worker(app=app, concurrency=concurrency)
    wait_for(lambda: len(live_workers(butler)) == before + 1, what="a worker", fleet=fleet)


def listening_to(redis, handle):
    return redis.pubsub_numsub(WireKeys.changes(handle.id))[0][1]
