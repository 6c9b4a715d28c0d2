"""What limits and pauses cost those they are not for.

- Ten worker processes drain no-ops, while a thousand executions of another task of their queue wait
  for a limit of five and go through it, five a second; beside the same without a limit and without
  those executions. Rounds are taken in turns. The processor time of servers and workers for
  each no-op is the steadier figure of the two: ten processes share few cores.
- Two idle worker processes whose only queue is paused and holds 100,000; beside the same processes
  and an empty queue: processor time and Redis commands.
"""

import os
import time
from pathlib import Path

from idle import children
from kit import ask, clear, row, show, wait_until, workers

WAITING = 1_000
PAUSED = 100_000
IDLE_S = 15
LIMIT = 5
NAP_S = 1.0
ENDED = "SELECT count(*) FROM butler.executions WHERE task = 'noop' AND status = 'succeeded'"
TIMES = (
    "SELECT extract(epoch FROM finished_at)::float8 FROM butler.executions "
    "WHERE task = 'noop' ORDER BY 1"
)
ATTEMPTS = "SELECT count(*) FROM butler.executions WHERE task = 'nap' AND attempt > 0"
RUNNING = "SELECT count(*) FROM butler.executions WHERE status = 'running'"


def drained(where, count):
    """No-ops a second that ended, once they may be taken, and the processor's µs for each."""
    from bench_tasks import Job, butler, noop

    butler.enqueue_many([(noop, Job(sent_at=time.time())) for _ in range(count)])
    before = cpu_ns(below_us())
    butler.redis.delete("rq:suspended")
    wait_until(lambda: ask(where, ENDED)[0][0] >= count, every_s=0.25)
    used_us = (cpu_ns(below_us()) - before) / 1e3 / count
    times = [time for (time,) in ask(where, TIMES)]
    steady = times[len(times) // 10 :]
    return (len(steady) - 1) / (steady[-1] - steady[0]), used_us


def free_rate(where, count):
    measured = drained(where, count)
    reset(where)
    return measured


def rate_beside_limited(where, count):
    from bench_tasks import Nap, butler, nap

    butler.limits.set("nap", max_concurrency=LIMIT)
    handles = butler.enqueue_many([(nap, Nap(seconds=NAP_S))] * WAITING)
    butler.redis.delete("rq:suspended")
    wait_until(lambda: butler.limits.waiting(["nap"])["nap"] > WAITING - 10 * LIMIT)
    butler.redis.set("rq:suspended", 1)
    measured = drained(where, count)
    ((started,),) = ask(where, ATTEMPTS)
    butler.cancel_many([handle.id for handle in handles])
    wait_until(lambda: ask(where, RUNNING)[0][0] == 0)
    butler.limits.reset("nap")
    reset(where)
    return *measured, started


def reset(where):
    from bench_tasks import butler

    clear(where)
    # Workers take nothing until all of it is there.
    butler.redis.set("rq:suspended", 1)


def others(where, arguments):
    """What other tasks lose."""
    rates, costs = [], []
    with workers(processes=10):
        reset(where)
        free_rate(where, arguments.count)  # the first round makes plans and opens connections
        for number in range(1, arguments.rounds + 1):
            if number % 2:
                free, free_us = free_rate(where, arguments.count)
            beside, beside_us, started = rate_beside_limited(where, arguments.count)
            if not number % 2:
                free, free_us = free_rate(where, arguments.count)
            rates.append((beside, free))
            costs.append((beside_us, free_us))
            show(
                f"round {number}: {beside:,.0f}/s, {beside_us:.0f} µs each beside {started} that "
                f"went through the limit; {free:,.0f}/s, {free_us:.0f} µs without: "
                f"{beside / free:.2f}, {beside_us / free_us:.2f}"
            )
    return [
        row("others beside a limit", "/s", rates, beside="no limit", at_least=0.95),
        row("others beside a limit, processor", "µs", costs, beside="no limit", at_most=1.05),
    ]


def idling(where):
    """What a paused queue costs those who serve it."""
    from bench_tasks import Job, butler, noop

    clear(where)
    with workers(processes=2) as supervisor:
        pids = [supervisor.pid, *children(supervisor.pid)]
        empty = watch(butler, pids, IDLE_S)
        butler.queues.pause("bench")
        butler.enqueue_many([(noop, Job(sent_at=0))] * PAUSED)
        paused = watch(butler, pids, IDLE_S)
        clear(where)
        butler.queues.resume("bench")
        again = watch(butler, pids, IDLE_S)
    show(f"empty {empty}, paused {paused}, empty again {again}")
    cpu, commands = zip(empty, again, strict=True)
    return [
        row(
            *("paused queue, processor", "%", [(paused[0], each) for each in cpu]),
            beside="an empty queue",
            at_most=1.1,
        ),
        row(
            *("paused queue, Redis", "/s", [(paused[1], each) for each in commands]),
            beside="an empty queue",
            at_most=1.02,
        ),
    ]


def watch(butler, pids, seconds):
    """Percent of a core, and Redis commands a second, once things are calm."""
    time.sleep(3)
    cpu, commands, began = cpu_ns(pids), commands_of(butler), time.perf_counter()
    time.sleep(seconds)
    took_s = time.perf_counter() - began
    share = (cpu_ns(pids) - cpu) / 1e9 / took_s * 100
    # Each question is a command itself.
    return round(share, 3), round((commands_of(butler) - commands - 1) / took_s, 2)


def commands_of(butler):
    return butler.redis.info("stats")["total_commands_processed"]


def below_us():
    """Every process that this one has started, and those they have: servers and workers."""
    found, new = [], [os.getpid()]
    while new:
        found += new
        new = [child for pid in new for child in children_still(pid)]
    return found[1:]


def children_still(pid):
    """Its children; none if it has ended meanwhile, as PostgreSQL's helpers do."""
    try:
        return children(pid)
    except OSError:
        return []


def cpu_ns(pids):
    """Nanoseconds that all threads of these have run, as far as they are still there."""
    return sum(run_ns(thread) for pid in pids for thread in Path("/proc").glob(f"{pid}/task/*"))


def run_ns(thread):
    try:
        return int((thread / "schedstat").read_text().split()[0])
    except OSError:
        return 0


def measure(where, arguments):
    """Rows of both."""
    return [*others(where, arguments), *idling(where)]
