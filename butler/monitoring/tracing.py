"""`Tracing`: OpenTelemetry spans from the enqueue through the queue to each attempt.

A middleware, so that an application without it pays nothing and loads nothing. The enqueue's span
travels in the execution's row as W3C's traceparent. The first attempt of what the application
enqueued continues that trace: the gap between the two spans is the time on the queue. Retries, and
what tasks enqueue, begin traces of their own with a link, because they may come hours later and in
thousands, and a trace that never ends cannot be looked at. A child is linked to its enqueue, and a
retry to the attempt before: one that does not succeed leaves its span in the row with its end.

Attributes follow the semantic conventions for messaging: ``enqueue <task>`` is the
producer's span, ``run <task>`` the consumer's.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from butler.errors import DefinitionError
from butler.results import Again, Failure, outcome_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from opentelemetry.trace import Span, SpanContext, TracerProvider

    from butler.context import TaskContext
    from butler.handles import Handle
    from butler.middleware import AsyncAttemptNext, AttemptNext, EnqueueNext
    from butler.producing import Order

_NAME = "butler"


class Tracing:
    """``butler.add_middleware(Tracing())`` traces all that goes through this Butler.

    ``provider`` is OpenTelemetry's global one, if you say nothing. Needs the extra ``otel``; raises
    `DefinitionError` without it.
    """

    def __init__(self, provider: TracerProvider | None = None) -> None:
        try:
            from opentelemetry import trace
        except ImportError as error:
            raise DefinitionError(
                "Tracing needs OpenTelemetry, which is not installed: "
                "pip install 'butler-tasks[otel]'"
            ) from error
        from butler.version import __version__

        self._trace = trace
        self._tracer = trace.get_tracer(_NAME, __version__, tracer_provider=provider)

    def enqueue(self, orders: Sequence[Order], call_next: EnqueueNext, /) -> list[Handle[Any]]:
        """One span for the call; its context goes with each of its executions."""
        tasks = sorted({order.task_name for order in orders})
        attributes: dict[str, Any] = {
            "messaging.system": _NAME,
            "messaging.operation.name": "enqueue",
            "messaging.operation.type": "send",
            "butler.task": tasks[0] if len(tasks) == 1 else tasks,
        }
        queues = {str(queue) for order in orders if (queue := order.options.get("queue"))}
        if len(queues) == 1:
            attributes["messaging.destination.name"] = queues.pop()
        if len(orders) != 1:
            attributes["messaging.batch.message_count"] = len(orders)
        with self._tracer.start_as_current_span(
            f"enqueue {tasks[0] if len(tasks) == 1 else 'batch'}",
            kind=self._trace.SpanKind.PRODUCER,
            attributes=attributes,
        ) as span:
            parent = _to_header(span.get_span_context())
            handles = call_next([replace(order, traceparent=parent) for order in orders])
            if len(handles) == 1:
                span.set_attribute("messaging.message.id", handles[0].id)
            return handles

    def attempt(self, request: Any, context: TaskContext, call_next: AttemptNext, /) -> Any:
        """One span for the attempt."""
        with self._attempt_span(context) as span:
            returned = call_next(request, context)
            self._note(span, returned)
            return returned

    async def aattempt(
        self, request: Any, context: TaskContext, call_next: AsyncAttemptNext, /
    ) -> Any:
        """As `attempt`."""
        with self._attempt_span(context) as span:
            returned = await call_next(request, context)
            self._note(span, returned)
            return returned

    @contextmanager
    def _attempt_span(self, context: TaskContext) -> Iterator[Span]:
        trace = self._trace
        before = self._from_header(context.traceparent)
        # An empty context: whatever span this thread may be in is not the attempt's parent.
        within, links = trace.set_span_in_context(trace.INVALID_SPAN), []
        if before is not None:
            kind = _kind_of_link(context)
            if kind is None:
                within = trace.set_span_in_context(trace.NonRecordingSpan(before))
            else:
                links = [trace.Link(before, {"butler.link": kind})]
        with self._tracer.start_as_current_span(
            f"run {context.task}",
            context=within,
            kind=trace.SpanKind.CONSUMER,
            links=links,
            attributes=_attempt_attributes(context),
        ) as span:
            context.traceparent = _to_header(span.get_span_context())
            yield span

    def _note(self, span: Span, returned: Any) -> None:
        """What a task returned may be a failure, or a wish to run again."""
        match outcome_of(returned):
            case Failure(message, _):
                span.set_attribute("error.type", "TaskFailure")
                span.set_status(self._trace.StatusCode.ERROR, message)
            case Again(after_s, reason):
                span.add_event("rescheduled", {"after_s": after_s, "reason": reason or ""})
            case _:
                pass

    def _from_header(self, traceparent: str | None) -> SpanContext | None:
        """What the row holds; None where it is none, or somebody else's scribble."""
        parts = (traceparent or "").split("-")
        if len(parts) != 4 or [len(part) for part in parts] != [2, 32, 16, 2]:
            return None
        try:
            found = self._trace.SpanContext(
                trace_id=int(parts[1], 16),
                span_id=int(parts[2], 16),
                is_remote=True,
                trace_flags=self._trace.TraceFlags(int(parts[3], 16)),
            )
        except ValueError:
            return None
        return found if found.is_valid else None


def _kind_of_link(context: TaskContext) -> str | None:
    """Why an attempt begins a trace of its own; None for one that continues its enqueue's."""
    if context.attempt > 1:
        return "retry"
    return "child" if context.parent_id is not None else None


def _attempt_attributes(context: TaskContext) -> dict[str, Any]:
    return {
        "messaging.system": _NAME,
        "messaging.operation.name": "run",
        "messaging.operation.type": "process",
        "messaging.destination.name": context.queue,
        "messaging.message.id": context.execution_id,
        "butler.task": context.task,
        "butler.attempt": context.attempt,
        **({"butler.parent_id": context.parent_id} if context.parent_id else {}),
    }


def _to_header(context: SpanContext) -> str | None:
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
