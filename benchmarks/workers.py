"""What a worker costs and how fast it obeys: isolation, cancels, killed processes, idling.

One worker with two processes on embedded servers.

- Isolation: from claim to end, as the ledger has them, of a task that does nothing, one at a time
  and in turns in a thread and in a process of its own.
- Cancel: until a task that sleeps sees it, in each isolation; from the call of ``handle.cancel()``,
  from when RQ's stop-job command is sent, and, for ``butler executions cancel``, whose own start
  takes longer than all that, from when it stands in the ledger.
- Hand-back: from SIGKILL to a process until what it ran is queued again, as the ledger has it.
- Idling: processor time and resident memory of each process over some seconds.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from uuid import uuid4

from kit import HERE, show, start
from processes import living

WORKER = "-m butler_workers --app worker_tasks:butler --queues cost --processes 2"
ISOLATIONS = ("async", "thread", "process")
ASKED = {
    "isolation_ms": 5.0,
    "cancel_p95_ms": 150.0,
    "hand_back_s": 1.0,
    "idle_cpu_percent": 1.0,
    "idle_rss_mib": 70.0,
}


def isolation(butler, count):
    """Milliseconds of each kind, from claim to end."""
    took = {"thread": [], "process": []}
    for number in range(count + 20):
        for kind, times in took.items():
            handle = butler.enqueue(f"noop {kind}", {})
            handle.result(timeout_s=30)
            execution = handle.execution()
            if number >= 20:
                times.append((execution.finished_at - execution.started_at).total_seconds() * 1e3)
    p50 = {kind: median(times) for kind, times in took.items()}
    return {
        "thread_ms": percentiles(took["thread"]),
        "process_ms": percentiles(took["process"]),
        "overhead_ms": p50["process"] - p50["thread"],
        "ratio": p50["process"] / p50["thread"],
    }


def cancels(butler, count):
    """Milliseconds until a task sees that it was cancelled, by way and isolation."""
    return {
        way: {
            kind: percentiles([cancel(butler, kind) for _ in range(rounds)]) for kind in ISOLATIONS
        }
        for way, (cancel, rounds) in {
            "handle.cancel()": (by_handle, count),
            "RQ stop-job": (by_rq, count),
            "butler executions cancel": (by_command, max(count // 5, 1)),
        }.items()
    }


def by_handle(butler, kind):
    handle = waiting(butler, kind)
    began = time.time()
    handle.cancel()
    return (seen_at(handle) - began) * 1e3


def by_rq(butler, kind):
    from rq.command import send_stop_job_command
    from rq.job import Job

    handle = waiting(butler, kind)
    # RQ sends it to the worker it sees the job run on.
    job = Job.fetch(handle.id, connection=butler.redis)
    until(lambda: job.get_status(refresh=True) == "started")
    began = time.time()
    send_stop_job_command(butler.redis, handle.id)
    return (seen_at(handle) - began) * 1e3


def by_command(butler, kind):
    handle = waiting(butler, kind)
    command = [sys.executable, "-m", "butler", "executions", "cancel", handle.id]
    subprocess.run(command, check=True, capture_output=True)
    seen = seen_at(handle)
    return (seen - handle.execution().cancel_requested_at.timestamp()) * 1e3


def waiting(butler, kind):
    """An execution whose task is asleep."""
    handle = butler.enqueue(f"wait {kind}", {})
    until(handle.logs)
    return handle


def seen_at(handle):
    """When its task wrote that it was interrupted."""
    return until(lambda: [line.at for line in handle.logs() if line.message == "seen"])[
        0
    ].timestamp()


def hand_backs(butler, count):
    """Seconds from a kill until what the process ran is queued again."""
    from butler.executions import AttemptOutcome

    took = []
    for _ in range(count):
        handle = waiting(butler, "thread")
        worker_id = handle.execution().worker_id
        pid = next(row.pid for row in butler.storage.workers() if row.id == worker_id)
        killed_at = time.time()
        os.kill(pid, signal.SIGKILL)
        (attempt,) = until(lambda h=handle: h.execution().attempts)
        assert attempt.outcome is AttemptOutcome.CRASHED
        took.append(attempt.finished_at.timestamp() - killed_at)
        handle.cancel()
        # The supervisor holds back what dies within ten seconds again and again.
        time.sleep(2.0)
    return {"p50_s": median(took), "worst_s": max(took)}


def idling(mark, seconds):
    """CPU and memory of each process that does nothing."""
    before = living(mark)
    time.sleep(seconds)
    after = living(mark)
    return [
        {
            "role": process.role,
            "cpu_percent": (process.cpu_s - before[pid].cpu_s) / seconds * 100,
            "rss_mib": process.rss_mib,
        }
        for pid, process in sorted(after.items())
        if pid in before
    ]


def percentiles(times):
    ordered = sorted(times)
    return {
        "p50": ordered[len(ordered) // 2],
        "p95": ordered[min(len(ordered) * 95 // 100, len(ordered) - 1)],
    }


def until(condition, timeout_s=30.0):
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.005)
    return value


def measure(butler, arguments):
    """Everything, with a worker that is started anew where what went before would show."""
    mark = f"BENCHMARK={uuid4()}"
    os.environ.update([mark.split("=")])
    found = {}
    for name, run in {
        "idle": lambda: idling(mark, arguments.idle),
        "isolation": lambda: isolation(butler, arguments.count),
        "cancel": lambda: cancels(butler, max(arguments.count // 10, 1)),
        "hand_back": lambda: hand_backs(butler, arguments.kills),
    }.items():
        worker = start([*WORKER.split(), "--log-level", "error"])
        try:
            until(
                lambda: (
                    sum(w.stopped_at is None and not w.lost for w in butler.storage.workers()) >= 2
                )
            )
            time.sleep(2.0)
            found[name] = run()
        finally:
            worker.terminate()
            worker.wait(60)
        show(f"{name}: {json.dumps(found[name])}")
    return found


def verdicts(found):
    """Each figure that something was asked of, with what was asked, and whether it is met."""
    processes = [one for one in found["idle"] if one["role"] in ("worker", "child")]
    figures = {
        "isolation_ms": found["isolation"]["overhead_ms"],
        "cancel_p95_ms": max(
            took["p95"] for kinds in found["cancel"].values() for took in kinds.values()
        ),
        "hand_back_s": found["hand_back"]["worst_s"],
        "idle_cpu_percent": max(one["cpu_percent"] for one in processes),
        "idle_rss_mib": max(one["rss_mib"] for one in processes),
    }
    return {
        name: {"is": value, "asked": ASKED[name], "ratio": value / ASKED[name]}
        for name, value in figures.items()
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--count", type=int, default=200, help="executions of each isolation")
    parser.add_argument("--kills", type=int, default=5, help="processes to kill")
    parser.add_argument("--idle", type=float, default=20.0, help="seconds to idle")
    parser.add_argument("--json", action="store_true", help="print JSON on stdout")
    arguments = parser.parse_args()

    from butler.embedded import EmbeddedServices

    sys.path.insert(0, str(HERE))
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedServices(Path(folder, "servers")) as services,
    ):
        os.environ["BUTLER_REDIS_URL"] = services.redis_url
        os.environ["BUTLER_DATABASE_URL"] = services.database_url
        os.environ["BUTLER_MIGRATE"] = "auto"
        from worker_tasks import butler

        butler.storage.prepare()
        found = measure(butler, arguments)
    found["asked"] = verdicts(found)
    if arguments.json:
        print(json.dumps(found, indent=2))
        return
    for name, one in found["asked"].items():
        print(f"{name:18}{one['is']:10.2f}  asked {one['asked']:g}, ratio {one['ratio']:.2f}")


if __name__ == "__main__":
    main()
