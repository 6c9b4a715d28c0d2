"""``butler workers``: looking at workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from butler.cli.forms import worker_form, worker_state
from butler.cli.opening import open_ledger
from butler.cli.options import app_options, json_option
from butler.cli.printing import put_json, put_table, when

if TYPE_CHECKING:
    from butler.storage.records import WorkerRow

COLUMNS = ("NAME", "STATE", "RUNNING", "QUEUES", "STARTED", "HEARTBEAT", "ID")


@click.group(epilog="\b\nExample:\n  butler workers list")
def command() -> None:
    """Look at workers."""


@command.command(
    name="list",
    epilog="""\b
Examples:
  butler workers list
  butler workers list --all --json
""",
)
@click.option("--all", "every", is_flag=True, help="Also those that ended within the last hour.")
@json_option
@app_options
def list_workers(*, every: bool, as_json: bool, **_: object) -> None:
    """List worker processes: what they serve, and how many of their slots are taken."""
    with open_ledger() as butler:
        workers = [w for w in butler.storage.workers() if every or worker_state(w) == "alive"]
    if as_json:
        put_json({"workers": [worker_form(worker) for worker in workers]})
    else:
        put_table(COLUMNS, map(_row, workers), empty="no workers")


def _row(worker: WorkerRow) -> tuple[object, ...]:
    return (
        worker.name,
        worker_state(worker),
        f"{worker.running}/{worker.concurrency}",
        ",".join(worker.queues),
        when(worker.started_at),
        when(worker.heartbeat_at),
        worker.id,
    )
