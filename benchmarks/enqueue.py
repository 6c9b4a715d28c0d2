"""Enqueues a second: one by one beside a bare durable INSERT, in bulk beside PgQueuer; and how soon
a transactional enqueue is on its queue after the commit.

In turn and in short slices, because a machine's speed drifts. The bare INSERT writes the same row
into the same table over psycopg, prepared, in autocommit, and does nothing else. "ledger" is
Butler's own write without the push to Redis.
"""

import sys
import threading
import time
from statistics import median

import peers_run
from kit import clear, connect, main, per_second, percentile, row, show

SLICE = 250
OPTIONS = [
    ("--count", 20_000, "executions of each bulk enqueue"),
    ("--commits", 300, "transactional enqueues"),
    ("--rounds", 5, "rounds"),
]

BARE = """
INSERT INTO butler.executions (
    id, task, queue, priority, status, request, max_attempts, run_at, created_at, queued_at
)
VALUES (%s, 'bench', 'bench', 'normal', 'queued', %s, 3, now(), now(), now())
"""


def one_by_one(servers):
    """Rates of a bare INSERT, of the ledger alone, and of the whole enqueue; in turn."""
    from bench_tasks import Job, butler, noop

    from butler.ids import new_id
    from butler.storage.records import NewExecution

    job = Job(sent_at=0)
    text = job.model_dump_json()
    with connect(servers) as connection:

        def bare():
            connection.execute(BARE, (new_id(), text), prepare=True)

        def ledger():
            new = NewExecution(id=new_id(), task="bench", queue="bench", request=text)
            butler.storage.insert([new])

        calls = {"insert": bare, "ledger": ledger, "enqueue": lambda: noop.enqueue(job)}
        rates = {name: [] for name in calls}
        for _ in range(4):
            for name, call in calls.items():
                rates[name].append(per_second(SLICE, call))
    return {name: median(found) for name, found in rates.items()}


def in_bulk(count):
    """Executions a second of ``enqueue_many``."""
    from bench_tasks import Job, butler, noop

    orders = [(noop, Job(sent_at=0)) for _ in range(count)]
    started = time.perf_counter()
    butler.enqueue_many(orders)
    return count / (time.perf_counter() - started)


def pgqueuer(servers, count):
    try:
        return peers_run.enqueue("PgQueuer", servers=servers, count=count, one_by_one=SLICE * 4)
    except peers_run.PeerMissing as missing:
        show(f"left out: {missing}")
        return None


def from_commit_to_queue(servers, count):
    """Milliseconds from each commit until the id is on its list, while a scheduler runs."""
    import psycopg
    from bench_tasks import Job, butler, noop
    from butler_scheduler.process import SchedulerProcess

    scheduler = SchedulerProcess(butler)
    thread = threading.Thread(target=scheduler.run)
    thread.start()
    while butler.storage.leadership().holder is None:
        time.sleep(0.05)
    time.sleep(1)
    waits = []
    try:
        with psycopg.connect(servers.database_url) as connection:
            for _ in range(count):
                noop.enqueue(Job(sent_at=0), transaction=connection)
                before = butler.wire.depth("bench")
                connection.commit()
                committed = time.perf_counter()
                while butler.wire.depth("bench") == before:
                    time.sleep(0.0002)
                waits.append((time.perf_counter() - committed) * 1000)
                time.sleep(0.005)
    finally:
        scheduler.stop()
        thread.join()
    return waits


def measure(servers, arguments):
    found = []
    for number in range(1, arguments.rounds + 1):
        rates = one_by_one(servers) | {"bulk": in_bulk(arguments.count)}
        clear(servers)
        peer = pgqueuer(servers, arguments.count)
        if peer:
            rates |= {"peer one": peer["enqueue"], "peer bulk": peer["bulk"]}
        found.append(rates)
        show(f"round {number}: " + ", ".join(f"{k} {v:,.0f}/s" for k, v in rates.items()))

    def pairs(ours, theirs):
        return [(each[ours], each[theirs]) for each in found if theirs in each]

    insert = "a bare durable INSERT"
    rows = [
        row("enqueue, one by one: the ledger", "/s", pairs("ledger", "insert"), beside=insert),
        row(
            *("enqueue, one by one", "/s", pairs("enqueue", "insert")),
            beside=insert,
            at_least=0.8,
        ),
    ]
    if pairs("bulk", "peer bulk"):
        ours = pairs("bulk", "peer bulk")
        rows.append(row("enqueue, in bulk", "/s", ours, beside="PgQueuer's bulk", at_least=1))
        ours = pairs("enqueue", "peer one")
        rows.append(row("enqueue, one by one", "/s", ours, beside="PgQueuer, one by one"))
    waits = from_commit_to_queue(servers, arguments.commits)
    promised = [(percentile(waits, 0.95), 50.0)]
    said = "the promised 50 ms"
    rows.append(row("commit → on its queue, p95", "ms", promised, beside=said, at_most=1))
    clear(servers)
    return rows


if __name__ == "__main__":
    sys.exit(main(measure, __doc__, options=OPTIONS))
