"""``butler dev``: everything an application needs, on one terminal."""

from __future__ import annotations

import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from butler.cli.options import app_options, command_settings, given_settings, setting_option
from butler.cli.printing import printable, say
from butler.dev.processes import DRAIN_S, DevProcess
from butler.dev.session import DevSession
from butler.dev.sources import Sources
from butler.setting_sources import variable_of
from butler.setting_types import EVERY_QUEUE

if TYPE_CHECKING:
    from butler.embedded import EmbeddedServices
    from butler.settings import Settings

EPILOG = """\b
Examples:
  butler dev --app shop.main:butler
  BUTLER_DATABASE_URL=postgresql:///shop butler dev --app shop.main:butler

\b
Exit codes:
  0  ended by Ctrl-C or SIGTERM
  1  the servers could not be started, or the schema not be made
  2  wrong usage
"""


@click.command(epilog=EPILOG)
@app_options
@setting_option(
    "--queues",
    setting="queues",
    metavar="A,B",
    about="The queues to serve.  [BUTLER_QUEUES; default: those of all tasks]",
)
@setting_option("--concurrency", setting="concurrency")
@click.option(
    "--data",
    type=click.Path(file_okay=False),
    default=".butler",
    show_default=True,
    help="Where the servers keep their data; it is there at the next start.",
)
def command(*, data: str, **_: object) -> None:
    """Run Redis, PostgreSQL, a worker and a scheduler, for development.

    Worker and scheduler start anew whenever a Python file below the app's folder changes; the
    recurring jobs of the code are declared then, too. A server whose URL is set is used as it is;
    for the others those of the extra `embedded` are started, without anything to be installed on
    the system.
    """
    # Before anything is started, so that a signal finds a way out at any time.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    settings = command_settings()
    if settings.app is None:
        raise click.UsageError(
            "no app: pass --app MODULE:NAME, set BUTLER_APP, or write app = ... into butler.toml"
        )
    with ExitStack() as stack:
        services = _services(settings, Path(data), stack)
        urls = _urls(settings, services)
        _migrate(urls, settings)
        _session(settings, urls, services).run()
    say("ended")


def _services(settings: Settings, data: Path, stack: ExitStack) -> EmbeddedServices | None:
    """Servers of our own, running; None when each is somewhere already."""
    if settings.redis_url is not None and settings.database_url is not None:
        return None
    from butler.embedded import EmbeddedServices

    return stack.enter_context(EmbeddedServices(data))


def _urls(settings: Settings, services: EmbeddedServices | None) -> dict[str, str]:
    """Variables for the processes: where each server is."""
    known = {"redis_url": settings.redis_url, "database_url": settings.database_url}
    found = {name: url.get_secret_value() for name, url in known.items() if url is not None}
    if services is not None:
        started = {"redis_url": services.redis_url, "database_url": services.database_url}
        say("running; Ctrl-C ends it. For your own processes and other terminals:")
        for name in sorted(started.keys() - found.keys()):
            say(f"  export {variable_of(name)}='{printable(started[name])}'")
        found = started | found
    return {variable_of(name): url for name, url in found.items()}


def _migrate(urls: dict[str, str], settings: Settings) -> None:
    from butler.storage.migrate import migrate

    for name in migrate(urls[variable_of("database_url")], schema=settings.database_schema):
        say(f"applied {name}")


def _session(
    settings: Settings, urls: dict[str, str], services: EmbeddedServices | None
) -> DevSession:
    folder = Path(settings.app_dir or ".").resolve()
    options = ["--app", str(settings.app), "--app-dir", str(folder)]
    worker = [*options, "--processes", "1", "--drain-timeout", f"{DRAIN_S:g}"]
    if "concurrency" in given_settings():
        worker += ["--concurrency", str(given_settings()["concurrency"])]
    queues = settings.queues if "queues" in settings.model_fields_set else EVERY_QUEUE
    scheduler = [*options, "--log-level", "warning"]
    if settings.http_port is not None:
        # That port is the worker's.
        scheduler += ["--http-port", "0"]
    session = DevSession(
        {
            "worker": DevProcess("butler_workers", [*worker, "--queues", queues], urls),
            "scheduler": DevProcess("butler_scheduler", scheduler, urls),
        },
        servers=[services.redis, services.postgres] if services else [],
        sources=Sources(folder),
        say=lambda text: say(f"butler dev: {printable(text)}"),
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: session.stop())
    return session
