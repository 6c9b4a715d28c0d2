"""Runs ``butler`` in this process, as a person without a terminal would."""

import json
import os

import pytest
from click.testing import CliRunner

from butler.cli import EXIT_FAILED, EXIT_USAGE, cli
from butler.errors import ButlerError, SettingsError


class Ran:
    """What a command printed, and how it ended."""

    def __init__(self, result):
        self.out = result.stdout
        self.err = result.stderr
        self.code = result.exit_code
        error = result.exception
        # What `main` makes of errors; tests of `main` itself start processes.
        if isinstance(error, ButlerError):
            self.err += f"butler: {error}"
            self.code = EXIT_USAGE if isinstance(error, SettingsError) else EXIT_FAILED
        elif error is not None and not isinstance(error, SystemExit):
            raise error

    @property
    def lines(self):
        return self.out.splitlines()

    @property
    def json(self):
        return json.loads(self.out)


@pytest.fixture
def run_butler(redis_url, database_url, monkeypatch, tmp_path):
    """``run_butler("queues", "list")``, on this test's servers and in an empty folder."""
    for name in list(os.environ):
        if name.startswith("BUTLER_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    urls = {"BUTLER_REDIS_URL": redis_url, "BUTLER_DATABASE_URL": database_url}

    def run(*arguments, stdin=None, **env):
        given = {name: value for name, value in {**urls, **env}.items() if value is not None}
        result = CliRunner().invoke(
            cli, [str(a) for a in arguments], input=stdin, env=given, prog_name="butler"
        )
        return Ran(result)

    return run
