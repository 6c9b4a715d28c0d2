"""``butler web``: the REST API."""

from __future__ import annotations

import logging

import click

from butler import interpreter
from butler.cli.opening import open_app
from butler.cli.options import app_options, command_settings, setting_option
from butler.log import configure_logging

EPILOG = """\b
Examples:
  butler web
  butler token create ops --role admin && butler web --host 0.0.0.0

\b
On 127.0.0.1 and ::1 no token is needed until the first one is made: for development. Any other
address is refused while the ledger has no token.

\b
Exit codes:
  0  stopped in good order (SIGTERM or SIGINT)
  1  an error that is printed
  2  wrong usage, or an address that is refused
"""


@click.command(epilog=EPILOG)
@setting_option("--host", setting="web_host", metavar="ADDRESS")
@setting_option("--port", setting="web_port")
@setting_option("--log-level", setting="log_level")
@app_options
def command(**_: object) -> None:
    """Serve the REST API, under /api/v1."""
    from butler.web.serving import serve

    settings = command_settings()
    configure_logging(settings.log_level)
    for name in ("uvicorn.error", "uvicorn"):
        logging.getLogger(name).setLevel(logging.WARNING)
    interpreter.set_up()
    with open_app() as butler:
        serve(butler, host=settings.web_host, port=settings.web_port)
