"""Keys that functions make of requests hold however an execution was enqueued."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest
from butler_workers.keyed_claims import KeyedClaims
from postgres_scenes import add_worker, until
from pydantic import BaseModel
from starlette.testclient import TestClient

from butler import Butler, Interval, Once
from butler.ids import new_id, new_token
from butler.recurring.firing import Firer
from butler.storage.records import Claim
from butler.web import create_app


class Charge(BaseModel):
    customer: int


@pytest.fixture
def butler(redis_url, database_url):
    with Butler(redis_url, database_url) as butler:

        @butler.task(
            max_concurrency=1, concurrency_key=lambda request: f"customer:{request.customer}"
        )
        def charge(request: Charge) -> int:
            return request.customer

        butler.storage.register_tasks(butler.tasks())
        yield butler


@pytest.fixture
def stranger(redis_url, database_url):
    """An application that has none of the tasks."""
    with Butler(redis_url, database_url) as butler:
        yield butler


def by_sql(stranger, database_url):
    with psycopg.connect(database_url) as connection:
        statement = "SELECT butler.enqueue('charge', '{\"customer\": 42}')"
        (id_,) = connection.execute(statement).fetchone()
    return str(id_)


def by_rest(stranger):
    api = TestClient(create_app(stranger))
    secret = stranger.tokens.create("t", role="operator").secret
    api.headers["Authorization"] = f"Bearer {secret}"
    new = {"task": "charge", "request": {"customer": 42}}
    return api.post("/api/v1/executions", json=new).json()["id"]


def by_recurring_job(stranger):
    every = Interval(86_400)
    stranger.recurring.create("Nightly", "charge", every, request={"customer": 42})
    return stranger.recurring.trigger("Nightly").id


def by_a_fire(stranger, epoch):
    soon = Once(stranger.storage.now() + timedelta(milliseconds=50))
    stranger.recurring.create("Soon", "charge", soon, request={"customer": 42})
    firer = Firer(stranger.storage, pusher=stranger.pusher, clock=stranger.clock)

    def fired():
        firer.fire_due(lambda: epoch, now=stranger.storage.now())
        return stranger.recurring.history("Soon")

    return until(fired)[0].execution_id


def test_a_key_that_a_function_makes_holds_on_every_way_into_the_ledger(
    butler, stranger, database_url
):
    coded = butler.enqueue("charge", Charge(customer=42)).id
    other = stranger.enqueue("charge", {"customer": 7}).id
    ids = [
        coded,
        stranger.enqueue("charge", {"customer": 42}).id,
        by_sql(stranger, database_url),
        by_rest(stranger),
        by_recurring_job(stranger),
        stranger.rerun(coded).id,
        butler.rerun(coded).id,
    ]
    leader = new_id()
    epoch = butler.storage.take_leadership(leader, observed=butler.storage.leadership())
    ids.append(by_a_fire(stranger, epoch))
    butler.storage.stage(epoch=epoch, limit=100)
    claims = KeyedClaims(butler.storage, butler.registry)
    claim = Claim(
        worker_id=add_worker(butler.storage), token=new_token(), ids=(*ids, other), solo=False
    )
    reply = claims.claim(claim)
    assert {won.id: won.slots for won in reply.won} == {
        coded: ("customer:42",),
        other: ("customer:7",),
    }
    assert {item.wait.limit for item in reply.refused} == {"customer:42"}
    assert len(reply.refused) == len(ids) - 1
    # A task that nobody here knows waits for a worker that does.
    lost = stranger.enqueue("charge", {"customer": 9}).id
    claim = replace(claim, token=new_token(), ids=(lost,))
    (refused,) = KeyedClaims(stranger.storage, stranger.registry).claim(claim).refused
    assert (refused.wait.limit, refused.wait.part) == ("charge", "keys")
    assert [won.slots for won in claims.claim(claim).won] == [("customer:9",)]
