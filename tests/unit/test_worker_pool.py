"""The pool of isolated processes: what it keeps and what it ends."""

import fcntl
import socket
import threading
from types import SimpleNamespace

import pytest
from butler_workers import isolation
from butler_workers.control import ControlLine
from butler_workers.isolation import IsolatedProcess, IsolationConfig, ProcessPool
from worker_kit import wait_for


class Process:
    """An isolated process that is none."""

    def __init__(self, idle_since):
        self.idle_since = idle_since
        self.ended = []

    def hang_up(self):
        self.ended.append("hung up")

    def kill(self):
        self.ended.append("killed")


@pytest.fixture
def pool(monkeypatch):
    monkeypatch.setattr(isolation, "time", SimpleNamespace(monotonic=lambda: 1_000.0))
    return ProcessPool(IsolationConfig(app="m:b", app_dir=None, log_level="info"))


def test_what_has_been_idle_for_a_minute_is_ended_and_younger_ones_are_kept(pool):
    old, fresh, last = (Process(since) for since in (939.0, 941.0, 999.0))
    pool._idle = [old, fresh, last]
    pool.shrink()
    wait_for(lambda: old.ended == ["hung up", "killed"])
    assert pool._idle == [fresh, last]
    assert fresh.ended == last.ended == []


def test_one_is_always_kept_ready(pool):
    pool._idle = [Process(1.0), last := Process(2.0)]
    pool.shrink()
    assert pool._idle == [last]
    pool.shrink()
    assert pool._idle == [last]


def test_one_that_has_not_run_anything_yet_is_no_leftover(pool):
    pool._idle = [Process(0.0), Process(999.0)]
    pool.shrink()
    assert len(pool._idle) == 2


def test_a_process_is_heard_on_a_descriptor_that_select_cannot_take():
    ours, theirs = socket.socketpair()
    high = socket.socket(fileno=fcntl.fcntl(ours, fcntl.F_DUPFD, 1024))
    with ours, theirs, high:
        process = IsolatedProcess.__new__(IsolatedProcess)
        process.line = ControlLine(high)
        assert process.receive(0) == []
        ControlLine(theirs).send("ready")
        assert process.receive(5) == [{"kind": "ready"}]


def test_a_process_is_not_lost_when_the_one_to_be_kept_ready_cannot_be_started(pool, monkeypatch):
    process = Process(1.0)
    pool._idle = [process]

    def refuse(config):
        raise OSError("no more processes")

    monkeypatch.setattr(isolation, "IsolatedProcess", refuse)
    with pytest.raises(OSError, match="no more processes"):
        pool.run(SimpleNamespace(lock=threading.Lock()))
    assert process.ended == ["killed"]
    assert not pool._busy
