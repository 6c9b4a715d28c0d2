"""Half of what the workers could do, for minutes, while processes of theirs are killed at random.

Two workers run naps of half a second as coroutines, in threads and in processes of their own, some
of which fail at first. Every few seconds a child process, an isolated one or a whole worker (which
is replaced) gets SIGKILL; one worker and the scheduler are spared, so that there are processes as
old as the soak. When all executions have ended and all processes were stopped,

- every execution has ended, once, and succeeded;
- no process is left, and all that were stopped ended with 0;
- Redis has no hand, no id in a list or as running, no worker, no key without an expiry but the
  registries, and the ledger has no worker that neither stopped nor was given up;
- no process that is older than a quarter of the soak has grown in its second half.

Exits with 1 when one of these is not so, and says what.
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from uuid import uuid4

from kit import HERE, start
from processes import below, living

SLOTS, PROCESSES = 8, 2
LONGEST_S, SHORTEST_S = 0.9, 0.1
KILL_EVERY_S = (1.0, 6.0)
VICTIMS = {"child": 60, "isolated": 25, "worker": 15}
# What a process may grow by in half of the soak: warm caches, a fuller pool.
GROWTH_MIB, GROWTH_PART = 8.0, 0.10
LONG_ENOUGH_S = 60.0
AUDIT = """
CREATE TABLE public.endings (execution_id uuid, status text);
CREATE FUNCTION public.note_ending() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO public.endings VALUES (NEW.id, NEW.status);
  RETURN NEW;
END $$;
CREATE TRIGGER note_ending AFTER UPDATE ON butler.executions FOR EACH ROW
  WHEN (OLD.status IS DISTINCT FROM NEW.status
        AND NEW.status IN ('succeeded', 'failed', 'cancelled'))
  EXECUTE FUNCTION public.note_ending();
"""


class Soak:
    """The workers, what is enqueued for them, and who is killed."""

    def __init__(self, butler, *, dice, mark, logs):
        self.butler = butler
        self.dice = dice
        self.mark = mark
        self.kills = Counter()
        self.enqueued = 0
        self.samples = []
        self._logs = logs
        self._workers = []
        self._codes = []
        self._scheduler = self._start("butler_scheduler")
        self.spared = self.start_worker()
        self.start_worker()

    def start_worker(self):
        """One more worker."""
        worker = self._start(
            *("butler_workers", "--app", "soak_tasks:butler", "--queues", "soak"),
            *("--processes", str(PROCESSES), "--concurrency", str(SLOTS)),
        )
        self._workers.append(worker)
        return worker

    def _start(self, *command):
        return start(["-m", *command, "--log-level", "warning"], stderr=self._logs)

    def wait_until_ready(self, timeout_s=60):
        """Until all workers serve."""
        deadline = time.monotonic() + timeout_s
        while self._serving() < 2 * PROCESSES:
            assert time.monotonic() < deadline, "the workers do not come up"
            time.sleep(0.1)

    def _serving(self):
        there = living(self.mark)
        rows = self.butler.storage.workers()
        return sum(row.pid in there for row in rows if not row.lost and row.stopped_at is None)

    def run(self, seconds, *, bar):
        """Enqueue and kill for so long."""
        self.wait_until_ready()
        began = last = sampled_at = time.monotonic()
        pause_s = KILL_EVERY_S[0], min(KILL_EVERY_S[1], seconds / 3)
        kill_at = began + self.dice.uniform(*pause_s)
        mean_s = (LONGEST_S + SHORTEST_S) / 2
        rate = 0.5 * 2 * PROCESSES * SLOTS / mean_s
        while (now := time.monotonic()) - began < seconds:
            self._enqueue(int(rate * (now - began)) - self.enqueued)
            if now >= kill_at:
                self._kill()
                kill_at = now + self.dice.uniform(*pause_s)
            if now - sampled_at >= min(5.0, seconds / 20):
                sampled_at = now
                self.samples.append((now - began, living(self.mark)))
            bar.advance(now - last, f"{self.enqueued} enqueued, {self.kills.total()} killed")
            last = now
            time.sleep(0.1)

    def _enqueue(self, count):
        from soak_tasks import TASKS, WEIGHTS, Nap

        calls = [
            (task, Nap(seconds=self.dice.uniform(SHORTEST_S, LONGEST_S)))
            for task in self.dice.choices(TASKS, WEIGHTS, k=max(count, 0))
        ]
        if calls:
            self.butler.enqueue_many(calls)
            self.enqueued += len(calls)

    def _kill(self):
        processes = living(self.mark)
        spared = below(processes, self.spared.pid)
        role = self.dice.choices(list(VICTIMS), VICTIMS.values())[0]
        victims = sorted(
            p.pid for p in processes.values() if p.role == role and p.pid not in spared
        )
        if not victims:
            return
        victim = self.dice.choice(victims)
        try:
            os.kill(victim, signal.SIGKILL)
        except ProcessLookupError:
            return
        self.kills[role] += 1
        if role == "worker":
            killed = next(worker for worker in self._workers if worker.pid == victim)
            killed.wait()
            self._workers.remove(killed)
            self.start_worker()

    def wait_until_done(self, timeout_s, *, bar):
        """Until every execution has ended; whether that was in time."""
        deadline = time.monotonic() + timeout_s
        while (left := self.unfinished()) and time.monotonic() < deadline:
            bar.advance(0, f"{left} executions left")
            time.sleep(0.25)
        return not left

    def unfinished(self):
        """How many executions have not ended."""
        from butler.storage.records import ExecutionQuery

        counts = self.butler.storage.count(ExecutionQuery())
        return sum(count for status, count in counts.items() if not status.finished)

    def stop(self):
        """Stop all in good order; returns their exit codes."""
        # One that is only starting would end by the signal itself.
        self.wait_until_ready()
        for process in self._workers:
            process.terminate()
        codes = [process.wait(60) for process in self._workers]
        # The scheduler gives those up that were killed last, after their lease.
        deadline = time.monotonic() + 60
        while self._believed_alive() and time.monotonic() < deadline:
            time.sleep(0.25)
        self._scheduler.terminate()
        return [*codes, self._scheduler.wait(60)]

    def _believed_alive(self):
        workers = self.butler.storage.workers()
        return [row for row in workers if row.stopped_at is None and not row.lost]


def ledger_findings(soak, database_url):
    """What the ledger has that it should not have."""
    import psycopg

    with psycopg.connect(database_url) as connection:
        ask = lambda statement: connection.execute(statement).fetchall()  # noqa: E731
        states = dict(ask("SELECT status, count(*) FROM butler.executions GROUP BY 1"))
        endings = dict(
            ask(
                "SELECT ended, count(*) FROM (SELECT count(*) AS ended FROM public.endings"
                " GROUP BY execution_id) AS per_execution GROUP BY 1"
            )
        )
        workers = ask("SELECT name FROM butler.workers WHERE stopped_at IS NULL AND NOT lost")
        outcomes = dict(
            ask("SELECT outcome, count(*) FROM butler.execution_attempts GROUP BY 1 ORDER BY 2")
        )
        errors = ask("SELECT DISTINCT error FROM butler.executions WHERE status <> 'succeeded'")
    findings = []
    if states != {"succeeded": soak.enqueued}:
        findings.append(f"{soak.enqueued} executions ended as {states}: {errors[:5]}")
    if endings != {1: soak.enqueued}:
        findings.append(f"times an execution ended, and how many did: {endings}")
    if workers:
        findings.append(f"workers that neither stopped nor were given up: {workers}")
    return findings, {"states": states, "attempts": outcomes}


def redis_findings(redis):
    """Keys that should not be there any more."""
    from butler.queues import WireKeys

    may_stay = {WireKeys.queues, WireKeys.epoch, WireKeys.ledger("soak"), WireKeys.wake("soak")}
    for kind in ("finished", "failed", "canceled"):
        may_stay.add(WireKeys.registry(kind, "soak"))
    keys = {key.decode() for key in redis.scan_iter(count=1_000)}
    lasting = sorted(key for key in keys - may_stay if redis.ttl(key) == -1)
    return [f"{len(lasting)} keys without an expiry: {lasting[:8]}"] if lasting else []


def growth(samples, seconds):
    """MiB by which each process grew in the second half, by a straight line through its sizes.

    Those that were there from the first quarter on: younger ones still load the application.
    """
    later = [set(processes) for at, processes in samples if at >= seconds / 4]
    old = set.intersection(*later) if later else set()
    half = [(at, processes) for at, processes in samples if at >= seconds / 2]
    grown = []
    for pid in sorted(old):
        times = [at for at, _ in half]
        sizes = [processes[pid].rss_mib for _, processes in half]
        slope = fitted_slope(times, sizes)
        role = half[0][1][pid].role
        hourly = slope * 3600
        grown.append(
            {
                "role": role,
                "pid": pid,
                "rss_mib": sizes[-1],
                "grew_mib": slope * (times[-1] - times[0]),
                "mib_per_hour": hourly,
            }
        )
    return grown


def fitted_slope(times, sizes):
    """Least squares."""
    mean_t, mean_s = sum(times) / len(times), sum(sizes) / len(sizes)
    spread = sum((t - mean_t) ** 2 for t in times)
    products = sum((t - mean_t) * (s - mean_s) for t, s in zip(times, sizes, strict=True))
    return products / spread if spread else 0.0


def memory_findings(grown, seconds):
    """Processes that have grown by more than warmth explains, if it was long enough to tell."""
    if seconds < LONG_ENOUGH_S:
        return []
    return [
        f"{one['role']} {one['pid']} grew by {one['grew_mib']:.1f} MiB to {one['rss_mib']:.0f}"
        for one in grown
        if one["grew_mib"] > max(GROWTH_MIB, GROWTH_PART * one["rss_mib"])
    ]


def soak_for(services, arguments, *, logs, bar):
    """Play it; returns what was found and what was counted."""
    import psycopg
    from soak_tasks import butler

    mark = f"SOAK={uuid4()}"
    os.environ.update([mark.split("=")])
    butler.storage.prepare()
    with psycopg.connect(services.database_url, autocommit=True) as connection:
        connection.execute(AUDIT)
    began = time.monotonic()
    try:
        soak = Soak(butler, dice=random.Random(arguments.seed), mark=mark, logs=logs)
        soak.run(arguments.seconds, bar=bar)
        done = soak.wait_until_done(120, bar=bar)
        lasted_s = time.monotonic() - began
        codes = soak.stop()
        orphans = list(living(mark).values())
    finally:
        for process in living(mark).values():
            os.kill(process.pid, signal.SIGKILL)
    findings, counted = ledger_findings(soak, services.database_url)
    grown = growth(soak.samples, arguments.seconds)
    findings += redis_findings(butler.redis) + memory_findings(grown, arguments.seconds)
    if not done:
        findings.append("not every execution had ended after two minutes more")
    if any(codes):
        findings.append(f"exit codes of what was stopped: {codes}")
    if orphans:
        findings.append(f"processes that are left: {orphans}")
    return {
        "seconds": lasted_s,
        "seed": arguments.seed,
        "executions": soak.enqueued,
        "kills": dict(soak.kills),
        **counted,
        "memory": grown,
        "findings": findings,
    }


class Bar:
    """A progress bar on stderr, where that is a terminal."""

    def __init__(self, seconds):
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._progress = Progress(
            TextColumn("soak"),
            BarColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.description}"),
            console=Console(stderr=True),
        )
        self._task = self._progress.add_task("", total=seconds)

    def __enter__(self):
        self._progress.start()
        return self

    def __exit__(self, *_):
        self._progress.stop()

    def advance(self, seconds, text):
        self._progress.update(self._task, advance=seconds, description=text)


def show_table(outcome):
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"Soak of {outcome['seconds']:.0f} s, seed {outcome['seed']}")
    table.add_column("what")
    table.add_column("result", justify="right")
    table.add_row("executions", str(outcome["executions"]))
    for name in ("states", "attempts", "kills"):
        said = ", ".join(f"{count} {key}" for key, count in outcome[name].items())
        table.add_row(name, said or "none")
    for role in sorted({one["role"] for one in outcome["memory"]}):
        same = [one for one in outcome["memory"] if one["role"] == role]
        worst = max(same, key=lambda one: one["grew_mib"])
        table.add_row(
            f"memory of {len(same)} x {role}",
            f"up to {max(one['rss_mib'] for one in same):.1f} MiB, "
            f"{worst['grew_mib']:+.2f} in the second half",
        )
    console = Console()
    console.print(table)
    for finding in outcome["findings"]:
        console.print(f"FOUND: {finding}", style="red", markup=False)
    console.print(f"{len(outcome['findings'])} findings")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--seconds", type=float, default=600.0, help="how long (default: 600)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the dice")
    parser.add_argument("--lease", type=float, default=15.0, help="BUTLER_LEASE_S (default: 15)")
    parser.add_argument("--json", action="store_true", help="print JSON on stdout")
    arguments = parser.parse_args()
    # What has been started must not outlive it, however it ends.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))

    from butler.embedded import EmbeddedServices

    sys.path.insert(0, str(HERE))
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedServices(Path(folder, "servers")) as services,
        Path(folder, "processes.log").open("w+") as logs,
        Bar(arguments.seconds) as bar,
    ):
        os.environ |= {
            "BUTLER_REDIS_URL": services.redis_url,
            "BUTLER_DATABASE_URL": services.database_url,
            "BUTLER_MIGRATE": "auto",
            "BUTLER_LEASE_S": f"{arguments.lease:g}",
        }
        outcome = soak_for(services, arguments, logs=logs, bar=bar)
        if outcome["findings"]:
            logs.seek(0)
            sys.stderr.write("".join(logs.readlines()[-100:]))
    if arguments.json:
        print(json.dumps(outcome, indent=2))
    else:
        show_table(outcome)
    sys.exit(1 if outcome["findings"] else 0)


if __name__ == "__main__":
    main()
