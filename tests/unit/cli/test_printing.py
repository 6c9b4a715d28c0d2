"""What the commands print: nothing of a user's acts on a terminal; tables only where one is."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from butler.cli import alerts, errors, printing
from butler.cli.printing import (
    at,
    printable,
    printable_lines,
    put_blocks,
    put_fields,
    put_json,
    put_table,
    seconds_text,
    when,
)
from butler.monitoring.alerts.alert import Alert, AlertState
from butler.monitoring.alerts.rule import Severity
from butler.storage.stats import ErrorGroup

HOSTILE = "a\x1b[2Jb\r\nc\x9b\u202ed\u2028e\U000e0041"


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setattr(printing, "on_terminal", lambda: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")


def test_what_a_terminal_would_obey_is_written_as_an_escape():
    shown = r"a\x1b[2Jb\x0d\x0ac\x9b\u202ed\u2028e\U000e0041"
    assert printable(HOSTILE) == shown
    assert printable("żółć 漢字 🎉") == "żółć 漢字 🎉"


def test_lines_are_kept_and_indented_so_that_none_passes_for_ours():
    assert printable_lines("a\nid  forged\r\x1b[A", indent="  ") == "  a\n  id  forged\\x0d\\x1b[A"


@pytest.mark.parametrize("a_terminal", [False, True])
def test_no_table_lets_a_name_out(a_terminal, monkeypatch, capsys, request):
    if a_terminal:
        request.getfixturevalue("terminal")
    put_table(("TASK", "STATUS"), [(HOSTILE, "failed"), ("[red]x[/red]", "failed")], empty="")
    put_fields([("task", HOSTILE)])
    put_json({"task": HOSTILE})
    out = capsys.readouterr().out
    for forbidden in ("\x1b[2J", "\r", "\x9b", "\u202e", "\u2028"):
        assert forbidden not in out
    assert "[red]x[/red]" in out


def test_json_is_ascii_and_arrives_as_it_was(capsys):
    put_json({"task": HOSTILE})
    out = capsys.readouterr().out
    assert out.isascii()
    assert json.loads(out) == {"task": HOSTILE}


def test_plain_columns_are_aligned_also_behind_wide_letters(capsys):
    put_table(("TASK", "QUEUE"), [("漢字", "a"), ("x", None), ("y" * 300, "b")], empty="")
    assert capsys.readouterr().out.splitlines() == [
        "TASK".ljust(300) + "  QUEUE",
        "漢字" + " " * 296 + "  a",
        "x".ljust(300) + "  -",
        "y" * 300 + "  b",
    ]


def test_no_rows_are_talk_and_not_data(capsys):
    put_table(("TASK",), [], empty="no tasks")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "no tasks\n")


def test_a_terminal_gets_colours_and_ages_and_a_pipe_does_not(terminal, capsys, monkeypatch):
    moment = datetime.now(UTC) - timedelta(seconds=90)
    put_table(("STATUS",), [("failed",)], empty="")
    assert "\x1b[31mfailed" in capsys.readouterr().out
    assert when(moment) == "1 min 30 s ago"
    assert when(datetime.now(UTC) + timedelta(hours=2, seconds=1)).startswith("in 2 h")
    monkeypatch.setattr(printing, "on_terminal", lambda: False)
    put_table(("STATUS",), [("failed",)], empty="")
    assert capsys.readouterr().out == "STATUS\nfailed\n"
    assert when(moment) == at(moment) == f"{moment:%Y-%m-%d %H:%M:%S}Z"


def test_columns_that_people_copy_from_are_never_broken(terminal, capsys):
    execution_id = "01a20c15-ccff-74e8-a936-f014c5124b90"
    put_table(("ID", "TASK", "NOTE"), [(execution_id, "t" * 80, "n" * 80)], empty="")
    assert execution_id in capsys.readouterr().out


def test_every_style_is_a_colour_that_click_and_rich_know():
    import click
    from rich.style import Style

    for style in printing.STYLES.values():
        assert click.style("x", fg=style) != "x"
        assert Style.parse(style)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (0.00293, "2.93 ms"),
        (2.5, "2.5 s"),
        (59.4, "59 s"),
        (59.9, "1 min"),
        (200, "3 min 20 s"),
        (7_500, "2 h 5 min"),
        (90_000, "1 d 1 h"),
        (86_400 * 3, "3 d"),
        (3_605, "1 h"),
    ],
)
def test_durations_are_said_in_two_units_at_most(seconds, text):
    assert seconds_text(seconds) == text


def test_an_error_is_lines_on_a_terminal_that_fit_and_let_no_name_out(terminal, capsys):
    now = datetime.now(UTC)
    group = ErrorGroup(
        fingerprint="f",
        task=HOSTILE,
        type="ConnectionError",
        place="shop/cards.py:charge",
        message="the card was refused by the bank, try another or tell the customer " * 3,
        execution_id="01a20c15-ccff-74e8-a936-f014c5124b90",
        number=142,
        first_seen=now - timedelta(hours=2, seconds=1),
        last_seen=now,
    )
    put_blocks([errors._block(group)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{printable(HOSTILE)}: ConnectionError in shop/cards.py:charge, 142 times"
    assert [len(line) <= 80 and line.startswith("    ") for line in lines[1:]] == [True] * 3
    assert "first 2 h" in lines[2]
    assert lines[3] == f"    for example {group.execution_id}"


def test_an_alert_is_lines_on_a_terminal_with_its_cause_and_its_id(terminal, capsys):
    now = datetime.now(UTC)
    alert = Alert(
        id="01a20c15-ccff-74e8-a936-f014c5124b90",
        rule="queue-waits-too-long",
        kind="queue_age",
        subject="mail",
        state=AlertState.OPEN,
        severity=Severity.WARNING,
        since=now - timedelta(minutes=6),
        opened_at=now,
        updated_at=now,
        value=360.0,
        summary="3 wait on 'mail', the oldest for 6 min",
        cause="all 16 slots of its 1 worker are taken " * 9,
        silenced=True,
    )
    put_blocks([alerts._block(alert)])
    what, cause, since, which = capsys.readouterr().out.splitlines()
    assert what == alert.summary
    assert (cause[:30], cause[-1]) == ("    likely cause: all 16 slots", "…")
    assert since == "    open, silenced, warning, since 6 min ago"
    assert which == f"    queue-waits-too-long  {alert.id}"
