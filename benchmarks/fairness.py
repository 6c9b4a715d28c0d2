"""Fairness: how long 100,000 executions of one tenant delay another's one, and what turns cost.

- Delay: from an enqueue of another tenant's until its task starts, by the ledger's clock, while
  two worker processes work on what waits; beside the same while nothing waits.
- Throughput: no-op executions durably finished a second where one tenant's or a thousand tenants'
  wait, beside a task without ``fair_by`` on the same queue.
- Enqueue: in bulk, of one tenant, beside the same without ``fair_by``.
"""

from statistics import median

from kit import ask, clear, per_second, row, show, wait_until, workers

FINISHED = "SELECT count(*) FROM butler.executions WHERE status = 'succeeded'"
TIMES = "SELECT extract(epoch FROM finished_at)::float8 FROM butler.executions ORDER BY 1"
DELAY = """
SELECT extract(epoch FROM started_at - created_at)::float8 * 1e3
FROM butler.executions WHERE id::text = %s
"""
PROBES = 20
TENANTS = 1_000


def measure(servers, arguments):
    """Rows of all three."""
    delays, rates, bulks = [], {"one tenant": [], f"{TENANTS:,} tenants": []}, []
    for number in range(1, arguments.rounds + 1):
        delays.append(delayed(servers, arguments.waiting))
        bulks.append((enqueued(servers, arguments.count, 1), enqueued(servers, arguments.count, 0)))
        for name, tenants in zip(rates, (1, TENANTS), strict=True):
            pair = [drained(servers, arguments.count, each) for each in (tenants, 0)]
            rates[name].append(tuple(pair))
        behind, alone = delays[-1]
        show(f"round {number}: {behind:.1f} ms behind {arguments.waiting:,}, {alone:.1f} ms alone")
    what = f"another tenant's one behind {arguments.waiting:,}"
    return [
        row(what, "ms", delays, beside="nothing waiting"),
        *(
            row(f"fair queue, {name}", "/s", found, beside="plain queue")
            for name, found in rates.items()
        ),
        row("bulk enqueue of one tenant", "/s", bulks, beside="without fair_by"),
    ]


def delayed(servers, waiting):
    """Milliseconds until a probe starts: behind so many of another tenant, and behind nothing."""
    from bench_tasks import Share, butler, fair_noop

    with workers() as process:
        alone = [probe(servers) for _ in range(PROBES)]
        butler.queues.pause("bench")
        butler.enqueue_many((fair_noop, Share(tenant="a", n=n)) for n in range(waiting))
        butler.queues.resume("bench")
        wait_until(lambda: ask(servers, FINISHED)[0][0] > PROBES + 500, process)
        behind = [probe(servers) for _ in range(PROBES)]
        left = butler.wire.depth("bench")
        butler.queues.pause("bench")
    butler.queues.resume("bench")
    clear(servers)
    if not left:
        show("nothing was left waiting: more --waiting is needed")
    return median(behind), median(alone)


def probe(servers):
    from bench_tasks import Share, butler, fair_noop

    handle = butler.enqueue(fair_noop, Share(tenant="b"))
    handle.result(timeout_s=120)
    return ask(servers, DELAY, handle.id)[0][0]


def enqueued(servers, count, tenants):
    """Executions a second that are written and queued in bulk."""
    from bench_tasks import butler

    orders = orders_of(count, tenants)
    rate = per_second(1, lambda: butler.enqueue_many(orders)) * count
    clear(servers)
    return rate


def drained(servers, count, tenants):
    """Executions finished a second by two worker processes, without the first tenth."""
    from bench_tasks import butler

    butler.enqueue_many(orders_of(count, tenants))
    with workers() as process:
        wait_until(lambda: ask(servers, FINISHED)[0][0] >= count, process, every_s=0.1)
    times = [at for (at,) in ask(servers, TIMES)]
    clear(servers)
    steady = times[len(times) // 10 :]
    return (len(steady) - 1) / (steady[-1] - steady[0])


def orders_of(count, tenants):
    """Of so many tenants one after the other; 0: of the task without ``fair_by``."""
    from bench_tasks import Share, fair_noop, plain_noop

    if tenants == 0:
        return [(plain_noop, Share(tenant="a", n=n)) for n in range(count)]
    return [(fair_noop, Share(tenant=f"tenant {n % tenants}", n=n)) for n in range(count)]
