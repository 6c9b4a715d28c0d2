"""``butler-worker``: the command that runs executions."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from butler.cli.opening import loaded_app
from butler.cli.options import (
    HELP,
    app_options,
    command_settings,
    given_settings,
    setting_option,
)
from butler.connections import check_redis
from butler.errors import AppNotFound, ButlerError, SchemaOutdated, SettingsError
from butler.ids import new_id
from butler.log import configure_logging
from butler.monitoring.probes import ProbeServer
from butler.setting_types import queues_to_serve
from butler_workers.child import ChildConfig
from butler_workers.cpus import available_cpus
from butler_workers.exits import EXIT_CONFIG
from butler_workers.supervisor import Supervisor

if TYPE_CHECKING:
    from butler.app import Butler
    from butler.settings import Settings
    from butler_workers.rq_processes import RqProcesses

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


@click.command(epilog=EPILOG, context_settings=HELP)
@app_options
@setting_option("--queues", setting="queues", metavar="A,B")
@setting_option("--processes", setting="processes")
@setting_option("--concurrency", setting="concurrency")
@setting_option("--drain-timeout", setting="drain_timeout_s", metavar="SECONDS")
@setting_option("--grace", setting="grace_s", metavar="SECONDS")
@setting_option("--max-executions", setting="max_executions")
@setting_option("--max-memory", setting="max_memory_mb", metavar="MIB")
@click.option(
    "--rq-jobs",
    is_flag=True,
    help="Run plain RQ jobs found on these queues too, one at a time beside each process.",
)
@setting_option("--http-port", setting="http_port", metavar="PORT")
@setting_option("--http-host", setting="http_host", metavar="ADDRESS")
@click.option("--burst", is_flag=True, help="Work until the queues are empty, then exit.")
@setting_option("--log-level", setting="log_level")
@setting_option("--log-format", setting="log_format")
def main(*, burst: bool, rq_jobs: bool, **_: object) -> None:
    """Run executions: a supervisor with worker processes, each with its own slots."""
    try:
        first = command_settings()
        configure_logging(first.log_level, form=first.log_format)
        butler = loaded_app(first)
        # What the command was given goes over what the app says of itself.
        settings = butler.settings.model_copy(update=given_settings())
        queues = queues_to_serve(settings.queues, butler.registry.with_tag())
        config = _config(settings, queues=queues, app=str(first.app), app_dir=first.app_dir)
        _check(butler, config.app)
        count = settings.processes or available_cpus()
        supervisor = Supervisor(butler, config, processes=count, burst=burst)
        with ExitStack() as beside:
            if rq_jobs:
                beside.enter_context(_rq_processes(supervisor, config, count=count))
            if settings.http_port is not None:
                beside.enter_context(
                    ProbeServer(
                        supervisor.health.probed, host=settings.http_host, port=settings.http_port
                    )
                )
            code = supervisor.run()
    except SettingsError as error:
        raise click.UsageError(str(error)) from error
    except (AppNotFound, SchemaOutdated, _NothingToRun) as error:
        click.echo(f"butler-worker: {error}", err=True)
        sys.exit(EXIT_CONFIG)
    except ButlerError as error:
        click.echo(f"butler-worker: {error}", err=True)
        sys.exit(1)
    sys.exit(code)


def _config(
    settings: Settings, *, queues: tuple[str, ...], app: str, app_dir: str | None
) -> ChildConfig:
    """What each child is told; ids and descriptors are filled in by the supervisor."""
    return ChildConfig(
        app=app,
        app_dir=app_dir,
        queues=queues,
        concurrency=settings.concurrency,
        worker_id="",
        supervisor_id=new_id(),
        solo=False,
        lease_s=settings.lease_s,
        drain_timeout_s=settings.drain_timeout_s,
        grace_s=settings.grace_s,
        max_executions=settings.max_executions,
        max_memory_mb=settings.max_memory_mb,
        log_level=settings.log_level,
        log_format=settings.log_format,
        fd=-1,
        table_fd=-1,
    )


def _rq_processes(supervisor: Supervisor, config: ChildConfig, *, count: int) -> RqProcesses:
    from butler_workers.rq_jobs import RqJobsConfig
    from butler_workers.rq_processes import RqProcesses

    return RqProcesses(
        RqJobsConfig(
            app=config.app,
            app_dir=config.app_dir,
            queues=config.queues,
            log_level=config.log_level,
            log_format=config.log_format,
        ),
        count=count,
        drain_timeout_s=config.drain_timeout_s,
        stopping=lambda: supervisor.stopping,
    )


class _NothingToRun(ButlerError):
    """The app has no tasks."""


def _check(butler: Butler, app: str) -> None:
    if not len(butler.registry):
        raise _NothingToRun(
            f"no task is registered with {app}: looked at the Butler there after importing it; "
            "import the modules that define your tasks in it, or register them"
        )
    butler.storage.prepare()
    check_redis(butler.redis)
