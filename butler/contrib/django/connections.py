"""`DjangoConnections`: what a request does for Django's connections, for an attempt.

Django gives a connection to each thread and lets go of stale ones only where a request begins or
ends. A worker has no requests: without this, the first connection that the server closed would
fail every later attempt in that thread.

An ``async def`` task reaches the ORM through threads that asgiref chooses. By default that is one
thread for the whole process, in which all tasks would queue up behind each other. Each attempt
gets one of its own instead, made when it first asks, and closes what it has opened there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from butler.context import TaskContext
    from butler.middleware import AsyncAttemptNext, AttemptNext


class DjangoConnections:
    """Middleware around attempts."""

    def attempt(self, request: Any, context: TaskContext, call_next: AttemptNext, /) -> Any:
        """Close this thread's stale connections before and after, as a request would."""
        _close_stale()
        try:
            return call_next(request, context)
        finally:
            _close_stale()

    async def aattempt(
        self, request: Any, context: TaskContext, call_next: AsyncAttemptNext, /
    ) -> Any:
        """Give the attempt a thread for its queries, whose connections end with it."""
        from asgiref.sync import SyncToAsync, ThreadSensitiveContext, sync_to_async
        from django.db import connections

        async with ThreadSensitiveContext() as own:
            try:
                return await call_next(request, context)
            finally:
                # No thread was made for a task that asked for nothing, so nothing is open.
                if own in SyncToAsync.context_to_thread_executor:
                    await sync_to_async(connections.close_all)()


def _close_stale() -> None:
    from django.db import connections

    for connection in connections.all(initialized_only=True):
        # In a test's transaction tasks run in the test's own thread. Django's close_old_connections
        # would end that transaction.
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()
