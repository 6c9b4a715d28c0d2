"""Where executions are remembered: the `Storage` protocol and its two backends.

The backends are imported from their own modules (``butler.storage.postgres``,
``butler.storage.memory``), so that nobody pays for a driver they do not use.
"""

from butler.storage.base import Storage

__all__ = ["Storage"]
