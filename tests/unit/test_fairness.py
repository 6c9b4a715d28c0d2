"""``fair_by``: which key a request has, and that keys take turns, in memory."""

from __future__ import annotations

from collections import Counter
from enum import Enum
from uuid import UUID

import pytest
from pydantic import BaseModel

from butler import Butler
from butler.errors import DefinitionError, InvalidOption
from butler.fair_keys import check_fair_by, fair_key
from butler.producing import Order
from butler.testing import run_pending


class Plan(Enum):
    FREE = "free"


class Owner(BaseModel):
    id: int
    plan: Plan = Plan.FREE


class Upload(BaseModel):
    tenant: str | None = None
    n: int = 0
    owner: Owner = Owner(id=7)


@pytest.mark.parametrize(
    ("fair_by", "request_", "key"),
    [
        ("tenant", Upload(tenant="acme"), "acme"),
        ("tenant", {"tenant": "acme"}, "acme"),
        ("owner.id", Upload(), "7"),
        ("owner.plan", Upload(), "free"),
        ("owner.id", {"owner": None}, None),
        ("tenant", Upload(), None),
        ("tenant", 5, None),
        (lambda upload: upload.n, Upload(n=3), "3"),
        (lambda upload: UUID(int=1), Upload(), str(UUID(int=1))),
        (lambda upload: None, Upload(), None),
        (None, Upload(tenant="acme"), None),
    ],
)
def test_a_key_is_a_field_of_the_request_or_what_a_function_says(fair_by, request_, key):
    assert fair_key(fair_by, request_) == key


@pytest.mark.parametrize("fair_by", ["", ".a", "a..b", 5, ["tenant"], "a\0b"])
def test_what_names_no_field_is_refused(fair_by):
    with pytest.raises(InvalidOption, match="fair_by must"):
        check_fair_by(fair_by)


def test_a_key_that_no_ledger_can_hold_is_refused():
    for value in ("", "a\0b", "x" * 501):
        with pytest.raises(InvalidOption, match="fair_key must"):
            fair_key(lambda _, value=value: value, None)


def test_a_field_that_the_request_does_not_have_is_refused_where_the_task_is_defined():
    butler = Butler.in_memory()
    with pytest.raises(DefinitionError, match="Upload has no 'tenent'; did you mean"):

        @butler.task(fair_by="tenent")
        def store(upload: Upload) -> None: ...


def test_the_task_the_enqueue_and_the_queue_say_the_key_in_this_order():
    butler = Butler(name="x", fair_by={"bulk": lambda upload: f"n{upload.n}", "mail": "tenant"})

    @butler.task(fair_by="tenant")
    def store(upload: Upload) -> None: ...

    @butler.task
    def plain(upload: Upload) -> None: ...

    def keys(task, **options):
        orders = [Order(task=task, request=Upload(tenant="acme", n=1), options=options)]
        return [None if d.limit_keys is None else d.limit_keys.fair for d in butler.drafts(orders)]

    assert keys(store) == ["acme"]
    assert keys(store, queue="bulk") == ["acme"]
    assert keys(store, fair_key="other") == ["other"]
    assert keys(plain) == [None]
    assert keys(plain, queue="bulk") == ["n1"]
    assert keys(plain, queue="mail") == ["acme"]
    with pytest.raises(InvalidOption, match="queue must be"):
        Butler(fair_by={"a.b": "tenant"})


def test_run_pending_takes_one_of_each_key_in_turn():
    butler, ran = Butler.in_memory(), []

    @butler.task(fair_by="tenant")
    def store(upload: Upload) -> None:
        ran.append(upload.tenant)

    @butler.task
    def plain(n: int) -> None:
        ran.append("-")

    store.enqueue(Upload(tenant="a"))
    butler.enqueue_many((store, Upload(tenant="a", n=n)) for n in range(5))
    butler.enqueue_many((store, Upload(tenant="b", n=n)) for n in range(3))
    butler.enqueue_many((plain, n) for n in range(2))
    run_pending(butler)
    assert "".join(ran) == "ab-ab-abaaa"


def test_a_worker_in_memory_takes_one_of_each_key_in_turn():
    butler, ran = Butler.in_memory(), []

    @butler.task(fair_by="tenant")
    def store(upload: Upload) -> None:
        ran.append(upload.tenant)

    handles = butler.enqueue_many((store, Upload(tenant="a", n=n)) for n in range(30))
    handles += butler.enqueue_many((store, Upload(tenant="b", n=n)) for n in range(10))
    with butler.worker(concurrency=1):
        for handle in handles:
            handle.result(timeout_s=60)
    assert 8 <= Counter(ran[:20])["b"] <= 10
    assert butler.redis.keys("butler:turns:*") + butler.redis.keys("butler:waiting:*") == []


def test_what_is_run_again_has_the_key_of_its_request():
    butler = Butler.in_memory()

    @butler.task(fair_by="tenant")
    def store(upload: Upload) -> None: ...

    handle = store.enqueue(Upload(tenant="acme"))
    run_pending(butler)
    again = butler.rerun(handle.id)
    ((_, entry),) = butler.storage.queued(min_age_s=0, after=None, limit=9)
    assert (entry.id, entry.fair_key) == (again.id, "acme")
