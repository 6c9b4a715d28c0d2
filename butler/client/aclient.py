"""`AsyncButlerClient`: Butler over HTTP, awaited."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack, overload

from butler.client.awaiting import Awaiting
from butler.client.base import RETRIES, TIMEOUT_S, Client, manner_of
from butler.client.handles import AsyncClientHandle

if TYPE_CHECKING:
    from collections.abc import Iterable

    import httpx

    from butler.client.options import RemoteOptions
    from butler.client.remote_tasks import RemoteTask

Req = TypeVar("Req")
Res = TypeVar("Res")


class AsyncButlerClient(Client[Awaiting]):
    """As `ButlerClient`, with its methods awaited, and listings for ``async for``.

    For one event loop. ``http`` is an `httpx.AsyncClient` of yours.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
        retries: int = RETRIES,
        reason: str | None = None,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        manner = manner_of(url, token, timeout_s=timeout_s, retries=retries, reason=reason)
        super().__init__(Awaiting(manner, http=http))

    @overload
    async def enqueue(
        self,
        task: RemoteTask[Req, Res],
        request: Req,
        /,
        *,
        idempotency_key: str | None = None,
        **options: Unpack[RemoteOptions],
    ) -> AsyncClientHandle[Res]: ...
    @overload
    async def enqueue(
        self,
        task: str,
        request: Any = None,
        /,
        *,
        result: type[Res],
        idempotency_key: str | None = None,
        **options: Unpack[RemoteOptions],
    ) -> AsyncClientHandle[Res]: ...
    @overload
    async def enqueue(
        self,
        task: str,
        request: Any = None,
        /,
        *,
        idempotency_key: str | None = None,
        **options: Unpack[RemoteOptions],
    ) -> AsyncClientHandle[Any]: ...
    async def enqueue(
        self,
        task: str | RemoteTask[Any, Any],
        request: Any = None,
        /,
        *,
        result: Any = None,
        idempotency_key: str | None = None,
        **options: Unpack[RemoteOptions],
    ) -> AsyncClientHandle[Any]:
        """As `ButlerClient.enqueue`."""
        talk = self._enqueue(task, request, options, result=result, idempotency_key=idempotency_key)
        made: AsyncClientHandle[Any] = await self.driver.take(talk)
        return made

    async def enqueue_many(
        self,
        items: Iterable[tuple[str | RemoteTask[Any, Any], Any]],
        /,
        *,
        idempotency_key: str | None = None,
        **options: Unpack[RemoteOptions],
    ) -> list[AsyncClientHandle[Any]]:
        """As `ButlerClient.enqueue_many`."""
        talk = self._enqueue_many(items, options, idempotency_key=idempotency_key)
        made: list[AsyncClientHandle[Any]] = await self.driver.take(talk)
        return made

    @overload
    def handle(self, execution_id: str) -> AsyncClientHandle[Any]: ...
    @overload
    def handle(self, execution_id: str, *, result: type[Res]) -> AsyncClientHandle[Res]: ...
    def handle(self, execution_id: str, *, result: Any = None) -> AsyncClientHandle[Any]:
        """The handle of an execution by its id; nothing is looked up."""
        return AsyncClientHandle(self.driver, execution_id, result=result)

    async def close(self) -> None:
        """Close its connections, but not an ``http`` of yours; doing it twice is fine."""
        await self.driver.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
