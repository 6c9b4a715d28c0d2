import threading
import time

import pytest
from butler_scheduler import process as process_module
from butler_scheduler.process import SchedulerProcess

from butler.app import Butler
from butler.errors import QueueUnavailable, SchemaOutdated, StorageUnavailable
from butler.storage.memory import MemoryStorage

WAIT_S = 10


@pytest.fixture
def butler():
    with Butler.in_memory() as butler:
        yield butler


def wait_until(condition):
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_it_leads_until_it_is_stopped_and_resigns(butler):
    process = SchedulerProcess(butler)
    thread = threading.Thread(target=process.run)
    thread.start()
    wait_until(lambda: butler.storage.leadership().holder is not None)
    process.stop()
    process.stop()
    thread.join(WAIT_S)
    assert not thread.is_alive()
    assert butler.storage.leadership().holder is None
    assert not any(service._thread.is_alive() for service in process._services)


def test_stopping_it_before_it_runs_is_fine(butler):
    process = SchedulerProcess(butler)
    process.stop()
    process.run()
    assert butler.storage.leadership().holder is None


@pytest.mark.parametrize("error", [SchemaOutdated("old"), ZeroDivisionError("a bug")])
def test_what_waiting_cannot_mend_ends_it(error, butler):
    class Storage(MemoryStorage):
        def prepare(self):
            raise error

    with pytest.raises(type(error)):
        SchedulerProcess(Butler(redis=butler.redis, storage=Storage())).run()


def test_a_ledger_that_does_not_answer_is_waited_for(butler, monkeypatch):
    monkeypatch.setattr(process_module, "LEDGER_RETRY_S", 0.001)
    tries = []

    class Storage(MemoryStorage):
        def prepare(self):
            tries.append(1)
            if len(tries) < 4:
                raise StorageUnavailable("away")

    storage = Storage()
    process = SchedulerProcess(Butler(redis=butler.redis, storage=storage))
    thread = threading.Thread(target=process.run)
    thread.start()
    wait_until(lambda: storage.leadership().holder is not None)
    process.stop()
    thread.join(WAIT_S)
    assert len(tries) == 4


def test_a_redis_that_can_never_be_used_ends_it(butler, monkeypatch):
    def refuse(client):
        raise QueueUnavailable("Redis Cluster is not supported")

    monkeypatch.setattr(process_module, "check_redis", refuse)
    with pytest.raises(QueueUnavailable, match="Cluster"):
        SchedulerProcess(butler).run()
