"""``butler probe``: ask a worker, scheduler or API on this host how it is, for health checks."""

from __future__ import annotations

import sys
import urllib.error
import urllib.request

import click

from butler.errors import SettingsError
from butler.settings import load_settings

EXIT_UNHEALTHY = 1
DEFAULT_PORTS = {"worker": 9410, "scheduler": 9411, "web": 8000}


@click.command(
    epilog="\b\nExample:\n  butler probe worker --ready\n\n\b\nExit codes:\n"
    "  0  it says it is well\n  1  it says it is not, or does not answer\n"
)
@click.argument("role", type=click.Choice([*DEFAULT_PORTS]))
@click.option(
    "--port",
    type=click.IntRange(1, 65_535),
    default=None,
    help="The HTTP port it was started with (default: that of BUTLER_HTTP_PORT, else 9410 for a "
    "worker and 9411 for a scheduler; for web that of BUTLER_WEB_PORT, else 8000).",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Where it listens.")
@click.option("--ready", is_flag=True, help="Ask whether it works, not only whether it lives.")
@click.option(
    "--timeout", type=click.FloatRange(0.1, 60), default=3.0, show_default=True, metavar="SECONDS"
)
def command(*, role: str, port: int | None, host: str, ready: bool, timeout: float) -> None:
    """Ask a process started with an HTTP port how it is; for containers and systemd."""
    alive = "healthz" if role == "web" else "livez"
    path = "readyz" if ready else alive
    address = f"[{host}]" if ":" in host else host
    url = f"http://{address}:{port or _configured_port(role) or DEFAULT_PORTS[role]}/{path}"
    try:
        with urllib.request.urlopen(url, timeout=timeout) as answer:
            click.echo(answer.read().decode(errors="replace").strip())
    except urllib.error.HTTPError as error:
        with error:
            click.echo(f"{role}: {error.read().decode(errors='replace').strip()}", err=True)
        sys.exit(EXIT_UNHEALTHY)
    except OSError as error:
        click.echo(f"{role}: no answer from {url}: {error}", err=True)
        sys.exit(EXIT_UNHEALTHY)


def _configured_port(role: str) -> int | None:
    try:
        settings = load_settings()
        return settings.web_port if role == "web" else settings.http_port
    except SettingsError as error:
        raise click.UsageError(str(error)) from error
