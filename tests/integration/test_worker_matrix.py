"""Each isolation with each way to end: ledger, attempts, logs, Redis, exit codes.

All cells are played once, at the same time (`matrix_scene`); each test looks at one of them.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis
from fleet import Fleet
from matrix_app import tasks
from matrix_scene import ISOLATIONS, OUTCOMES, WORKERS, Scene

from butler import Butler
from butler.queues import WireKeys

# In one group, so that they are played once.
pytestmark = [pytest.mark.xdist_group("matrix"), pytest.mark.timeout(180)]

CLEANED_UP = "cleaned up"
TIMED_OUT = r"TaskTimeout: still running after timeout_s=1"


@dataclass(frozen=True)
class Expected:
    """``attempts`` are outcomes, in brackets where they do not count; ``shown`` is RQ's status."""

    status: str
    attempts: list
    shown: str
    where: str
    error: str = ""
    cleaned_up: int = 1
    begun: int = 1


SUCCEEDED = Expected("succeeded", ["succeeded"], "finished", "finished")
FAILED = Expected("failed", ["failed"], "failed", "failed", "ValueError: as it was asked to")
LATE = Expected("failed", ["timed_out"], "failed", "failed", f"{TIMED_OUT}$")
KILLED = Expected("failed", ["timed_out"], "failed", "failed", TIMED_OUT, cleaned_up=0)
CANCELLED = Expected("cancelled", ["cancelled"], "canceled", "canceled")
# A worker's process that crashes costs none of its tasks an attempt; one's own is the task's own.
RUN_AGAIN = Expected("succeeded", ["(crashed)", "succeeded"], "finished", "finished", begun=2)
CRASHED = Expected(
    "failed",
    ["crashed"],
    "failed",
    "failed",
    r"ProcessCrashed: its process died: killed by signal 11 \(SIGSEGV\)$",
    cleaned_up=0,
)
HANDED_BACK = Expected("queued", ["(handed_back)"], "queued", "queue")

EXPECTED = {
    "success": SUCCEEDED,
    "error": FAILED,
    "timeout": LATE,
    "hard timeout": KILLED,
    "cancel": CANCELLED,
    "crash": RUN_AGAIN,
    "drain": HANDED_BACK,
    "second signal": HANDED_BACK,
}
CELLS = [(isolation, outcome) for outcome in OUTCOMES for isolation in ISOLATIONS]


def expected(isolation, outcome):
    own_process = (isolation, outcome) == ("process", "crash")
    return CRASHED if own_process else EXPECTED[outcome]


@dataclass(frozen=True)
class Matrix:
    """What was left when all was over."""

    cells: dict
    exit_codes: dict
    keys: dict
    logs: str


@pytest.fixture(scope="module")
def matrix(services, new_database, tmp_path_factory):
    with new_database() as database_url, redis.Redis.from_url(services.redis_url) as client:
        client.flushall()
        fleet = Fleet(
            redis_url=services.redis_url,
            database_url=database_url,
            folder=tmp_path_factory.mktemp("matrix"),
        )
        with Butler(services.redis_url, database_url) as butler:
            for task in tasks:
                butler.register(task)
            scene = Scene(fleet, butler)
            try:
                scene.play()
            finally:
                fleet.end()
            keys = {key.decode(): client.ttl(key) for key in client.scan_iter()}
            return Matrix(scene.played(client), scene.exit_codes, keys, fleet.logs())


@pytest.mark.parametrize("cell", CELLS, ids="-".join)
def test_the_ledger_has_each_state_and_each_attempt(matrix, cell):
    execution, wanted = matrix.cells[cell].execution, expected(*cell)
    attempts = [
        str(attempt.outcome) if attempt.counted else f"({attempt.outcome})"
        for attempt in execution.attempts
    ]
    assert (execution.status, attempts) == (wanted.status, wanted.attempts), matrix.logs
    assert execution.attempts_used == sum("(" not in attempt for attempt in attempts)
    assert execution.result == (7 if wanted.status == "succeeded" else None)
    error = execution.error
    assert re.match(wanted.error or "$", f"{error.type}: {error.message}" if error else "")


@pytest.mark.parametrize("cell", CELLS, ids="-".join)
def test_what_a_task_logged_before_its_end_and_its_clean_up_is_kept(matrix, cell):
    played, wanted = matrix.cells[cell], expected(*cell)
    assert played.lines.count(CLEANED_UP) == wanted.cleaned_up
    assert sum(line.startswith("begun in") for line in played.lines) == wanted.begun


@pytest.mark.parametrize("cell", CELLS, ids="-".join)
def test_redis_shows_the_end_and_has_the_id_in_one_place(matrix, cell):
    played, wanted = matrix.cells[cell], expected(*cell)
    assert played.hash["status"] == wanted.shown
    assert played.lists == {f"rq:{wanted.where}:{played.execution.queue}"}


def test_no_process_is_left_that_has_run_a_task(matrix):
    pids = {pid for played in matrix.cells.values() for pid in played.pids}
    assert len(pids) > 8
    assert [pid for pid in pids if Path(f"/proc/{pid}/task").exists()] == []


def test_every_worker_ends_with_zero(matrix):
    assert matrix.exit_codes == dict.fromkeys(WORKERS, 0), matrix.logs


def test_nothing_is_left_in_redis_but_queues_registries_and_what_expires(matrix):
    ids = {played.execution.id for played in matrix.cells.values()}
    queued = {p.execution.id for p in matrix.cells.values() if p.execution.status == "queued"}
    lasting = {key for key, ttl in matrix.keys.items() if ttl < 0}
    may_stay = {WireKeys.queues, *map(WireKeys.job, queued)}
    for name in WORKERS:
        may_stay |= {WireKeys.ledger(name), WireKeys.wake(name), WireKeys.list(name)}
        may_stay |= {WireKeys.registry(kind, name) for kind in ("finished", "failed", "canceled")}
    assert lasting - may_stay == set()
    passing = {WireKeys.job(id_) for id_ in ids} | {WireKeys.results(id_) for id_ in ids}
    workers = {key for key in matrix.keys if re.match(r"rq:worker:[^:]+$|butler:seats?:", key)}
    assert matrix.keys.keys() - lasting - passing - workers == set()
