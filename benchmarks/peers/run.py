"""Measure one of `systems.SYSTEMS`: ``run.py SYSTEM COUNT ONE_BY_ONE LATENCIES``; prints JSON.

ONE_BY_ONE and LATENCIES may be 0; with LATENCIES -1 nothing runs, and only enqueues are timed. It
empties the Redis and the Postgres it is given (``BENCH_REDIS``, ``BENCH_PG``). Runs in the
environment that ``peers_run.py`` makes.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import ends
from systems import SYSTEMS

HERE = Path(__file__).resolve().parent
TIMEOUT_S = 120
WARM_UP = 20


def measure(name, count, one_by_one, latencies):
    """Rates a second and milliseconds; a key is missing where it was not asked for."""
    Path(ends.ENDS).unlink(missing_ok=True)
    system = SYSTEMS[name]()
    found = {"system": name}
    if one_by_one:
        found["enqueue"] = rate(one_by_one, lambda: send_each(system, one_by_one))
    found["bulk"] = rate(count, lambda: system.send_many(count))
    if latencies >= 0:
        with Workers(system):
            found["drain"] = drained(count + one_by_one)
            if latencies:
                found |= latency(system, latencies)
    return found


def send_each(system, count):
    for _ in range(count):
        system.send(time.time())


def rate(count, call):
    started = time.perf_counter()
    call()
    return count / (time.perf_counter() - started)


class Workers:
    """Two worker processes while it is open."""

    def __init__(self, system):
        self.commands = system.workers()

    def __enter__(self):
        self.processes = [
            subprocess.Popen(
                command,
                cwd=HERE,
                env={**os.environ, "PYTHONPATH": str(HERE)},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            for command in self.commands
        ]

    def __exit__(self, *_):
        for sent in (signal.SIGTERM, signal.SIGKILL):
            for process in self.processes:
                try:
                    os.killpg(process.pid, sent)
                except ProcessLookupError:
                    continue
            deadline = time.monotonic() + 2
            while time.monotonic() < deadline and any(p.poll() is None for p in self.processes):
                time.sleep(0.02)


def drained(count):
    """Ends a second, without the first tenth (start-up)."""
    deadline = time.monotonic() + TIMEOUT_S
    while ends.count() < count and time.monotonic() < deadline:
        time.sleep(0.05)
    times = sorted(ran_at for _, ran_at in ends.read())
    if len(times) < count:
        sys.exit(f"{len(times)} of {count} ran within {TIMEOUT_S} s")
    steady = times[len(times) // 10 :]
    return (len(steady) - 1) / (steady[-1] - steady[0])


def latency(system, count):
    """Milliseconds from the enqueue call to the task's start while the workers are idle."""
    time.sleep(1)
    before = ends.count()
    for number in range(1, count + WARM_UP + 1):
        system.send(time.time())
        deadline = time.monotonic() + 3
        while ends.count() < before + number and time.monotonic() < deadline:
            time.sleep(0.0002)
    waits = sorted((ran - sent) * 1000 for sent, ran in ends.read()[before + WARM_UP :])
    return {"p50_ms": waits[len(waits) // 2], "p99_ms": waits[len(waits) * 99 // 100]}


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], *map(int, sys.argv[2:5]))))
