"""What live streams cost and how late they are: one `butler web`, hundreds of open streams.

Half of the streams follow all executions, half one execution each. Meanwhile a worker runs tasks
that report, log and end, and tell when they did; a few streams more compare that with when they
heard of it, on one machine, by one clock. Ends are compared with the ledger's `finished_at`. Then
the process is stopped with all streams open.
"""

import asyncio
import json
import sys
import time
from pathlib import Path

from kit import ask, main, percentile, row, show, workers
from web_server import request, serving

OPTIONS = [
    ("--streams", 500, "open streams"),
    ("--tasks", 20, "tasks whose events are timed"),
    ("--at-once", 1, "tasks that run at a time"),
]
ASKED_MS = 250.0
# With so many everything is there that does not grow: the Butler's threads, the listener.
FEW = 20


class Stream:
    """One open stream: counts its events, and notes when it heard of some."""

    def __init__(self, delays=None):
        self.delays = delays
        self.ends = {}
        self.begun = asyncio.Event()

    async def follow(self, port, path):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
        writer.write(request("GET", path))
        try:
            # The last chunk is empty; the connection stays open for another request.
            while (line := await reader.readline()) and line != b"0\r\n":
                if line.startswith(b"data: "):
                    self.begun.set()
                    if self.delays is not None:
                        self._note(json.loads(line[6:]))
        finally:
            writer.close()

    def _note(self, event):
        now = time.time()
        kind = event.get("kind")
        if kind == "progress" and event["message"]:
            self.delays["progress"].append(now - float(event["message"]))
        elif kind == "log":
            self.delays["log"].append(now - float(event["line"]["message"]))
        elif kind == "state" and event["status"] == "succeeded":
            self.ends[event["execution_id"]] = now


async def opened(group, port, path, delays=None):
    stream = Stream(delays)
    task = group.create_task(stream.follow(port, path))
    async with asyncio.timeout(60):
        await stream.begun.wait()
    return stream, task


def figures(process, butler):
    """What the serving process has open and holds."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    found = dict(line.split(":", 1) for line in status.splitlines())
    clients = butler.redis.client_list()
    return {
        "threads": int(found["Threads"]),
        "mib": int(found["VmRSS"].split()[0]) / 1024,
        "connections": len(clients),
        "subscribed": sum(int(c["psub"]) + int(c["sub"]) > 0 for c in clients),
        "patterns": butler.redis.pubsub_numpat(),
    }


async def scene(where, process, port, arguments):
    """Delays in seconds by kind, figures with few and all streams, seconds until it stopped."""
    from bench_tasks import Talk, butler

    delays = {"state": [], "progress": [], "log": []}
    async with asyncio.TaskGroup() as group:
        waiting = [
            await butler.aio.enqueue("nap", {"seconds": 0.0}, delay_s=3_600)
            for _ in range(arguments.streams // 2)
        ]
        paths = [f"/api/v1/executions/{handle.id}/stream" for handle in waiting]
        paths += ["/api/v1/events"] * (arguments.streams - len(paths))
        began = time.perf_counter()
        for number, path in enumerate(paths):
            if number == FEW:
                before = figures(process, butler)
            await opened(group, port, path)
        show(f"{len(paths)} streams opened in {time.perf_counter() - began:.1f} s")
        listening, _ = await opened(group, port, "/api/v1/events", delays)
        room = asyncio.Semaphore(arguments.at_once)

        async def follow_one():
            async with room:
                handle = await butler.aio.enqueue("talk", Talk(times=5, pause_s=0.3))
                path = f"/api/v1/executions/{handle.id}/stream"
                stream, task = await opened(group, port, path, delays)
                await task
                return handle.id, stream.ends[handle.id]

        ends = await asyncio.gather(*(follow_one() for _ in range(arguments.tasks)))
        during = figures(process, butler)
        finished = dict(
            ask(
                where,
                "SELECT id::text, extract(epoch FROM finished_at)::float8"
                " FROM butler.executions WHERE task = 'talk'",
            )
        )
        delays["state"] += [at - finished[id_] for id_, at in ends]
        delays["state"] += [listening.ends[id_] - finished[id_] for id_, _ in ends]
        process.terminate()
        began = time.perf_counter()
        await asyncio.to_thread(process.wait, 30)
        stopped_s = time.perf_counter() - began
    return delays, before, during, stopped_s


def measure(where, arguments):
    with workers(processes=1), serving() as (process, port):
        delays, before, during, stopped_s = asyncio.run(scene(where, process, port, arguments))
    count = arguments.streams
    show(f"with {FEW} streams: {before}; with {count}: {during}")
    each_kib = (during["mib"] - before["mib"]) * 1024 / (count - FEW)
    beside = f"with {FEW}"
    rows = [
        row(
            *(f"from a {kind} to the client, p95", "ms"),
            [(percentile(times, 0.95) * 1e3, ASKED_MS)],
            beside=f"asked ({len(times)} events, p50 {percentile(times, 0.5) * 1e3:.0f})",
            at_most=1,
        )
        for kind, times in delays.items()
    ]
    subscribed, threads = ([(during[name], before[name])] for name in ("subscribed", "threads"))
    return [
        *rows,
        row(f"{count} streams: subscriptions", "", subscribed, beside=beside, at_most=1),
        row(f"{count} streams: threads", "", threads, beside=beside),
        row(f"{count} streams: to stop", "s", [(stopped_s, 2.0)], beside="asked", at_most=1),
        row(f"{count} streams: memory of each", "KiB", [(each_kib, 100.0)], beside="of 100"),
    ]


if __name__ == "__main__":
    sys.exit(main(measure, __doc__, options=OPTIONS))
