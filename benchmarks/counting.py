"""What statistics cost: the finish statement with and without them, in turn; a fold; and reads.

Batches of 256 executions are claimed and finished with PostgreSQL's fsync on, through the storage
alone. Every other batch is finished by the same statement without its part that counts. The share
of throughput is the difference over what a whole execution costs, ``--execution-us``: the inverse
of what throughput.py measures on the same machine.
"""

import argparse
import json
import re
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

BATCH = 256
COUNTED = re.compile(r"counted AS \(.*?\n\),\n(?=freed AS)", re.DOTALL)


def without_counting(storage):
    """Let this storage finish successes as if there were no statistics."""
    statements = storage._connections.statements  # noqa: SLF001 - nobody else is to have this switch
    text = statements["finish_succeeded"].decode()
    cut, times = COUNTED.subn("", text)
    assert times == 1
    statements._loaded["finish_succeeded"] = cut.encode()  # noqa: SLF001
    return storage


def finish_us(storage, worker, tasks):
    from butler import lifecycle
    from butler.ids import new_id, new_token
    from butler.storage.records import Claim, NewExecution

    ids = [new_id() for _ in range(BATCH)]
    storage.insert(
        [
            NewExecution(id=id_, task=f"task {n % tasks}", queue="bench", request="{}")
            for n, id_ in enumerate(ids)
        ]
    )
    won = storage.claim(Claim(worker_id=worker, token=new_token(), ids=tuple(ids))).won
    transitions = [lifecycle.succeed(claimed, result=None) for claimed in won]
    started = time.perf_counter()
    storage.finish(transitions)
    return (time.perf_counter() - started) / BATCH * 1e6


def fold_s(storage):
    epoch = storage.take_leadership("bench", observed=storage.leadership())
    folds = []
    while True:
        started = time.perf_counter()
        count = storage.fold_stats(epoch=epoch, limit=20_000)
        if not count:
            return folds
        folds.append((count, time.perf_counter() - started))


def read_s(storage):
    from butler.storage.stats import Span, StatsQuery, Step

    day = Step.DAY.begin(datetime.now(UTC))
    span = Span(step=Step.DAY, since=day, until=day + timedelta(days=1))
    started = time.perf_counter()
    storage.stats(StatsQuery(spans=(span,)))
    return time.perf_counter() - started


def worker_of(storage):
    from butler.ids import new_id
    from butler.storage.records import WorkerRegistration

    worker = WorkerRegistration(
        id=new_id(),
        name="bench",
        host="bench",
        pid=1,
        supervisor_id=new_id(),
        queues=("bench",),
        tasks=(),
        concurrency=BATCH,
    )
    storage.register_worker(worker)
    return worker.id


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, default=400, help="batches with and without each")
    parser.add_argument("--tasks", type=int, default=4, help="tasks in a batch")
    parser.add_argument("--execution-us", type=float, default=70.0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()

    from butler.embedded import EmbeddedServices
    from butler.storage.postgres import PostgresStorage

    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedServices(Path(folder, "servers")) as services,
    ):
        counting = PostgresStorage(services.database_url, migrate="auto")
        counting.prepare()
        silent = without_counting(PostgresStorage(services.database_url))
        worker = worker_of(counting)
        taken = {True: [], False: []}
        for _ in range(arguments.batches):
            for counts in (True, False):
                storage = counting if counts else silent
                taken[counts].append(finish_us(storage, worker, arguments.tasks))
        unfolded_s = read_s(counting)
        folds = fold_s(counting)
        found = {
            "finish_us": median(taken[True]),
            "finish_us_without": median(taken[False]),
            "share_of_throughput": (median(taken[True]) - median(taken[False]))
            / arguments.execution_us,
            "ends_folded": sum(count for count, _ in folds),
            "fold_s": sum(seconds for _, seconds in folds),
            "read_s_before_fold": unfolded_s,
            "read_s_after_fold": read_s(counting),
        }
        counting.close()
        silent.close()
    if arguments.json:
        print(json.dumps(found, indent=2))
        return
    for name, value in found.items():
        print(f"{name:24} {value:12.4g}")


if __name__ == "__main__":
    main()
