"""Each example is run as its README says, with real workers, and leaves what it should."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from run_page import run_page

from butler import Butler

EXAMPLES = Path(__file__).parents[2] / "examples"

LEFT = {
    "01_first_task": {("write_receipt", "succeeded"): 1},
    "02_class_tasks": {
        ("ImportCustomer", "succeeded"): 1,
        ("ImportProduct", "succeeded"): 1,
        ("Announce", "succeeded"): 1,
    },
    "03_progress_and_cancellation": {
        ("resize", "succeeded"): 1,
        ("resize", "cancelled"): 1,
        ("watch", "cancelled"): 1,
    },
    "04_retries_and_errors": {
        ("send_mail", "succeeded"): 1,
        ("send_mail", "failed"): 1,
        ("fetch_report", "succeeded"): 1,
        ("fetch_report", "failed"): 1,
    },
    "05_scheduling_ahead": {("remind", "succeeded"): 1, ("remind", "cancelled"): 1},
}


def test_every_example_is_tested_and_listed():
    folders = {path.name for path in EXAMPLES.iterdir() if path.is_dir() and path.name[0].isdigit()}
    assert folders == LEFT.keys()
    index = (EXAMPLES / "README.md").read_text()
    assert [name for name in sorted(folders) if f"({name}/README.md)" not in index] == []


@pytest.mark.parametrize("name", LEFT)
def test_an_example_does_what_its_readme_says(name, terminal, tmp_path, redis_url, database_url):
    folder = tmp_path / name
    shutil.copytree(EXAMPLES / name, folder, ignore=shutil.ignore_patterns("__pycache__"))
    done = run_page(folder / "README.md", folder=folder, root=tmp_path, environment=terminal)
    assert done.returncode == 0, done.stderr
    assert _left(redis_url, database_url) == LEFT[name]


def test_the_servers_for_the_examples_start_and_the_ledger_is_made(terminal, tmp_path):
    folder = tmp_path / "examples"
    folder.mkdir()
    for name in ("README.md", "servers.py"):
        shutil.copy(EXAMPLES / name, folder)
    done = run_page(folder / "README.md", folder=folder, root=tmp_path, environment=terminal)
    assert done.returncode == 0, done.stderr


def test_a_strict_type_checker_has_nothing_to_say_about_them(tmp_path):
    said = ""
    for name in LEFT:
        # One at a time: each has a module called tasks.
        command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path, "."]
        done = subprocess.run(
            command, cwd=EXAMPLES / name, capture_output=True, text=True, check=False
        )
        said += done.stdout if done.returncode else ""
    assert said == ""


def _left(redis_url, database_url):
    counts = {}
    with Butler(redis_url, database_url) as butler:
        for execution in butler.list(limit=1000).executions:
            key = execution.task, str(execution.status)
            counts[key] = counts.get(key, 0) + 1
    return counts
