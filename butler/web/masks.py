"""`Masks`: executions and jobs as a caller may see them, without their secrets."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from butler import masking
from butler.masking import Masker

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from butler.app import Butler
    from butler.executions import ErrorRecord, Execution
    from butler.monitoring.alerts.alert import Alert
    from butler.recurring import RecurringJob
    from butler.storage.logs import LogLine

FRESH_S = 30.0
_NONE: tuple[Mapping[str, Any], Mapping[str, Any]] = ({}, {})


class Masks:
    """Masks by the schemas of tasks, which are looked up at most twice a minute.

    Its methods block where a schema is not known yet: call them in a thread.
    """

    def __init__(self, butler: Butler, *, names: Iterable[str]) -> None:
        self._butler = butler
        self._masker = Masker(names)
        self._schemas: dict[str, tuple[float, tuple[Mapping[str, Any], Mapping[str, Any]]]] = {}

    def is_secret(self, name: str) -> bool:
        """Whether a field of this name is shown to nobody."""
        return self._masker.is_secret(name)

    def execution(self, execution: Execution) -> Execution:
        """The execution, in which no secret of its request stands anywhere."""
        request, result = self._of_task(execution.task)
        secrets = self._masker.secrets(execution.request, request)
        progress = execution.progress
        if progress is not None and progress.message is not None:
            progress = replace(progress, message=masking.without(progress.message, secrets))
        return replace(
            execution,
            request=self._masker.value(execution.request, request),
            result=masking.within(self._masker.value(execution.result, result), secrets),
            error=_error(execution.error, secrets),
            progress=progress,
            unique_key=_text(execution.unique_key, secrets),
            attempts=tuple(
                replace(attempt, error=_error(attempt.error, secrets))
                for attempt in execution.attempts
            ),
        )

    def secrets(self, execution: Execution) -> frozenset[str]:
        """The secrets of an execution that is not masked: to be masked in what it says."""
        return self._masker.secrets(execution.request, self._of_task(execution.task)[0])

    def text(self, text: str | None, secrets: frozenset[str]) -> str | None:
        """A text without these secrets."""
        return _text(text, secrets)

    def quoted(self, quotes: Sequence[tuple[str, str]]) -> list[str | None]:
        """Texts that quote executions, as (id, text), without the secrets of those.

        None where the execution is gone, because what was secret of it is not known any more.
        """
        ids = list({id_ for id_, _ in quotes})
        executions = self._butler.storage.get_many(ids) if ids else []
        secrets = {each.id: self.secrets(each) for each in executions}
        return [
            masking.without(text, secrets[id_]) if id_ in secrets else None for id_, text in quotes
        ]

    def lines(self, lines: Iterable[LogLine], secrets: frozenset[str]) -> list[LogLine]:
        """What was logged, without these secrets."""
        if not secrets:
            return list(lines)
        return [replace(line, message=masking.without(line.message, secrets)) for line in lines]

    def alerts(self, alerts: Sequence[Alert]) -> list[Alert]:
        """Alerts, in whose likely causes no secret of an execution stands."""
        told = [(a.execution_id, a.cause) for a in alerts if a.execution_id is not None]
        causes = iter(self.quoted(told))
        return [
            alert if alert.execution_id is None else replace(alert, cause=next(causes) or "")
            for alert in alerts
        ]

    def job(self, job: RecurringJob) -> RecurringJob:
        """The job with its request masked."""
        return replace(job, request=self._masker.value(job.request, self._of_task(job.task)[0]))

    def restored(self, task: str, request: Any, *, old: Any) -> Any:
        """A request that was shown masked and came back, with its secrets as they were."""
        return self._masker.restored(request, old, self._of_task(task)[0])

    def _of_task(self, task: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """The schemas of a task's request and result."""
        now = time.monotonic()
        looked_at, schemas = self._schemas.get(task, (float("-inf"), _NONE))
        if now - looked_at > FRESH_S:
            definition = self._butler.definition_of(task)
            schemas = (
                _NONE
                if definition is None
                else (definition.request_schema, definition.result_schema)
            )
            self._schemas[task] = now, schemas
        return schemas


def _text(text: str | None, secrets: frozenset[str]) -> str | None:
    return None if text is None else masking.without(text, secrets)


def _error(error: ErrorRecord | None, secrets: frozenset[str]) -> ErrorRecord | None:
    if error is None or not secrets:
        return error
    return replace(
        error,
        message=masking.without(error.message, secrets),
        traceback=_text(error.traceback, secrets),
        details=tuple(masking.within(list(error.details), secrets)),
    )
