"""`Placer`: how a `Butler` turns what is asked for into executions and their handles."""

from __future__ import annotations

import asyncio
import json
from abc import abstractmethod
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Unpack

from butler.blocking import warn_if_loop_blocked
from butler.enqueueing import (
    Mould,
    Plan,
    key_of_definition,
    key_of_spec,
    limit_keys_of_definition,
    limit_keys_of_spec,
    plan_of_definition,
    plan_of_spec,
    with_fair_key,
)
from butler.errors import (
    ButlerError,
    EnqueueUnknown,
    InvalidOption,
    InvalidRequest,
    StorageUnavailable,
    UnknownTask,
)
from butler.extending import Extensible
from butler.fair_keys import fair_key
from butler.handles import Handle
from butler.operating import Operator
from butler.options import check_enqueue_options
from butler.producing import Order, Parent, Producer
from butler.uncollected import uncollected
from butler.writing import MAX_CHUNK_CHARS, statement_of, write_and_push, write_within

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from butler.codec import Codec
    from butler.fair_keys import FairBy
    from butler.joining import Placeholders, Transaction
    from butler.known_tasks import KnownTasks
    from butler.limiting import LimitKeys
    from butler.options import EnqueueOptions
    from butler.producing import AnyTask
    from butler.registry import TaskRegistry
    from butler.settings import Settings
    from butler.storage.base import Caller
    from butler.storage.records import NewExecution, TaskDefinition
    from butler.task_spec import TaskSpec
    from butler.writing import Enqueued

    _Encoded = tuple[str | None, Any, str | None, LimitKeys | None]


class Placer(Producer, Operator, Extensible):
    """Checks orders, runs the middleware around them, and has them written."""

    registry: TaskRegistry
    fair_by: Mapping[str, FairBy]
    _known: KnownTasks
    _recipes: dict[str, tuple[TaskSpec, _Recipe]]

    @property
    @abstractmethod
    def settings(self) -> Settings:
        """What a process needs to know."""

    @abstractmethod
    def _spec_of(self, task: Any) -> TaskSpec | None:
        """The registered task; None for a name that is not registered here."""

    def statement(
        self,
        task: AnyTask | str,
        request: Any = None,
        /,
        *,
        placeholders: Placeholders = "$1",
        **options: Unpack[EnqueueOptions],
    ) -> tuple[str, tuple[str | None, ...]]:
        """The SQL statement that enqueues, and its parameters, for any driver of yours to run.

        It returns one value, the execution's id. All parameters are texts. ``placeholders`` are
        ``$1``, ``$2`` … as the server numbers them, or ``%s`` as most Python drivers want them.
        Raises what `enqueue` raises before it writes; running it may raise what the docs list.
        """
        order = Order(task=task, request=request, options=options)
        execution = self._drafted(order)
        return statement_of(execution, storage=self.storage, placeholders=placeholders)

    def place(self, orders: Sequence[Order]) -> list[Handle[Any]]:
        """`enqueue_many` for orders that each bring options, and perhaps an id, of their own.

        One whose id is in the ledger already is not written again: repeating it is safe.
        """
        warn_if_loop_blocked("butler.place()", awaited="await butler.aio.place(...)")
        return self._place(orders)

    def place_each(self, orders: Sequence[Order]) -> list[Handle[Any] | Exception]:
        """`place` for callers who know nothing of each other: the handle, or the error, of each.

        What has no unique key, which somebody may hold for a while, is written in one statement.
        """
        warn_if_loop_blocked("butler.place_each()", awaited="await butler.aio.place_each(...)")
        if self.wraps_enqueues or len(orders) == 1:
            return [self._placed_alone(order) for order in orders]
        replies: dict[int, Handle[Any] | Exception] = {}
        together: list[tuple[int, NewExecution, Plan]] = []
        for index, order in enumerate(orders):
            try:
                execution, plan = self._prepared(order, None)
            except Exception as error:  # noqa: BLE001 - told to its caller
                replies[index] = error
            else:
                if execution.unique_key is None:
                    together.append((index, execution, plan))
        replies.update(self._written_together(together))
        return [
            replies[index] if index in replies else self._placed_alone(order)
            for index, order in enumerate(orders)
        ]

    def _placed_alone(self, order: Order) -> Handle[Any] | Exception:
        try:
            return self._place([order])[0]
        except Exception as error:  # noqa: BLE001 - told to its caller
            return error

    def _written_together(
        self, those: Sequence[tuple[int, NewExecution, Plan]]
    ) -> dict[int, Handle[Any] | Exception]:
        """Their replies; none where one may have spoilt it for the others: nothing is written."""
        executions = [execution for _, execution, _ in those]
        if sum(len(each.request or "") for each in executions) > MAX_CHUNK_CHARS:
            return {}
        try:
            written = write_and_push(
                executions, storage=self.storage, pusher=self.pusher, clock=self.clock
            )
        except StorageUnavailable as error:
            return dict.fromkeys((index for index, _, _ in those), error)
        except EnqueueUnknown:
            return {index: EnqueueUnknown([each.id]) for index, each, _ in those}
        except ButlerError:
            return {}
        return {
            index: self._handle_of(row, plan.result)
            for row, (index, _, plan) in zip(written, those, strict=True)
        }

    def drafts(self, orders: Sequence[Order]) -> list[NewExecution]:
        """What `place` would write, checked and not written; raises what it raises before that."""
        return [execution for execution, _ in self._prepare(orders, None)]

    def definition_of(self, task: str) -> TaskDefinition | None:
        """What is known of a task, by its code or by the ledger; None when nothing is."""
        spec = self._spec_of(task)
        if spec is not None:
            return spec.definition(defaults=self.settings.task_defaults, fair_queues=self.fair_by)
        try:
            return self._known.get(task)
        except UnknownTask:
            return None

    def _place(
        self,
        orders: Sequence[Order],
        *,
        parent: Parent | None = None,
        transaction: Transaction | None = None,
    ) -> list[Handle[Any]]:
        caller = None
        if transaction is not None:
            from butler.storage.postgres.callers import caller_of

            caller = caller_of(transaction)
        return self._place_with(orders, parent, caller)

    def _place_with(
        self, orders: Sequence[Order], parent: Parent | None, caller: Caller | None
    ) -> list[Handle[Any]]:
        with uncollected(len(orders)):
            if not self.wraps_enqueues:
                return self._write(orders, parent, caller)
            return self._chain.enqueue(orders, lambda passed: self._write(passed, parent, caller))

    def _write(
        self, orders: Sequence[Order], parent: Parent | None, caller: Caller | None
    ) -> list[Handle[Any]]:
        prepared = self._prepare(orders, parent)
        executions = [execution for execution, _ in prepared]
        if caller is None:
            written = write_and_push(
                executions, storage=self.storage, pusher=self.pusher, clock=self.clock
            )
        else:
            written = write_within(executions, storage=self.storage, caller=caller)
        return [
            self._handle_of(row, plan.result)
            for row, (_, plan) in zip(written, prepared, strict=True)
        ]

    async def _aplace(
        self,
        orders: Sequence[Order],
        *,
        parent: Parent | None = None,
        transaction: Transaction | None = None,
    ) -> list[Handle[Any]]:
        if transaction is None:
            return await self.in_thread(partial(self._place, orders, parent=parent))
        from butler.storage.postgres.async_callers import async_caller_of

        caller = await async_caller_of(transaction)
        try:
            return await self.in_thread(partial(self._place_with, orders, parent, caller))
        except asyncio.CancelledError:
            await caller.abandon()
            raise

    def _place_again(self, execution: NewExecution) -> Handle[Any]:
        spec = self.registry.find(execution.task)
        keys = with_fair_key(None, self._fair_key_again(execution, spec))
        execution = replace(execution, limit_keys=keys)
        row = write_and_push(
            [execution], storage=self.storage, pusher=self.pusher, clock=self.clock
        )[0]
        return self._handle_of(row, spec.result if spec else None)

    def _fair_key_again(self, execution: NewExecution, spec: TaskSpec | None) -> str | None:
        """The key of an old execution's request; None where that cannot be read any more."""
        try:
            if spec is not None:
                fair_by, request = spec.options.fair_by, spec.request.decode(execution.request)
            else:
                fair_by = self._known.get(execution.task).options.get("fair_by")
                request = None if execution.request is None else json.loads(execution.request)
        except (UnknownTask, InvalidRequest):
            return None
        return fair_key(fair_by or self.fair_by.get(execution.queue), request)

    def _handle_of(self, row: Enqueued, result: Codec | None) -> Handle[Any]:
        return Handle(
            self,
            row.id,
            result=result,
            created=row.created,
            pushed=row.pushed,
            replaced=row.replaced,
            transaction_id=row.transaction_id,
        )

    def _fingerprint_of(self, task: str) -> str | None:
        spec = self.registry.find(task)
        if spec is not None:
            return spec.fingerprint
        try:
            return self._known.get(task).fingerprint
        except UnknownTask:
            return None

    def _prepare(
        self, orders: Sequence[Order], parent: Parent | None
    ) -> list[tuple[NewExecution, Plan]]:
        # What many orders have in common is looked at once.
        recipes: dict[int, _Recipe] = {}
        moulds: dict[tuple[int, int], Mould] = {}
        prepared = []
        for order in orders:
            recipe = recipes.get(id(order.task))
            if recipe is None:
                recipe = recipes[id(order.task)] = self._recipe(order.task)
            mould = moulds.get((id(order.task), id(order.options)))
            if mould is None:
                mould = self._mould(recipe, order.options, parent)
                moulds[id(order.task), id(order.options)] = mould
            text, request, key, limits = recipe.encode(order.request, mould.chosen)
            made = mould.execution(
                text,
                request=request,
                unique_key=key,
                limit_keys=limits,
                traceparent=order.traceparent,
                execution_id=order.execution_id,
            )
            prepared.append((made, mould.plan))
        return prepared

    def _prepared(self, order: Order, parent: Parent | None) -> tuple[NewExecution, Plan]:
        return self._prepare([order], parent)[0]

    def _drafted(self, order: Order) -> NewExecution:
        """What would be written, once the middleware has seen it."""
        drafts: list[NewExecution] = []

        def draft(orders: Sequence[Order]) -> list[Handle[Any]]:
            prepared = self._prepare(orders, None)
            drafts[:] = [execution for execution, _ in prepared]
            return [Handle(self, made.id, result=plan.result) for made, plan in prepared]

        self._chain.enqueue([order], draft)
        if not drafts:
            raise InvalidOption(
                f"no statement for {order.task_name}: a middleware kept it from being enqueued"
            )
        return drafts[0]

    def _recipe(self, task: Any) -> _Recipe:
        spec = self._spec_of(task)
        if spec is None:
            definition = self._known.get(task, also_known=self.registry.names())
            limit = self.settings.max_request_bytes
            encode = partial(_encode_known, self._known, definition, limit)
            return _Recipe(mould=self._plain(plan_of_definition(definition)), encode=encode)
        # What a task says never changes, so it is put together once; its spec may be replaced.
        known, recipe = self._recipes.get(spec.name, (None, None))
        if recipe is None or known is not spec:
            plan = plan_of_spec(spec, self.settings.task_defaults)
            encode = partial(_encode, spec, self.settings.max_request_bytes)
            recipe = _Recipe(mould=self._plain(plan), encode=encode)
            self._recipes[spec.name] = spec, recipe
        return recipe

    def _plain(self, plan: Plan) -> Mould:
        return Mould(plan, chosen={}, parent=None, fair_by=self.fair_by)

    def _mould(self, recipe: _Recipe, options: Mapping[str, Any], parent: Parent | None) -> Mould:
        if not options and parent is None:
            return recipe.mould
        return Mould(
            recipe.mould.plan,
            chosen=check_enqueue_options(options),
            parent=parent,
            fair_by=self.fair_by,
        )

    def _plan_of(self, task: str) -> Plan:
        spec = self._spec_of(task)
        if spec is not None:
            return plan_of_spec(spec, self.settings.task_defaults)
        return plan_of_definition(self._known.get(task, also_known=self.registry.names()))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Recipe:
    """How a request of one task becomes the text of a row, is understood, and makes its keys.

    ``mould`` is that of a call without options.
    """

    mould: Mould
    encode: Callable[[Any, Mapping[str, Any]], _Encoded]


def _encode(spec: TaskSpec, limit: int, request: Any, _: Mapping[str, Any]) -> _Encoded:
    request = spec.request.validate(request)
    text = spec.request.encode(request, max_bytes=limit)
    return text, request, key_of_spec(spec, request), limit_keys_of_spec(spec, request)


def _encode_known(
    known: KnownTasks,
    definition: TaskDefinition,
    limit: int,
    request: Any,
    chosen: Mapping[str, Any],
) -> _Encoded:
    text = known.encode(definition, request, max_bytes=limit)
    key = key_of_definition(definition, chosen)
    return text, request, key, limit_keys_of_definition(definition)
