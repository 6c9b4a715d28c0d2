"""Executions of recurring jobs take turns under the key that code makes of the job's request."""

from __future__ import annotations

from datetime import timedelta

import fakeredis
import pytest
from pydantic import BaseModel
from recurring_jobs_shop import NOON

from butler import Butler, Interval
from butler.recurring.firing import Firer


class Sync(BaseModel):
    tenant: str = "acme"


@pytest.fixture
def butler(clock, storage):
    redis = fakeredis.FakeRedis(server=fakeredis.FakeServer())
    fair_by = {"bulk": lambda sync: f"bulk of {sync.tenant}"}
    with Butler(redis=redis, storage=storage, clock=clock, name="shop", fair_by=fair_by) as butler:

        @butler.task(name="named", fair_by="tenant")
        def named(sync: Sync) -> None: ...

        @butler.task(name="computed", fair_by=lambda sync: sync.tenant.upper())
        def computed(sync: Sync) -> None: ...

        @butler.task(name="plain")
        def plain(sync: Sync) -> None: ...

        yield butler


def create(butler, task, **options):
    options.setdefault("request", Sync())
    return butler.recurring.create(task, task, Interval(60), **options)


def keys(storage):
    return [entry.fair_key for _, entry in storage.queued(min_age_s=0, after=None, limit=100)]


@pytest.mark.parametrize(
    ("task", "options", "key"),
    [
        ("named", {}, "acme"),
        ("computed", {}, "ACME"),
        ("plain", {}, None),
        ("plain", {"queue": "bulk"}, "bulk of acme"),
        ("named", {"queue": "bulk"}, "acme"),
    ],
)
def test_fires_and_triggers_have_the_key(butler, storage, clock, task, options, key):
    create(butler, task, overlap="allow", **options)
    butler.recurring.trigger(task)
    leader = storage.take_leadership("us", observed=storage.leadership())
    clock.advance(60)
    Firer(storage, pusher=butler.pusher, clock=clock).fire_due(
        lambda: leader, now=NOON + timedelta(seconds=60)
    )
    assert keys(storage) == [key, key]


def test_a_trigger_with_a_request_of_its_own_has_its_key(butler, storage):
    create(butler, "computed")
    butler.recurring.trigger("computed", Sync(tenant="globex"))
    assert keys(storage) == ["GLOBEX"]


def test_the_key_changes_with_the_request_and_with_the_queue(butler):
    changes = [
        create(butler, "plain"),
        butler.recurring.update("plain", queue="bulk"),
        butler.recurring.update("plain", request=Sync(tenant="globex")),
        butler.recurring.update("plain", priority="low"),
        butler.recurring.update("plain", queue=None),
        butler.recurring.update("plain", task="computed"),
    ]
    assert [job.fair_key for job in changes] == [
        None,
        "bulk of acme",
        "bulk of globex",
        "bulk of globex",
        None,
        "GLOBEX",
    ]


def test_sync_makes_the_keys_of_what_code_declares_anew(butler, storage):
    butler.recurring(Interval(60), request=Sync(), queue="bulk")(
        butler.task(name="declared")(_declared)
    )
    butler.recurring.sync()
    assert butler.recurring.get("declared").fair_key == "bulk of acme"
    butler.fair_by = {"bulk": "tenant"}
    assert butler.recurring.sync().updated == ("declared",)
    assert butler.recurring.get("declared").fair_key == "acme"
    assert butler.recurring.sync().unchanged == ("declared",)


def _declared(sync: Sync) -> None: ...
