"""Noticing that the server is about to stop, when it is not `butler web`.

A server that stops waits for what is under way, streams too, before it tells the application: in an
application that has mounted us they would keep it from stopping, for ever with uvicorn's defaults.
uvicorn tells nobody, but the handler that it has set for SIGTERM is its own, and knows. Rejected:
taking the signal ourselves, which is the business of whoever runs the process.
"""

from __future__ import annotations

import signal

LOOK_EVERY_S = 0.25


def server_is_stopping() -> bool:
    """Whether a uvicorn in this process was told to stop; False for any other server."""
    server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return getattr(server, "should_exit", False) is True
