"""The course of the demo: what is enqueued, who is killed, and how the outcome is checked.

Nothing it reports comes from its own memory: states, results and attempts are read from Postgres,
and the totals are compared with a direct count of the same files.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from butler.demo.app import (
    BEAT_S,
    FileFacts,
    Folder,
    Note,
    beat,
    butler,
    files_of,
    index_folder,
    read_facts,
    remind,
    unsteady,
    watch,
)
from butler.demo.view import Picture
from butler.errors import ButlerError
from butler.executions import AttemptOutcome, ExecutionStatus
from butler.storage.records import ExecutionQuery

if TYPE_CHECKING:
    from datetime import datetime

    from butler.demo.stage import Stage
    from butler.demo.view import View
    from butler.executions import Execution
    from butler.handles import Handle

POLL_S = 0.05
GIVE_UP_S = 120.0
AHEAD_S = 2.0
LATE_S = 2.0
BEATS = 3
PAGE = 1_000


@dataclass(kw_only=True)
class Report:
    """What the ledger says afterwards. ``problems`` is empty when everything is as it should be."""

    files: int = 0
    succeeded: int = 0
    bytes: int = 0
    lines: int = 0
    words: int = 0
    interrupted: int = 0
    retried_attempts: int = 0
    late_ms: float = 0.0
    beats: int = 0
    cancelled_after_ms: float = 0.0
    seconds: float = 0.0
    killed: str = ""
    problems: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """The report as plain values."""
        return asdict(self)


class DemoFailed(ButlerError):
    """The demo could not be run to its end."""


class Demo:
    """Runs the show once on a stage."""

    def __init__(self, stage: Stage, view: View, folder: str) -> None:
        self._stage = stage
        self._view = view
        self._folder = folder
        self._report = Report()

    def run(self) -> Report:
        """Enqueue, kill, wait, check; returns what the ledger says."""
        started = time.monotonic()
        self._wait_for_workers()
        parent = index_folder.enqueue(Folder(path=self._folder))
        self._view.tell(f"enqueued [bold]index_folder[/] for {self._folder}")
        extras = self._enqueue_extras()
        self._index(parent)
        self._finish_extras(*extras)
        self._report.seconds = round(time.monotonic() - started, 2)
        self._check_files(parent)
        return self._report

    def _wait_for_workers(self) -> None:
        self._view.tell("workers and scheduler are starting")
        deadline = time.monotonic() + GIVE_UP_S
        while sum(1 for w in butler.storage.workers() if _serves(w)) < 2:
            self._give_up_if(time.monotonic() > deadline, "the workers did not start")
            time.sleep(POLL_S)
        self._view.tell("two workers are ready")

    def _enqueue_extras(self) -> tuple[Handle[int], Handle[str], Handle[None]]:
        retried = unsteady.enqueue(Note(text="welcome"))
        ahead = remind.enqueue(Note(text="two seconds are over"), delay_s=AHEAD_S)
        watching = watch.enqueue(Folder(path=self._folder))
        self._view.tell("enqueued one that fails first, one for in 2 s, one to be cancelled")
        return retried, ahead, watching

    def _index(self, parent: Handle[Any]) -> None:
        deadline = time.monotonic() + GIVE_UP_S
        total = len(files_of(self._folder))
        self._report.files = total
        while True:
            counts = butler.storage.count(ExecutionQuery(parent_id=parent.id))
            running = butler.list(status="running", limit=8).executions
            self._view.show(Picture(counts=counts, running=running, total=total))
            done = sum(counts.get(status, 0) for status in ExecutionStatus if status.finished)
            if not self._report.killed and done >= total / 2:
                self._kill_a_worker(running)
            if done >= total and parent.status.finished:
                return
            self._give_up_if(time.monotonic() > deadline, f"only {done} of {total} files are done")
            time.sleep(POLL_S)

    def _kill_a_worker(self, running: tuple[Execution, ...]) -> None:
        busy = {execution.worker_id for execution in running if execution.task == "index_file"}
        workers = [worker for worker in butler.storage.workers() if _serves(worker)]
        workers.sort(key=lambda worker: worker.id not in busy)
        victim = workers[0]
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim.pid, signal.SIGKILL)
        self._report.killed = victim.name
        self._view.tell(f"[red]killed[/] worker {victim.name} with kill -9, half-way")

    def _finish_extras(
        self, retried: Handle[int], ahead: Handle[str], watching: Handle[None]
    ) -> None:
        attempt = retried.result(timeout_s=GIVE_UP_S)
        self._report.retried_attempts = attempt
        self._expect(attempt >= 2, "unsteady succeeded without a retry")
        self._view.tell(f"unsteady failed, was retried, and succeeded at attempt {attempt}")
        self._check_reminder(ahead)
        self._cancel(watching)
        self._check_beats()

    def _check_reminder(self, ahead: Handle[str]) -> None:
        ahead.result(timeout_s=GIVE_UP_S)
        execution = ahead.execution()
        assert execution.started_at is not None
        late_s = (execution.started_at - execution.run_at).total_seconds()
        self._report.late_ms = round(late_s * 1000, 1)
        self._expect(0 <= late_s <= LATE_S, f"the scheduled task started {late_s:.2f} s late")
        self._view.tell(f"remind started {late_s * 1000:.0f} ms after its time")

    def _check_beats(self) -> None:
        """The recurring job fired each of its times, once, while all this went on."""
        deadline = time.monotonic() + GIVE_UP_S
        while len(fires := _beats()) < BEATS:
            self._give_up_if(time.monotonic() > deadline, "the recurring job did not fire")
            time.sleep(POLL_S)
        self._report.beats = len(fires)
        gaps = {(after - before).total_seconds() for before, after in pairwise(fires)}
        self._expect(gaps == {BEAT_S}, f"beat fired at {', '.join(map(str, fires))}")
        self._view.tell(f"beat has fired every {BEAT_S} s, {len(fires)} times")

    def _cancel(self, watching: Handle[None]) -> None:
        self._wait_until(watching, ExecutionStatus.RUNNING)
        asked = time.monotonic()
        watching.cancel()
        self._wait_until(watching, ExecutionStatus.CANCELLED)
        took_ms = (time.monotonic() - asked) * 1000
        self._report.cancelled_after_ms = round(took_ms, 1)
        self._view.tell(f"watch was cancelled while it ran, in {took_ms:.0f} ms")

    def _wait_until(self, handle: Handle[Any], status: ExecutionStatus) -> None:
        deadline = time.monotonic() + GIVE_UP_S
        while (now := handle.status) is not status:
            self._give_up_if(
                time.monotonic() > deadline or now.finished, f"{handle} is {now}, not {status}"
            )
            time.sleep(0.01)

    def _check_files(self, parent: Handle[Any]) -> None:
        executions = list(_children(parent.id))
        self._expect(
            sorted(execution.request["path"] for execution in executions) == files_of(self._folder),
            "the executions are not one for each file",
        )
        succeeded = [e for e in executions if e.status is ExecutionStatus.SUCCEEDED]
        self._report.succeeded = len(succeeded)
        self._expect(len(succeeded) == len(executions), "not every execution succeeded")
        facts = [FileFacts.model_validate(execution.result) for execution in succeeded]
        direct = [read_facts(path) for path in files_of(self._folder)]
        for name in ("size", "lines", "words"):
            stored, counted = (sum(getattr(f, name) for f in side) for side in (facts, direct))
            setattr(self._report, "bytes" if name == "size" else name, stored)
            self._expect(stored == counted, f"{name}: ledger {stored}, direct count {counted}")
        hashes = (sorted(f.sha256 for f in side) for side in (facts, direct))
        self._expect(next(hashes) == next(hashes), "the hashes differ from a direct count")
        self._report.interrupted = sum(_interrupted(e) for e in executions if e.attempt > 1)

    def _expect(self, holds: bool, problem: str) -> None:  # noqa: FBT001 - an assertion
        if not holds:
            self._report.problems.append(problem)

    def _give_up_if(self, over: bool, reason: str) -> None:  # noqa: FBT001 - an assertion
        dead = self._stage.dead()
        if dead:
            reason = f"{reason}; {', '.join(dead)}"
        if over or dead:
            raise DemoFailed(f"{reason} (logs: {self._stage.folder}/*.log)")


def _beats() -> list[datetime]:
    """The times for which the recurring job has fired, in order."""
    job = butler.recurring.find(beat.name)
    if job is None:
        return []
    return sorted(fire.fire_at for fire in butler.recurring.history(job.id, outcome="fired"))


def _serves(worker: Any) -> bool:
    return not worker.lost and worker.stopped_at is None


def _children(parent_id: str) -> Any:
    cursor = None
    while True:
        page = butler.list(parent_id=parent_id, cursor=cursor, limit=PAGE)
        yield from page.executions
        cursor = page.next_cursor
        if cursor is None:
            return


def _interrupted(execution: Execution) -> bool:
    full = butler.get(execution.id)
    return full is not None and any(
        attempt.outcome is AttemptOutcome.CRASHED for attempt in full.attempts
    )
