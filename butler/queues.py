"""RQ's wire, from the producer's and operator's side: push, withdraw, stop.

An execution travels as an RQ job: its id is the job's id, and the job calls one entry point with
that id. The request stays in the ledger, so hashes are small and dashboards see no secrets. What
RQ's tools read (``rq:queues``, lists, hashes, registries) is written here exactly as RQ would,
by one script a step, each carrying the attempt it speaks of.

Priority p of queue q is the RQ list ``q.high``, ``q`` or ``q.low``; one list a priority keeps a
pop O(1), where a sorted set would make RQ's own tools blind.
"""

from __future__ import annotations

import json
import re
import time
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from itertools import groupby
from typing import TYPE_CHECKING

from rq.defaults import RQ_KEY_PREFIX

from butler.errors import QueueUnavailable
from butler.executions import Priority
from butler.job_call import AFTER_ID, BEFORE_ID

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from redis import Redis
    from redis.commands.core import Script

    from butler.storage.records import QueueEntry

FAILED_TTL_S = 86_400
CANCELED_TTL_S = 86_400
WAKE_TOKENS = 16
PUSH_BATCH = 500

# RQ_KEY_PREFIX keeps applications apart that share a Redis; what is ours must follow it.
OUR_PREFIX = "butler" if RQ_KEY_PREFIX == "rq" else f"{RQ_KEY_PREFIX}:butler"

_INCLUDE = re.compile(r"^-- include (\w+)$", re.MULTILINE)
_LIST_SUFFIX = {Priority.HIGH: ".high", Priority.NORMAL: "", Priority.LOW: ".low"}


def list_name(queue: str, priority: Priority) -> str:
    """The RQ queue that holds this priority of a queue."""
    return queue + _LIST_SUFFIX[priority]


def list_names(queue: str) -> list[str]:
    """The RQ queues of one queue, in the order they are drained."""
    return [list_name(queue, priority) for priority in Priority]


class WireKeys:
    """The names of all keys on the wire; RQ's and ours carry RQ's prefix."""

    queues = f"{RQ_KEY_PREFIX}:queues"
    workers = f"{RQ_KEY_PREFIX}:workers"
    suspended = f"{RQ_KEY_PREFIX}:suspended"
    epoch = f"{OUR_PREFIX}:epoch"
    hands = f"{OUR_PREFIX}:hands"
    guests = f"{OUR_PREFIX}:guests"
    paused = f"{OUR_PREFIX}:paused"

    @staticmethod
    def job(execution_id: str) -> str:
        """Hash of one job."""
        return f"{RQ_KEY_PREFIX}:job:{execution_id}"

    @staticmethod
    def list(name: str) -> str:
        """List of waiting ids."""
        return f"{RQ_KEY_PREFIX}:queue:{name}"

    @staticmethod
    def turns(name: str) -> str:
        """Sorted set of fair keys of which something waits beside a list, by their turn."""
        return f"{OUR_PREFIX}:turns:{name}"

    @staticmethod
    def waiting(name: str) -> str:
        """Sorted set of what waits its turn beside a list: a fair key, NUL and an id each."""
        return f"{OUR_PREFIX}:waiting:{name}"

    @staticmethod
    def registry(kind: str, name: str) -> str:
        """Sorted set of ids by expiry; ``kind`` is wip, finished, failed or canceled."""
        return f"{RQ_KEY_PREFIX}:{kind}:{name}"

    @staticmethod
    def results(execution_id: str) -> str:
        """Stream of one job's results; ours are errors only."""
        return f"{RQ_KEY_PREFIX}:results:{execution_id}"

    @staticmethod
    def worker(name: str) -> str:
        """Hash of one worker."""
        return f"{RQ_KEY_PREFIX}:worker:{name}"

    @staticmethod
    def workers_of(name: str) -> str:
        """Set of the workers that serve one list."""
        return f"{RQ_KEY_PREFIX}:workers:{name}"

    @staticmethod
    def worker_executions(name: str) -> str:
        """Set of what a worker is shown to run."""
        return f"{RQ_KEY_PREFIX}:worker:{name}:executions"

    @staticmethod
    def execution(execution_id: str, attempt: int) -> str:
        """Hash of one running attempt."""
        return f"{RQ_KEY_PREFIX}:execution:{execution_id}:{attempt}"

    @staticmethod
    def executions(execution_id: str) -> str:
        """Sorted set of a job's running attempts."""
        return f"{RQ_KEY_PREFIX}:executions:{execution_id}"

    @staticmethod
    def commands(worker_name: str) -> str:
        """Channel on which a worker hears RQ's commands."""
        return f"{RQ_KEY_PREFIX}:pubsub:{worker_name}"

    @staticmethod
    def changes(execution_id: str) -> str:
        """Channel on which it is told that an execution has changed."""
        return f"{OUR_PREFIX}:execution:{execution_id}"

    @staticmethod
    def wake(queue: str) -> str:
        """List of tokens that wake idle workers."""
        return f"{OUR_PREFIX}:wake:{queue}"

    @staticmethod
    def seats(queue: str) -> str:
        """Sorted set of workers of a queue that found nothing to do, by when: see pop.lua."""
        return f"{OUR_PREFIX}:seats:{queue}"

    @staticmethod
    def seat(worker_id: str) -> str:
        """The token under which an idle worker waits for an offer; expires soon."""
        return f"{OUR_PREFIX}:seat:{worker_id}"

    @staticmethod
    def offer(worker_id: str) -> str:
        """What a push has put into the hand of an idle worker, until that says it knows."""
        return f"{OUR_PREFIX}:offer:{worker_id}"

    @staticmethod
    def call(worker_id: str) -> str:
        """List that wakes one worker, with the offer."""
        return f"{OUR_PREFIX}:call:{worker_id}"

    @staticmethod
    def ledger(queue: str) -> str:
        """Id of the ledger a queue belongs to."""
        return f"{OUR_PREFIX}:ledger:{queue}"

    @staticmethod
    def hand(worker_id: str) -> str:
        """Set of ids a worker has popped and not yet settled."""
        return f"{OUR_PREFIX}:hand:{worker_id}"

    @staticmethod
    def popped(worker_id: str) -> str:
        """A worker's last pop, with its token."""
        return f"{OUR_PREFIX}:popped:{worker_id}"


def rq_time(moment: datetime | None = None) -> str:
    """A moment (default: now) as RQ writes it."""
    moment = moment or datetime.now(UTC)
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    # strftime says the same at eight times the cost.
    return f"{moment.isoformat(timespec='microseconds')[:26]}Z"


def as_text(raw: bytes | str) -> str:
    """What Redis answered, whether its client decodes or not."""
    return raw.decode() if isinstance(raw, bytes) else raw


def load_script(redis: Redis, name: str) -> Script:
    """The script ``butler/lua/<name>.lua``, registered with a client."""
    return redis.register_script(_source(name))


class QueueWire:
    """Puts executions on their queues and takes them off again.

    Every method raises `QueueUnavailable` when Redis does not answer; the ledger is right all the
    same, and the scheduler repeats what was missed.
    """

    def __init__(self, redis: Redis, *, ledger_id: str) -> None:
        self.redis = redis
        self.ledger_id = ledger_id
        self._push = load_script(redis, "push")
        self._withdraw = load_script(redis, "withdraw")

    def push(self, entries: Sequence[QueueEntry], *, from_hand: str | None = None) -> int:
        """Queue executions; returns how many. ``from_hand`` is the worker that held them."""
        pushed = 0
        for (queue, priority), batch in batches(entries):
            with wire_errors("push"):
                pushed += self._push_list(queue, priority, batch, from_hand)
        return pushed

    def prepare(self, entry: QueueEntry) -> Callable[[], None] | None:  # noqa: ARG002
        """What sends the push of one execution, made ready before its time; here None."""
        return None

    def settle(self) -> None:
        """Wait until Redis has done what it was told; here each step already has."""

    def withdraw(self, entries: Sequence[QueueEntry]) -> None:
        """Take cancelled executions off their lists; their hashes say canceled for a day."""
        self._take_off(entries, "canceled")

    def forget(self, entries: Sequence[QueueEntry]) -> None:
        """Remove every trace of executions that were deleted from the ledger."""
        self._take_off(entries, "deleted")

    def request_stop(self, execution_id: str, worker_name: str) -> None:
        """Tell a worker to cancel what it runs: RQ's stop-job command."""
        command = json.dumps({"command": "stop-job", "job_id": execution_id})
        with wire_errors("stop"):
            self.redis.publish(WireKeys.commands(worker_name), command)

    def publish(self, words: Iterable[tuple[str, str]]) -> bool:
        """Tell whoever waits, as (execution id, word of `butler.changes`); whether anybody did."""
        with wire_errors("publication"), self.redis.pipeline(transaction=False) as pipe:
            for execution_id, word in words:
                pipe.publish(WireKeys.changes(execution_id), word)
            return any(pipe.execute())

    def depth(self, queue: str) -> int:
        """How many executions wait on a queue, all priorities together."""
        with wire_errors("depth"), self.redis.pipeline(transaction=False) as pipe:
            for name in list_names(queue):
                pipe.llen(WireKeys.list(name))
                pipe.zcard(WireKeys.waiting(name))
            return sum(int(length) for length in pipe.execute())

    def _push_list(
        self, queue: str, priority: Priority, batch: Sequence[QueueEntry], from_hand: str | None
    ) -> int:
        keys, args = self._push_call(queue, priority, batch, from_hand)
        return int(self._push(keys=keys, args=args))

    def _push_call(
        self, queue: str, priority: Priority, batch: Sequence[QueueEntry], from_hand: str | None
    ) -> tuple[list[str], list[str | int | bytes]]:
        """KEYS and ARGV of push.lua."""
        name = list_name(queue, priority)
        keys = [
            WireKeys.queues,
            WireKeys.list(name),
            WireKeys.wake(queue),
            WireKeys.ledger(queue),
            WireKeys.hand(from_hand or "none"),
            *(WireKeys.registry(kind, name) for kind in ("wip", "finished", "failed", "canceled")),
            WireKeys.turns(name),
            WireKeys.waiting(name),
            WireKeys.seats(queue),
            WireKeys.paused,
            WireKeys.suspended,
            *(WireKeys.job(entry.id) for entry in batch),
        ]
        args: list[str | int | bytes] = [name, self.ledger_id, rq_time(), BEFORE_ID, AFTER_ID]
        fair_keys, details = _fair_keys(batch), _details(batch)
        args += (WAKE_TOKENS, FAILED_TTL_S, len(fair_keys), *fair_keys)
        # What is enqueued in bulk mostly differs in its ids alone; an argument costs a microsecond.
        args += details[:1] if len(set(details)) == 1 else details
        return keys, args

    def _take_off(self, entries: Sequence[QueueEntry], status: str) -> None:
        for (queue, priority), batch in batches(entries):
            name = list_name(queue, priority)
            keys = [
                WireKeys.list(name),
                *(WireKeys.registry(kind, name) for kind in ("finished", "failed", "canceled")),
                WireKeys.turns(name),
                WireKeys.waiting(name),
                *(WireKeys.job(entry.id) for entry in batch),
            ]
            args: list[str | int] = [status, rq_time(), int(time.time()), CANCELED_TTL_S]
            args += (f"{entry.fair_key or ''}\0{entry.id}" for entry in batch)
            with wire_errors("withdraw"):
                self._withdraw(keys=keys, args=args)


class wire_errors:  # noqa: N801 - reads as a statement
    """Turns redis-py's errors into `QueueUnavailable`."""

    def __init__(self, action: str) -> None:
        self._action = action

    def __enter__(self) -> None:
        """Nothing to set up."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: object
    ) -> None:
        import redis

        if isinstance(error, redis.RedisError | OSError):
            raise QueueUnavailable(
                f"Redis did not take the {self._action}: {type(error).__name__}: {error}"
            ) from error


def _fair_keys(batch: Sequence[QueueEntry]) -> list[str]:
    """None where nobody has one, one where it is everybody's, else one an entry."""
    found = [entry.fair_key or "" for entry in batch]
    different = set(found)
    if len(different) > 1:
        return found
    return [] if different == {""} else found[:1]


def _details(batch: Sequence[QueueEntry]) -> list[str]:
    """What push.lua writes for each entry beside its id, in one text."""
    told: dict[datetime, str] = {}
    details = []
    for entry in batch:
        created_at = told.get(entry.created_at)
        if created_at is None:
            created_at = told[entry.created_at] = rq_time(entry.created_at)
        # RQ's timeout only decides when its maintenance gives a job up: never before Butler.
        timeout = int(entry.timeout_s or 0) + 86_400
        details.append(f"{entry.attempt} {timeout} {created_at} {entry.task}")
    return details


def batches(
    entries: Iterable[QueueEntry],
) -> Iterable[tuple[tuple[str, Priority], list[QueueEntry]]]:
    """Entries by the list they belong on, at most `PUSH_BATCH` together."""

    def by_list(entry: QueueEntry) -> tuple[str, Priority]:
        return entry.queue, entry.priority

    for key, group in groupby(sorted(entries, key=by_list), key=by_list):
        batch = list(group)
        for first in range(0, len(batch), PUSH_BATCH):
            yield key, batch[first : first + PUSH_BATCH]


@cache
def _source(name: str) -> str:
    """A script, behind the functions that it includes."""
    text = _scripts()[name]
    included = _INCLUDE.search(text)
    return text if included is None else f"{_source(included[1])}\n{text}"


@cache
def _scripts() -> dict[str, str]:
    """All files, by name, as they were at first: a process goes on while its files are replaced."""
    return {
        file.name.removesuffix(".lua"): _on_our_channels(file.read_text(encoding="utf-8"))
        for file in files("butler").joinpath("lua").iterdir()
        if file.name.endswith(".lua")
    }


def _on_our_channels(script: str) -> str:
    """A script that publishes where `WireKeys.changes` is listened to, whatever RQ's prefix."""
    return script.replace("'butler:execution:'", f"'{WireKeys.changes('')}'")
