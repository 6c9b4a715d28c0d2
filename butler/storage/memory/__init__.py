"""A ledger in the memory of one process."""

from butler.storage.memory.storage import MemoryStorage

__all__ = ["MemoryStorage"]
