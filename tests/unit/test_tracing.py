"""Spans from the enqueue to each attempt, as a collector would get them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import subprocess
import sys

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from butler import Butler, RetryPolicy, TaskContext, TaskResult, lifecycle
from butler.errors import TaskFailed
from butler.flushing import flush_traces
from butler.ids import new_id, new_token
from butler.log_lines import JsonLines
from butler.monitoring.tracing import Tracing
from butler.storage.records import Claim, WorkerRegistration


@pytest.fixture
def exporter():
    return InMemorySpanExporter()


@pytest.fixture
def provider(exporter):
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield provider
    provider.shutdown()


@pytest.fixture
def traced(provider):
    with Butler.in_memory() as butler:
        butler.add_middleware(Tracing(provider))
        yield butler


def run(butler, *handles):
    """Let executions end, whichever way."""
    with butler.worker():
        for handle in handles:
            with contextlib.suppress(TaskFailed):
                handle.result(timeout_s=30)


def spans(exporter):
    """The finished spans by name, each name's in the order of their ends."""
    found = {}
    for span in exporter.get_finished_spans():
        found.setdefault(span.name, []).append(span)
    return found


def test_an_attempt_continues_the_trace_of_its_enqueue(traced, provider, exporter):
    @traced.task
    def send(n: int) -> int:
        return n

    with provider.get_tracer("shop").start_as_current_span("request"):
        handle = send.enqueue(7, queue="mail")
    with traced.worker(queues=["mail"]):
        handle.result(timeout_s=30)
    found = spans(exporter)
    [request], [enqueued], [ran] = found["request"], found["enqueue send"], found["run send"]
    assert enqueued.parent.span_id == request.context.span_id
    assert (ran.parent.span_id, ran.parent.is_remote) == (enqueued.context.span_id, True)
    assert len({span.context.trace_id for span in (request, enqueued, ran)}) == 1
    assert (enqueued.kind, ran.kind) == (SpanKind.PRODUCER, SpanKind.CONSUMER)
    assert dict(ran.attributes) == {
        "messaging.system": "butler",
        "messaging.operation.name": "run",
        "messaging.operation.type": "process",
        "messaging.destination.name": "mail",
        "messaging.message.id": handle.id,
        "butler.task": "send",
        "butler.attempt": 1,
    }
    assert enqueued.attributes["messaging.operation.type"] == "send"
    assert enqueued.attributes["messaging.destination.name"] == "mail"
    assert enqueued.attributes["messaging.message.id"] == handle.id


def test_a_retry_begins_a_trace_and_links_to_the_attempt_before(traced, exporter):
    @traced.task(retry=RetryPolicy(max_attempts=3, base_s=0))
    def fetch(_: int, context: TaskContext) -> None:
        if context.attempt < 3:
            raise ConnectionError("away")

    run(traced, fetch.enqueue(1))
    found = spans(exporter)
    [enqueued], [first, second, third] = found["enqueue fetch"], found["run fetch"]
    assert (first.status.status_code, third.status.status_code) == (
        StatusCode.ERROR,
        StatusCode.UNSET,
    )
    assert first.events[0].attributes["exception.type"] == "ConnectionError"
    assert first.parent.span_id == enqueued.context.span_id
    for retry, before in ((second, first), (third, second)):
        assert retry.parent is None
        assert retry.context.trace_id != before.context.trace_id
        [link] = retry.links
        assert link.context.span_id == before.context.span_id
        assert dict(link.attributes) == {"butler.link": "retry"}


def test_a_retry_of_an_attempt_that_said_nothing_links_to_the_enqueue(traced, exporter):
    @traced.task
    def fetch(n: int) -> int:
        return n

    handle = fetch.enqueue(1)
    worker = WorkerRegistration(
        id=new_id(),
        name="lost",
        host="alpha",
        pid=1,
        supervisor_id="s",
        queues=("default",),
        tasks=("fetch",),
        concurrency=1,
    )
    traced.storage.register_worker(worker)
    claim = Claim(worker_id=worker.id, token=new_token(), ids=(handle.id,))
    [claimed] = traced.storage.claim(claim).won
    traced.storage.finish([lifecycle.lose(claimed, reason="its host is gone")])
    run(traced, handle)
    [enqueued], [second] = spans(exporter)["enqueue fetch"], spans(exporter)["run fetch"]
    assert second.links[0].context.span_id == enqueued.context.span_id


def test_a_child_begins_a_trace_and_links_to_where_its_parent_enqueued_it(traced, exporter):
    @traced.task
    async def child(n: int) -> int:
        return n

    @traced.task
    def parent(n: int, context: TaskContext) -> str:
        return context.enqueue(child, n).id

    handle = parent.enqueue(1)
    with traced.worker():
        traced.handle(handle.result(timeout_s=30)).result(timeout_s=30)
    found = spans(exporter)
    [ran], [enqueued], [child_ran] = found["run parent"], found["enqueue child"], found["run child"]
    assert enqueued.parent.span_id == ran.context.span_id
    assert child_ran.parent is None
    [link] = child_ran.links
    assert link.context.span_id == enqueued.context.span_id
    assert dict(link.attributes) == {"butler.link": "child"}
    assert child_ran.attributes["butler.parent_id"] == handle.id


def test_a_failure_that_is_returned_is_an_error_and_a_later_try_an_event(traced, exporter):
    @traced.task
    def report(_: int, context: TaskContext) -> TaskResult[None]:
        if context.attempt == 1:
            return TaskResult.retry(after_s=0, reason="not yet")
        return TaskResult.failure("no such month", retry=False)

    run(traced, report.enqueue(1))
    first, second = spans(exporter)["run report"]
    assert [event.name for event in first.events] == ["rescheduled"]
    assert second.status.status_code is StatusCode.ERROR
    assert second.attributes["error.type"] == "TaskFailure"


def test_a_batch_is_one_span_that_all_its_attempts_continue(traced, exporter):
    @traced.task
    def send(n: int) -> int:
        return n

    handles = traced.enqueue_many([(send, n) for n in range(3)])
    run(traced, *handles)
    [enqueued] = spans(exporter)["enqueue send"]
    assert enqueued.attributes["messaging.batch.message_count"] == 3
    ran = spans(exporter)["run send"]
    assert [span.parent.span_id for span in ran] == [enqueued.context.span_id] * 3


def test_what_was_enqueued_without_a_trace_begins_one(exporter, provider):
    with Butler.in_memory() as butler:

        @butler.task
        def send(n: int) -> int:
            return n

        handle = send.enqueue(1)
        butler.add_middleware(Tracing(provider))
        run(butler, handle)
    [ran] = spans(exporter)["run send"]
    assert (ran.parent, ran.links) == (None, ())


@pytest.mark.parametrize(
    "scribble",
    ["", "x", "00-zz-zz-01", f"00-{'0' * 32}-{'0' * 16}-01", f"00-{'g' * 32}-{'1' * 16}-01"],
)
def test_a_row_that_holds_no_trace_is_not_believed(provider, scribble):
    assert Tracing(provider)._from_header(scribble) is None


def test_a_coroutines_enqueue_stays_in_its_trace(traced, provider, exporter):
    @traced.task
    def send(n: int) -> int:
        return n

    async def ask():
        with provider.get_tracer("shop").start_as_current_span("request"):
            return await traced.aio.enqueue(send, 1)

    asyncio.run(ask())
    found = spans(exporter)
    assert found["enqueue send"][0].parent.span_id == found["request"][0].context.span_id


def test_a_line_logged_in_a_span_tells_its_trace(provider):
    record = logging.makeLogRecord({"msg": "hello"})
    with provider.get_tracer("shop").start_as_current_span("request") as span:
        line = JsonLines(None).format(record)
    assert f'"trace_id": "{span.get_span_context().trace_id:032x}"' in line
    assert "trace_id" not in JsonLines(None).format(record)


def test_without_tracing_nothing_of_opentelemetry_is_loaded():
    # redis loads it for itself where it is installed, so an application on no server is asked.
    code = (
        "import sys, butler.app, butler.flushing; butler.app.Butler(name='shop')\n"
        "butler.flushing.flush_traces()\n"
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_flushing_is_fine_with_whatever_provider_there_is():
    flush_traces()
