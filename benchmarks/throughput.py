"""No-op executions durably finished a second, two worker processes: Butler beside others, in turn.

A system's rate is the number of jobs over the time from the first to the last one ended, without
the first tenth (start-up). For Butler the times are ``finished_at`` in the ledger, later than the
task's own end; for the others, what their tasks append to a file, which Butler's do too.
"""

import sys
import time

import peers_run
from kit import ask, clear, main, row, show, wait_until, workers

BUDGET = {"PgQueuer": 1.5, "Huey": 5, "RQ SimpleWorker": 40}
OPTIONS = [
    ("--count", 20_000, "Butler's jobs a round"),
    ("--rounds", 3, "rounds, each of Butler and then the others"),
    ("--beside", ",".join(BUDGET), "other systems, or none"),
]

FINISHED = "SELECT count(*) FROM butler.executions WHERE status = 'succeeded'"
TIMES = "SELECT extract(epoch FROM finished_at)::float8 FROM butler.executions ORDER BY 1"


def butler_rate(servers, count):
    from bench_tasks import Job, butler, noop

    butler.enqueue_many([(noop, Job(sent_at=time.time())) for _ in range(count)])
    with workers() as process:
        wait_until(lambda: ask(servers, FINISHED)[0][0] >= count, process, every_s=0.1)
    times = [time for (time,) in ask(servers, TIMES)]
    clear(servers)
    steady = times[len(times) // 10 :]
    return (len(steady) - 1) / (steady[-1] - steady[0])


def measure(servers, arguments):
    names = [name for name in arguments.beside.split(",") if name]
    pairs = {name: [] for name in names}
    for number in range(1, arguments.rounds + 1):
        ours = butler_rate(servers, arguments.count)
        said = f"round {number}: Butler {ours:,.0f}/s"
        for name in list(pairs):
            try:
                theirs = peers_run.measure(name, servers=servers)["drain"]
            except peers_run.PeerMissing as missing:
                show(f"left out: {missing}")
                del pairs[name]
                continue
            pairs[name].append((ours, theirs))
            said += f", {name} {theirs:,.0f}/s ({ours / theirs:.1f}x)"
        show(said)
    return [
        row("throughput", "/s", found, beside=name, at_least=BUDGET.get(name, 1))
        for name, found in pairs.items()
        if found
    ]


if __name__ == "__main__":
    sys.exit(main(measure, __doc__, options=OPTIONS))
