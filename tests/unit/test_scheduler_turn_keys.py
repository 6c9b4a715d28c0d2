"""What was enqueued without code takes its turn under the key that the scheduler's code makes."""

from __future__ import annotations

import logging

import pytest
from butler_scheduler.stager import Stager
from butler_scheduler.turn_keys import TurnKeys
from pydantic import BaseModel
from scheduler_kit import Bench

from butler import Butler
from butler.errors import StorageUnavailable
from butler.ids import new_id
from butler.limiting import LimitKeys
from butler.storage.records import NewExecution


class Upload(BaseModel):
    tenant: str | None = None


def upper(upload):
    return upload.tenant and upload.tenant.upper()


@pytest.fixture
def bench():
    return Bench()


@pytest.fixture
def stager(bench):
    butler = Butler(name="x", fair_by={"mail": lambda upload: f"by mail for {upload.tenant}"})

    @butler.task(name="store", fair_by=upper)
    def store(upload: Upload) -> None: ...

    @butler.task(name="send")
    def send(upload: Upload) -> None: ...

    return Stager(
        bench.ledger,
        wire=bench.wire,
        leader=bench.leader,
        clock=bench.clock,
        turn_keys=TurnKeys(bench.ledger, registry=butler.registry, fair_queues=butler.fair_by),
    )


def enqueue(bench, request, **options):
    given = {"task": "store", "queue": "default", **options}
    new = NewExecution(id=new_id(), request=request, unpushed=True, **given)
    bench.ledger.memory.insert([new])


def keys(bench):
    """The keys that the ledger has."""
    rows = bench.ledger.memory.queued(min_age_s=0, after=None, limit=100)
    return [entry.fair_key for _, entry in rows]


@pytest.mark.parametrize(
    ("request_", "options", "key"),
    [
        ('{"tenant": "acme"}', {}, "ACME"),
        ('{"tenant": "acme"}', {"limit_keys": LimitKeys(fair="given")}, "given"),
        ('{"tenant": "acme"}', {"limit_keys": LimitKeys(rate="r")}, "ACME"),
        ('{"tenant": "a"}', {"task": "send", "queue": "mail"}, "by mail for a"),
        ('{"tenant": "a"}', {"task": "send"}, None),
        ('{"tenant": "a"}', {"task": "of nobody here"}, None),
        ('{"tenant": 5}', {}, None),
        ("{}", {}, None),
        (None, {}, None),
    ],
)
def test_a_key_that_a_function_makes_is_made_before_the_push(bench, stager, request_, options, key):
    enqueue(bench, request_, **options)
    bench.tick(stager)
    assert keys(bench) == [key]


def test_they_take_turns(bench, stager):
    for tenant in ("a", "a", "a", "b"):
        enqueue(bench, f'{{"tenant": "{tenant}"}}')
    bench.tick(stager)
    assert sorted(bench.redis.zrange("butler:turns:default", 0, -1)) == [b"A", b"B"]


def test_a_function_that_raises_keeps_nothing_from_its_queue(bench, stager, caplog):
    enqueue(bench, '{"tenant": ""}')  # an empty key is none that the ledger can hold
    enqueue(bench, '{"tenant": "b"}')
    with caplog.at_level(logging.WARNING):
        bench.tick(stager)
    assert keys(bench) == [None, "B"]
    assert "fair_key must have" in caplog.text


def test_without_the_ledger_they_are_pushed_without_keys(bench, stager, monkeypatch):
    def away(ids):
        raise StorageUnavailable("the ledger is down")

    monkeypatch.setattr(bench.ledger.memory, "get_many", away)
    enqueue(bench, '{"tenant": "a"}')
    bench.tick(stager)
    assert (keys(bench), len(bench.waiting())) == ([None], 1)
