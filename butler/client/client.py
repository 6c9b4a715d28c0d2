"""`ButlerClient`: Butler over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack, overload

from butler.client.base import RETRIES, TIMEOUT_S, Client, manner_of
from butler.client.blocking import Blocking
from butler.client.handles import ClientHandle

if TYPE_CHECKING:
    from collections.abc import Iterable

    import httpx

    from butler.client.options import RemoteOptions
    from butler.client.remote_tasks import RemoteTask

Req = TypeVar("Req")
Res = TypeVar("Res")


class ButlerClient(Client[Blocking]):
    """Enqueues tasks and looks after executions through the REST API: ``ButlerClient(url, token)``.

    For what reaches neither Redis nor Postgres. ``url`` is where `butler web` is, or what
    `create_app` is mounted under; it and ``token`` default to the settings (``BUTLER_URL``,
    ``BUTLER_TOKEN``). ``timeout_s`` is for each request; one that fails on the way, or because the
    server is away or busy, is sent again up to ``retries`` times, and never done twice. ``reason``
    is for the audit log. ``http`` is an `httpx.Client` of yours, with its proxies and certificates;
    it stays yours to close.

    Raises the library's own exceptions with the server's words; `ApiError` for what has none there,
    and `ApiUnavailable` when no answer came.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
        retries: int = RETRIES,
        reason: str | None = None,
        http: httpx.Client | None = None,
    ) -> None:
        manner = manner_of(url, token, timeout_s=timeout_s, retries=retries, reason=reason)
        super().__init__(Blocking(manner, http=http))

    @overload
    def enqueue(
        self,
        task: RemoteTask[Req, Res],
        request: Req,
        /,
        *,
        idempotency_key: str | None = None,
        **options: Unpack[RemoteOptions],
    ) -> ClientHandle[Res]: ...
    @overload
    def enqueue(
        self,
        task: str,
        request: Any = None,
        /,
        *,
        result: type[Res],
        idempotency_key: str | None = None,
        **options: Unpack[RemoteOptions],
    ) -> ClientHandle[Res]: ...
    @overload
    def enqueue(
        self,
        task: str,
        request: Any = None,
        /,
        *,
        idempotency_key: str | None = None,
        **options: Unpack[RemoteOptions],
    ) -> ClientHandle[Any]: ...
    def enqueue(
        self,
        task: str | RemoteTask[Any, Any],
        request: Any = None,
        /,
        *,
        result: Any = None,
        idempotency_key: str | None = None,
        **options: Unpack[RemoteOptions],
    ) -> ClientHandle[Any]:
        """Enqueue a task by its name; once this returns, the execution is in the ledger.

        ``request`` is plain data or a model. ``result`` is the type that the result is to be of.
        An ``idempotency_key`` of yours makes the enqueue safe to repeat for a day, also by another
        process; without one, it is only safe within this call. Raises `UnknownTask`,
        `InvalidRequest`, `InvalidOption`, `NotAllowed`, `ApiUnavailable`.
        """
        talk = self._enqueue(task, request, options, result=result, idempotency_key=idempotency_key)
        made: ClientHandle[Any] = self.driver.take(talk)
        return made

    def enqueue_many(
        self,
        items: Iterable[tuple[str | RemoteTask[Any, Any], Any]],
        /,
        *,
        idempotency_key: str | None = None,
        **options: Unpack[RemoteOptions],
    ) -> list[ClientHandle[Any]]:
        """Enqueue up to 1,000 at once, all or none; the options are for each of them."""
        talk = self._enqueue_many(items, options, idempotency_key=idempotency_key)
        made: list[ClientHandle[Any]] = self.driver.take(talk)
        return made

    @overload
    def handle(self, execution_id: str) -> ClientHandle[Any]: ...
    @overload
    def handle(self, execution_id: str, *, result: type[Res]) -> ClientHandle[Res]: ...
    def handle(self, execution_id: str, *, result: Any = None) -> ClientHandle[Any]:
        """The handle of an execution by its id; nothing is looked up."""
        return ClientHandle(self.driver, execution_id, result=result)

    def close(self) -> None:
        """Close its connections, but not an ``http`` of yours; doing it twice is fine."""
        self.driver.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
