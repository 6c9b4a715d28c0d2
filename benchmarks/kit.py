"""What every measurement needs: servers, workers, waiting, and rows that are ratios.

A script has ``measure(servers, arguments) -> list[Row]`` and ends with ``main(measure)``; so it
runs alone, and `run.py` runs all of them on the same servers.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parent
TASKS = "bench_tasks:butler"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One ratio: of what, to what, and what was asked for.

    ``ours`` and ``theirs`` are in ``unit``; they say what the ratio was made of, and mean nothing
    on another machine. ``ratio`` is the median of the rounds' ratios, each taken within one round;
    ``lowest`` and ``highest`` are the ends of those, where there were several.
    """

    what: str
    unit: str
    ours: float
    beside: str
    theirs: float
    ratio: float
    at_least: float | None = None
    at_most: float | None = None
    lowest: float | None = None
    highest: float | None = None

    @property
    def met(self):
        """Whether it is what was asked for; None when nothing was."""
        if self.at_least is not None:
            return self.ratio >= self.at_least
        return None if self.at_most is None else self.ratio <= self.at_most

    @property
    def asked(self):
        if self.at_least is not None:
            return f"≥ {self.at_least:g}"
        return "" if self.at_most is None else f"≤ {self.at_most:g}"


def row(what, unit, pairs, *, beside, **limits):
    """The row of (ours, theirs) pairs, one a round."""
    ours, theirs = median(our for our, _ in pairs), median(their for _, their in pairs)
    ratios = [our / their for our, their in pairs]
    if len(ratios) > 1:
        limits |= {"lowest": min(ratios), "highest": max(ratios)}
    found = {"ours": ours, "theirs": theirs, "ratio": median(ratios)}
    return Row(what=what, unit=unit, beside=beside, **found, **limits)


@dataclass(frozen=True, kw_only=True)
class Servers:
    """Redis and Postgres of the run; peers have a database of their own on the same server."""

    redis_url: str
    database_url: str
    peer_url: str
    folder: Path

    @property
    def ends(self):
        """Where the tasks write when they were sent and when they ran."""
        return Path(os.environ["BENCH_ENDS"])


@contextmanager
def servers(folder=None):
    """Embedded servers with PostgreSQL's fsync on, empty, and this process's settings for them."""
    import psycopg

    from butler.embedded import EmbeddedServices

    sys.path.insert(0, str(HERE))
    place = Path(tempfile.mkdtemp(prefix="butler-bench-", dir=folder))
    try:
        with EmbeddedServices(place / "servers") as found:
            os.environ["BUTLER_REDIS_URL"] = found.redis_url
            os.environ["BUTLER_DATABASE_URL"] = found.database_url
            os.environ["BUTLER_MIGRATE"] = "auto"
            os.environ["BENCH_ENDS"] = str(place / "ends")
            with psycopg.connect(found.database_url, autocommit=True) as connection:
                connection.execute("CREATE DATABASE peer")
            from bench_tasks import butler

            butler.storage.ledger_id()  # makes the tables
            yield Servers(
                redis_url=found.redis_url,
                database_url=found.database_url,
                peer_url=found.database_url.replace("@/butler?", "@/peer?"),
                folder=place,
            )
    finally:
        shutil.rmtree(place, ignore_errors=True)


def clear(where):
    """Empty the ledger's executions, Redis and the file of ends."""
    from bench_tasks import butler

    with connect(where) as connection:
        connection.execute("TRUNCATE butler.executions CASCADE")
        connection.execute("CHECKPOINT")
    butler.redis.flushall()
    where.ends.unlink(missing_ok=True)


def connect(where):
    import psycopg

    return psycopg.connect(where.database_url, autocommit=True)


def ask(where, query, *values):
    """The rows of one query on the ledger."""
    with connect(where) as connection:
        return connection.execute(query, values).fetchall()


def start(arguments, *, stderr=None):
    """This Python with these arguments, where the tasks of the measurements can be imported."""
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=HERE,
        env={**os.environ, "PYTHONPATH": str(HERE)},
        stderr=stderr,
    )


@contextmanager
def workers(*, processes=2, concurrency=16, queues="bench"):
    """``butler-worker`` while it is open; yields its process once its children are registered."""
    from bench_tasks import butler

    known = {worker.id for worker in butler.storage.workers()}
    process = start(
        [
            *("-m", "butler_workers", "--app", TASKS, "--queues", queues),
            *("--processes", str(processes), "--concurrency", str(concurrency)),
            *("--log-level", "warning"),
        ]
    )
    try:
        wait_until(
            lambda: len({w.id for w in butler.storage.workers()} - known) >= processes, process
        )
        yield process
    finally:
        process.terminate()
        process.wait(60)


def wait_until(condition, process=None, *, timeout_s=300, every_s=0.05):
    deadline = time.monotonic() + timeout_s
    while not condition():
        if process is not None and process.poll() is not None:
            sys.exit(f"the worker ended with {process.returncode}")
        if time.monotonic() > deadline:
            sys.exit(f"nothing happened within {timeout_s} s")
        time.sleep(every_s)


def count_ends(where):
    return where.ends.stat().st_size // 16 if where.ends.exists() else 0


def read_ends(where):
    """Pairs of (sent at, ran at), in the order they ran."""
    import struct

    return list(struct.iter_unpack("dd", where.ends.read_bytes()))


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def per_second(count, call):
    """How often ``call`` can be made a second."""
    started = time.perf_counter()
    for _ in range(count):
        call()
    return count / (time.perf_counter() - started)


def show(text):
    """Talk, on stderr: data goes to stdout."""
    print(text, file=sys.stderr, flush=True)


def machine(where):
    """What was measured on, and with which versions."""
    from bench_tasks import butler

    cpu = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        )
        if Path("/proc/cpuinfo").exists()
        else iter([platform.processor()]),
        "unknown",
    )
    info = butler.redis.info("server")
    valkey = info.get("valkey_version")
    return {
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)),
        "system": platform.platform(),
        "python": platform.python_version(),
        "postgresql": ask(where, "SHOW server_version")[0][0].split()[0],
        "redis": f"Valkey {valkey}" if valkey else f"Redis {info['redis_version']}",
        "butler": version("butler-tasks"),
        "rq": version("rq"),
    }


def number(value):
    """A figure with three digits, or a whole one."""
    return f"{value:,.0f}" if value >= 100 else f"{value:,.3g}"


def print_rows(rows):
    """A table, on a terminal a coloured one."""
    from rich.console import Console
    from rich.table import Table

    table = Table("", "ratio", "asked", "", "Butler", "beside")
    for each in rows:
        mark = {True: "[green]met[/]", False: "[red]missed[/]", None: ""}[each.met]
        ours, theirs = f"{number(each.ours)} {each.unit}", number(each.theirs)
        table.add_row(
            each.what, f"{each.ratio:,.2f}", each.asked, mark, ours, f"{each.beside}: {theirs}"
        )
    Console().print(table)


def main(measure, doc, *, options=()):
    """The command line of one script; ``options`` are (flag, default, help)."""
    parser = argparse.ArgumentParser(description=doc)
    for flag, default, text in options:
        parser.add_argument(flag, type=type(default), default=default, help=f"{text} ({default})")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    arguments = parser.parse_args()
    with servers() as where:
        rows = measure(where, arguments)
    if arguments.json:
        print(json.dumps([asdict(each) | {"met": each.met} for each in rows], indent=2))
    else:
        print_rows(rows)
