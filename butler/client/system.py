"""Tasks, workers, the server itself, and who is calling (pure)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from butler.client.asks import Ask, as_model, picked
from butler.client.operations import operation, steps
from butler.client.resource import D, Resource
from butler.client.watching import EVENTS, WatchEvent, watch
from butler.durations import seconds
from butler.web.models.monitoring import ShownHealth
from butler.web.models.system import ShownCaller, ShownTask, ShownWorker, TaskList, WorkerList

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import timedelta

    from butler.client.steps import Answer, Talk


class Tasks(Resource[D]):
    """What can be enqueued."""

    @operation("GET /tasks")
    def list(self, *, tag: str | None = None) -> Ask[Sequence[ShownTask]]:
        """All tasks, by name, with the JSON Schemas of their requests and results."""
        return Ask(read=picked(TaskList, lambda found: found.tasks), query={"tag": tag})

    @operation("GET /tasks/{task}")
    def get(self, task: str) -> Ask[ShownTask]:
        """One task, by its name; raises `UnknownTask`."""
        return Ask(read=as_model(ShownTask), place={"task": task})


class Workers(Resource[D]):
    """Who runs what."""

    @operation("GET /workers")
    def list(self) -> Ask[Sequence[ShownWorker]]:
        """Workers that are alive, and those lost or stopped within the last hour."""
        return Ask(read=picked(WorkerList, lambda found: found.workers))

    @operation("GET /workers/{worker_id}")
    def get(self, worker_id: str) -> Ask[ShownWorker]:
        """One worker, by its id."""
        return Ask(read=as_model(ShownWorker), place={"worker_id": worker_id})


class Server(Resource[D]):
    """The server that answers."""

    @operation("GET /me")
    def me(self) -> Ask[ShownCaller]:
        """Who is calling, and what exists for them."""
        return Ask(read=as_model(ShownCaller))

    @operation("GET /health")
    def health(self) -> Ask[ShownHealth]:
        """All checks, the worst first, each with a remedy; may be a second old."""
        return Ask(read=as_model(ShownHealth))

    @operation("GET /metrics")
    def metrics(self) -> Ask[str]:
        """What the server's process has answered, in Prometheus' text form."""
        return Ask(read=_text)

    @steps(EVENTS, of=WatchEvent)
    def watch(
        self,
        *,
        kind: str | Iterable[str] = ("state", "progress"),
        execution_id: str | Iterable[str] = (),
        task: str | None = None,
        queue: str | None = None,
        tag: str | None = None,
        timeout_s: float | timedelta | None = None,
    ) -> Talk[None]:
        """Iterate over what becomes of all executions, or of a part of them, as it happens.

        Ends after ``timeout_s``, and without it never. The first event is ``ready``. A connection
        that breaks off is made again, and goes on where it was.
        """
        query = {
            "kind": kind, "execution_id": execution_id, "task": task, "queue": queue, "tag": tag,
        }  # fmt: skip
        limit_s = None if timeout_s is None else seconds("timeout_s", timeout_s)
        return watch(query, manner=self.driver.manner, timeout_s=limit_s)

    @operation("GET /healthz")
    def is_alive(self) -> Ask[bool]:
        """True, or `ApiUnavailable`: it answers, whatever its servers do."""
        return Ask(read=_yes)

    @operation("GET /readyz")
    def is_ready(self) -> Ask[bool]:
        """True, or `ApiUnavailable`: the ledger and Redis answer it as well."""
        return Ask(read=_yes)


def _text(answer: Answer) -> str:
    return answer.body.decode()


def _yes(_: Answer) -> bool:
    return True
