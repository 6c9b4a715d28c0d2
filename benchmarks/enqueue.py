"""Enqueues a second: one by one beside a bare durable INSERT, in bulk beside PgQueuer; and how soon
a transactional enqueue is on its queue after the commit.

Everything runs on the same embedded servers, with PostgreSQL's fsync on, in turn and in short
slices, because a machine's speed drifts. The bare INSERT writes the same row into the same table
over psycopg, prepared, in autocommit, and does nothing else. PgQueuer is asked for with
``--pgqueuer PYTHON``: a Python that has it installed (``pip install 'pgqueuer[psycopg]'`` in an
environment of its own); without it, its row is left out.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parent
SLICE = 250

BARE = """
INSERT INTO butler.executions (
    id, task, queue, priority, status, request, max_attempts, run_at, created_at, queued_at
)
VALUES (%s, 'bench', 'bench', 'normal', 'queued', %s, 3, now(), now(), now())
"""

PGQUEUER = """
import asyncio, json, subprocess, sys, time
from pathlib import Path
import psycopg
from pgqueuer import Queries
from pgqueuer.db import PsycopgDriver

url, one, many = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
if sys.argv[4] == "install":
    tool = Path(sys.executable).with_name("pgq")
    subprocess.run([tool, "--pg-dsn", url, "install"], check=True, stdout=subprocess.DEVNULL)

async def main():
    connection = await psycopg.AsyncConnection.connect(url, autocommit=True)
    queries = Queries(PsycopgDriver(connection))
    payload = b'{"sent_at": 1.0, "to": "a@b.c", "subject": "hi"}'
    await queries.enqueue("noop", payload)
    started = time.perf_counter()
    for _ in range(one):
        await queries.enqueue("noop", payload)
    rates = {"one": one / (time.perf_counter() - started)}
    started = time.perf_counter()
    for _ in range(many // 500):
        await queries.enqueue(["noop"] * 500, [payload] * 500, [0] * 500)
    rates["bulk"] = many / (time.perf_counter() - started)
    await connection.close()
    print(json.dumps(rates))

asyncio.run(main())
"""


def timed(count, call):
    """How often ``call`` can be made a second."""
    started = time.perf_counter()
    for _ in range(count):
        call()
    return count / (time.perf_counter() - started)


def one_by_one(url):
    """Rates of a bare INSERT, of the ledger alone, and of the whole enqueue; in turn."""
    import psycopg
    from bench_tasks import Job, butler, noop

    from butler.ids import new_id
    from butler.storage.records import NewExecution

    job = Job(sent_at=1.0)
    text = job.model_dump_json()
    storage = butler.storage
    with psycopg.connect(url, autocommit=True) as connection:

        def bare():
            connection.execute(BARE, (new_id(), text), prepare=True)

        def ledger():
            storage.insert([NewExecution(id=new_id(), task="bench", queue="bench", request=text)])

        def whole():
            noop.enqueue(job)

        calls = {"insert": bare, "ledger": ledger, "enqueue": whole}
        rates = {name: [] for name in calls}
        for _ in range(4):
            for name, call in calls.items():
                rates[name].append(timed(SLICE, call))
    return {name: median(found) for name, found in rates.items()}


def in_bulk(count):
    """Executions a second of ``enqueue_many``."""
    from bench_tasks import Job, butler, noop

    orders = [(noop, Job(sent_at=1.0)) for _ in range(count)]
    started = time.perf_counter()
    butler.enqueue_many(orders)
    return count / (time.perf_counter() - started)


def pgqueuer(python, url, count, *, install):
    command = [python, "-c", PGQUEUER, url, str(SLICE * 4), str(count)]
    command.append("install" if install else "keep")
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def from_commit_to_queue(url, count):
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
        with psycopg.connect(url) as connection:
            for _ in range(count):
                noop.enqueue(Job(sent_at=1.0), transaction=connection)
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
    waits.sort()
    return {"p50": waits[len(waits) // 2], "p95": waits[len(waits) * 95 // 100], "max": waits[-1]}


def clear(url):
    import psycopg
    from bench_tasks import butler

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("TRUNCATE butler.executions CASCADE")
        connection.execute("CHECKPOINT")
    butler.redis.flushall()


def show(text):
    print(text, file=sys.stderr, flush=True)


def measure(arguments, services):
    import psycopg

    url = services.database_url
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE peer")
    peer_url = url.replace("@/butler?", "@/peer?")
    rounds = []
    for number in range(1, arguments.rounds + 1):
        found = one_by_one(url)
        found["bulk"] = in_bulk(arguments.count)
        if arguments.pgqueuer:
            peer = pgqueuer(arguments.pgqueuer, peer_url, arguments.count, install=number == 1)
            found |= {f"pgqueuer_{name}": rate for name, rate in peer.items()}
        clear(url)
        rounds.append(found)
        show(f"round {number}: " + ", ".join(f"{k} {v:,.0f}/s" for k, v in found.items()))
    result = {
        "rounds": rounds,
        "ledger_to_insert": median(r["ledger"] / r["insert"] for r in rounds),
        "enqueue_to_insert": median(r["enqueue"] / r["insert"] for r in rounds),
    }
    if arguments.pgqueuer:
        result["bulk_to_pgqueuer"] = median(r["bulk"] / r["pgqueuer_bulk"] for r in rounds)
        result["enqueue_to_pgqueuer"] = median(r["enqueue"] / r["pgqueuer_one"] for r in rounds)
    result["commit_to_queue_ms"] = from_commit_to_queue(url, arguments.commits)
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000, help="executions of each bulk enqueue")
    parser.add_argument("--commits", type=int, default=300, help="transactional enqueues")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pgqueuer", metavar="PYTHON", help="a Python that has PgQueuer")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()

    from butler.embedded import EmbeddedServices

    sys.path.insert(0, str(HERE))
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedServices(Path(folder, "servers")) as services,
    ):
        os.environ["BUTLER_REDIS_URL"] = services.redis_url
        os.environ["BUTLER_DATABASE_URL"] = services.database_url
        os.environ["BUTLER_MIGRATE"] = "auto"
        result = measure(arguments, services)
    if arguments.json:
        print(json.dumps(result, indent=2))
        return
    print(
        f"one by one, the ledger alone, to a bare durable INSERT: {result['ledger_to_insert']:.2f}"
    )
    print(f"one by one, with the push, to a bare durable INSERT: {result['enqueue_to_insert']:.2f}")
    if arguments.pgqueuer:
        print(f"in bulk, to PgQueuer's bulk: {result['bulk_to_pgqueuer']:.2f}")
        print(f"one by one, to PgQueuer's: {result['enqueue_to_pgqueuer']:.2f}")
    else:
        print("beside PgQueuer: left out, no --pgqueuer PYTHON was given")
    waits = result["commit_to_queue_ms"]
    print("from commit to queue: " + ", ".join(f"{k} {v:.1f} ms" for k, v in waits.items()))


if __name__ == "__main__":
    main()
