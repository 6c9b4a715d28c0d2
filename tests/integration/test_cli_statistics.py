"""``butler stats`` and ``butler errors`` on real servers."""

from __future__ import annotations

import pytest
from postgres_scenes import start_many

from butler import lifecycle
from butler.executions import ErrorRecord

BOOM = ErrorRecord(
    type="shop.Broken",
    message="a \x1b[31mred\x1b[0m " + "long " * 40 + "story",
    traceback='  File "/srv/shop/mail.py", line 3, in send\n',
)


@pytest.fixture
def ended(butler):
    """Two successes and a failure."""
    one, two, three = start_many(butler.storage, 3)
    butler.storage.finish(
        [
            lifecycle.succeed(one, result=None),
            lifecycle.succeed(two, result=None),
            lifecycle.fail(three, error=BOOM),
        ]
    )
    return three


def test_a_summary_is_fields_and_json(run_butler, ended):
    ran = run_butler("stats", "--since", "15m")
    fields = {line[: line.index("  ")]: line.split("  ")[-1].strip() for line in ran.lines}
    assert fields["succeeded"] == "2"
    assert fields["failed"] == "1 (33.3%)"
    assert fields["ended"].startswith("3 (")
    assert {part.split()[0] for part in fields["run"].split(", ")} == {"p50", "p95", "p99", "mean"}
    form = run_butler("stats", "--json").json
    assert (form["succeeded"], form["failed"], form["attempts"]) == (2, 1, 3)
    assert form["run"]["p50_s"] > 0


def test_a_task_that_nobody_knows_is_said_to_be_so(run_butler, ended, butler):
    butler.storage.register_tasks(butler.tasks())
    for command in ("stats", "errors"):
        ran = run_butler(command, "--task", "Snd Mial", "--json")
        assert ran.err.startswith('no worker has announced a task named "Snd Mial"; ')
        assert ran.json.get("ended", 0) == 0
    misspelt = butler.tasks()[0].name[:-1]
    ran = run_butler("stats", "--every", "minute", "--task", misspelt)
    assert f'; did you mean "{butler.tasks()[0].name}"?' in ran.err
    assert run_butler("stats", "--task", "Send Mail").err == ""
    assert run_butler("stats", "--task", butler.tasks()[0].name).err == ""


def test_rows_are_by_task_queue_or_time(run_butler, ended):
    header, row = run_butler("stats", "--by", "task").lines
    assert header.split()[:4] == ["TASK", "ENDED", "FAILED", "RETRIES"]
    assert row.split()[-11:] != []
    (form,) = run_butler("stats", "--by", "queue", "--json").json["queues"]
    assert (form["queue"], form["ended"]) == ("default", 3)
    hours = run_butler("stats", "--every", "hour", "--since", "3h", "--json").json["hours"]
    assert len(hours) >= 3
    assert sum(hour["ended"] for hour in hours) == 3
    assert run_butler("stats", "--by", "task", "--queue", "other").err == "nothing ended\n"


def test_what_excludes_each_other_is_said(run_butler):
    for more in (("--every", "day"), ("--task", "t")):
        ran = run_butler("stats", "--by", "task", *more)
        assert ran.code == 2
        assert f"--by and {more[0]} exclude each other" in ran.err


def test_errors_are_one_line_each_and_cannot_act_on_a_terminal(run_butler, ended):
    header, row = run_butler("errors").lines
    assert header.split()[0] == "COUNT"
    assert ended.id in row
    assert "shop/mail.py:send" in row
    assert "\\x1b[31mred" in row
    assert row.endswith("…")
    (form,) = run_butler("errors", "--json", "--order", "last_seen").json["errors"]
    assert (form["type"], form["number"], form["message"]) == ("shop.Broken", 1, BOOM.message)
    assert run_butler("errors", "--task", "other").err.endswith("\nno errors\n")
