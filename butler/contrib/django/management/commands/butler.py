"""``manage.py butler ...``: Butler's commands with the project's settings, apps and database.

The process becomes the real command, so that signals, exit codes and ``ps`` are what they are
without Django. The settings reach it as variables, as they would in a deployment.
"""

from __future__ import annotations

import json
import os
import sys
import sysconfig
from argparse import REMAINDER, ArgumentParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError

from butler.contrib.django.configuration import project_arguments
from butler.errors import SettingsError
from butler.setting_sources import variable_of

if TYPE_CHECKING:
    from collections.abc import Sequence

MODULES = {"worker": "butler_workers", "scheduler": "butler_scheduler"}
APP = "butler.contrib.django:butler"
# Folders of packages, which the new process finds by itself.
INSTALLED = {"site-packages", "dist-packages"}


class Command(BaseCommand):
    """Hands everything after ``butler`` to the command of that name."""

    help = (
        "Run Butler with this project's settings: `butler worker`, `butler scheduler`, or any "
        "other command of it, such as `butler migrate` and `butler check`."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take what ``call_command`` gives, so that `handle` can say what to do instead."""
        parser.add_argument("args", nargs=REMAINDER)

    def run_from_argv(self, argv: list[str]) -> None:
        """Become the command; options are its own, also ``--help``."""
        try:
            become(_without_django_options(argv[2:]))
        except SettingsError as error:
            sys.stderr.write(f"manage.py butler: {error}\n")
            sys.exit(2)

    def handle(self, *args: str, **_: Any) -> None:
        """From code there is nothing to become: name what to call instead."""
        raise CommandError(
            "call_command('butler') would replace this process: use butler.contrib.django.butler, "
            f"or run `manage.py butler {' '.join(args)}`".rstrip()
        )


def become(arguments: Sequence[str]) -> None:
    """Replace this process by ``butler-worker``, ``butler-scheduler`` or ``butler``."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, [sys.executable, *command_line(arguments)], environment())  # noqa: S606


def command_line(arguments: Sequence[str]) -> list[str]:
    """What Python is to be started with."""
    name, *rest = arguments or ("--help",)
    if name in MODULES:
        return ["-m", MODULES[name], *rest]
    return ["-m", "butler", name, *rest]


def environment() -> dict[str, str]:
    """The variables of the command: those of this process, and the project's settings."""
    variables = dict(os.environ)
    variables.setdefault(variable_of("app"), APP)
    if (folder := _project_folder()) is not None:
        variables.setdefault(variable_of("app_dir"), folder)
    variables["PYTHONPATH"] = os.pathsep.join(_project_paths())
    for name, value in project_arguments().items():
        variables[variable_of(name)] = _as_variable(value)
    return variables


def _as_variable(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple):
        return ",".join(str(item) for item in value)
    return json.dumps(value) if isinstance(value, bool | dict) else str(value)


def _project_folder() -> str | None:
    """The folder of ``manage.py``; None for ``django-admin``, which is in none of the project."""
    script = Path(sys.argv[0])
    return str(script.resolve().parent) if script.suffix == ".py" else None


def _project_paths() -> list[str]:
    """Where modules are found beside the installed ones: ``--pythonpath``, manage.py's own folders.

    The command is a new process, which would not know what was put on ``sys.path`` in this one.
    """
    standard = {Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib")}
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    found = [path for path in map(Path, sys.path) if path != Path() and path.is_dir()]
    added = [
        str(path)
        for path in found
        if not INSTALLED.intersection(path.parts)
        and not any(path.resolve().is_relative_to(folder) for folder in standard)
    ]
    return list(dict.fromkeys([*added, *filter(None, given)]))


def _without_django_options(arguments: list[str]) -> list[str]:
    """``--settings`` and ``--pythonpath`` are manage.py's, which has obeyed them by now."""
    parser = ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--settings")
    parser.add_argument("--pythonpath")
    return parser.parse_known_args(arguments)[1]
