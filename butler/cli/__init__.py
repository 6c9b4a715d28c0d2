"""``butler``: the command line. One file a command group, each imported when it is asked for."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

EXIT_FAILED = 1
EXIT_USAGE = 2

# Where each command is, and what it is for: written here too, so that `butler --help` imports none.
COMMANDS = {
    "alerts": ("butler.cli.alerts", "Look at alerts, acknowledge and silence them."),
    "check": ("butler.cli.check", "Look for everything that is wrong with an installation."),
    "config": ("butler.cli.config", "Show the settings."),
    "demo": (
        "butler.cli.demo",
        "Index a folder with two workers, kill one of them, and show that nothing is lost.",
    ),
    "dev": ("butler.cli.dev", "Run Redis, PostgreSQL, a worker and a scheduler, for development."),
    "enqueue": ("butler.cli.enqueue", "Enqueue a task by its name; prints the execution's id."),
    "errors": ("butler.cli.errors", "List what fails, by type and place."),
    "executions": ("butler.cli.executions", "Look at executions, and steer them."),
    "health": ("butler.cli.health", "Say how the ledger and its servers do, the worst first."),
    "limits": ("butler.cli.limits", "Look at limits, and say what is allowed."),
    "migrate": ("butler.cli.migrate", "Create or update Butler's tables."),
    "probe": (
        "butler.cli.probe",
        "Ask a process started with an HTTP port how it is; for containers and systemd.",
    ),
    "queues": ("butler.cli.queues", "Look at queues, pause, resume and limit them."),
    "recurring": ("butler.cli.recurring", "Look at recurring jobs, and steer them."),
    "rules": ("butler.cli.rules", "Look at alert rules, and change them."),
    "schedule": ("butler.cli.schedule", "Say what schedules mean."),
    "stats": ("butler.cli.stats", "Say what ran lately, how it ended, and how long it took."),
    "tasks": ("butler.cli.tasks", "Look at the tasks that can be enqueued."),
    "token": ("butler.cli.token", "Give and take tokens for the REST API."),
    "top": ("butler.cli.top", "Watch queues, workers, and what runs, live."),
    "web": ("butler.cli.web", "Serve the REST API, under /api/v1."),
    "workers": ("butler.cli.workers", "Look at workers."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported at first use: ``butler --help`` loads no driver."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Every command's name."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command, imported now."""
        if cmd_name not in COMMANDS:
            return None
        module, _ = COMMANDS[cmd_name]
        command: click.Command = importlib.import_module(module).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in self.list_commands(ctx)])

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Find a command, or say what was meant."""
        from butler.errors import did_you_mean

        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise click.UsageError(f"no command {args[0]!r}{did_you_mean(args[0], COMMANDS)}", ctx)
        return super().resolve_command(ctx, args)


EPILOG = """\b
Examples:
  butler dev --app shop.main:butler
  butler executions list --status failed
  butler check

\b
Exit codes:
  0  done
  1  an error that is printed, or something that was asked for and could not be done
  2  wrong usage: an option, a variable, a setting
"""


@click.group(cls=LazyGroup, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="butler-tasks", prog_name="butler")
def cli() -> None:
    """Butler: typed, durable background tasks.

    Data goes to stdout, talk to stderr. Settings come from options, BUTLER_* variables and
    butler.toml, in this order.
    """


def main() -> None:
    """Run the command; what Butler raises on purpose is printed without a traceback."""
    from butler.app_loading import find_shadow, shadow_problem
    from butler.errors import ButlerError, SettingsError

    shadow = find_shadow(".")
    if shadow is not None:
        click.echo(f"butler: warning: {shadow_problem(shadow.resolve())}", err=True)
    try:
        cli(prog_name="butler")
    except SettingsError as error:
        _fail(error, EXIT_USAGE)
    except ButlerError as error:
        _fail(error, EXIT_FAILED)


def _fail(error: Exception, code: int) -> None:
    from butler.cli.printing import printable_lines

    notes = "".join(f"\n{note}" for note in getattr(error, "__notes__", ()))
    # The first line stands behind our name; what a user's text adds below is indented.
    text = printable_lines(f"{error}{notes}", indent="  ").lstrip()
    click.echo(f"butler: {text}", err=True)
    sys.exit(code)
