"""``import butler`` is cheap: every process of an application pays for it, enqueuing or not."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

# Everything that must be loaded at first use only (design 12).
HEAVY = {
    "butler_scheduler",
    "butler_workers",
    "click",
    "django",
    "fastapi",
    "flask",
    "httpx",
    "jinja2",
    "psycopg",
    "psycopg_pool",
    "redis",
    "rich",
    "rq",
    "rq_scheduler",
    "starlette",
    "uvicorn",
}
BUDGET_RATIO = 1.5
ROUNDS = 7

LIST_MODULES = "{statement}\nimport sys\nprint(*sorted(sys.modules), sep='\\n')"
# CPU time, because other processes on the machine stretch the wall clock, not this.
MEASURE = (
    "import time\nstart = time.process_time()\n{statement}\nprint(time.process_time() - start)"
)


def run_python(code: str) -> str:
    # Without its byte code cached, a package under test would be compiled anew in each run.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    # -I: neither the working folder nor the user's variables decide which butler is imported.
    command = [sys.executable, "-I", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def heavy_packages_after(statement: str) -> set[str]:
    modules = run_python(LIST_MODULES.format(statement=statement)).split()
    return {module.partition(".")[0] for module in modules} & HEAVY


def cpu_seconds(statement: str) -> float:
    return float(run_python(MEASURE.format(statement=statement)))


@pytest.mark.parametrize(
    "statement",
    [
        "import butler",
        "from butler import Butler, Task, TaskContext, task",
        "from butler.client import ButlerClient; ButlerClient('http://localhost', 'token')",
    ],
)
def test_importing_butler_loads_no_driver_and_no_framework(statement: str) -> None:
    assert heavy_packages_after(statement) == set()


def test_the_probe_for_heavy_packages_notices_one() -> None:
    assert heavy_packages_after("import redis.client") == {"redis"}


def test_importing_butler_costs_at_most_half_as_much_again_as_importing_pydantic() -> None:
    # The least of several interleaved runs: noise only ever adds.
    pairs = [(cpu_seconds("import butler"), cpu_seconds("import pydantic")) for _ in range(ROUNDS)]
    butler_s, pydantic_s = (min(column) for column in zip(*pairs, strict=True))
    assert butler_s <= BUDGET_RATIO * pydantic_s
