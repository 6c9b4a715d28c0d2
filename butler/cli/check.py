"""``butler check``: everything that is wrong with an installation, all at once."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from butler.checking import Level, check_installation
from butler.cli import EXIT_FAILED
from butler.cli.opening import loaded_app
from butler.cli.options import app_options, command_settings, json_option
from butler.cli.printing import STYLES, on_terminal, printable, put, put_json, say

if TYPE_CHECKING:
    from butler.checking import Finding

EPILOG = """\b
Examples:
  butler check
  butler check --app shop.main:butler --strict --json

\b
Exit codes:
  0  no problem (there may be warnings; with --strict there are none)
  1  at least one problem
  2  wrong usage, or settings that cannot be read
"""


@click.command(epilog=EPILOG)
@click.option("--strict", is_flag=True, help="Take warnings for problems.")
@json_option
@app_options
def command(*, strict: bool, as_json: bool, **_: object) -> None:
    """Look for everything that is wrong with an installation.

    Settings, versions, both servers, the schema, clocks, time zones, connections, tasks without a
    worker, queues that another ledger uses. Changes nothing.
    """
    settings = command_settings()
    app = None if settings.app is None else lambda: loaded_app(settings)
    findings = []
    for finding in check_installation(settings, app=app):
        findings.append(finding)
        if not as_json:
            _put(finding)
    bad = {Level.PROBLEM, Level.WARNING} if strict else {Level.PROBLEM}
    if as_json:
        put_json({"findings": [asdict(finding) for finding in findings]})
    count = {level: sum(f.level is level for f in findings) for level in Level}
    say(f"{_counted(count[Level.PROBLEM], 'problem')}, {_counted(count[Level.WARNING], 'warning')}")
    if any(finding.level in bad for finding in findings):
        click.get_current_context().exit(EXIT_FAILED)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _put(finding: Finding) -> None:
    level = f"{finding.level:<7}"
    if on_terminal():
        level = click.style(level, fg=STYLES[finding.level])
    put(f"{level}  {finding.topic:<17}  {printable(finding.found)}")
    if finding.advice is not None:
        put(f"{'':<7}  {'':<17}  → {printable(finding.advice)}")
