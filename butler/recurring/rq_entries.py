"""What an application scheduled with rq-scheduler, read from Redis without its code."""

from __future__ import annotations

import json
import pickle
import zlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from butler.plain_pickle import PlainPickle
from butler.queues import WireKeys, as_text, wire_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from redis import Redis

# rq-scheduler's name, which follows no prefix.
SCHEDULED_KEY = "rq:scheduler:scheduled_jobs"


@dataclass(frozen=True, slots=True, kw_only=True)
class RqEntry:
    """One scheduled job. ``problem`` says why it could not be read; then the rest is empty."""

    job_id: str
    next_at: datetime
    function: str = ""
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    meta: dict[str, Any] = field(default_factory=dict)
    queue: str = ""
    timeout_s: float | None = None
    description: str = ""
    problem: str | None = None


def read_entries(redis: Redis) -> Iterator[RqEntry]:
    """All of them, by their next time; raises `QueueUnavailable`."""
    with wire_errors("look at rq-scheduler's jobs"):
        found = redis.zrange(SCHEDULED_KEY, 0, -1, withscores=True)
        for member, score in cast("list[tuple[bytes, float]]", found):
            job_id, next_at = as_text(member), datetime.fromtimestamp(score, UTC)
            fields = cast("dict[bytes, bytes]", redis.hgetall(WireKeys.job(job_id)))
            try:
                yield _entry(job_id, next_at, {as_text(k): v for k, v in fields.items()})
            except (_Unreadable, pickle.UnpicklingError, ValueError, zlib.error) as error:
                yield RqEntry(job_id=job_id, next_at=next_at, problem=str(error))


def remove_entry(redis: Redis, job_id: str) -> bool:
    """Let rq-scheduler, and our bridge, fire it no more; False if it was gone already."""
    with wire_errors("take a job of rq-scheduler away"):
        return bool(redis.zrem(SCHEDULED_KEY, job_id))


class _Unreadable(Exception):
    """A job that cannot be understood."""


def _entry(job_id: str, next_at: datetime, fields: dict[str, bytes]) -> RqEntry:
    if "data" not in fields:
        raise _Unreadable("its job is gone from Redis")
    function, instance, args, kwargs = _loads(_inflated(fields["data"]))
    if instance is not None:
        raise _Unreadable(f"it calls {function!r} of an object")
    timeout = as_text(fields.get("timeout", b""))
    return RqEntry(
        job_id=job_id,
        next_at=next_at,
        function=str(function),
        args=tuple(args),
        kwargs=dict(kwargs),
        meta=dict(_loads(fields["meta"])) if fields.get("meta") else {},
        queue=as_text(fields.get("origin", b"")),
        timeout_s=float(timeout) if timeout.isdigit() and int(timeout) > 0 else None,
        description=as_text(fields.get("description", b"")),
    )


def _inflated(data: bytes) -> bytes:
    try:
        return zlib.decompress(data)
    except zlib.error:
        # Written by an old RQ, which did not compress.
        return data


def _loads(data: bytes) -> Any:
    # RQ's other serializer is JSON; no pickle of today's protocols begins with a bracket.
    return json.loads(data) if data[:1] in (b"[", b"{") else PlainPickle.loads(data)
