"""``butler``: the command line. One file a command group, each imported when it is asked for."""

from __future__ import annotations

import importlib
import sys

import click

COMMANDS = {
    "demo": "butler.cli.demo",
    "migrate": "butler.cli.migrate",
}


class LazyGroup(click.Group):
    """A group whose commands are imported at first use: ``butler --help`` loads no driver."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Every command's name."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command, imported now."""
        module = COMMANDS.get(cmd_name)
        if module is None:
            return None
        command: click.Command = importlib.import_module(module).command
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="butler-tasks", prog_name="butler")
def cli() -> None:
    """Butler: typed, durable background tasks."""


def main() -> None:
    """Run the command; what Butler raises on purpose is printed without a traceback."""
    from butler.errors import ButlerError

    try:
        cli(prog_name="butler")
    except ButlerError as error:
        click.echo(f"butler: {error}", err=True)
        sys.exit(1)
