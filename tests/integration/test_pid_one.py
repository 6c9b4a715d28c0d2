"""The commands as PID 1 of a container: orphans are let go, and SIGTERM is always heard."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from fleet import live_workers, wait_for
from fleet_app import Item
from namespaces import children_of, is_zombie, need_root_and, popen_as_pid_one

from butler.pid_one import LOOK_EVERY_S, OrphanReaper, obey_sigterm


class Time:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def time():
    return Time()


@pytest.fixture
def dead_child():
    process = subprocess.Popen([sys.executable, "-c", "raise SystemExit(7)"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    yield process
    process.wait()


def test_a_dead_child_is_reaped_at_the_second_look_and_not_before(time, dead_child):
    reaper = OrphanReaper(active=True, monotonic=time)
    seen = []
    for _ in range(4):
        seen.append(dead_child.pid in reaper.step())
        time.now += LOOK_EVERY_S
    assert seen == [False, False, True, False]


def test_a_child_that_is_waited_for_between_two_looks_keeps_its_exit_code(time, dead_child):
    reaper = OrphanReaper(active=True, monotonic=time)
    time.now += LOOK_EVERY_S
    reaper.step()
    assert dead_child.poll() == 7
    time.now += LOOK_EVERY_S
    assert dead_child.pid not in reaper.step()


def test_a_living_child_is_left_alone(time):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as living:
        reaper = OrphanReaper(active=True, monotonic=time)
        for _ in range(3):
            time.now += LOOK_EVERY_S
            assert living.pid not in reaper.step()
        assert living.poll() is None
        living.kill()


def test_away_from_pid_one_nothing_is_reaped_and_no_handler_is_installed(time, dead_child):
    reaper = OrphanReaper(monotonic=time)
    for _ in range(3):
        time.now += LOOK_EVERY_S
        assert reaper.step() == []
    assert dead_child.poll() == 7
    before = signal.getsignal(signal.SIGTERM)
    obey_sigterm()
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.fixture
def start(fleet, tmp_path):
    """Starts one of our commands as PID 1; returns its process, and its pid as seen from here."""
    need_root_and("unshare")
    started = []

    def start(*command):
        log = (tmp_path / "pid-one.log").open("ab")
        arguments = [sys.executable, "-m", *command]
        process = popen_as_pid_one(arguments, env=fleet.environment, stdout=log, stderr=log)
        started.append((process, log))
        wait_for(lambda: children_of(process.pid), what="unshare has forked", fleet=fleet)
        return process, children_of(process.pid)[0]

    yield start
    for process, log in started:
        process.kill()
        process.wait()
        log.close()


WORKER = ["butler_workers", "--app", "fleet_app:butler", "--processes", "1"]


def handles_sigterm(pid):
    with Path(f"/proc/{pid}/status").open() as status:
        caught = next(line for line in status if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


def test_a_worker_as_pid_one_waits_for_the_orphans_of_a_killed_child(butler, start, fleet):
    process, pid = start(*WORKER)
    wait_for(lambda: len(live_workers(butler)) == 1, what="a worker", fleet=fleet)
    butler.enqueue("isolated_work", Item(seconds=0.1)).result(timeout_s=30)
    (child,) = children_of(pid)
    isolated = children_of(child)
    assert isolated
    os.kill(child, signal.SIGKILL)
    wait_for(lambda: set(isolated) <= set(children_of(pid)), timeout_s=5, what="adopted")
    wait_for(lambda: not any(map(is_zombie, children_of(pid))), timeout_s=15, what="reaped")
    wait_for(lambda: len(live_workers(butler)) == 1, what="a new child", fleet=fleet)
    os.kill(pid, signal.SIGTERM)
    assert process.wait(30) == 0


@pytest.mark.parametrize("command", [WORKER, ["butler_scheduler"]], ids=["worker", "scheduler"])
def test_a_command_that_is_still_starting_as_pid_one_obeys_sigterm(command, start):
    process, pid = start(*command)
    # What comes before is the interpreter's own start.
    wait_for(lambda: handles_sigterm(pid), timeout_s=20, what="a handler")
    os.kill(pid, signal.SIGTERM)
    assert process.wait(20) == 0


# What importing pydantic does: an exception of `__set_name__` comes out as another one.
SIGNALLED_IN_AN_IMPORT = """
import os, signal
from butler.pid_one import obey_sigterm

class Member:
    def __set_name__(self, owner, name):
        os.kill(os.getpid(), signal.SIGTERM)

obey_sigterm()
class Imported:
    member = Member()
"""


def test_a_sigterm_as_pid_one_ends_in_good_order_whatever_the_code_it_interrupts():
    need_root_and("unshare")
    process = popen_as_pid_one([sys.executable, "-c", SIGNALLED_IN_AN_IMPORT])
    assert process.wait(20) == 0
