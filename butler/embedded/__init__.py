"""A real Redis and a real PostgreSQL in a folder, for trying Butler, developing and testing."""

from butler.embedded.services import EmbeddedServices

__all__ = ["EmbeddedServices"]
