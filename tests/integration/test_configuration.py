"""The settings are the only reader of the environment, and the docs say all of them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from butler.settings import Settings

ROOT = Path(__file__).parents[2]


READERS = {
    "butler/settings.py": "the settings",
    "butler/setting_sources.py": "where settings come from",
    "butler/contrib/django/project.py": "DJANGO_SETTINGS_MODULE, which is Django's",
    "butler/contrib/django/management/commands/butler.py": "what the command inherits",
    "butler/dev/processes.py": "what a process inherits",
    "butler/embedded/servers.py": "what a server's process inherits",
    "butler/embedded/binaries.py": "PATH, to look for programs",
    "butler/systemd.py": "NOTIFY_SOCKET, which is systemd's",
}


def test_nothing_but_the_settings_reads_the_environment():
    reading = re.compile(r"\benviron|getenv|envvar")
    found = {
        str(path.relative_to(ROOT))
        for folder in ("butler", "workers", "scheduler")
        for path in (ROOT / folder).rglob("*.py")
        for line in path.read_text().splitlines()
        # Writing, for processes that are started, is no reading.
        if reading.search(line) and not re.search(r"os\.environ\[[^]]+\] = ", line)
    }
    assert found == set(READERS)


def test_the_tables_of_the_docs_are_made_of_the_settings():
    command = [sys.executable, ROOT / ".ci" / "configuration_tables.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# Read through a property of `Settings`.
THROUGH = {
    "heartbeat_s": "heartbeat_every_s",
    "task_timeout_s": "task_defaults",
    "max_attempts": "task_defaults",
    "redis_url": "need_redis_url",
    "database_url": "need_database_url",
    "database_direct_url": "direct_url",
    "retention_days": "retention",
    "retention_succeeded_days": "retention",
    "retention_failed_days": "retention",
    "retention_cancelled_days": "retention",
}


@pytest.mark.parametrize("name", Settings.model_fields)
def test_no_setting_is_there_that_nothing_obeys(name):
    reading = re.compile(rf"settings(?:\(\))?\.{THROUGH.get(name, name)}\b")
    readers = [
        path
        for folder in ("butler", "workers", "scheduler")
        for path in (ROOT / folder).rglob("*.py")
        if path.name != "settings.py" and reading.search(path.read_text())
    ]
    assert readers
