"""What both clients have: every operation, and what they are told when they are made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from butler.client.access import Audit, Tokens
from butler.client.alerts import AlertRules, Alerts
from butler.client.asks import IDEMPOTENCY_KEY, Ask, as_model, given
from butler.client.exchange import Manner, exchange
from butler.client.executions import Executions
from butler.client.handles import handle_of
from butler.client.payloads import request_json
from butler.client.queues import Limits, Queues
from butler.client.recurring import Recurring
from butler.client.remote_tasks import RemoteTask
from butler.client.resource import D
from butler.client.stats import Stats
from butler.client.system import Server, Tasks, Workers
from butler.errors import InvalidOption, SettingsError
from butler.settings import load_settings
from butler.version import __version__
from butler.web.models.executions import Enqueued, EnqueuedMany

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from butler.client.steps import Talk

ENQUEUE = "POST /executions"
ENQUEUE_MANY = "POST /executions/batch"
REASON = "Butler-Reason"
RETRIES = 4
TIMEOUT_S = 30.0


class Client(Executions[D], Server[D]):
    """Executions by its own methods, the rest by what it is: ``client.recurring.pause(name)``."""

    @property
    def recurring(self) -> Recurring[D]:
        """Recurring jobs."""
        return Recurring(self.driver)

    @property
    def tasks(self) -> Tasks[D]:
        """What can be enqueued."""
        return Tasks(self.driver)

    @property
    def queues(self) -> Queues[D]:
        """How queues stand; pausing and limiting them."""
        return Queues(self.driver)

    @property
    def limits(self) -> Limits[D]:
        """How many may run under a name, and how often one may start."""
        return Limits(self.driver)

    @property
    def stats(self) -> Stats[D]:
        """What ended lately, how, and how long it took."""
        return Stats(self.driver)

    @property
    def workers(self) -> Workers[D]:
        """Who runs what."""
        return Workers(self.driver)

    @property
    def alerts(self) -> Alerts[D]:
        """What is wrong, and was."""
        return Alerts(self.driver)

    @property
    def alert_rules(self) -> AlertRules[D]:
        """When to alert, about what, and whom to tell."""
        return AlertRules(self.driver)

    @property
    def tokens(self) -> Tokens[D]:
        """Who may use the API."""
        return Tokens(self.driver)

    @property
    def audit(self) -> Audit[D]:
        """Who changed what."""
        return Audit(self.driver)

    def _enqueue(
        self,
        task: str | RemoteTask[Any, Any],
        request: Any,
        options: Mapping[str, Any],
        *,
        result: Any,
        idempotency_key: str | None,
    ) -> Talk[Any]:
        """The conversation of one enqueue."""
        body = _order(task, request, options)
        ask = Ask(read=as_model(Enqueued), body=body, headers=_key(idempotency_key))
        made = yield from exchange(ask, ENQUEUE, self.driver.manner)
        return handle_of(self.driver, made, result=_result_type(task, result))

    def _enqueue_many(
        self,
        items: Iterable[tuple[Any, Any]],
        options: Mapping[str, Any],
        *,
        idempotency_key: str | None,
    ) -> Talk[Any]:
        """The conversation of an enqueue of up to 1,000."""
        pairs = [*items]
        if not pairs:
            return []
        body = {"executions": [_order(task, request, options) for task, request in pairs]}
        ask = Ask(read=as_model(EnqueuedMany), body=body, headers=_key(idempotency_key))
        made = yield from exchange(ask, ENQUEUE_MANY, self.driver.manner)
        return [
            handle_of(self.driver, each, result=_result_type(task, None))
            for each, (task, _) in zip(made.executions, pairs, strict=True)
        ]


def manner_of(
    url: str | None,
    token: str | None,
    *,
    timeout_s: float,
    retries: int,
    reason: str | None,
) -> Manner:
    """How a client talks; what is None is the settings'. Raises `SettingsError`."""
    if url is None or token is None:
        settings = load_settings(url=url, token=token)
        url = settings.url
        token = None if settings.token is None else settings.token.get_secret_value()
    if url is None:
        raise SettingsError(
            'no url is set: pass ButlerClient("https://…"), set BUTLER_URL, or write url into '
            "butler.toml; it is where `butler web` is reached, without /api/v1"
        )
    if not url.startswith(("http://", "https://")):
        raise InvalidOption(f"url must begin with https:// or http://, got {url!r}")
    if not timeout_s > 0:
        raise InvalidOption(f"timeout_s must be > 0, got {timeout_s!r}")
    if retries < 0:
        raise InvalidOption(f"retries must be >= 0, got {retries!r}")
    headers = {"User-Agent": f"butler-client/{__version__}"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    if reason is not None:
        headers[REASON] = reason
    return Manner(url=url.rstrip("/"), headers=headers, timeout_s=timeout_s, retries=retries)


def _order(
    task: str | RemoteTask[Any, Any], request: Any, options: Mapping[str, Any]
) -> dict[str, object]:
    if isinstance(task, RemoteTask):
        name, body = task.name, request_json(task.name, request, as_type=task.request)
    else:
        name, body = task, request_json(task, request)
    return {"task": name, "request": body, **given(options)}


def _result_type(task: str | RemoteTask[Any, Any], result: Any) -> Any:
    return task.result if result is None and isinstance(task, RemoteTask) else result


def _key(idempotency_key: str | None) -> dict[str, str]:
    return {} if idempotency_key is None else {IDEMPOTENCY_KEY: idempotency_key}
