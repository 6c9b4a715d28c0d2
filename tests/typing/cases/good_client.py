"""What a client of the REST API returns, blocking and awaited, from methods written once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any, assert_type

from butler import Cron, Execution, ExecutionChange
from butler.client import (
    AsyncButlerClient,
    AsyncClientHandle,
    ButlerClient,
    ClientHandle,
    RemoteTask,
)
from butler.storage.logs import LogLine
from butler.storage.records import Page
from butler.web.models.queues import ShownQueue
from butler.web.models.recurring import ShownJob


@dataclass
class Order:
    number: int


pack = RemoteTask("pack", Order, str)

client = ButlerClient("https://jobs.example.com", "btl_…")
handle = client.enqueue(pack, Order(number=1), user_id="ada")
assert_type(handle, ClientHandle[str])
assert_type(handle.result(timeout_s=30), str)
assert_type(client.enqueue("pack", {"number": 1}, result=int).result(), int)
assert_type(client.enqueue("pack", {"number": 1}, delay_s=3), ClientHandle[Any])
assert_type(client.handle("id", result=str), ClientHandle[str])
assert_type(client.get("id"), Execution)
assert_type(client.list(task="pack", status=["failed"]), Iterator[Execution])
assert_type(client.page(limit=10), Page)
assert_type(handle.events(), Iterator[ExecutionChange])
assert_type(handle.logs(), Iterator[LogLine])
assert_type(client.rerun("id"), ClientHandle[Any])
assert_type(client.recurring.create("daily", "pack", Cron("0 3 * * *"), jitter_s=3), ShownJob)
assert_type(client.queues.pause("mail"), ShownQueue)


async def awaited(client: AsyncButlerClient) -> None:
    handle = await client.enqueue(pack, Order(number=1))
    assert_type(handle, AsyncClientHandle[str])
    assert_type(await handle.result(timeout_s=30), str)
    assert_type(await client.get("id"), Execution)
    assert_type(client.list(task="pack"), AsyncIterator[Execution])
    assert_type(handle.events(), AsyncIterator[ExecutionChange])
    assert_type(await client.rerun("id"), AsyncClientHandle[Any])
    assert_type(await client.recurring.pause("daily"), ShownJob)
