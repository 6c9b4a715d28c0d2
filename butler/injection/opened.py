"""Generators of providers that wait at their ``yield``, to be finished in reverse order.

Guarantee: each one's clean-up runs once, whatever ended the task and whatever other clean-ups
raise. The error is raised at the ``yield``, so that a transaction can be rolled back there, but a
clean-up decides nothing: swallowing the error does not make a success of a failure. An error of
a clean-up itself takes its place, because a commit that failed is a failure.

Not `contextlib.ExitStack`, which takes an exit off its stack before it runs it: a timeout that is
thrown into the thread between the two would lose it. Here an entry goes when it has finished, and
finishing a generator twice does no harm.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from typing import Any

from butler.errors import ButlerError

Opened = list[Generator[Any, Any, Any] | AsyncGenerator[Any, Any]]


def begin(generator: Generator[Any, Any, Any], name: str) -> Any:
    """What it yields."""
    try:
        return next(generator)
    except StopIteration:
        raise ButlerError(f"{name} ended without a yield, so it provides nothing") from None


async def abegin(generator: AsyncGenerator[Any, Any], name: str) -> Any:
    """What it yields."""
    try:
        return await anext(generator)
    except StopAsyncIteration:
        raise ButlerError(f"{name} ended without a yield, so it provides nothing") from None


def finish(
    generator: Generator[Any, Any, Any], error: BaseException | None
) -> BaseException | None:
    """Run what follows its ``yield``, or raise ``error`` there; what is raised afterwards."""
    traceback = error.__traceback__ if error is not None else None
    try:
        if error is None:
            next(generator)
        else:
            generator.throw(error)
    except StopIteration:
        return error
    except BaseException as raised:  # noqa: BLE001 - it becomes the attempt's error
        return _raised(raised, error, traceback)
    generator.close()
    return _second_yield(generator)


async def afinish(
    generator: AsyncGenerator[Any, Any] | Generator[Any, Any, Any], error: BaseException | None
) -> BaseException | None:
    """`finish` for both kinds, on an event loop."""
    if isinstance(generator, Generator):
        return finish(generator, error)
    traceback = error.__traceback__ if error is not None else None
    try:
        if error is None:
            await anext(generator)
        else:
            await generator.athrow(error)
    except StopAsyncIteration:
        return error
    except BaseException as raised:  # noqa: BLE001 - it becomes the attempt's error
        return _raised(raised, error, traceback)
    await generator.aclose()
    return _second_yield(generator)


def unwind(opened: Opened, error: BaseException | None) -> BaseException | None:
    """Finish all, the newest first; the error that is left. May be called again when interrupted.

    Only for generators; `aunwind` takes both kinds.
    """
    while opened:
        newest = opened[-1]
        assert isinstance(newest, Generator)
        error = finish(newest, error)
        opened.pop()
    return error


async def aunwind(opened: Opened, error: BaseException | None) -> BaseException | None:
    """`unwind` for a coroutine, which takes both kinds."""
    while opened:
        error = await afinish(opened[-1], error)
        opened.pop()
    return error


def _raised(raised: BaseException, error: BaseException | None, traceback: Any) -> BaseException:
    if raised is error:
        # Its way through the provider says nothing about where it came from.
        raised.__traceback__ = traceback
    return raised


def _second_yield(generator: Any) -> ButlerError:
    name = getattr(generator, "__qualname__", repr(generator))
    return ButlerError(f"{name} yields more than once; a provider yields its one value")


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The loop that runs in this thread."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
