"""The scheduler's process: its services, started when the ledger answers, stopped in order."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from typing import TYPE_CHECKING

from redis import RedisError

from butler import systemd
from butler.clock import SYSTEM_CLOCK
from butler.connections import check_redis, clone_redis
from butler.errors import QueueUnavailable, StorageUnavailable
from butler.hands import Hands
from butler.ids import new_token
from butler.log import log_event
from butler.pushing import Pusher
from butler.queues import QueueWire
from butler.recovery import Recovery
from butler.recurring.firing import Firer
from butler.stop_flag import StopFlag
from butler_scheduler.clock_guard import ClockGuard
from butler_scheduler.definition_sync import DefinitionSync
from butler_scheduler.expirer import Expirer
from butler_scheduler.exporter import Exporter
from butler_scheduler.folder import Folder
from butler_scheduler.leader import LEADER_LEASE_S, Leader
from butler_scheduler.monitor import Monitor
from butler_scheduler.parker import Parker
from butler_scheduler.probing import SchedulerHealth
from butler_scheduler.pruner import Pruner
from butler_scheduler.reconciler import Reconciler
from butler_scheduler.recurring import Recurring
from butler_scheduler.rescuer import WORKER_LEASE_S, Rescuer
from butler_scheduler.rq_bridge import RqBridge
from butler_scheduler.rq_orders import RqOrders
from butler_scheduler.rq_registries import RqRegistries
from butler_scheduler.stager import Stager
from butler_scheduler.stray_hands import StrayHands
from butler_scheduler.turn_keys import TurnKeys

if TYPE_CHECKING:
    from collections.abc import Sequence

    from butler.app import Butler
    from butler.clock import Clock
    from butler.monitoring.metrics import Metric
    from butler.storage.base import Storage
    from butler_scheduler.service import Service

logger = logging.getLogger(__name__)

REDIS_TIMEOUT_S = 5.0
LEDGER_RETRY_S = 1.0
STOP_WITHIN_S = 3.0


class SchedulerProcess:
    """Runs a ledger's scheduler until it is stopped.

    ``worker_lease_s`` is how long a worker may be silent, ``leader_lease_s`` how long a leader may
    be; both must be the same in all schedulers of a ledger.
    """

    def __init__(
        self,
        butler: Butler,
        *,
        worker_lease_s: float = WORKER_LEASE_S,
        leader_lease_s: float = LEADER_LEASE_S,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._butler = butler
        self._worker_lease_s = worker_lease_s
        self._leader_lease_s = leader_lease_s
        self._clock = clock
        self._stop_asked = StopFlag()
        self._error: Exception | None = None
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._services: list[Service] = []
        self._leader: Leader | None = None
        self._exporter: Exporter | None = None
        self.health = SchedulerHealth(
            lambda: self._services, leads=self._leads, ledger=self._ledger_metrics, clock=clock
        )

    def run(self) -> None:
        """Schedule until `stop` is called; then give leadership up and return.

        Waits for a ledger that does not answer. Raises `SchemaOutdated` when it answers with a
        schema this release cannot work on, `QueueUnavailable` when Redis is a cluster or too old,
        and `SettingsError` when a setting cannot be used.
        """
        # In a thread, so that a ledger that hangs does not keep this one from hearing a signal.
        threading.Thread(target=self._start, name="start", daemon=True).start()
        self._stop_asked.wait()
        self._stop_services()
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """End `run` in good order; may be called often, from any thread and signal handler."""
        self._stop_asked.set()

    def _start(self) -> None:
        try:
            storage = self._wait_for_ledger()
            if storage is None:
                return
            self._check_redis()
            services = self._make_services(storage)
        except Exception as error:  # noqa: BLE001 - `run` raises it
            self._error = error
            self._stop_asked.set()
            return
        with self._lock:
            if not self._stopping.is_set():
                self._services = services
                for service in services:
                    service.start()
                systemd.notify("READY=1")

    def _wait_for_ledger(self) -> Storage | None:
        waiting = False
        while not self._stopping.is_set():
            try:
                storage = self._butler.storage
                storage.ledger_id()
            except StorageUnavailable as error:
                if not waiting:
                    log_event(logger, logging.WARNING, "scheduler.waiting", error=error)
                waiting = True
                self._stopping.wait(LEDGER_RETRY_S)
            else:
                return storage
        return None

    def _check_redis(self) -> None:
        try:
            check_redis(self._butler.redis)
        except QueueUnavailable as error:
            # Being away passes; being a cluster, or too old, does not.
            if not isinstance(error.__cause__, OSError | RedisError):
                raise
            log_event(logger, logging.WARNING, "scheduler.redis_away", error=error)

    def _make_services(self, storage: Storage) -> list[Service]:
        """All services, the leader first."""
        # A pool of its own: this client's timeout must not follow what an application chose.
        redis = clone_redis(self._butler.redis, timeout_s=REDIS_TIMEOUT_S)
        wire = QueueWire(redis, ledger_id=storage.ledger_id())
        hands, clock = Hands(redis), self._clock
        recovery, guard = Recovery(storage, wire, hands), ClockGuard(clock)
        leader = self._leader = Leader(
            storage, holder=_own_name(), lease_s=self._leader_lease_s, clock=clock
        )
        self._exporter = Exporter(storage, leader=leader, clock=clock)
        log_event(logger, logging.INFO, "scheduler.started", holder=leader.holder)
        return [
            leader,
            Stager(
                storage,
                wire=wire,
                leader=leader,
                guard=guard,
                turn_keys=TurnKeys(
                    storage, registry=self._butler.registry, fair_queues=self._butler.fair_by
                ),
                clock=clock,
            ),
            DefinitionSync(self._butler.recurring.sync, clock=clock),
            Recurring(
                storage,
                firer=Firer(storage, pusher=Pusher(wire, clock=clock), clock=clock),
                leader=leader,
                guard=guard,
                clock=clock,
            ),
            Expirer(storage, wire=wire, leader=leader, clock=clock),
            Reconciler(storage, wire=wire, hands=hands, leader=leader, clock=clock),
            Parker(storage, redis, leader=leader, clock=clock),
            Rescuer(
                storage,
                recovery=recovery,
                leader=leader,
                unregister=hands.unregister,
                lease_s=self._worker_lease_s,
                clock=clock,
            ),
            Pruner(storage, leader=leader, clock=clock),
            Monitor(self._butler, leader=leader, clock=clock),
            Folder(storage, leader=leader, clock=clock),
            self._exporter,
            StrayHands(storage, hands=hands, leader=leader, clock=clock),
            RqBridge(redis, leader=leader, clock=clock),
            RqOrders(storage, wire=wire, recovery=recovery, leader=leader, clock=clock),
            RqRegistries(wire=wire, leader=leader, clock=clock),
        ]

    def _leads(self) -> bool:
        return self._leader is not None and self._leader.epoch() is not None

    def _ledger_metrics(self) -> Sequence[Metric]:
        return () if self._exporter is None else self._exporter.metrics()

    def _stop_services(self) -> None:
        systemd.notify("STOPPING=1")
        self._stopping.set()
        with self._lock:
            services = self._services
        # The leader resigns last, when nothing is done in its name any more. A service that hangs
        # in a driver is not waited for: what it does is fenced by an epoch that is over.
        deadline = time.monotonic() + STOP_WITHIN_S
        for service in services[1:]:
            service.ask_to_stop()
        for service in [*services[1:], *services[:1]]:
            left_s = max(0.5, deadline - time.monotonic())
            if not service.stop(timeout_s=left_s):
                log_event(logger, logging.WARNING, "service.hangs", service=service.name)
        took_s = time.monotonic() - deadline + STOP_WITHIN_S
        log_event(logger, logging.INFO, "scheduler.stopped", took_s=round(took_s, 3))


def _own_name() -> str:
    return f"{socket.gethostname()}-{os.getpid()}-{new_token()[:8]}"
