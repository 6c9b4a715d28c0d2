"""All of isolation and outcome, played at once on a few real workers; what is left is written down.

A worker is its own where the cell ends it or its processes; the three isolations share it.
"""

import os
import re
import signal
from dataclasses import dataclass

import redis
from fleet import wait_for
from matrix_app import Cell

from butler import Butler
from butler.executions import ExecutionStatus
from butler.queues import WireKeys, as_text

ISOLATIONS = ("async", "thread", "process")
# What the task does, and the worker (and queue) that runs it.
OUTCOMES = {
    "success": ("return", "calm"),
    "error": ("raise", "calm"),
    "timeout": ("wait", "calm"),
    "cancel": ("wait", "calm"),
    "hard timeout": ("deaf", "overdue"),
    "crash": ("wait", "crash"),
    "drain": ("wait", "drain"),
    "second signal": ("wait", "hurry"),
}
HANDED_BACK = ("drain", "second signal")
TIMEOUTS_S = {"timeout": 1.0, "hard timeout": 1.0}
WORKERS = {
    "calm": ["--drain-timeout", "10", "--grace", "3"],
    "overdue": ["--drain-timeout", "10", "--grace", "1"],
    "crash": ["--drain-timeout", "10"],
    "drain": ["--drain-timeout", "0.5"],
    "hurry": ["--drain-timeout", "600"],
}


@dataclass(frozen=True)
class Played:
    """How one cell came out."""

    execution: object
    lines: list
    pids: set
    hash: dict
    lists: set


class Scene:
    """The workers of the matrix, and the executions in its cells."""

    def __init__(self, fleet, butler: Butler) -> None:
        self.fleet = fleet
        self.butler = butler
        self.exit_codes = {}
        self.leftovers = {}
        self._processes = {}
        self._handles = {}

    def play(self) -> None:
        """Let every cell happen; returns when all workers have ended."""
        for name, options in WORKERS.items():
            process = self.fleet.start_worker(
                *options, queues=name, concurrency=16, app="matrix_app:butler"
            )
            self._processes[name] = process
        for outcome, (how, queue) in OUTCOMES.items():
            for isolation in ISOLATIONS:
                if isolation == "process" and queue == "overdue":
                    # It is killed alone, and would have to begin before its worker is replaced.
                    queue = "calm"
                self._handles[isolation, outcome] = self.butler.enqueue(
                    isolation, Cell(how=how), queue=queue, timeout_s=TIMEOUTS_S.get(outcome, 60)
                )
        for cell, handle in self._handles.items():
            self._wait(lambda h=handle: begun_in(h), f"{cell} has begun")
        self._interfere()
        for name, process in self._processes.items():
            process.terminate()
            self.exit_codes[name] = process.wait(60)

    def _interfere(self) -> None:
        cells = self._handles
        for isolation in ISOLATIONS:
            assert cells[isolation, "cancel"].cancel()
        for name in ("drain", "hurry"):
            self._processes[name].terminate()
        # The crash of a process of its own first: the worker's own would take that one with it.
        os.kill(begun_in(cells["process", "crash"]).pop(), signal.SIGSEGV)
        self._wait(lambda: self._is_settled(cells["process", "crash"]), "it has crashed")
        (child,) = begun_in(cells["thread", "crash"]) & begun_in(cells["async", "crash"])
        os.kill(child, signal.SIGSEGV)
        self._wait(lambda: self.fleet.logs().count("supervisor.signal") >= 2, "both have heard")
        self._processes["hurry"].terminate()
        for cell, handle in cells.items():
            self._wait(lambda c=cell, h=handle: is_over(c, h), f"the end of {cell}")

    def played(self, client: redis.Redis) -> dict:
        """Each cell's traces in the ledger and in Redis."""
        return {cell: self._played(handle, client) for cell, handle in self._handles.items()}

    def _played(self, handle, client) -> Played:
        execution = handle.execution()
        names = [WireKeys.list(execution.queue)]
        kinds = ("wip", "finished", "failed", "canceled")
        names += [WireKeys.registry(kind, execution.queue) for kind in kinds]
        return Played(
            execution=execution,
            lines=[line.message for line in handle.logs()],
            pids=begun_in(handle),
            hash={
                as_text(k): as_text(v)
                for k, v in client.hgetall(WireKeys.job(handle.id)).items()
                if k != b"data"
            },
            lists={name for name in names if handle.id in members(client, name)},
        )

    def _is_settled(self, handle) -> bool:
        """Whether an end is in Redis too, and nothing shows the attempt as running any more."""
        wip = WireKeys.registry("wip", handle.execution().queue)
        over = handle.execution().status.finished
        return over and handle.id not in members(self.butler.redis, wip)

    def _wait(self, condition, what) -> None:
        wait_for(condition, what=what, fleet=self.fleet)


def begun_in(handle):
    """The processes that have begun its task."""
    found = (re.fullmatch(r"begun in (\d+)", line.message) for line in handle.logs())
    return {int(match[1]) for match in found if match}


def is_over(cell, handle):
    """Whether a cell is as it will be when its worker is gone."""
    status = handle.execution().status
    return status.finished or (cell[1] in HANDED_BACK and status is ExecutionStatus.QUEUED)


def members(client, name):
    """The ids in a list or sorted set."""
    is_list = client.type(name) == b"list"
    raw = client.lrange(name, 0, -1) if is_list else client.zrange(name, 0, -1)
    return {as_text(item).split(":")[0] for item in raw}
