"""Streams of server-sent events: what becomes of executions, while somebody looks.

`EventStream` is the answer to a request: it sends what a `Source` gives it, keeps the connection
alive, asks now and then whether the caller may still see this, and ends when the server stops.
`ExecutionSource` follows one execution, `LedgerSource` all that a caller may see, through
the `Feed` that those of one application share.

A source gives its next frames when there is room for them and keeps no queue of its own. So a
client that reads slowly makes nothing grow: of what it missed it gets the newest.
"""

from __future__ import annotations

__all__: list[str] = []
