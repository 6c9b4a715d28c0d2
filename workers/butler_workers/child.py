"""What runs in a supervisor's child: one worker, told what to do over the control line.

A child ends with 0 when it was drained, with `EXIT_LOST` when the ledger had given it up, and by
itself when its supervisor dies: without heartbeats it could not keep its lease.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import resource
import signal
import socket
import sys
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from butler import interpreter
from butler.app_loading import load_app
from butler.errors import ButlerError, QueueUnavailable, StorageUnavailable
from butler.flushing import flush_traces
from butler.log import configure_logging, log_event, print_at_once
from butler.stop_flag import StopFlag
from butler.storage.records import HeartbeatReply, RunningAttempt
from butler_workers.control import ControlLine
from butler_workers.exits import EXIT_CONFIG, EXIT_LOST, EXIT_OUTAGE
from butler_workers.isolation import IsolationConfig, ProcessPool
from butler_workers.started import StartedTable, table_slots
from butler_workers.worker import INTERRUPTED_GRACE_S, Worker, worker_name

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

LIMIT_LOOK_S = 0.5
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildConfig:
    """What a supervisor tells its child at start, as JSON in its arguments."""

    app: str
    app_dir: str | None
    queues: tuple[str, ...]
    concurrency: int
    worker_id: str
    supervisor_id: str
    solo: bool
    lease_s: float
    drain_timeout_s: float
    grace_s: float
    max_executions: int | None
    max_memory_mb: int | None
    log_level: str
    fd: int
    table_fd: int
    log_format: str = "console"

    def to_argument(self) -> str:
        """For the child's command line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_argument(cls, argument: str) -> ChildConfig:
        """Read what `to_argument` wrote."""
        data = json.loads(argument)
        return cls(**{**data, "queues": tuple(data["queues"])})


class Child:
    """A worker under a supervisor."""

    def __init__(self, config: ChildConfig, line: ControlLine) -> None:
        self._config = config
        self._line = line
        self._done = StopFlag()
        self._limit_reported = False
        self._worker = Worker(
            load_app(config.app, config.app_dir),
            queues=config.queues,
            concurrency=config.concurrency,
            worker_id=config.worker_id,
            supervisor_id=config.supervisor_id,
            solo=config.solo,
            lease_s=config.lease_s,
            on_alone=lambda execution_id, name: line.send("alone", id=execution_id, list=name),
            on_lost=self._done.set,
            on_shutdown=lambda: os.kill(os.getppid(), signal.SIGTERM),
            started=StartedTable(config.table_fd, table_slots(config.concurrency)),
            grace_s=config.grace_s,
            pool=ProcessPool(
                IsolationConfig(
                    app=config.app,
                    app_dir=config.app_dir,
                    log_level=config.log_level,
                    log_format=config.log_format,
                    worker=worker_name(config.worker_id),
                    grace_s=config.grace_s,
                )
            ),
        )

    def run(self) -> int:
        """Work until told to stop; returns the exit code."""
        self._worker.start()
        interpreter.keep_what_is_there()
        self._line.send("ready", name=self._worker.name)
        threading.Thread(target=self._listen, name="butler-control", daemon=True).start()
        while not self._done.wait(LIMIT_LOOK_S if self._limited else None):
            self._report_limit()
        if self._worker.lease.lost:
            # Its attempts were interrupted and may not write; give their clean-up a moment.
            self._wait_for_ends(INTERRUPTED_GRACE_S)
            self._worker.life.end()
            return EXIT_LOST
        self._worker.drain(self._config.drain_timeout_s)
        return 0

    @property
    def _limited(self) -> bool:
        config = self._config
        return bool(config.max_executions or config.max_memory_mb) and not self._limit_reported

    def _report_limit(self) -> None:
        config, limit = self._config, None
        if config.max_executions and self._worker.slots.ended >= config.max_executions:
            limit = f"{self._worker.slots.ended} executions"
        elif config.max_memory_mb and (used := resident_mb()) > config.max_memory_mb:
            limit = f"{used} MiB"
        if limit is not None:
            self._limit_reported = True
            self._line.send("limit", limit=limit)

    def stop(self, within_s: float | None = None) -> None:
        """Drain, within the configured time or a shorter one."""
        if within_s is not None:
            self._worker.hurry(within_s)
        self._done.set()

    def _listen(self) -> None:
        handlers: dict[str, Callable[[dict[str, Any]], None]] = {
            "heartbeat": self._on_heartbeat,
            "adopt": self._on_adopt,
            "drain": lambda message: self.stop(message["within_s"]),
        }
        for message in self._line:
            try:
                handlers[message["kind"]](message)
            except ButlerError as error:
                log_event(
                    logger, logging.WARNING, "control.failed", kind=message["kind"], error=error
                )
            except Exception:
                # Deaf to heartbeats it would start nothing any more, and deaf to a drain not end.
                logger.exception("control.failed kind=%s; going on", message["kind"])
        log_event(logger, logging.ERROR, "supervisor.gone", action="draining")
        # Nobody keeps the lease now: be gone before it ends.
        self.stop(min(self._config.drain_timeout_s, self._config.lease_s / 3))

    def _on_heartbeat(self, message: dict[str, Any]) -> None:
        reply = HeartbeatReply(
            worker_id=self._config.worker_id,
            lost=message["lost"],
            running=tuple(RunningAttempt(**row) for row in message["running"]),
        )
        self._worker.on_heartbeat(reply, sent_at=message["sent_at"])

    def _on_adopt(self, message: dict[str, Any]) -> None:
        try:
            self._worker.adopt(message["id"], message["list"], from_worker=message["from_worker"])
        finally:
            # Also when it failed: a solo child that is free for long ends, and gives back its hand.
            threading.Thread(target=self._report_free, name="butler-solo", daemon=True).start()

    def _report_free(self) -> None:
        while not self._worker.idle:
            if self._done.wait(0.01):
                return
        self._line.send("free")

    def _wait_for_ends(self, timeout_s: float) -> None:
        ended = threading.Event()
        timer = threading.Timer(timeout_s, ended.set)
        timer.daemon = True
        timer.start()
        while not self._worker.idle and not ended.wait(0.02):
            pass


def resident_mb() -> int:
    """The memory this process occupies now, in MiB (elsewhere than on Linux: its peak)."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // MIB
    return pages * resource.getpagesize() // MIB


def main() -> None:
    """Entry of ``python -m butler_workers.child CONFIG``."""
    config = ChildConfig.from_argument(sys.argv[1])
    configure_logging(
        config.log_level, form=config.log_format, worker=worker_name(config.worker_id)
    )
    print_at_once()
    interpreter.set_up()
    line = ControlLine(socket.socket(fileno=config.fd))
    # Ctrl-C reaches the whole group: the supervisor decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        child = Child(config, line)
        signal.signal(signal.SIGTERM, lambda *_: child.stop())
        code = child.run()
    except (StorageUnavailable, QueueUnavailable) as error:
        log_event(logger, logging.ERROR, "worker.not_started", error=error)
        code = EXIT_OUTAGE
    except ButlerError as error:
        log_event(logger, logging.ERROR, "worker.not_started", error=error)
        code = EXIT_CONFIG
    flush_traces()
    logging.shutdown()
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    # Threads of tasks that would not end must not keep the process: its death is what frees them.
    os._exit(code)


if __name__ == "__main__":
    main()
