"""What the tests of the clients have in common."""

from __future__ import annotations

import inspect

from pydantic import BaseModel, SecretStr

from butler.client.resource import Resource
from butler.ids import new_id
from butler.monitoring.alerts.alert import Alert, AlertState
from butler.monitoring.alerts.rule import RuleKind, Severity


class Mail(BaseModel):
    to: str
    key: SecretStr = SecretStr("hush-hush")


class Receipt(BaseModel):
    number: int


def open_alert(butler):
    """An alert that a leading scheduler has opened."""
    now = butler.storage.now()
    alert = Alert(
        id=new_id(),
        rule="queue-age",
        kind=RuleKind.QUEUE_AGE,
        subject="mail",
        state=AlertState.OPEN,
        severity=Severity.WARNING,
        since=now,
        opened_at=now,
        updated_at=now,
        value=300.5,
        summary="it waits",
    )
    storage = butler.storage
    epoch = storage.take_leadership("us", observed=storage.leadership())
    assert storage.write_alerts([alert], epoch=epoch)
    return alert


class Run:
    """Something awaited as if it were not: coroutines are run, iterators are read to the end."""

    def __init__(self, something, runner):
        self._something, self._runner = something, runner

    def __getattr__(self, name):
        return self._value(getattr(self._something, name))

    def __call__(self, *args, **kwargs):
        return self._value(self._something(*args, **kwargs))

    def _value(self, value):
        if inspect.iscoroutine(value):
            return self._value(self._runner.run(value))
        if inspect.isasyncgen(value):
            return iter(self._runner.run(_all(value)))
        if isinstance(value, list):
            return [self._value(each) for each in value]
        return Run(value, self._runner) if callable(value) or isinstance(value, Resource) else value


async def _all(items):
    return [each async for each in items]
