"""No-op executions durably finished a second: Butler beside RQ's SimpleWorker, in turn.

Two worker processes each, on the same embedded servers, with PostgreSQL's fsync on. A system's
rate is the number of jobs over the time from the first to the last one finished, without the first
tenth (start-up). For Butler the times are ``finished_at`` in the ledger; for RQ, ``ended_at`` of
the job's hash.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parent


def butler_rate(count, *, asynchronous):
    from bench_tasks import Job, anoop, butler, noop

    task = anoop if asynchronous else noop
    started = time.perf_counter()
    butler.enqueue_many([(task, Job(sent_at=time.time())) for _ in range(count)])
    enqueue_rate = count / (time.perf_counter() - started)
    command = "butler_workers --app bench_tasks:butler --queues bench --processes 2"
    worker = start(["-m", *command.split(), "--log-level", "warning"])
    try:
        wait_until(lambda: finished_in_ledger() >= count, worker)
        return rate(times_in_ledger()), enqueue_rate
    finally:
        worker.terminate()
        worker.wait(60)
        clear(butler)


def finished_in_ledger():
    import psycopg

    with psycopg.connect(os.environ["BUTLER_DATABASE_URL"]) as connection:
        return connection.execute(
            "SELECT count(*) FROM butler.executions WHERE status = 'succeeded'"
        ).fetchone()[0]


def times_in_ledger():
    import psycopg

    with psycopg.connect(os.environ["BUTLER_DATABASE_URL"]) as connection:
        rows = connection.execute("SELECT finished_at FROM butler.executions").fetchall()
    return [row[0].timestamp() for row in rows]


def clear(butler):
    import psycopg

    with psycopg.connect(os.environ["BUTLER_DATABASE_URL"], autocommit=True) as connection:
        connection.execute("TRUNCATE butler.executions CASCADE")
    butler.redis.flushall()


def rq_rate(count):
    import rq
    from bench_tasks import rq_noop
    from redis import Redis
    from rq.utils import utcparse

    client = Redis.from_url(os.environ["BUTLER_REDIS_URL"])
    queue = rq.Queue("bench", connection=client)
    for first in range(0, count, 500):
        queue.enqueue_many(
            [
                rq.Queue.prepare_data(rq_noop, (time.time(),), result_ttl=3600)
                for _ in range(min(500, count - first))
            ]
        )
    name = "rq.worker.SimpleWorker"
    script = "import sys; from rq.cli import main; sys.exit(main())"
    url = os.environ["BUTLER_REDIS_URL"]
    command = ["-c", script, "worker", "-u", url, "-w", name, "-q", "--burst", "bench"]
    workers = [start(command) for _ in range(2)]
    for worker in workers:
        worker.wait(600)
    ids = queue.finished_job_registry.get_job_ids(cleanup=False)
    pipe = client.pipeline(transaction=False)
    for job_id in ids:
        pipe.hget(f"rq:job:{job_id}", "ended_at")
    times = [utcparse(raw.decode()).timestamp() for raw in pipe.execute()]
    client.flushall()
    return rate(times)


def rate(times):
    times = sorted(times)[len(times) // 10 :]
    return (len(times) - 1) / (times[-1] - times[0])


def start(arguments, *, stderr=None):
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=HERE,
        env={**os.environ, "PYTHONPATH": str(HERE)},
        stderr=stderr,
    )


def wait_until(condition, process, timeout_s=300):
    deadline = time.monotonic() + timeout_s
    while not condition():
        if process.poll() is not None:
            sys.exit(f"the worker ended with {process.returncode}")
        if time.monotonic() > deadline:
            sys.exit("timed out")
        time.sleep(0.1)


def show(text):
    print(text, file=sys.stderr, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000, help="Butler's jobs a round")
    parser.add_argument("--rq-count", type=int, default=1_500, help="RQ's jobs a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--async", dest="asynchronous", action="store_true", help="async def task")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()

    from butler.embedded import EmbeddedServices

    sys.path.insert(0, str(HERE))
    rounds = []
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedServices(Path(folder, "servers")) as services,
    ):
        os.environ["BUTLER_REDIS_URL"] = services.redis_url
        os.environ["BUTLER_DATABASE_URL"] = services.database_url
        os.environ["BUTLER_MIGRATE"] = "auto"
        for number in range(1, arguments.rounds + 1):
            ours, enqueued = butler_rate(arguments.count, asynchronous=arguments.asynchronous)
            theirs = rq_rate(arguments.rq_count)
            rounds.append({"butler": ours, "enqueue": enqueued, "rq": theirs})
            show(
                f"round {number}: Butler {ours:,.0f}/s (enqueue_many {enqueued:,.0f}/s), "
                f"RQ SimpleWorker {theirs:,.0f}/s, ratio {ours / theirs:.1f}"
            )
    ratio = median(r["butler"] / r["rq"] for r in rounds)
    if arguments.json:
        print(json.dumps({"rounds": rounds, "median_ratio": ratio}, indent=2))
    else:
        print(f"median ratio to RQ SimpleWorker: {ratio:.1f}")


if __name__ == "__main__":
    main()
