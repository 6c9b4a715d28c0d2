"""``butler-worker``: the command that runs executions."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from butler.app_loading import load_app
from butler.connections import check_redis
from butler.errors import AppNotFound, ButlerError, InvalidOption, SchemaOutdated
from butler.ids import new_id
from butler.log import configure_logging
from butler.queue_names import check_queue_name
from butler_workers.attempts import GRACE_S
from butler_workers.child import ChildConfig
from butler_workers.exits import EXIT_CONFIG
from butler_workers.lease import LEASE_S
from butler_workers.supervisor import Supervisor

if TYPE_CHECKING:
    from butler.app import Butler

EPILOG = """\b
Example:
  butler-worker --app shop.main:butler --queues mail,default --processes 2 --concurrency 16

\b
Exit codes:
  0  stopped in good order (SIGTERM or SIGINT; a second signal hands back at once)
  1  an error that is printed
  2  wrong usage
  3  cannot work as configured: no app, no task, or a schema this release cannot use
"""


@click.command(epilog=EPILOG)
@click.option(
    "--app",
    envvar="BUTLER_APP",
    required=True,
    show_envvar=True,
    metavar="MODULE:NAME",
    help="Where your Butler is: module:name, a factory, or a module with one Butler.",
)
@click.option(
    "--app-dir",
    type=click.Path(exists=True, file_okay=False),
    default=None,
    help="Folder to import the app from (default: the current one).",
)
@click.option(
    "--queues",
    default="default",
    show_default=True,
    metavar="A,B",
    help="Queues to serve, first before second.",
)
@click.option(
    "--processes",
    type=click.IntRange(1, 256),
    default=None,
    help="Worker processes (default: the CPUs this process may use).",
)
@click.option(
    "--concurrency",
    type=click.IntRange(1, 10_000),
    default=16,
    show_default=True,
    help="Executions at once in each process.",
)
@click.option(
    "--drain-timeout",
    type=click.FloatRange(0),
    default=25.0,
    show_default=True,
    metavar="SECONDS",
    help="How long running tasks may go on after SIGTERM before they are handed back.",
)
@click.option(
    "--grace",
    type=click.FloatRange(0),
    default=GRACE_S,
    show_default=True,
    metavar="SECONDS",
    help="How long a task may go on after its timeout before its process is ended.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    envvar="BUTLER_LOG_LEVEL",
    show_envvar=True,
    help="What is logged to stderr.",
)
def main(
    app: str,
    app_dir: str | None,
    queues: str,
    processes: int | None,
    concurrency: int,
    drain_timeout: float,
    grace: float,
    log_level: str,
) -> None:
    """Run executions: a supervisor with worker processes, each with its own slots."""
    configure_logging(log_level)
    try:
        butler = load_app(app, app_dir)
        config = ChildConfig(
            app=app,
            app_dir=app_dir,
            queues=_queue_names(queues),
            concurrency=concurrency,
            worker_id="",
            supervisor_id=new_id(),
            solo=False,
            lease_s=LEASE_S,
            drain_timeout_s=drain_timeout,
            grace_s=grace,
            log_level=log_level,
            fd=-1,
            table_fd=-1,
        )
        _check(butler, app)
        code = Supervisor(butler, config, processes=processes or available_cpus()).run()
    except InvalidOption as error:
        raise click.UsageError(f"--queues: {error}") from error
    except (AppNotFound, SchemaOutdated, _NothingToRun) as error:
        click.echo(f"butler-worker: {error}", err=True)
        sys.exit(EXIT_CONFIG)
    except ButlerError as error:
        click.echo(f"butler-worker: {error}", err=True)
        sys.exit(1)
    sys.exit(code)


class _NothingToRun(ButlerError):
    """The app has no tasks."""


def available_cpus() -> int:
    """CPUs this process may use: its affinity and its cgroup's quota, rounded up."""
    if hasattr(os, "sched_getaffinity"):
        cpus = float(len(os.sched_getaffinity(0)))
    else:
        cpus = float(os.cpu_count() or 1)
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return int(cpus)
    if quota != "max":
        cpus = min(cpus, int(quota) / int(period))
    return max(1, math.ceil(cpus))


def _queue_names(queues: str) -> tuple[str, ...]:
    return tuple(check_queue_name(name.strip()) for name in queues.split(","))


def _check(butler: Butler, app: str) -> None:
    if not len(butler.registry):
        raise _NothingToRun(
            f"no task is registered with {app}: looked at the Butler there after importing it; "
            "import the modules that define your tasks in it, or register them"
        )
    butler.storage.prepare()
    check_redis(butler.redis)
