"""Enqueues a second over HTTP, beside the same without HTTP: one by one from 16 connections beside
``task.enqueue`` from 16 threads, in bulk beside ``enqueue_many``; and how soon reads are answered.

In turn, in one run. The server is ``butler web`` with a token, so that each enqueue also leaves its
row in the audit log; the callers' threads are in this process and share the two cores with it.
"""

import json
import threading
import time
from contextlib import contextmanager

from kit import clear, connect, main, percentile, row, show
from web_server import Connection, serving

API = "/api/v1/executions"
NEW = {"task": "noop", "request": {"sent_at": 0}}
CALLERS = 16
BULK = 1_000
READS_MS = 50.0
OPTIONS = [
    ("--each", 100, "enqueues of each caller in a round"),
    ("--batches", 4, "requests of 1,000 in a round"),
    ("--reads", 100, "reads of each kind"),
    ("--rounds", 3, "rounds"),
]


@contextmanager
def web():
    """``butler web`` while it is open, with a token for an operator; makes callers.

    They are the cheapest that can be: what is measured is the server, with which they share two
    cores.
    """
    from bench_tasks import butler

    secret = butler.tokens.create("bench", role="operator").secret
    try:
        with serving() as (_, port):
            yield lambda: Connection(port, token=secret)
    finally:
        butler.tokens.revoke("bench")


def at_once(calls, each):
    """How often all of ``calls``, a thread for each, are made a second together."""
    threads = [
        threading.Thread(target=lambda call=call: [call() for _ in range(each)]) for call in calls
    ]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(calls) * each / (time.perf_counter() - started)


def one_by_one(callers, each):
    """Rates over HTTP, and without."""
    from bench_tasks import Job, noop

    new, job = json.dumps(NEW).encode(), Job(sent_at=0)
    return (
        at_once([lambda c=c: c.timed("POST", API, new) for c in callers], each),
        at_once([lambda: noop.enqueue(job)] * CALLERS, each),
    )


def in_bulk(caller, batches):
    """Executions a second over HTTP, and without."""
    from bench_tasks import Job, butler, noop

    many = json.dumps({"executions": [NEW] * BULK}).encode()
    orders = [(noop, Job(sent_at=0))] * BULK
    return (
        BULK * at_once([lambda: caller.timed("POST", f"{API}/batch", many)], batches),
        BULK * at_once([lambda: butler.enqueue_many(orders)], batches),
    )


def reads(caller, count):
    """The 95th percentile of each kind of read, in milliseconds."""
    paths = ("executions", "executions?task=noop&status=queued", "queues", "stats/summary")
    for path in paths:
        took = [caller.timed("GET", f"/api/v1/{path}")[0] for _ in range(count)]
        yield path, percentile(took, 0.95)


def measure(servers, arguments):
    clear(servers)
    with web() as caller:
        callers = [caller() for _ in range(CALLERS)]
        one_by_one(callers, 5)
        singles, bulks = [], []
        for number in range(arguments.rounds):
            show(f"round {number + 1}")
            singles.append(one_by_one(callers, arguments.each))
            bulks.append(in_bulk(callers[0], arguments.batches))
        with connect(servers) as connection:
            # As autovacuum does within a minute: without statistics plans are guesses.
            connection.execute("ANALYZE butler.executions")
        found = list(reads(callers[0], arguments.reads))
    beside = "task.enqueue, 16 threads"
    return [
        row("POST, 16 connections", "/s", singles, beside=beside, at_least=0.5),
        row("POST of 1,000", "/s", bulks, beside="enqueue_many", at_least=0.7),
        *(
            row(f"GET {path}, p95", "ms", [(ms, READS_MS)], beside="asked", at_most=1.0)
            for path, ms in found
        ),
    ]


if __name__ == "__main__":
    main(measure, __doc__, options=OPTIONS)
