"""``butler-scheduler``: the command that keeps what is due moving."""

from __future__ import annotations

import logging
import signal
import sys
import warnings

import click

from butler.app import Butler
from butler.app_loading import load_app
from butler.errors import AppNotFound, ButlerError, SchemaOutdated, SettingsError
from butler.log import configure_logging
from butler_scheduler.process import SchedulerProcess

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


@click.command(epilog=EPILOG)
@click.option(
    "--app",
    envvar="BUTLER_APP",
    show_envvar=True,
    metavar="MODULE:NAME",
    help="Take the URLs from this Butler instead of BUTLER_REDIS_URL and BUTLER_DATABASE_URL.",
)
@click.option(
    "--app-dir",
    type=click.Path(exists=True, file_okay=False),
    default=None,
    help="Folder to import the app from (default: the current one).",
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
def main(app: str | None, app_dir: str | None, log_level: str) -> None:
    """Push what is due, put back what was lost, rescue what dead workers held."""
    configure_logging(log_level)
    try:
        butler = load_app(app, app_dir) if app else Butler.from_env()
        # rq-scheduler reports each of its steps; ours are logged by us.
        logging.getLogger("rq_scheduler").setLevel(logging.WARNING)
        # It asks crontab in a way that crontab warns its authors about; operators need not know.
        warnings.filterwarnings("ignore", category=FutureWarning, module="rq_scheduler")
        process = SchedulerProcess(butler)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: process.stop())
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
