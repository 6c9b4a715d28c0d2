"""The line between a supervisor and its child, and what is done on the child's end of it."""

from __future__ import annotations

import socket
from types import SimpleNamespace

import pytest
from butler_workers.child import Child
from butler_workers.control import ControlLine, SupervisorLine
from butler_workers.funerals import Death, Funerals
from worker_kit import make_butler

BEAT = {"running": ["x" * 60_000]}


@pytest.fixture
def ends():
    """The supervisor's end, and the child's."""
    ours, theirs = socket.socketpair()
    theirs.settimeout(10)
    with ours, theirs:
        yield SupervisorLine(ours), ControlLine(theirs)


def read(line, kind):
    """The kinds of messages up to one of this kind."""
    kinds = []
    for message in line:
        kinds.append(message["kind"])
        if message["kind"] == kind:
            return kinds
    raise AssertionError(kinds)


def test_a_child_that_does_not_read_keeps_nobody_waiting_and_hears_all_but_old_heartbeats(ends):
    line, child = ends
    for _ in range(100):
        line.offer("heartbeat", **BEAT)
    line.send("drain", within_s=None)
    heard = []
    while not heard or heard[-1] != "drain":
        heard += [message["kind"] for message in child.receive()]
        line.flush()
    assert 1 <= heard.count("heartbeat") < 20
    line.offer("heartbeat", **BEAT)
    line.send("adopt")
    assert read(child, "adopt") == ["heartbeat", "adopt"]


def test_a_dead_child_keeps_nobody_waiting(ends):
    line, child = ends
    child.close()
    for _ in range(100):
        line.offer("heartbeat", **BEAT)
        line.send("drain", within_s=None)


def test_a_child_goes_on_hearing_after_a_message_it_could_not_obey(caplog):
    heard = []

    def on_heartbeat(reply, *, sent_at):
        heard.append(sent_at)
        raise ValueError("unforeseen")

    child = Child.__new__(Child)
    child._config = SimpleNamespace(worker_id="w", drain_timeout_s=0, lease_s=1)
    child._worker = SimpleNamespace(on_heartbeat=on_heartbeat)
    child._line = [
        {"kind": "heartbeat", "lost": False, "running": [], "sent_at": sent_at}
        for sent_at in (1, 2)
    ]
    child.stop = heard.append
    child._listen()
    assert heard == [1, 2, 0]
    assert "control.failed" in caplog.text


def test_a_death_that_could_not_be_seen_to_is_seen_to_again(monkeypatch):
    monkeypatch.setattr("butler_workers.funerals.RETRY_PAUSE_S", 0)
    with make_butler() as butler:
        butler.storage.fail("lose_worker", times=2, error=ValueError)
        funerals = Funerals(butler)
        funerals.start()
        death = Death(worker_id="w", name="w", queues=(), cause="the test says so", started={})
        funerals.add(death)
        funerals.stop()
        assert [name for name, *_ in butler.storage.calls].count("lose_worker") == 3
