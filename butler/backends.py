"""`Backends`: the ledger and Redis of one `Butler`, made at first use and anew after a fork.

A connection that was made before a fork must not be used after it: two processes would read each
other's answers. So what was made is kept with the process's id and left alone, never closed, in a
child. Nothing here connects by itself; what the drivers make connects when it is used.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from butler.pushing import Pusher

if TYPE_CHECKING:
    from collections.abc import Callable

    from redis import Redis

    from butler.clock import Clock
    from butler.listening import Listener
    from butler.queues import QueueWire
    from butler.settings import Settings
    from butler.storage.base import Storage

# Blocking calls of coroutines; asyncio's own executor is small and shared with everything. Waits
# take none of these.
ASYNC_THREADS = 8


class Backends:
    """Makes what a Butler works with; ``storage`` and ``redis`` that are given are never closed."""

    def __init__(
        self,
        settings: Callable[[], Settings],
        *,
        storage: Storage | None,
        redis: Redis | None,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._given_storage = storage
        self._given_redis = redis
        self._clock = clock
        self._made = _Made()

    @property
    def storage(self) -> Storage:
        """The ledger, prepared; raises `SchemaOutdated`, `StorageUnavailable`, `SettingsError`."""
        made = self._here()
        if made.storage is None:
            with made.lock:
                if made.storage is None:
                    storage = self._given_storage or self._new_storage()
                    storage.prepare()
                    made.storage = storage
        return made.storage

    @property
    def storage_apart(self) -> Storage:
        """The ledger over one connection of its own; the storage that was given, if one was."""
        made = self._here()
        storage = self.storage
        if storage is self._given_storage:
            return storage
        if made.storage_apart is None:
            with made.lock:
                if made.storage_apart is None:
                    storage = self._new_storage(pool_size=1)
                    storage.prepare()
                    made.storage_apart = storage
        return made.storage_apart

    @property
    def redis(self) -> Redis:
        """A client with ordinary timeouts; raises `SettingsError`."""
        made = self._here()
        if made.redis is None:
            with made.lock:
                if made.redis is None:
                    made.redis = self._given_redis or self._new_redis()
        return made.redis

    @property
    def wire(self) -> QueueWire:
        """The queues, over `redis`."""
        made = self._here()
        if made.wire is None:
            with made.lock:
                if made.wire is None:
                    from butler.queues import QueueWire

                    made.wire = QueueWire(self.redis, ledger_id=self.storage.ledger_id())
        return made.wire

    @property
    def pusher(self) -> Pusher:
        """The queues, over a client of its own that gives up soon."""
        made = self._here()
        if made.pusher is None:
            with made.lock:
                if made.pusher is None:
                    made.pusher = self._new_pusher(made)
        return made.pusher

    @property
    def threads(self) -> ThreadPoolExecutor:
        """Where coroutines' calls block; asked for on an event loop, so this never waits."""
        made = self._here()
        with made.small_lock:
            if made.threads is None:
                made.threads = ThreadPoolExecutor(ASYNC_THREADS, thread_name_prefix="butler-async")
            return made.threads

    @property
    def listener(self) -> Listener:
        """Hears for whoever waits; asked for on an event loop, so this never waits."""
        made = self._here()
        with made.small_lock:
            if made.listener is None:
                from butler.listening import Listener

                made.listener = Listener(storage=lambda: self.storage, redis=lambda: self.redis)
            return made.listener

    def close(self) -> None:
        """Give back what was made here; closing twice is fine."""
        made = self._here()
        if made.listener is not None:
            made.listener.close()
        self._made = _Made()
        if made.threads is not None:
            made.threads.shutdown()
        for storage in (made.storage_apart, made.storage):
            if storage is not None and storage is not self._given_storage:
                storage.close()
        for client in (made.push_redis, made.redis):
            if client is not None and client is not self._given_redis:
                client.close()

    def _here(self) -> _Made:
        made = self._made
        if made.pid != os.getpid():
            made = self._made = _Made()
        return made

    def _new_storage(self, *, pool_size: int | None = None) -> Storage:
        from butler.storage.postgres import PostgresStorage

        settings = self._settings()
        return PostgresStorage(
            settings.need_database_url(),
            schema=settings.database_schema,
            command_timeout_s=settings.command_timeout_s,
            retention_days=settings.retention,
            migrate=settings.migrate,
            pool_size=pool_size or settings.pool_size,
            prepared_statements=settings.prepared_statements,
            max_progress_updates=settings.max_progress_updates,
            unique_wait_s=settings.unique_wait_s,
            direct_url=settings.direct_url,
            notify=settings.notify,
        )

    def _new_redis(self) -> Redis:
        from butler.connections import connect_redis

        settings = self._settings()
        return connect_redis(settings.need_redis_url(), timeout_s=settings.redis_timeout_s)

    def _new_pusher(self, made: _Made) -> Pusher:
        from butler.connections import clone_redis
        from butler.producer_wire import ProducerWire

        settings = self._settings()
        made.push_redis = clone_redis(self.redis, timeout_s=settings.redis_push_timeout_s)
        wire = ProducerWire(made.push_redis, ledger_id=self.storage.ledger_id())
        return Pusher(wire, clock=self._clock, rest_s=settings.redis_rest_s)


class _Made:
    """What one process has made so far."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        # Reentrant, because the wire is made from the storage and the client.
        self.lock = threading.RLock()
        # For what is made without a server's answer.
        self.small_lock = threading.Lock()
        self.storage: Storage | None = None
        self.storage_apart: Storage | None = None
        self.redis: Redis | None = None
        self.push_redis: Redis | None = None
        self.wire: QueueWire | None = None
        self.pusher: Pusher | None = None
        self.threads: ThreadPoolExecutor | None = None
        self.listener: Listener | None = None
