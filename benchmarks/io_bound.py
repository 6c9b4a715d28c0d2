"""``async def`` tasks that wait 100 ms each, in one process with 1,000 slots, beside the ideal."""

import sys
from math import ceil

from kit import ask, clear, main, row, show, wait_until, workers
from throughput import FINISHED

OPTIONS = [
    ("--count", 10_000, "tasks"),
    ("--concurrency", 1_000, "slots of the process"),
    ("--rounds", 3, "rounds"),
]
NAP_S = 0.1
SPAN = """
SELECT extract(epoch FROM max(finished_at) - min(started_at))::float8 FROM butler.executions
"""


def measure(servers, arguments):
    from bench_tasks import Nap, butler, nap

    ideal_s = ceil(arguments.count / arguments.concurrency) * NAP_S
    pairs = []
    for number in range(1, arguments.rounds + 1):
        butler.enqueue_many([(nap, Nap(seconds=NAP_S)) for _ in range(arguments.count)])
        with workers(processes=1, concurrency=arguments.concurrency) as process:
            wait_until(lambda: ask(servers, FINISHED)[0][0] >= arguments.count, process)
        took_s = ask(servers, SPAN)[0][0]
        clear(servers)
        pairs.append((arguments.count / took_s, arguments.count / ideal_s))
        show(f"round {number}: {took_s:.2f} s, ideal {ideal_s:.2f} s, {ideal_s / took_s:.0%}")
    return [row("waiting tasks", "/s", pairs, beside="no cost at all", at_least=0.85)]


if __name__ == "__main__":
    sys.exit(main(measure, __doc__, options=OPTIONS))
