from __future__ import annotations

import pytest
from butler_scheduler.definition_sync import LOOK_AGAIN_S, DefinitionSync
from butler_scheduler.service import Service
from scheduler_kit import Bench

from butler import Butler
from butler.errors import InvalidRequest, StorageUnavailable
from butler.schedules import Interval


@pytest.fixture
def bench():
    return Bench()


@pytest.fixture
def butler(bench):
    butler = Butler(redis=bench.redis, storage=bench.ledger.memory, name="shop")

    @butler.recurring(Interval(60))
    @butler.task
    def ping() -> None: ...

    return butler


def test_what_code_declares_is_in_the_ledger_after_the_first_tick(bench, butler, caplog):
    caplog.set_level("INFO")
    service = DefinitionSync(butler.recurring.sync)
    assert isinstance(service, Service)
    assert bench.tick(service) == LOOK_AGAIN_S
    assert butler.recurring.get("ping").source == "shop"
    assert "recurring.synced source=shop created=1" in caplog.text


def test_it_is_done_once(bench, butler):
    service = DefinitionSync(butler.recurring.sync)
    bench.tick(service)
    butler.recurring.delete("ping")
    bench.tick(service)
    assert butler.recurring.find("ping") is None


def test_an_outage_is_waited_for(bench):
    answers = iter([StorageUnavailable("away"), None])
    calls = []

    def sync():
        calls.append(1)
        error = next(answers)
        if error is not None:
            raise error
        return Butler.in_memory().recurring.sync()

    service = DefinitionSync(sync)
    with pytest.raises(StorageUnavailable):
        bench.tick(service)
    bench.tick(service)
    bench.tick(service)
    assert len(calls) == 2


def test_a_declaration_that_does_not_fit_is_reported_and_stops_nothing(bench, caplog):
    def sync():
        raise InvalidRequest("kind: field required")

    assert bench.tick(DefinitionSync(sync)) == LOOK_AGAIN_S
    assert "recurring.sync_failed" in caplog.text


def test_a_name_that_somebody_else_has_is_reported(bench, butler, caplog):
    butler.recurring.create("ping", "ping", Interval(3600))
    bench.tick(DefinitionSync(butler.recurring.sync))
    assert "recurring.conflict job=ping" in caplog.text
