"""New executions as the parameters of the statements that write them."""

from __future__ import annotations

import json
from operator import attrgetter
from typing import TYPE_CHECKING

from butler.storage.postgres import literals

if TYPE_CHECKING:
    from collections.abc import Sequence

    from butler.storage.records import NewExecution

# All of a plain execution's columns but its id and request.
_SHARED = attrgetter(
    *("task", "queue", "priority", "max_attempts", "timeout_s", "user_id", "tags", "parent_id"),
    *("rerun_of", "fingerprint", "traceparent", "limit_keys"),
)


def one_row(new: NewExecution) -> dict[str, str | None]:
    """What insert_now and replace have in common."""
    return {"id": new.id, "request": new.request, **_shared(new)}


def alike_rows(executions: Sequence[NewExecution]) -> dict[str, str | None]:
    """What insert_alike needs."""
    return {
        "ids": "{" + ",".join([new.id for new in executions]) + "}",
        "requests": literals.texts([new.request for new in executions]),
        **_shared(executions[0]),
    }


def are_alike(executions: Sequence[NewExecution]) -> bool:
    """Whether they differ in nothing but id and request."""
    first = _SHARED(executions[0])
    return all(_SHARED(new) == first for new in executions)


def _shared(new: NewExecution) -> dict[str, str | None]:
    return {
        "task": new.task,
        "queue": new.queue,
        "priority": str(new.priority),
        "max_attempts": str(new.max_attempts),
        "timeout_s": None if new.timeout_s is None else repr(new.timeout_s),
        "user_id": new.user_id,
        "tags": literals.texts(new.tags),
        "parent_id": new.parent_id,
        "rerun_of": new.rerun_of,
        "fingerprint": new.fingerprint,
        "traceparent": new.traceparent,
        "limit_keys": limit_keys(new),
    }


def replacement(new: NewExecution) -> dict[str, str | None]:
    """What replace needs besides the holder."""
    run_at, expires_at = new.run_at, new.expires_at
    return one_row(new) | {
        "unique_key": new.unique_key,
        "run_at": None if run_at is None else run_at.isoformat(),
        "delay_s": None if new.delay_s is None else repr(new.delay_s),
        "unpushed": "t" if new.unpushed else "f",
        "expires_at": None if expires_at is None else expires_at.isoformat(),
    }


def many_rows(executions: Sequence[NewExecution]) -> dict[str, str | None]:
    """What insert and insert_unique have in common."""
    delays = [new.delay_s for new in executions]
    run_ats = [new.run_at for new in executions]
    expire_ats = [new.expires_at for new in executions]
    timeouts = [new.timeout_s for new in executions]
    tags = any(new.tags for new in executions)
    return {
        # They were looked at one by one, for an error that names the wrong one.
        "ids": "{" + ",".join([new.id for new in executions]) + "}",
        "tasks": literals.texts([new.task for new in executions]),
        "queues": literals.texts([new.queue for new in executions]),
        "priorities": literals.texts([new.priority for new in executions]),
        "requests": literals.texts([new.request for new in executions]),
        "max_attempts": literals.numbers([new.max_attempts for new in executions]),
        "delays_s": literals.numbers(delays) if any(delays) else None,
        "run_ats": literals.times(run_ats) if any(run_ats) else None,
        "unpushed": literals.flags([new.unpushed for new in executions]),
        "timeouts_s": literals.numbers(timeouts) if any(timeouts) else None,
        "user_ids": literals.optional([new.user_id for new in executions]),
        "tags": literals.texts([literals.texts(new.tags) for new in executions]) if tags else None,
        "parent_ids": literals.optional([new.parent_id for new in executions]),
        "reruns_of": literals.optional([new.rerun_of for new in executions]),
        "fingerprints": literals.optional([new.fingerprint for new in executions]),
        "traceparents": literals.optional([new.traceparent for new in executions]),
        "expire_ats": literals.times(expire_ats) if any(expire_ats) else None,
        "limit_keys": literals.optional([limit_keys(new) for new in executions]),
    }


def limit_keys(new: NewExecution) -> str | None:
    """The names its code made of its request, as JSON."""
    return None if new.limit_keys is None else json.dumps(new.limit_keys.to_json())
