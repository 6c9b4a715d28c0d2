"""``butler-scheduler``: the command that keeps what is due moving."""

from __future__ import annotations

import logging
import signal
import sys
import warnings
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from butler.app import Butler
from butler.app_loading import load_app
from butler.cli.options import (
    HELP,
    app_options,
    command_settings,
    given_settings,
    setting_option,
)
from butler.errors import AppNotFound, ButlerError, SchemaOutdated, SettingsError
from butler.log import configure_logging
from butler.monitoring.probes import ProbeServer
from butler_scheduler.process import SchedulerProcess

if TYPE_CHECKING:
    from butler.settings import Settings

EXIT_ERROR = 1
EXIT_SCHEMA = 3

EPILOG = """\b
Examples:
  BUTLER_REDIS_URL=redis://cache BUTLER_DATABASE_URL=postgresql://db/app butler-scheduler
  butler-scheduler --app shop.main:butler

\b
Run as many as you like, on as many hosts: one leads, the others stand by.

\b
Exit codes:
  0  stopped in good order (SIGTERM or SIGINT)
  1  an error that is printed
  2  wrong usage: an option, a setting, or no app where --app says
  3  the ledger's schema is not one this release can work on
"""


@click.command(epilog=EPILOG, context_settings=HELP)
@app_options
@setting_option("--http-port", setting="http_port", metavar="PORT")
@setting_option("--http-host", setting="http_host", metavar="ADDRESS")
@setting_option("--log-level", setting="log_level")
@setting_option("--log-format", setting="log_format")
def main(**_: object) -> None:
    """Push what is due, put back what was lost, rescue what dead workers held.

    Without an app it takes the URLs from BUTLER_REDIS_URL and BUTLER_DATABASE_URL.
    """
    try:
        settings = command_settings()
        configure_logging(settings.log_level, form=settings.log_format)
        butler = load_app(settings.app, settings.app_dir) if settings.app else _of(settings)
        # What the command was given goes over what the app says of itself.
        settings = butler.settings.model_copy(update=given_settings())
        # rq-scheduler reports each of its steps; ours are logged by us.
        logging.getLogger("rq_scheduler").setLevel(logging.WARNING)
        # It asks crontab in a way that crontab warns its authors about; operators need not know.
        warnings.filterwarnings("ignore", category=FutureWarning, module="rq_scheduler")
        process = SchedulerProcess(
            butler,
            worker_lease_s=settings.lease_s,
            leader_lease_s=settings.leader_lease_s,
        )
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: process.stop())
        with ExitStack() as beside:
            if settings.http_port is not None:
                beside.enter_context(
                    ProbeServer(
                        process.health.probed, host=settings.http_host, port=settings.http_port
                    )
                )
            process.run()
        butler.close()
    except (AppNotFound, SettingsError) as error:
        raise click.UsageError(str(error)) from error
    except SchemaOutdated as error:
        click.echo(f"butler-scheduler: {error}", err=True)
        sys.exit(EXIT_SCHEMA)
    except ButlerError as error:
        click.echo(f"butler-scheduler: {error}", err=True)
        sys.exit(EXIT_ERROR)


def _of(settings: Settings) -> Butler:
    settings.need_redis_url()
    settings.need_database_url()
    return Butler(settings=settings)
