"""``butler top``: one look as text and JSON; the screen, drawn without a terminal."""

from __future__ import annotations

import io

import pytest
from postgres_scenes import start_many
from rich.console import Console

from butler.cli.top_reading import Looker
from butler.cli.top_view import BARS, screen, spark
from butler.storage.records import ProgressReport


@pytest.fixture
def running(butler):
    """Three executions run, one of them half done; one waits."""
    started = start_many(butler.storage, 3)
    first = started[0]
    butler.storage.report_progress(
        [
            ProgressReport(
                execution_id=first.id,
                attempt=first.attempt,
                claim_token=first.claim_token,
                percent=50.0,
                message="half \x1b[31m done",
            )
        ]
    )
    butler.enqueue("work", {"n": 1})
    return started


def test_without_a_terminal_it_is_one_look_as_text(run_butler, running):
    ran = run_butler("top")
    assert ran.code == 0
    assert "3 running; no scheduler leads" in ran.lines[0]
    (line,) = [line for line in ran.lines if line.startswith(running[0].id)]
    assert line.split()[-2:] == ["50", "%"]


def test_a_look_is_json(run_butler, running):
    form = run_butler("top", "--json", "--limit", "2").json
    assert (form["running_total"], len(form["running"]), form["leader"]) == (3, 2, None)
    (queue,) = [queue for queue in form["queues"] if queue["queued"]]
    assert queue["oldest_s"] >= 0
    assert [worker["running"] for worker in form["workers"]] == [3]


def test_the_screen_fits_and_cannot_be_coloured_by_a_message(butler, running):
    looker = Looker(butler, limit=100)
    looker.look()
    for height, width in ((16, 80), (16, 120), (40, 140)):
        console = Console(width=width, height=height, file=io.StringIO())
        console.print(screen(looker.look(), height=height, width=width))
        lines = console.file.getvalue().splitlines()
        assert len(lines) <= height
        text = "\n".join(lines)
        assert "no scheduler leads" in text
        assert "running 3/" in text
    assert "\\x1b[31m" in text
    assert running[0].id in text


def test_bars_are_as_high_as_their_numbers():
    assert spark([0, 1, 2, 4]) == BARS[0] + BARS[2] + BARS[4] + BARS[7]
    assert spark([0.0, 0.0]) == BARS[0] * 2
