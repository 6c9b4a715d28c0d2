"""`Placer`: how a `Butler` turns what is asked for into executions and their handles."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from functools import partial
from typing import TYPE_CHECKING, Any, Unpack

from butler.enqueueing import (
    Plan,
    key_of_definition,
    key_of_spec,
    new_execution,
    plan_of_definition,
    plan_of_spec,
    statement_of,
    write_and_push,
    write_within,
)
from butler.errors import UnknownTask
from butler.extending import Extensible
from butler.handles import Handle
from butler.operating import Operator
from butler.producing import Order, Parent, Producer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from butler.codec import Codec
    from butler.enqueueing import Enqueued
    from butler.joining import Placeholders, Transaction
    from butler.known_tasks import KnownTasks
    from butler.options import EnqueueOptions
    from butler.producing import AnyTask
    from butler.registry import TaskRegistry
    from butler.settings import Settings
    from butler.storage.base import Caller
    from butler.storage.records import NewExecution
    from butler.task_spec import TaskSpec


class Placer(Producer, Operator, Extensible):
    """Checks orders, runs the middleware around them, and has them written."""

    registry: TaskRegistry
    _known: KnownTasks

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
        execution, _ = self._prepared(order, None)
        return statement_of(execution, storage=self.storage, placeholders=placeholders)

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
        if self._chain.around_enqueue:
            return self._chain.enqueue(orders, lambda passed: self._write(passed, parent, caller))
        return self._write(orders, parent, caller)

    def _write(
        self, orders: Sequence[Order], parent: Parent | None, caller: Caller | None
    ) -> list[Handle[Any]]:
        prepared = [self._prepared(order, parent) for order in orders]
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
        row = write_and_push(
            [execution], storage=self.storage, pusher=self.pusher, clock=self.clock
        )[0]
        spec = self.registry.find(execution.task)
        return self._handle_of(row, spec.result if spec else None)

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

    def _prepared(self, order: Order, parent: Parent | None) -> tuple[NewExecution, Plan]:
        spec = self._spec_of(order.task)
        if spec is None:
            definition = self._known.get(order.task, also_known=self.registry.names())
            plan = plan_of_definition(definition)
            limit = self.settings.max_request_bytes
            text = self._known.encode(definition, order.request, max_bytes=limit)
            key = key_of_definition(definition, order.options)
        else:
            settings = self.settings
            plan = plan_of_spec(spec, settings.task_defaults)
            request = spec.request.validate(order.request)
            text = spec.request.encode(request, max_bytes=settings.max_request_bytes)
            key = key_of_spec(spec, request)
        made = new_execution(plan, text, unique_key=key, options=order.options, parent=parent)
        return made, plan

    def _plan_of(self, task: str) -> Plan:
        spec = self._spec_of(task)
        if spec is not None:
            return plan_of_spec(spec, self.settings.task_defaults)
        return plan_of_definition(self._known.get(task, also_known=self.registry.names()))
