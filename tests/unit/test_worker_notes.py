"""When what tasks say is written: at once after a pause, then at intervals."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest
from butler_workers.notes import HEARD_PAUSE_S, PAUSE_S, Notes
from worker_kit import wait_for

from butler.attempt_control import AttemptControl


class Ledger:
    """Keeps what it is given; ``hears`` says whether anybody listens."""

    def __init__(self):
        self.lines, self.reports, self.hears = [], [], False

    def write_logs(self, lines):
        self.lines += [line.message for line in lines]

    def report_progress(self, reports):
        self.reports += [report.percent for report in reports]

    def publish(self, words):
        return bool(list(words)) and self.hears


@pytest.fixture
def ledger():
    return Ledger()


@pytest.fixture
def attempt():
    claimed = SimpleNamespace(id="7", attempt=1, claim_token="t")
    return SimpleNamespace(control=AttemptControl(), claimed=claimed, over=False)


@pytest.fixture
def notes(ledger, attempt):
    notes = Notes(attempts=lambda: [attempt], storage=ledger, wire=ledger)
    attempt.control.on_line = notes.look
    yield notes
    notes.stop()


def say(attempt, text):
    attempt.control.log(logging.INFO, "shop", text, created=0.0)


def test_a_line_is_written_without_anybody_looking(notes, ledger, attempt):
    notes.start()
    say(attempt, "begun")
    wait_for(lambda: ledger.lines == ["begun"])


def test_lines_are_written_more_often_while_somebody_hears_of_them(
    notes, ledger, attempt, monkeypatch
):
    pauses = []
    monkeypatch.setattr(notes._stopping, "wait", pauses.append)
    notes.start()
    for hears, pause in ((False, PAUSE_S), (True, HEARD_PAUSE_S), (False, PAUSE_S)):
        ledger.hears = hears
        pauses.clear()
        say(attempt, "a line")
        wait_for(lambda pause=pause: pause in pauses)


def test_lines_do_not_bring_more_rows_of_progress(notes, ledger, attempt, monkeypatch):
    monkeypatch.setattr("butler_workers.notes.PAUSE_S", 3_600.0)
    pauses = []
    monkeypatch.setattr(notes._stopping, "wait", pauses.append)
    notes.start()
    for number in range(1, 4):
        attempt.control.report(number)
        say(attempt, f"{number}")
        wait_for(lambda number=number: len(pauses) >= number)
    wait_for(lambda: len(ledger.lines) == 3)
    assert ledger.reports == [1]
    notes.stop()
    assert ledger.reports == [1, 3]
