"""`Courier`: delivers what alerts have to say, as executions of the queue `_butler`.

It is a worker of its own in the leader's process, so that "no worker" can be told too; and it takes
its work from the ledger and not from Redis, so that "Redis is away" can. What is owed stands in the
outbox of each alert. A notice's id is its execution's id: inserting it again after a crash changes
nothing, a retry is one more attempt of the same execution, and the receiver sees the same id each
time. Only when the execution has ended does its notice leave the outbox.

Each delivery runs in a thread of its own, so that a channel that hangs keeps up no other.
"""

from __future__ import annotations

import json
import logging
import os
import socket
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from butler import lifecycle
from butler.errors import ButlerError, DeliveryFailed
from butler.executions import TERMINAL, ErrorRecord, ExecutionStatus, Priority
from butler.ids import new_id, new_token
from butler.log import log_event
from butler.monitoring.alerts.message import message_of
from butler.retries import RetryPolicy
from butler.storage.base import MAX_BATCH
from butler.storage.monitoring_records import INTERNAL_QUEUE, INTERNAL_TASK
from butler.storage.records import Claim, NewExecution, QueueEntry, WorkerRegistration
from butler.text import clean_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from butler.app import Butler
    from butler.monitoring.alerts.alert import Alert, Notice
    from butler.monitoring.alerts.channels.channel import Channel
    from butler.monitoring.alerts.troubles import ChannelTroubles
    from butler.storage.records import Claimed

logger = logging.getLogger(__name__)

DELIVERIES_AT_ONCE = 4
MAX_ATTEMPTS = 10
TIMEOUT_S = 60.0
RETRIES = RetryPolicy(max_attempts=MAX_ATTEMPTS, base_s=2.0, cap_s=600.0, jitter="none")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Delivery:
    claimed: Claimed
    alert: Alert
    notice: Notice


class Courier:
    """Delivers notices; called by whoever leads, from one thread."""

    def __init__(
        self,
        butler: Butler,
        *,
        channels: Callable[[], Mapping[str, Channel]],
        troubles: ChannelTroubles,
    ) -> None:
        self._butler = butler
        self._channels = channels
        self._troubles = troubles
        self._worker_id: str | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._under_way: dict[str, Future[None]] = {}

    def deliver(self, alerts: Sequence[Alert], *, epoch: int) -> None:
        """See to all that these alerts owe: start what is due, settle what has ended."""
        owed = [(alert, notice) for alert in alerts for notice in alert.outbox]
        self._under_way = {id_: f for id_, f in self._under_way.items() if not f.done()}
        if self._worker_id is not None:
            self._butler.storage_apart.heartbeat([self._worker_id])
        if not owed:
            return
        ids = [notice.id for _, notice in owed][:MAX_BATCH]
        known = {each.id: each.status for each in self._butler.storage_apart.standings(ids)}
        self._settle(alerts, known, epoch=epoch)
        new = [pair for pair in owed[:MAX_BATCH] if pair[1].id not in known]
        if new:
            self._butler.storage_apart.insert([_execution(*pair) for pair in new])
        for alert, notice in owed[:MAX_BATCH]:
            due = known.get(notice.id, ExecutionStatus.QUEUED) is ExecutionStatus.QUEUED
            free = len(self._under_way) < DELIVERIES_AT_ONCE
            if due and free and notice.id not in self._under_way:
                self._begin(alert, notice)

    def close(self) -> None:
        """Deliver no more; what is under way ends by itself, or is run again by the next leader."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None
        if self._worker_id is not None:
            worker_id, self._worker_id = self._worker_id, None
            self._butler.storage_apart.stop_worker(worker_id)

    def _settle(
        self, alerts: Sequence[Alert], known: Mapping[str, ExecutionStatus], *, epoch: int
    ) -> None:
        over = {id_ for id_, status in known.items() if status in TERMINAL}
        settled = [
            replace(alert, outbox=tuple(n for n in alert.outbox if n.id not in over))
            for alert in alerts
            if any(notice.id in over for notice in alert.outbox)
        ]
        if settled:
            self._butler.storage_apart.write_alerts(settled, epoch=epoch)

    def _begin(self, alert: Alert, notice: Notice) -> None:
        claimed = self._claim(notice.id)
        if claimed is None:
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(DELIVERIES_AT_ONCE, thread_name_prefix="deliver")
        delivery = _Delivery(claimed=claimed, alert=alert, notice=notice)
        self._under_way[notice.id] = self._pool.submit(self._run, delivery)

    def _claim(self, execution_id: str) -> Claimed | None:
        storage = self._butler.storage_apart
        if self._worker_id is None:
            self._worker_id = new_id()
            storage.register_worker(_registration(self._worker_id))
        claim = Claim(worker_id=self._worker_id, token=new_token(), ids=(execution_id,))
        reply = storage.claim(claim)
        if reply.worker_lost:
            self._worker_id = None
        return next(iter(reply.won), None)

    def _run(self, delivery: _Delivery) -> None:
        """One attempt, in a thread; its end is written, or the rescuer finds it unfinished."""
        claimed, channel = delivery.claimed, delivery.notice.channel
        try:
            failure = self._send(delivery)
            ended = _end(claimed, failure)
            self._butler.storage.finish([ended])
            if failure is None:
                self._troubles.delivered(channel)
            else:
                self._troubles.failed(channel, failure.message, at=self._butler.storage.now())
                log_event(
                    logger,
                    logging.WARNING,
                    "alert.undelivered",
                    channel=channel,
                    alert=delivery.alert.id,
                    error=failure.message,
                )
            # The reconciler may have pushed it, though nobody fetches there.
            self._butler.pusher.forget([_entry(claimed)])
        except ButlerError as error:
            log_event(logger, logging.WARNING, "delivery.unfinished", error=error)

    def _send(self, delivery: _Delivery) -> ErrorRecord | None:
        """None when it was delivered, else why not."""
        notice = delivery.notice
        channel = self._channels().get(notice.channel)
        try:
            if channel is None:
                raise DeliveryFailed(f"alert_channels names no channel {notice.channel!r} any more")
            public_url = self._butler.settings.web_public_url
            channel.send(message_of(delivery.alert, notice, public_url=public_url))
        except Exception as error:  # noqa: BLE001 - whatever a channel's library raises
            text = clean_text(error, 1_000)
            return ErrorRecord(type=type(error).__name__, message=text)
        return None


def _execution(alert: Alert, notice: Notice) -> NewExecution:
    request = {"alert": alert.id, "event": str(notice.event), "channel": notice.channel}
    return NewExecution(
        id=notice.id,
        task=INTERNAL_TASK,
        queue=INTERNAL_QUEUE,
        request=json.dumps(request),
        priority=Priority.NORMAL,
        max_attempts=MAX_ATTEMPTS,
        timeout_s=TIMEOUT_S,
        tags=(notice.channel,),
    )


def _end(claimed: Claimed, failure: ErrorRecord | None) -> lifecycle.Transition:
    if failure is None:
        return lifecycle.succeed(claimed, result="true")
    return lifecycle.fail_or_retry(claimed, error=failure, policy=RETRIES, random=1.0)


def _registration(worker_id: str) -> WorkerRegistration:
    return WorkerRegistration(
        id=worker_id,
        name=f"alerts.{worker_id[-6:]}",
        host=socket.gethostname(),
        pid=os.getpid(),
        supervisor_id=worker_id,
        queues=(INTERNAL_QUEUE,),
        tasks=(INTERNAL_TASK,),
        concurrency=DELIVERIES_AT_ONCE,
    )


def _entry(claimed: Claimed) -> QueueEntry:
    return QueueEntry(
        id=claimed.id,
        task=claimed.task,
        queue=claimed.queue,
        priority=claimed.priority,
        attempt=claimed.attempt,
        timeout_s=claimed.timeout_s,
        created_at=claimed.created_at,
    )
