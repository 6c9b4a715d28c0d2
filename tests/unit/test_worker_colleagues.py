"""What other workers are known to know, and what follows for a task this one does not."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from butler_workers.attempts import hand_back_for_later
from butler_workers.colleagues import LOOK_EVERY_S, Colleagues
from worker_kit import Item, SpoiltStorage, make_butler, make_worker, wait_for

from butler import Butler
from butler.clock import ManualClock
from butler.storage.memory import MemoryStorage
from butler.storage.records import Claim, WorkerRegistration

ME, OTHER = (f"0192f000-0000-7000-8000-00000000000{n}" for n in (1, 2))


@pytest.fixture
def storage():
    return SpoiltStorage(MemoryStorage())


@pytest.fixture
def clock():
    return ManualClock(datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture
def colleagues(storage, clock):
    register(storage, ME)
    return Colleagues(storage, worker_id=ME, clock=clock)


@pytest.fixture
def claimed():
    with make_butler() as butler:
        handle = butler.enqueue("double", Item())
        register(butler.storage, ME)
        (won,) = butler.storage.claim(Claim(worker_id=ME, token=ME, ids=(handle.id,))).won
        return won


def register(storage, worker_id, *, queues=("default",), tasks=("double",)):
    storage.register_worker(
        WorkerRegistration(
            id=worker_id,
            name=worker_id,
            host="h",
            pid=1,
            supervisor_id=worker_id,
            queues=queues,
            tasks=tasks,
            concurrency=1,
        )
    )


def test_another_live_worker_of_the_queue_knows_what_it_registered(storage, colleagues, claimed):
    register(storage, OTHER)
    assert colleagues.know(claimed)


@pytest.mark.parametrize("other", [{"queues": ("mail",)}, {"tasks": ("halve",)}])
def test_a_worker_of_another_queue_or_other_tasks_is_no_help(storage, colleagues, claimed, other):
    register(storage, OTHER, **other)
    assert not colleagues.know(claimed)


@pytest.mark.parametrize("ended", ["lost", "stopped"])
def test_nor_is_one_that_has_ended_nor_the_asking_worker_itself(
    storage, colleagues, claimed, ended
):
    register(storage, OTHER)
    storage.lose_worker(OTHER) if ended == "lost" else storage.stop_worker(OTHER)
    assert not colleagues.know(claimed)


def test_the_ledger_is_asked_now_and_then_and_may_be_away(storage, clock, colleagues, claimed):
    storage.fail("workers", times=1)
    assert not colleagues.know(claimed)
    register(storage, OTHER)
    assert not colleagues.know(claimed)
    clock.advance(LOOK_EVERY_S)
    assert colleagues.know(claimed)
    assert [name for name, _, _ in storage.calls if name == "workers"] == ["workers"] * 2


def test_what_another_worker_knows_comes_back_after_a_second_however_often(claimed):
    bounced = replace(claimed, uncounted=900)
    assert hand_back_for_later(bounced, "unknown_task").delay_s == 30
    assert hand_back_for_later(bounced, "unknown_task", known_elsewhere=True).delay_s == 1


def test_a_worker_says_whether_another_one_knows_the_task(caplog):
    caplog.set_level("INFO")
    with make_butler() as butler, Butler(redis=butler.redis, storage=butler.storage) as ignorant:
        worker = make_worker(ignorant)
        worker.start()
        register(butler.storage, OTHER)
        butler.enqueue("double", Item())
        wait_for(lambda: "task.unknown" in caplog.text)
        worker.drain(0)
    assert "known_elsewhere=True" in caplog.text
