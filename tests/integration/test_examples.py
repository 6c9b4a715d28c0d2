"""Each example is run as its README says, with real workers, and leaves what it should."""

import ast
import inspect
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from run_page import run_page

from butler import Butler
from butler.storage.memory import MemoryStorage

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = sorted(path.name for path in EXAMPLES.iterdir() if path.name[0].isdigit())

# What an example leaves in the ledger, where it is worth a look.
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
    "06_storage_backend": {},
    "07_web_frameworks": {
        ("make_thumbnails", "succeeded"): 1,
        ("welcome", "succeeded"): 2,
        ("count_users", "succeeded"): 1,
    },
    "08_transactional_enqueue": {("confirm", "succeeded"): 1, ("update_statement", "succeeded"): 1},
    "10_complex_schedules": {("slow", "succeeded"): 3},
    "11_job_management": {
        ("send_invoice", "succeeded"): 1,
        ("send_invoice", "failed"): 1,
        ("count_sheep", "cancelled"): 1,
    },
    "12_monitoring_and_statistics": {
        ("resize", "succeeded"): 19,
        ("fetch", "succeeded"): 2,
        ("fetch", "failed"): 1,
    },
    "13_limits_and_fairness": {("convert", "succeeded"): 303, ("pay", "succeeded"): 3},
    "15_testing_your_tasks": {},
    "16_sentry_middleware": {("charge", "succeeded"): 1, ("refund", "failed"): 1},
}


# Of example 06: what its storage writes down. A new method of the storages belongs here, or, if it
# only looks, into READS there.
CHANGES = {
    "acknowledge_alert", "add_silence", "add_token", "cancel", "cancel_overlapped",
    "change_recurring", "claim", "close_request", "delete", "delete_alert_rule",
    "delete_recurring", "end_silence", "expire", "finish", "fire_recurring", "fold_stats",
    "heartbeat", "insert", "insert_recurring", "lose_worker", "note_limit_keys", "open_request",
    "pack_stats", "pause_queue", "prune_access", "prune_alerts", "prune_executions", "prune_fires",
    "prune_limits", "prune_stats", "prune_workers", "register_tasks", "register_worker",
    "renew_leadership", "report_progress", "resign_leadership", "retry", "revoke_token",
    "set_limit", "stage", "stop_worker", "take_leadership", "touch_tokens", "write_alert_rule",
    "write_alerts", "write_audit", "write_logs",
}  # fmt: skip


def test_the_storage_of_an_example_says_of_every_method_whether_it_only_looks(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES / "06_storage_backend")
    from file_storage import READS

    methods = {
        name
        for name, _ in inspect.getmembers(MemoryStorage, inspect.isfunction)
        if not name.startswith("_")
    } - {"close"}
    assert methods == READS | CHANGES
    assert READS.isdisjoint(CHANGES)


def test_what_an_example_does_not_write_down_changes_nothing(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES / "06_storage_backend")
    from file_storage import READS

    for name in READS - {"listen"}:
        source = textwrap.dedent(inspect.getsource(getattr(MemoryStorage, name)))
        changed = [
            target
            for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.Assign | ast.AugAssign | ast.Delete)
            for target in ([node.target] if isinstance(node, ast.AugAssign) else node.targets)
            if not isinstance(target, ast.Name | ast.Tuple)
        ]
        assert changed == [], name


def test_every_example_is_listed():
    index = (EXAMPLES / "README.md").read_text()
    assert [name for name in NAMES if f"({name}/README.md)" not in index] == []


@pytest.mark.parametrize("name", NAMES)
def test_an_example_does_what_its_readme_says(name, terminal, tmp_path, redis_url, database_url):
    folder = tmp_path / name
    shutil.copytree(EXAMPLES / name, folder, ignore=shutil.ignore_patterns("__pycache__"))
    done = run_page(folder / "README.md", folder=folder, root=tmp_path, environment=terminal)
    assert done.returncode == 0, done.stderr
    if name in LEFT:
        assert _left(redis_url, database_url) == LEFT[name]


def test_the_storage_of_an_example_passes_the_suite_for_storages(terminal, tmp_path):
    environment = {
        **terminal,
        "BUTLER_TEST_STORAGE": "file_storage:for_the_suite",
        "PYTHONPATH": str(EXAMPLES / "06_storage_backend"),
        "TMPDIR": str(tmp_path),
    }
    suite = Path(__file__).parents[1] / "conformance"
    command = [sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", "-k", "yours"]
    done = subprocess.run(
        [*command, suite], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) > 500


def test_the_servers_for_the_examples_start_and_the_ledger_is_made(terminal, tmp_path):
    folder = tmp_path / "examples"
    folder.mkdir()
    for name in ("README.md", "servers.py"):
        shutil.copy(EXAMPLES / name, folder)
    done = run_page(folder / "README.md", folder=folder, root=tmp_path, environment=terminal)
    assert done.returncode == 0, done.stderr


def _left(redis_url, database_url):
    counts = {}
    with Butler(redis_url, database_url) as butler:
        for execution in butler.list(limit=1000).executions:
            key = execution.task, str(execution.status)
            counts[key] = counts.get(key, 0) + 1
    return counts
