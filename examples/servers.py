"""Runs Redis and PostgreSQL in ../.butler until Ctrl-C, and prints how to reach them."""

import signal
from pathlib import Path

from butler.embedded import EmbeddedServices

with EmbeddedServices(Path(__file__).parents[1] / ".butler" / "examples") as services:
    print(f"export BUTLER_REDIS_URL='{services.redis_url}'")
    print(f"export BUTLER_DATABASE_URL='{services.database_url}'", flush=True)
    signal.pause()
