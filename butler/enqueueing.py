"""From an order to the row that is to be written: what the task says, and what the call says."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from butler.errors import InvalidOption
from butler.executions import Priority
from butler.fair_keys import fair_key
from butler.ids import new_id
from butler.limiting import LimitKeys
from butler.option_texts import check_limit_key, check_unique_key, merge_tags
from butler.storage.records import NewExecution

if TYPE_CHECKING:
    from collections.abc import Mapping

    from butler.codec import Codec
    from butler.fair_keys import FairBy
    from butler.options import LimitKey, TaskDefaults
    from butler.producing import Parent
    from butler.storage.records import TaskDefinition
    from butler.task_spec import TaskSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a task says about its executions, wherever that was learned from.

    ``result`` is None for a task whose code is elsewhere: its results stay plain JSON values.
    """

    task: str
    queue: str
    priority: Priority
    max_attempts: int
    timeout_s: float | None
    tags: tuple[str, ...]
    fingerprint: str
    has_unique_key: bool
    has_max_concurrency: bool
    fair_by: FairBy | None
    result: Codec | None


def plan_of_spec(spec: TaskSpec, defaults: TaskDefaults) -> Plan:
    """The plan of a task whose code is here."""
    options = spec.options
    return Plan(
        task=spec.name,
        queue=options.queue,
        priority=options.priority,
        max_attempts=options.max_attempts(defaults),
        timeout_s=options.time_limit_s(defaults),
        tags=options.tags,
        fingerprint=spec.fingerprint,
        has_unique_key=options.unique_key is not None,
        has_max_concurrency=options.max_concurrency is not None,
        fair_by=options.fair_by,
        result=spec.result,
    )


def plan_of_definition(definition: TaskDefinition) -> Plan:
    """The plan of a task that is only known from the ledger."""
    options = definition.options
    return Plan(
        task=definition.name,
        queue=options["queue"],
        priority=Priority(options["priority"]),
        max_attempts=options["max_attempts"],
        timeout_s=options["timeout_s"],
        tags=definition.tags,
        fingerprint=definition.fingerprint,
        has_unique_key=bool(options.get("unique_key") or options.get("unique_key_is_computed")),
        has_max_concurrency=(options.get("limit") or {}).get("max_concurrency") is not None,
        fair_by=options.get("fair_by"),
        result=None,
    )


def key_of_spec(spec: TaskSpec, request: Any) -> str | None:
    """The task's own unique key for a request, a validated one; None when it has none."""
    unique_key = spec.options.unique_key
    if callable(unique_key):
        key = unique_key(request)
        return None if key is None else check_unique_key(key)
    return unique_key


def key_of_definition(definition: TaskDefinition, given: Mapping[str, Any]) -> str | None:
    """The key where the code is elsewhere; raises `InvalidOption` where only code can tell it."""
    if definition.options.get("unique_key_is_computed") and given.get("unique_key") is None:
        raise InvalidOption(
            f"{definition.name} computes its unique_key from the request by code that is not "
            "registered here: pass unique_key=..., or register the task in this process"
        )
    key: str | None = definition.options.get("unique_key")
    return key


def limit_keys_of_spec(spec: TaskSpec, request: Any) -> LimitKeys | None:
    """Under which limits' names a request falls, a validated one; None for the task's own."""
    concurrency = _limit_key(spec.options.concurrency_key, request)
    rate = _limit_key(spec.options.rate_key, request)
    computed = spec.options.computes_limit_keys
    if not (concurrency or rate or computed):
        return None
    return LimitKeys(concurrency=concurrency, rate=rate, computed=computed)


def _limit_key(key: LimitKey | None, request: Any) -> str | None:
    name = key(request) if callable(key) else key
    return None if name is None else check_limit_key(name)


def limit_keys_of_definition(definition: TaskDefinition) -> LimitKeys | None:
    """The names where the code is elsewhere; what that computes is computed before it starts."""
    concurrency = definition.options.get("concurrency_key")
    rate = definition.options.get("rate_key")
    return LimitKeys(concurrency=concurrency, rate=rate) if concurrency or rate else None


def with_fair_key(keys: LimitKeys | None, fair: str | None) -> LimitKeys | None:
    """The names of an execution that takes turns under this key, if it has one."""
    return keys if fair is None else replace(keys or LimitKeys(), fair=fair)


class Mould:
    """What many executions have in common: one task, enqueued with the same options.

    ``chosen`` are a call's options, checked; they go over the task's. ``fair_by`` says, by queue,
    what a task does not say itself. Raises `InvalidOption`.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        chosen: Mapping[str, Any],
        parent: Parent | None,
        fair_by: Mapping[str, FairBy],
    ) -> None:
        user_id = chosen.get("user_id")
        self.plan = plan
        self.chosen = chosen
        self._unique_key: str | None = chosen.get("unique_key")
        self._concurrency_key: str | None = chosen.get("concurrency_key")
        self._fair_key: str | None = chosen.get("fair_key")
        self._fair_by = plan.fair_by or fair_by.get(chosen.get("queue", plan.queue))
        self._fields = {
            "task": plan.task,
            "queue": chosen.get("queue", plan.queue),
            "priority": chosen.get("priority", plan.priority),
            "max_attempts": chosen.get("max_attempts", plan.max_attempts),
            "delay_s": chosen.get("delay_s"),
            "run_at": chosen.get("run_at"),
            "timeout_s": chosen.get("timeout_s", plan.timeout_s),
            "expires_at": chosen.get("expires_at"),
            "replace": chosen.get("replace", False),
            "user_id": parent.user_id if parent and user_id is None else user_id,
            "tags": merge_tags(plan.tags, chosen.get("tags", ())),
            "parent_id": parent.execution_id if parent else None,
            "fingerprint": plan.fingerprint,
        }
        if self._fields["replace"] and self._unique_key is None and not plan.has_unique_key:
            raise InvalidOption(
                f"replace needs a unique_key, and {plan.task} has none: "
                "it replaces what waits under it"
            )
        if self._concurrency_key is not None and not plan.has_max_concurrency:
            raise InvalidOption(
                f"concurrency_key needs max_concurrency, and {plan.task} has none: it says for "
                "what that holds"
            )

    def execution(
        self,
        text: str | None,
        *,
        request: Any,
        unique_key: str | None,
        limit_keys: LimitKeys | None = None,
        traceparent: str | None = None,
        execution_id: str | None = None,
    ) -> NewExecution:
        """The row to write; ``text`` is the request, and the keys are the task's own for it."""
        if self._unique_key is not None:
            unique_key = self._unique_key
        if self._concurrency_key is not None:
            known = limit_keys or LimitKeys()
            limit_keys = replace(known, concurrency=self._concurrency_key)
        if self._fair_by is not None or self._fair_key is not None:
            fair = self._fair_key or fair_key(self._fair_by, request)
            limit_keys = with_fair_key(limit_keys, fair)
        return NewExecution(
            id=new_id() if execution_id is None else execution_id,
            request=text,
            unique_key=unique_key,
            traceparent=traceparent,
            limit_keys=limit_keys,
            **self._fields,
        )
