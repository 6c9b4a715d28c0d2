"""From the enqueue call to the task's start while two worker processes are idle.

Beside what cannot be avoided: one durable INSERT, one push to a process that waits for it, one
claim, each timed alone on the same servers in the same minute, and their medians added.
"""

import subprocess
import sys
import time
from statistics import median

import peers_run
from kit import Row, clear, connect, count_ends, main, percentile, read_ends, row, show, workers

OPTIONS = [
    ("--count", 300, "enqueues a round"),
    ("--rounds", 3, "rounds"),
    ("--beside", "Taskiq,Oban", "other systems, or none"),
]
WARM_UP = 20
INSERT = """
INSERT INTO butler.executions (
    id, task, queue, priority, status, request, max_attempts, run_at, created_at, queued_at
)
VALUES (%s, 'bare', 'bare', 'normal', 'queued', '{}', 3, now(), now(), now())
"""
CLAIM = """
WITH one AS (SELECT set_config('synchronous_commit', 'off', true))
UPDATE butler.executions AS e SET status = 'running', attempt = 1, started_at = now()
FROM one WHERE id = %s RETURNING request::text
"""
POPPER = """
import sys, time
from redis import Redis
client = Redis.from_url(sys.argv[1])
client.rpush("bare:ready", "")
for _ in range(int(sys.argv[2])):
    _, sent_at = client.blpop("bare")
    client.rpush("bare:took", time.time() - float(sent_at))
"""


def idle(servers, count):
    """Milliseconds from each enqueue call to the start of its task, one at a time."""
    from bench_tasks import Job, noop

    with workers():
        time.sleep(2)
        for number in range(1, count + WARM_UP + 1):
            noop.enqueue(Job(sent_at=time.time()))
            deadline = time.monotonic() + 5
            while count_ends(servers) < number and time.monotonic() < deadline:
                time.sleep(0.0002)
            time.sleep(0.005)
        waits = [(ran - sent) * 1000 for sent, ran in read_ends(servers)[WARM_UP:]]
    clear(servers)
    return waits


def bare_round_trips(servers, count):
    """The medians of the three in milliseconds, added."""
    from bench_tasks import butler

    from butler.ids import new_id

    ids = [new_id() for _ in range(count)]
    with connect(servers) as connection:
        inserts = [timed(lambda i=i: connection.execute(INSERT, (i,), prepare=True)) for i in ids]
        claims = [timed(lambda i=i: connection.execute(CLAIM, (i,), prepare=True)) for i in ids]
    client = butler.redis
    popper = subprocess.Popen([sys.executable, "-c", POPPER, servers.redis_url, str(count)])
    client.blpop("bare:ready", timeout=0)
    pops = []
    for _ in range(count):
        time.sleep(0.005)
        client.rpush("bare", time.time())
        pops.append(float(client.blpop("bare:took", timeout=0)[1]) * 1000)
    popper.wait(10)
    clear(servers)
    return median(inserts) + median(claims) + median(pops)


def timed(call):
    started = time.perf_counter()
    call()
    time.sleep(0.005)
    return (time.perf_counter() - started - 0.005) * 1000


def measure(servers, arguments):
    names = [name for name in arguments.beside.split(",") if name]
    bare, tails, beside = [], [], {name: [] for name in names}
    for number in range(1, arguments.rounds + 1):
        waits = idle(servers, arguments.count)
        p50, p99 = percentile(waits, 0.5), percentile(waits, 0.99)
        floor = bare_round_trips(servers, arguments.count)
        bare.append((p50, floor))
        tails.append((p99, p50))
        show(f"round {number}: p50 {p50:.2f} ms, p99 {p99:.2f} ms, bare round trips {floor:.2f} ms")
        for name in list(beside):
            try:
                found = peers_run.measure(name, servers=servers, latencies=arguments.count)
                beside[name].append((p50, found["p50_ms"]))
            except peers_run.PeerMissing as missing:
                show(f"left out: {missing}")
                del beside[name]
    rows: list[Row] = [
        row("idle latency, p50", "ms", bare, beside="the bare round trips", at_most=2),
        row("idle latency, p99", "ms", tails, beside="its own p50", at_most=4),
    ]
    return rows + [
        row("idle latency, p50", "ms", found, beside=name, at_most=1)
        for name, found in beside.items()
    ]


if __name__ == "__main__":
    sys.exit(main(measure, __doc__, options=OPTIONS))
