import logging
import threading

import pytest
from butler_scheduler.service import Service

from butler.errors import StorageUnavailable

WAIT_S = 10


class Counting(Service):
    name = "counting"

    def __init__(self, *, failing=0, error=None):
        super().__init__()
        self.ticks = 0
        self.wound_down = 0
        self.failing = failing
        self.error = error or RuntimeError("broken")
        self.enough = threading.Event()

    def tick(self, now):
        self.ticks += 1
        if self.ticks <= self.failing:
            raise self.error
        self.enough.set()
        return 0.001

    def wind_down(self):
        self.wound_down += 1


@pytest.fixture
def service():
    service = Counting()
    yield service
    service.stop()


def test_a_service_ticks_until_it_is_stopped(service):
    service.start()
    assert service.enough.wait(WAIT_S)
    assert service.stop()
    ticks = service.ticks
    assert not service._thread.is_alive()
    assert service.ticks == ticks


def test_a_stopped_service_winds_down_once_however_often_it_is_stopped(service):
    service.start()
    assert service.enough.wait(WAIT_S)
    assert service.stop()
    assert service.stop()
    assert service.wound_down == 1


def test_stopping_before_starting_is_fine_and_final(service):
    assert service.stop()
    service.start()
    assert service._thread is None


def test_starting_twice_makes_one_thread(service):
    service.start()
    thread = service._thread
    service.start()
    assert service._thread is thread


def test_a_tick_that_raises_is_logged_and_tried_again(caplog):
    service = Counting(failing=3)
    with caplog.at_level(logging.INFO):
        service.start()
        assert service.enough.wait(WAIT_S)
        assert service.stop()
    events = [r.getMessage() for r in caplog.records if r.getMessage().startswith("service.")]
    assert events == [
        "service.failed service=counting failures=1 error='RuntimeError: broken'",
        "service.failed service=counting failures=2 error='RuntimeError: broken'",
        "service.recovered service=counting after=3",
    ]
    assert {r.levelno for r in caplog.records if "failed" in r.getMessage()} == {logging.ERROR}


def test_an_outage_is_a_warning_without_a_traceback(caplog):
    service = Counting(failing=1, error=StorageUnavailable("gone"))
    with caplog.at_level(logging.WARNING):
        service.start()
        assert service.enough.wait(WAIT_S)
        assert service.stop()
    assert [(r.levelno, r.exc_info) for r in caplog.records] == [(logging.WARNING, None)]


def test_a_service_that_hangs_is_reported_by_its_stop():
    class Hanging(Counting):
        def tick(self, now):
            self.enough.set()
            let_go.wait(WAIT_S)
            return 0.0

    let_go = threading.Event()
    service = Hanging()
    service.start()
    assert service.enough.wait(WAIT_S)
    assert service.stop(timeout_s=0.01) is False
    let_go.set()
    assert service.stop(timeout_s=WAIT_S)
