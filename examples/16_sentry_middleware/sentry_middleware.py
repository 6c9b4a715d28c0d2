"""Errors of tasks go to Sentry, with the execution they belong to. Copy it and make it yours."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sentry_sdk

from butler import TaskContext
from butler.errors import AttemptCancelled
from butler.middleware import AsyncAttemptNext, AttemptNext

# An attempt that an operator or a deploy ends is no error; one that takes too long is.
NO_ERROR = (AttemptCancelled, asyncio.CancelledError)


class SentryMiddleware:
    """`report_retries=False` reports an error only when it was the last attempt's."""

    def __init__(self, *, report_retries: bool = True) -> None:
        self._report_retries = report_retries

    def attempt(self, request: Any, context: TaskContext, call_next: AttemptNext) -> Any:
        with self._reporting(context):
            return call_next(request, context)

    async def aattempt(
        self, request: Any, context: TaskContext, call_next: AsyncAttemptNext
    ) -> Any:
        with self._reporting(context):
            return await call_next(request, context)

    @contextmanager
    def _reporting(self, context: TaskContext) -> Iterator[None]:
        # A scope of its own, so that what one attempt sets is not sent with another's error.
        with sentry_sdk.isolation_scope() as scope:
            scope.set_tag("butler.task", context.task)
            scope.set_tag("butler.queue", context.queue)
            scope.set_context(
                "execution",
                {
                    "id": context.execution_id,
                    "attempt": context.attempt,
                    "max_attempts": context.max_attempts,
                },
            )
            if context.user_id is not None:
                scope.set_user({"id": context.user_id})
            try:
                yield
            except NO_ERROR:
                raise
            except BaseException as error:
                if self._report_retries or context.attempt >= context.max_attempts:
                    scope.capture_exception(error)
                raise
