"""Checks of Postgres: reachable, new enough, migrated, with room for everybody's connections."""

from __future__ import annotations

from typing import TYPE_CHECKING

from butler.checking.findings import ok, problem, warning
from butler.errors import ButlerError
from butler.storage.migrate import OLDEST_SERVER, status

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from butler.checking.findings import Finding
    from butler.storage.postgres.facts import ServerFacts
    from butler.storage.records import WorkerRow

MAX_SKEW_S = 2.0
CROWDED = 0.8


def check_server(facts: ServerFacts) -> Iterator[Finding]:
    """The server by itself."""
    version = f"PostgreSQL {facts.version // 10_000}.{facts.version % 10_000} at {facts.name}"
    if facts.version < OLDEST_SERVER * 10_000:
        yield problem("postgres", f"{version} is too old", f"upgrade to {OLDEST_SERVER} or newer")
    elif facts.read_only:
        yield problem(
            "postgres",
            f"{version} is a standby, which only reads",
            "name the primary, or all hosts",
        )
    else:
        yield ok("postgres", version)
    if facts.pooled:
        yield ok("pooler", "a connection pooler stands before it: nothing is prepared")
    yield check_clock("postgres clock", facts.clock_ahead_s, facts.clock_error_s)


def check_schema(database_url: str, *, schema: str, migrates: bool) -> Finding:
    """Whether this release can work on the ledger's tables."""
    try:
        found = status(database_url, schema=schema)
        trouble = found.problem()
    except ButlerError as error:
        return problem("schema", str(error))
    if trouble is None:
        return ok("schema", f"{schema!r} is at {found.applied[-1]}")
    if found.pending and migrates:
        return warning(
            "schema", f"{schema!r} lacks {', '.join(found.pending)}", "the next start applies it"
        )
    reason, _, advice = trouble.partition(". ")
    return problem("schema", f"{schema!r}: {reason}", f"{advice[:1].lower()}{advice[1:]}")


def check_connections(
    facts: ServerFacts, workers: Sequence[WorkerRow], *, pool_size: int
) -> Finding:
    """Whether all processes that run now could fill their pools at once."""
    alive = [worker for worker in workers if not worker.lost and worker.stopped_at is None]
    supervisors = len({worker.host for worker in alive})
    # One scheduler and one producer at least; how many there are, nobody registers.
    processes = len(alive) + supervisors + 2
    needed = processes * pool_size
    text = (
        f"{processes} processes with up to {pool_size} each make {needed}, and the server has "
        f"{facts.connections} ({facts.used} in use)"
    )
    advice = "lower pool_size, put PgBouncer before it, or raise max_connections"
    if facts.pooled:
        return ok("connections", f"{text}; the pooler shares them out")
    if needed > facts.connections:
        return problem("connections", text, advice)
    if needed > facts.connections * CROWDED:
        return warning("connections", text, advice)
    return ok("connections", text)


def check_clock(topic: str, ahead_s: float, error_s: float) -> Finding:
    """Whether another machine's clock agrees with this one's."""
    off_s = max(0.0, abs(ahead_s) - error_s)
    if off_s <= MAX_SKEW_S:
        return ok(topic, "agrees with this machine's")
    way = "ahead of" if ahead_s > 0 else "behind"
    return warning(
        topic,
        f"{off_s:.1f} s {way} this machine's",
        "keep clocks with NTP: times that are shown, and run_at, will seem wrong",
    )
