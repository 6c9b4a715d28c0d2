"""Butler over HTTP: `ButlerClient` and `AsyncButlerClient`, for what reaches neither its servers.

Everything is written once, for both. What can be asked of the API stands in `executions`,
`recurring` and their neighbours, as functions of plain values that return an `Ask`: one request and
how its answer is read. `exchange`, `paging` and `following` are conversations, generators that
yield each step (`butler.client.steps`) and are sent what came of it: what is asked again, and after
which pause, is decided there, without a socket. `blocking` and `awaiting` take the steps, with
httpx; those two are all that is there twice. httpx does the same with its own auth flows. Rejected:
the second half made from the first by a script, which doubles what there is to read and to install.

The records are the library's own where it has them (`Execution`, `ExecutionChange`), and otherwise
the models of `butler.web`, so that neither can drift from the server's. It needs the extra
``client``.
"""

from __future__ import annotations

from butler.client.aclient import AsyncButlerClient
from butler.client.client import ButlerClient
from butler.client.handles import AsyncClientHandle, ClientHandle
from butler.client.remote_tasks import RemoteTask

__all__ = [
    "AsyncButlerClient",
    "AsyncClientHandle",
    "ButlerClient",
    "ClientHandle",
    "RemoteTask",
]
