"""Claim, finish and list with a long history, beside the same with a short one.

The rows are made by one SQL statement, vacuumed and analysed. Each step is timed as its storage
call, in batches of 100 for claim and finish and pages of 50 for the list, medians.
"""

import sys
import time
from statistics import median

from kit import clear, connect, main, row, show

OPTIONS = [
    ("--short", 10_000, "finished executions of the short history"),
    ("--long", 10_000_000, "finished executions of the long one"),
    ("--batches", 60, "batches timed"),
]
BATCH = 100
# Ids as UUIDv7 would have them: the time in front, over the last thirty days.
FILL = """
INSERT INTO butler.executions (
    id, task, queue, priority, status, request, result, attempt, max_attempts, run_at, created_at,
    queued_at, started_at, finished_at, worker_id, claim_token
)
SELECT
    (
        lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7'
        || substr(md5(n::text), 1, 3) || '8' || substr(md5(n::text), 4, 15)
    )::uuid,
    'noop', 'bench', 'normal', CASE WHEN n %% 50 = 0 THEN 'failed' ELSE 'succeeded' END,
    '{"sent_at": 0}', '{"ok": 1}', 1, 3, at, at, at, at, at, gen_random_uuid(), gen_random_uuid()
FROM generate_series(1, %s) AS n
CROSS JOIN LATERAL (SELECT now() - make_interval(secs => 2592000.0 * (1 - n / %s::float8)) AS at) t
"""


def fill(servers, count):
    started = time.perf_counter()
    with connect(servers) as connection:
        connection.execute(FILL, (count, count))
        connection.execute("VACUUM (ANALYZE) butler.executions")
        connection.execute("CHECKPOINT")
    show(f"{count:,} rows made in {time.perf_counter() - started:.0f} s")


def steps(batches):
    """Medians in milliseconds of one batch, by step."""
    from bench_tasks import butler

    from butler.executions import ExecutionStatus
    from butler.ids import new_id, new_token
    from butler.lifecycle import succeed
    from butler.storage.records import Claim, NewExecution, WorkerRegistration

    storage = butler.storage
    worker_id = new_id()
    storage.register_worker(registration(WorkerRegistration, worker_id))
    took = {"claim": [], "finish": [], "list": []}

    def page():
        return butler.list(task="noop", status=ExecutionStatus.FAILED, limit=50)

    for _ in range(batches):
        new = [
            NewExecution(id=new_id(), task="noop", queue="bench", request="{}")
            for _ in range(BATCH)
        ]
        storage.insert(new)
        claim = Claim(worker_id=worker_id, token=new_token(), ids=tuple(each.id for each in new))
        reply = timed(took["claim"], lambda claim=claim: storage.claim(claim))
        ends = [succeed(won, result='{"ok": 1}') for won in reply.won]
        timed(took["finish"], lambda ends=ends: storage.finish(ends))
        timed(took["list"], page)
    storage.stop_worker(worker_id)
    return {step: median(each[5:]) for step, each in took.items()}


def registration(kind, worker_id):
    return kind(
        id=worker_id,
        name="history",
        host="bench",
        pid=1,
        supervisor_id=worker_id,
        queues=("bench",),
        tasks=("noop",),
        concurrency=BATCH,
        solo=False,
    )


def timed(into, call):
    started = time.perf_counter()
    found = call()
    into.append((time.perf_counter() - started) * 1000)
    return found


def measure(servers, arguments):
    found = []
    for count in (arguments.short, arguments.long):
        clear(servers)
        fill(servers, count)
        found.append(steps(arguments.batches))
        show(", ".join(f"{step} {ms:.2f} ms" for step, ms in found[-1].items()))
    clear(servers)
    short, long = found
    return [
        row(
            *(f"{step} with {arguments.long:,} rows", "ms", [(long[step], short[step])]),
            beside=f"with {arguments.short:,}",
            at_most=1.2,
        )
        for step in short
    ]


if __name__ == "__main__":
    sys.exit(main(measure, __doc__, options=OPTIONS))
