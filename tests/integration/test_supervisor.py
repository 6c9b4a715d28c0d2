"""The supervisor's own moves: restarts without losing capacity, limits, bursts, systemd."""

import os
import signal
import socket
import time

import pytest
from fleet import live_workers, wait_for
from fleet_app import Item

from butler.executions import ExecutionStatus


@pytest.fixture
def start(butler, fleet):
    def start(*options, processes=1, **settings):
        process = fleet.start_worker(*options, processes=processes, **settings)
        wait_for(lambda: len(live_workers(butler)) == processes, what="workers", fleet=fleet)
        return process

    return start


def pids(butler):
    return {row.pid for row in live_workers(butler)}


def test_sighup_replaces_every_child_and_never_has_fewer(butler, fleet, start):
    process = start(processes=2)
    old, fewest = pids(butler), 2
    handle = butler.enqueue("work", Item(n=6, seconds=3))
    process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 40
    while pids(butler) & old or len(pids(butler)) != 2:
        fewest = min(fewest, len(pids(butler)))
        assert time.monotonic() < deadline, fleet.logs()
        time.sleep(0.02)
    assert fewest == 2
    assert handle.result(timeout_s=10) == 6
    assert handle.execution().attempt == 1


def test_a_child_is_replaced_after_its_number_of_executions(butler, fleet, start):
    start("--max-executions", "20")
    old = pids(butler)
    for handle in butler.enqueue_many([("work", Item(n=n)) for n in range(60)]):
        handle.result(timeout_s=30)
    wait_for(lambda: not pids(butler) & old, what="replaced", fleet=fleet)
    assert "child.limit" in fleet.logs()


def test_a_child_is_replaced_when_it_has_grown_too_large(butler, fleet, start):
    start("--max-memory", "200")
    old = pids(butler)
    butler.enqueue("hoard", Item(n=200)).result(timeout_s=30)
    wait_for(lambda: not pids(butler) & old, what="replaced", fleet=fleet)
    assert butler.enqueue("work", Item(n=1)).result(timeout_s=30) == 1


def test_a_burst_works_until_all_is_done_and_exits_with_zero(butler, fleet):
    handles = butler.enqueue_many([("work", Item(n=n, seconds=0.02)) for n in range(50)])
    process = fleet.start_worker("--burst", processes=2)
    assert process.wait(60) == 0
    assert {handle.execution().status for handle in handles} == {ExecutionStatus.SUCCEEDED}


def test_children_that_cannot_live_are_not_started_in_a_spin(butler, fleet, start):
    start()
    for _ in range(6):
        wait_for(lambda: live_workers(butler), timeout_s=30, what="a child", fleet=fleet)
        os.kill(live_workers(butler)[0].pid, signal.SIGKILL)
        wait_for(lambda: not live_workers(butler), timeout_s=10, what="its death", fleet=fleet)
    assert fleet.logs().count("child.started") < 8
    assert butler.enqueue("work", Item(n=1)).result(timeout_s=60) == 1


def test_new_code_that_cannot_start_does_not_end_what_still_works(butler, fleet, tmp_path):
    app = tmp_path / "changing_app.py"
    app.write_text("from fleet_app import butler\n")
    process = fleet.start_worker("--app-dir", str(tmp_path), app="changing_app:butler")
    wait_for(lambda: len(live_workers(butler)) == 1, what="a worker", fleet=fleet)
    app.write_text("from butler import Butler\nbutler = Butler().nothing_like_it\n")
    process.send_signal(signal.SIGHUP)
    wait_for(lambda: "exited with code" in fleet.logs(), what="it failed", fleet=fleet)
    assert butler.enqueue("work", Item(n=1)).result(timeout_s=20) == 1
    app.write_text("from fleet_app import butler\n")
    old = pids(butler)
    wait_for(lambda: pids(butler) and not pids(butler) & old, what="replaced", fleet=fleet)
    assert butler.enqueue("work", Item(n=2)).result(timeout_s=20) == 2


def test_systemd_is_told_when_all_children_serve_and_when_they_stop(butler, fleet, tmp_path):
    address = tmp_path / "notify.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(address))
        listener.settimeout(30)
        fleet.environment["NOTIFY_SOCKET"] = str(address)
        process = fleet.start_worker(processes=2)
        assert listener.recv(100) == b"READY=1"
        assert len(live_workers(butler)) == 2
        process.send_signal(signal.SIGTERM)
        assert listener.recv(100) == b"STOPPING=1"
        assert process.wait(30) == 0


def test_children_end_by_themselves_when_their_supervisor_is_killed(butler, fleet, start):
    process = start(processes=2)
    handle = butler.enqueue("endless", Item())
    wait_for(
        lambda: handle.execution().status is ExecutionStatus.RUNNING, what="it runs", fleet=fleet
    )
    children = pids(butler)
    process.kill()
    wait_for(
        lambda: not any(os.path.exists(f"/proc/{pid}") for pid in children),  # noqa: PTH110
        timeout_s=30,
        what="no orphan",
        fleet=fleet,
    )
    assert handle.execution().status is ExecutionStatus.QUEUED
