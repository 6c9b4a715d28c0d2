"""What many requests want at once is done in one call."""

from __future__ import annotations

import asyncio
import threading

from butler.web.together import Together


def test_what_comes_while_a_call_is_under_way_is_done_in_the_next(butler):
    begun, go_on, calls = threading.Event(), threading.Event(), []

    def step(items):
        calls.append(list(items))
        begun.set()
        assert go_on.wait(30)
        return [item * 10 if item != 3 else ValueError("three") for item in items]

    async def scene():
        together = Together(butler, step, at_once=3)
        first = asyncio.create_task(together.do(1))
        assert await asyncio.to_thread(begun.wait, 30)
        rest = [asyncio.create_task(together.do(number)) for number in (2, 3, 4, 5)]
        await asyncio.sleep(0)
        go_on.set()
        return await asyncio.gather(first, *rest, return_exceptions=True)

    replies = asyncio.run(scene())
    assert calls == [[1], [2, 3, 4], [5]]
    assert [str(reply) for reply in replies] == ["10", "20", "three", "40", "50"]


def test_an_error_of_the_call_is_everybodys(butler):
    def step(items):
        raise ValueError(f"{len(items)} items")

    async def scene():
        together = Together(butler, step, at_once=10)
        return await asyncio.gather(*(together.do(n) for n in (1, 2)), return_exceptions=True)

    assert [str(error) for error in asyncio.run(scene())] == ["2 items", "2 items"]
