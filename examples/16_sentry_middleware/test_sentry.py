"""The real Sentry SDK, with a transport that keeps what it would send."""

from collections.abc import Iterator
from typing import Any

import pytest
import sentry_sdk
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport
from tasks import charge, refund

from butler import Butler, TaskContext
from butler.errors import TaskCancelled
from butler.testing import run_pending


class Kept(Transport):
    """Sends nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[Any] = []

    def capture_envelope(self, envelope: Envelope) -> None:
        event = envelope.get_event()
        if event is not None:
            self.events.append(event)


@pytest.fixture
def sent(butler: Butler, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    transport = Kept()
    init = sentry_sdk.init

    def init_with_transport(*args: Any, **options: Any) -> Any:
        return init("https://key@localhost/1", transport=transport, default_integrations=False)

    # The lifespan initialises the SDK, as in a worker.
    monkeypatch.setattr(sentry_sdk, "init", init_with_transport)
    yield transport.events
    sentry_sdk.get_client().close()


def test_every_error_is_reported_with_its_execution(butler: Butler, sent: list[Any]) -> None:
    handle = charge.enqueue(-5, user_id="ann")
    run_pending(butler, fast_forward=True)
    assert len(sent) == 2
    event = sent[1]
    assert event["exception"]["values"][-1]["value"] == "cannot charge -5"
    assert event["tags"]["butler.task"] == "charge"
    assert event["user"] == {"id": "ann"}
    assert event["contexts"]["execution"] == {"id": handle.id, "attempt": 2, "max_attempts": 2}


def test_an_async_tasks_error_is_reported_and_no_other_attempts_user(
    butler: Butler, sent: list[Any]
) -> None:
    charge.enqueue(5, user_id="ann")
    refund.enqueue(0)
    run_pending(butler)
    (event,) = sent
    assert event["exception"]["values"][-1]["type"] == "ZeroDivisionError"
    assert "user" not in event


def test_what_was_cancelled_is_not_reported(butler: Butler, sent: list[Any]) -> None:
    @butler.task
    def patient(context: TaskContext) -> None:
        butler.cancel(context.execution_id)
        context.sleep(10)

    with butler.worker(), pytest.raises(TaskCancelled):
        patient.enqueue().result(timeout_s=10)
    assert sent == []
