"""Fairness with real workers: how long one tenant keeps another waiting."""

from __future__ import annotations

import psycopg
from fleet import wait_for
from fleet_app import Share, shared

STARTED_SINCE = """
SELECT count(*) FROM butler.executions AS e, butler.executions AS late
WHERE late.id = %s AND e.id <> late.id AND e.started_at BETWEEN late.created_at AND late.started_at
"""


def test_a_thousand_of_one_tenant_delay_anothers_one_by_what_is_in_hand(
    butler, fleet, redis_url, database_url
):
    butler.register(shared)
    many = butler.enqueue_many(
        (shared, Share(tenant="a", n=n, seconds=0.005)) for n in range(1_500)
    )
    fleet.start_worker(concurrency=1)
    wait_for(lambda: butler.storage.standings([many[20].id])[0].status.finished, fleet=fleet)
    late = butler.enqueue(shared, Share(tenant="b"))
    assert late.result(timeout_s=60) == "b"
    with psycopg.connect(database_url) as connection:
        ((before,),) = connection.execute(STARTED_SINCE, [late.id]).fetchall()
    # Two that took their turn; the others were in hand: those of a twentieth of a second.
    assert before < 60
    butler.cancel_many(handle.id for handle in many)
    wait_for(lambda: not butler.redis.keys("butler:turns:*"), fleet=fleet)
    assert butler.redis.keys("butler:waiting:*") == []
