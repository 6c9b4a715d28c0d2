"""What `butler-scheduler` costs and how late it is: recurring jobs, delayed work, pruning, idling;
and how soon it is there again: after its leader's end, after Redis has lost everything.

One scheduler process on embedded servers with PostgreSQL's fsync on. Times are the ledger's
(`queued_at`) and, for what has reached its queue, this process's beside them: one machine, one
clock. Each part can be run alone: `python benchmarks/scheduler.py burst idle`.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

from door import Door

HERE = Path(__file__).resolve().parent
TICKS = os.sysconf("SC_CLK_TCK")
FAR = 400 * 86_400.0


def start_scheduler(**variables):
    return subprocess.Popen(
        [sys.executable, "-m", "butler_scheduler", "--log-level", "error"],
        env={**os.environ, "PYTHONPATH": str(HERE), **variables},
    )


@contextmanager
def scheduler():
    process = start_scheduler()
    try:
        wait_until(lambda: ask("SELECT holder FROM butler.leadership")[0][0], process)
        yield process
    finally:
        process.terminate()
        process.wait(60)
        ask("UPDATE butler.leadership SET holder = NULL")


def add_jobs(butler, count, *, schedule, fire_at, **options):
    """Insert definitions as the service would, in batches."""
    from butler.recurring.definitions import new_definition
    from butler.storage.base import MAX_BATCH

    prepared = butler.recurring.prepared("noop", {"sent_at": 0})
    now = fire_at - timedelta(microseconds=1)
    said = [
        new_definition(
            f"{options.get('description', 'job')} {n}",
            prepared=prepared,
            schedule=schedule(n),
            options=options,
            source=None,
            now=now,
        )
        for n in range(count)
    ]
    for first in range(0, count, MAX_BATCH):
        butler.storage.insert_recurring(said[first : first + MAX_BATCH])


def burst(butler, arguments):
    """``--due`` of ``--definitions`` jobs, all with schedules of their own, due in one instant."""
    from butler.schedules import Interval

    now = butler.storage.now()
    far = now + timedelta(days=30)
    add_jobs(
        butler,
        arguments.definitions - arguments.due,
        schedule=lambda n: Interval(FAR + n, anchor=far),
        fire_at=far,
        description="far",
    )
    rounds = []
    with scheduler() as process:
        for number in range(arguments.rounds):
            at = (butler.storage.now() + timedelta(seconds=arguments.due / 400 + 3)).replace(
                microsecond=0
            )
            add_jobs(
                butler,
                arguments.due,
                schedule=lambda n, at=at, number=number: Interval(
                    FAR + number * 10_000 + n, anchor=at
                ),
                fire_at=at,
                description=f"burst {number}",
            )
            wait_until(lambda: length(butler) >= arguments.due, process, pause_s=0.002)
            pushed_s = (datetime.now(UTC) - at).total_seconds()
            [(first, last)] = ask(
                "SELECT min(queued_at), max(queued_at) FROM butler.executions WHERE run_at = %s",
                at,
            )
            rounds.append(
                {
                    "first_queued_s": (first - at).total_seconds(),
                    "last_queued_s": (last - at).total_seconds(),
                    "all_pushed_s": pushed_s,
                }
            )
            show(f"burst {number + 1}: {rounds[-1]}")
            clear(butler, jobs="burst")
    return {"rounds": rounds, "all_pushed_s": median(r["all_pushed_s"] for r in rounds)}


def idle(butler, arguments):
    """Processor time of a leading scheduler with ``--definitions`` jobs of which none is due."""
    from butler.schedules import Interval

    far = butler.storage.now() + timedelta(days=30)
    missing = arguments.definitions - ask("SELECT count(*) FROM butler.recurring_jobs")[0][0]
    if missing > 0:
        add_jobs(
            butler,
            missing,
            schedule=lambda n: Interval(FAR + n, anchor=far),
            fire_at=far,
            description="more",
        )
    with scheduler() as process:
        time.sleep(8)
        used, began = cpu_s(process.pid), time.monotonic()
        server, _ = server_cpu_s(), None
        time.sleep(arguments.seconds)
        elapsed = time.monotonic() - began
        return {
            "definitions": arguments.definitions,
            "scheduler_percent": 100 * (cpu_s(process.pid) - used) / elapsed,
            "postgres_percent": 100 * (server_cpu_s() - server) / elapsed,
        }


def lateness(butler, arguments):
    """How late 500 jobs of every second are queued after their times."""
    from butler.schedules import Cron

    with scheduler():
        at = (butler.storage.now() + timedelta(seconds=4)).replace(microsecond=0)
        add_jobs(
            butler,
            arguments.every_second,
            schedule=lambda _: Cron("* * * * * *"),
            fire_at=at,
            overlap="allow",
            description="second",
        )
        time.sleep(arguments.seconds)
    late = sorted(
        ms
        for (ms,) in ask(
            "SELECT extract(epoch FROM queued_at - run_at) * 1000 FROM butler.executions"
        )
    )
    clear(butler, jobs="second")
    return {
        "fires": len(late),
        "p50_ms": float(late[len(late) // 2]),
        "p99_ms": float(late[len(late) * 99 // 100]),
        "max_ms": float(late[-1]),
    }


def delayed(butler, arguments):
    """10,000 executions due together among ``--waiting``, beside ``enqueue_many`` in this run."""
    from bench_tasks import Job, noop

    count = 10_000
    items = [(noop, Job(sent_at=0)) for _ in range(count)]
    began = time.perf_counter()
    butler.enqueue_many(items)
    enqueued = count / (time.perf_counter() - began)
    clear(butler)
    ask(
        "INSERT INTO butler.executions (id, task, queue, priority, status, request, max_attempts,"
        " run_at, created_at) SELECT gen_random_uuid(), 'noop', 'bench', 'normal', 'scheduled',"
        " '{}', 3, now() + interval '30 days', now() FROM generate_series(1, %s)",
        arguments.waiting,
    )
    ask("ANALYZE butler.executions")
    with scheduler() as process:
        at = butler.storage.now() + timedelta(seconds=12)
        butler.enqueue_many(items, run_at=at)
        wait_until(lambda: length(butler) >= count, process, pause_s=0.002)
        staged = count / (datetime.now(UTC) - at).total_seconds()
    clear(butler)
    return {
        "waiting": arguments.waiting,
        "enqueue_many_per_s": enqueued,
        "staged_per_s": staged,
        "ratio": staged / enqueued,
    }


def prune(butler, arguments):
    """How fast finished executions past their retention are removed."""
    ask(
        "INSERT INTO butler.executions (id, task, queue, priority, status, request, max_attempts,"
        " run_at, created_at, finished_at)"
        " SELECT (lpad(to_hex((extract(epoch FROM now() - interval '40 days') * 1000)::bigint + n),"
        " 12, '0') || '7' || left(md5(n::text), 19))::uuid,"
        " 'noop', 'bench', 'normal', 'succeeded', '{}', 3, now(), now(), now() - interval '40 days'"
        " FROM generate_series(1, %s) AS n",
        arguments.expired,
    )
    ask("ANALYZE butler.executions")
    began = time.perf_counter()
    with scheduler() as process:
        wait_until(
            lambda: ask("SELECT NOT EXISTS (SELECT FROM butler.executions)")[0][0],
            process,
            pause_s=0.05,
        )
    took_s = time.perf_counter() - began
    return {"expired": arguments.expired, "removed_per_s": arguments.expired / took_s}


def takeover(butler, arguments):
    """How long the ledger is without a leader that acts, by what became of the one it had."""
    ends = {
        "SIGTERM": lambda leader, door: leader.terminate(),
        "kill -9": lambda leader, door: leader.kill(),
        "SIGSTOP": lambda leader, door: leader.send_signal(signal.SIGSTOP),
        "cut off": lambda leader, door: door.cut(),
    }
    took = {}
    for name, end in ends.items():
        took[name] = sorted(_takeover(end) for _ in range(arguments.takeovers))
        show(f"takeover after {name}: {took[name]}")
    return {name: {"median_s": median(s), "max_s": s[-1]} for name, s in took.items()}


def _takeover(end):
    with Door(os.environ["BUTLER_DATABASE_URL"]) as door:
        first = start_scheduler(BUTLER_DATABASE_URL=door.url, BUTLER_COMMAND_TIMEOUT_S="2")
        wait_until(lambda: leads(first), first, pause_s=0.02)
        second = start_scheduler()
        try:
            # It must have watched for a while, as a standby has.
            time.sleep(2 + random.random())
            end(first, door)
            began = time.monotonic()
            wait_until(lambda: leads(second), second, pause_s=0.02)
            return round(time.monotonic() - began, 2)
        finally:
            for process in (first, second):
                process.kill()
                process.wait()
            ask("UPDATE butler.leadership SET holder = NULL")


def leads(process):
    [(holder,)] = ask("SELECT coalesce(holder, '') FROM butler.leadership")
    return f"-{process.pid}-" in holder


def reconcile(butler, arguments):
    """How soon everything that was queued is on its queue again after Redis has lost it all."""
    from bench_tasks import Job, noop

    items = [(noop, Job(sent_at=0)) for _ in range(1_000)]
    for _ in range(arguments.lost // len(items)):
        butler.enqueue_many(items)
    with scheduler() as process:
        # What a new leader compares has been compared.
        time.sleep(5)
        butler.redis.flushall()
        began = time.perf_counter()
        wait_until(lambda: length(butler) >= arguments.lost, process, pause_s=0.01)
        took_s = time.perf_counter() - began
        time.sleep(3)
        doubled = length(butler) - arguments.lost
    clear(butler)
    return {"lost": arguments.lost, "pushed_again_s": took_s, "doubled": doubled}


def length(butler):
    return butler.redis.llen("rq:queue:bench")


def clear(butler, *, jobs=None):
    ask("TRUNCATE butler.executions, butler.execution_attempts, butler.recurring_fires CASCADE")
    if jobs is not None:
        ask("DELETE FROM butler.recurring_jobs WHERE name LIKE %s", f"{jobs}%")
    butler.redis.flushall()


def ask(statement, *values):
    import psycopg

    with psycopg.connect(os.environ["BUTLER_DATABASE_URL"], autocommit=True) as connection:
        cursor = connection.execute(statement, values)
        return cursor.fetchall() if cursor.description else []


def cpu_s(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def server_cpu_s():
    """Of all of PostgreSQL's processes that live."""
    spent = 0.0
    for (pid,) in ask("SELECT pid FROM pg_stat_activity"):
        if Path(f"/proc/{pid}/stat").exists():
            spent += cpu_s(pid)
    return spent


def wait_until(condition, process, *, timeout_s=300, pause_s=0.1):
    deadline = time.monotonic() + timeout_s
    while not condition():
        if process.poll() is not None:
            sys.exit(f"the scheduler ended with {process.returncode}")
        if time.monotonic() > deadline:
            sys.exit("timed out")
        time.sleep(pause_s)


def show(text):
    print(text, file=sys.stderr, flush=True)


PARTS = {
    "burst": burst,
    "idle": idle,
    "lateness": lateness,
    "delayed": delayed,
    "prune": prune,
    "takeover": takeover,
    "reconcile": reconcile,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help=f"of {', '.join(PARTS)}")
    parser.add_argument("--definitions", type=int, default=100_000)
    parser.add_argument("--due", type=int, default=5_000, help="of the definitions, at once")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--every-second", type=int, default=500, help="jobs of every second")
    parser.add_argument("--seconds", type=float, default=20, help="that idling and lateness last")
    parser.add_argument("--waiting", type=int, default=1_000_000, help="delayed executions")
    parser.add_argument("--expired", type=int, default=100_000, help="executions to prune")
    parser.add_argument("--takeovers", type=int, default=3, help="of each kind")
    parser.add_argument("--lost", type=int, default=100_000, help="executions that Redis loses")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()

    from butler.embedded import EmbeddedServices

    sys.path.insert(0, str(HERE))
    results = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedServices(Path(folder, "servers")) as services,
    ):
        os.environ["BUTLER_REDIS_URL"] = services.redis_url
        os.environ["BUTLER_DATABASE_URL"] = services.database_url
        os.environ["BUTLER_MIGRATE"] = "auto"
        from bench_tasks import butler

        butler.storage.register_tasks(butler.tasks())
        for part in arguments.parts or PARTS:
            results[part] = PARTS[part](butler, arguments)
            show(f"{part}: {results[part]}")
    if arguments.json:
        print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
