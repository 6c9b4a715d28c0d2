"""``butler recurring`` and ``butler schedule`` on real servers, without a terminal."""

from __future__ import annotations

import json
import sys

import pytest
from recurring_app import Beat, beat, patient

from butler import Butler
from butler.cli import EXIT_FAILED, EXIT_USAGE
from butler.recurring.job import JobStatus
from butler.schedules import Cron, Interval

APP = "recurring_app:butler"


@pytest.fixture
def butler(redis_url, database_url):
    with Butler(redis_url, database_url, name="test") as butler:
        butler.register(beat)
        butler.register(patient)
        butler.storage.register_tasks(butler.tasks())
        yield butler


@pytest.fixture
def job(butler):
    return butler.recurring.create(
        "Nightly", beat, Cron("0 2 * * *"), request=Beat(n=1), tags=["x"], description="for all"
    )


def test_a_job_is_created_with_all_that_is_said(run_butler, butler):
    ran = run_butler(
        *("recurring", "create", "Office", "beat", '{"n": 3}', "--cron", "0 9 * * MON-FRI"),
        *(
            "--tz",
            "Europe/Berlin",
            "--misfire",
            "catch_up",
            "--overlap",
            "queue",
            "--jitter",
            "30s",
        ),
        *("--grace", "2m", "--catch-up-limit", 5, "--max-concurrency", 2, "--max-fires", 9),
        *("--start", "1d", "--end", "30d", "--queue", "slow", "--priority", "high"),
        *("--max-attempts", 7, "--time-limit", "5m", "--tag", "a", "--tag", "b"),
        *("--description", "why", "--owner", "ann", "--paused"),
    )
    job = butler.recurring.get("Office")
    assert (ran.code, ran.lines) == (0, [job.id])
    assert "Office: at 09:00" in ran.err
    assert (job.request["n"], job.schedule.timezone) == (3, "Europe/Berlin")
    assert (job.misfire, job.overlap, job.jitter_s, job.misfire_grace_s) == (
        "catch_up",
        "queue",
        30,
        120,
    )
    assert (job.catch_up_limit, job.max_concurrency, job.max_fires) == (5, 2, 9)
    assert (job.queue, job.priority, job.max_attempts, job.timeout_s) == ("slow", "high", 7, 300)
    assert (job.tags, job.description, job.owner) == (("a", "b"), "why", "ann")
    assert job.status is JobStatus.PAUSED
    assert (job.ends_at - job.starts_at).days == 29


@pytest.mark.parametrize(
    ("options", "schedule"),
    [
        (["--every", "5m"], Interval(300)),
        (["--schedule", '{"type": "interval", "every_s": 90}'], Interval(90)),
        (["--cron", "@daily"], Cron("@daily")),
    ],
)
def test_a_schedule_can_be_said_in_several_ways(run_butler, butler, options, schedule):
    ran = run_butler("recurring", "create", "j", "beat", "-", *options, stdin='{"n": 1}')
    assert ran.code == 0, ran.err
    assert butler.recurring.get("j").schedule == schedule


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["j", "beat"], EXIT_USAGE, "one of --cron, --every, --at and --schedule is needed"),
        (["j", "beat", "--every", "5m", "--cron", "@daily"], EXIT_USAGE, "exclude each other"),
        (["j", "beat", "--every", "5m", "--tz", "UTC"], EXIT_USAGE, "--tz is for --cron"),
        (["j", "beat", "--cron", "0 25 * * *"], EXIT_USAGE, 'hour field "25": expected 0-23'),
        (["j", "beat", "--schedule", "[1]"], EXIT_USAGE, "must be a JSON object"),
        (["j", "beat", "{", "--every", "5m"], EXIT_USAGE, "REQUEST is no JSON"),
        (["j", "beet", "--every", "5m"], EXIT_FAILED, 'did you mean "beat"?'),
        (["j", "beat", '{"n": "x"}', "--every", "5m"], EXIT_FAILED, "does not fit"),
        (["Nightly", "beat", "{}", "--every", "5m"], EXIT_FAILED, "'Nightly' already"),
    ],
)
def test_what_cannot_be_created_is_told(run_butler, job, arguments, code, told):
    ran = run_butler("recurring", "create", *arguments)
    assert (ran.code, ran.out) == (code, "")
    assert told in ran.err


def test_jobs_are_listed_as_a_table_as_names_and_as_json(run_butler, butler, job):
    butler.recurring.create("Often", patient, Interval(60), request=Beat(), enabled=False)
    ran = run_butler("recurring", "list")
    assert ran.lines[0].split() == ["NAME", "STATUS", "NEXT", "LAST", "TASK", "SCHEDULE", "NOTE"]
    assert "Nightly  active" in ran.lines[1]
    assert "at 02:00 every day" in ran.lines[1]
    assert "Often    paused" in ran.lines[2]
    assert run_butler("recurring", "list", "--status", "paused", "--names").lines == ["Often"]
    [form] = run_butler("recurring", "list", "--tag", "x", "--json").json["jobs"]
    assert (form["name"], form["status"], form["version"]) == ("Nightly", "active", 1)
    assert form["schedule"] == {"type": "cron", "expression": "0 2 * * *", "timezone": "UTC"}
    first = run_butler("recurring", "list", "--limit", 1)
    assert "there are more: --cursor 'Nightly'" in first.err
    assert "Often" in run_butler("recurring", "list", "--cursor", "Nightly").out


def test_a_job_is_shown_with_what_became_of_its_fires(run_butler, butler, job):
    butler.recurring.trigger("Nightly")
    shown = dict(
        line.split(maxsplit=1) for line in run_butler("recurring", "show", "Nightly").lines
    )
    assert (shown["name"], shown["outcomes"], shown["executions"]) == (
        "Nightly",
        "1 fired",
        "1 queued",
    )
    form = run_butler("recurring", "show", job.id, "--json").json
    assert (form["request"], form["statistics"]["fires"]) == (job.request, {"fired": 1})
    missing = run_butler("recurring", "show", "Daily")
    assert missing.code == EXIT_FAILED
    assert "'Daily'" in missing.err


def test_history_and_preview(run_butler, butler, job):
    handle = butler.recurring.trigger("Nightly")
    [fire] = run_butler("recurring", "history", "Nightly", "--json").json["fires"]
    assert (fire["execution_id"], fire["manual"], fire["outcome"]) == (handle.id, True, "fired")
    assert handle.id in run_butler("recurring", "history", "Nightly").out
    assert run_butler("recurring", "history", "Nightly", "--outcome", "missed").out == ""
    ran = run_butler("recurring", "preview", "Nightly", "--count", 3)
    assert len(ran.lines) == 4
    fires = run_butler("recurring", "preview", "Nightly", "--json").json["fires"]
    assert [fire["at"][11:] for fire in fires] == ["02:00:00Z"] * 10


def test_an_update_changes_what_is_given(run_butler, butler, job):
    ran = run_butler(
        *("recurring", "update", "Nightly", "--every", "1h", "--request", '{"n": 9}'),
        *("--overlap", "allow", "--version", 1),
    )
    assert (ran.code, ran.out) == (0, "2\n")
    changed = butler.recurring.get("Nightly")
    assert (changed.schedule, changed.request["n"], changed.overlap) == (Interval(3600), 9, "allow")
    assert (changed.tags, changed.description) == (("x",), "for all")
    stale = run_butler("recurring", "update", "Nightly", "--every", "2h", "--version", 1)
    assert (stale.code, "is at version 2" in stale.err) == (EXIT_FAILED, True)
    assert run_butler("recurring", "update", "Nightly").code == EXIT_USAGE


def test_jobs_are_paused_resumed_triggered_and_deleted(run_butler, butler, job):
    butler.recurring.create("Often", patient, Interval(60), request=Beat())
    ran = run_butler("recurring", "pause", "-", stdin="Nightly\nOften\n")
    assert ran.lines == ["Nightly: paused", "Often: paused"]
    assert len(butler.recurring.list(status="paused").jobs) == 2
    ran = run_butler("recurring", "resume", "Nightly", "Daily")
    assert (ran.code, ran.lines) == (EXIT_FAILED, ["Nightly: resumed"])
    assert "Daily: no recurring job has the name" in ran.err
    assert run_butler("recurring", "trigger", "Often", "--json").json["done"] == ["Often"]
    handle = run_butler("recurring", "trigger", "Nightly", "--request", '{"n": 5}').lines[0]
    assert butler.get(handle).request["n"] == 5
    ran = run_butler("recurring", "delete", "Often", "--dry-run")
    assert ran.lines == ["Often: would be deleted"]
    assert run_butler("recurring", "delete", "Often").lines == ["Often: deleted"]
    assert butler.recurring.find("Often") is None


def test_a_bulk_step_needs_a_filter_and_can_be_tried(run_butler, butler, job):
    assert run_butler("recurring", "bulk", "pause").code == EXIT_USAGE
    assert run_butler("recurring", "bulk", "pause", "--tag", "x", "--dry-run").lines == [
        "Nightly: would be paused"
    ]
    assert butler.recurring.get("Nightly").enabled
    ran = run_butler("recurring", "bulk", "pause", "--tag", "x", "--json")
    assert ran.json == {"action": "pause", "dry_run": False, "done": ["Nightly"], "failed": {}}
    assert not butler.recurring.get("Nightly").enabled


SHOP = """
from butler import Butler, Interval

butler = Butler(name="shop")

@butler.recurring(Interval(3600), name="{name}")
@butler.task
def tidy() -> None: ...
"""


def test_a_sync_brings_what_code_declares(run_butler, butler, job, tmp_path, monkeypatch):
    def sync(shop, *options):
        # Each command is a process of its own.
        monkeypatch.delitem(sys.modules, shop, raising=False)
        return run_butler("recurring", "sync", "--app", f"{shop}:butler", *options)

    (tmp_path / "first_shop.py").write_text(SHOP.format(name="Tidy"))
    (tmp_path / "second_shop.py").write_text(SHOP.format(name="Tidy up"))
    (tmp_path / "third_shop.py").write_text(SHOP.format(name="Nightly"))
    assert sync("first_shop", "--dry-run").lines == ["Tidy: would be created"]
    assert butler.recurring.find("Tidy") is None
    assert sync("first_shop").lines == ["Tidy: created"]
    again = sync("first_shop")
    assert (again.out, again.err) == ("", "nothing to do: 1 jobs of shop\n")
    form = sync("second_shop", "--json").json
    assert (form["created"], form["deleted"], form["source"]) == (["Tidy up"], ["Tidy"], "shop")
    ran = sync("third_shop")
    assert ran.code == EXIT_FAILED
    assert "Nightly: belongs to somebody else" in ran.err
    assert butler.recurring.get("Nightly").source is None
    assert run_butler("recurring", "sync").code == EXIT_USAGE


def test_a_schedule_is_explained_without_servers(run_butler):
    arguments = ["schedule", "explain", "30 2 * * *", "--tz", "Europe/Berlin", "--count", 3]
    ran = run_butler(*arguments, "--from", "2026-03-28T00:00Z", BUTLER_REDIS_URL=None)
    assert ran.lines[0] == "at 02:30 every day, Europe/Berlin time"
    assert "Sun 2026-03-29 03:00:00 CEST" in ran.out
    assert "2026-03-29 02:30:00 does not exist: moved to the end of the gap" in ran.out
    form = run_butler("schedule", "explain", '{"type": "interval", "every_s": 90}', "--json").json
    assert (form["words"], len(form["fires"])) == ("every 90 seconds", 10)


@pytest.mark.parametrize(
    ("schedule", "told"),
    [
        (["0 25 * * *"], 'hour field "25": expected 0-23'),
        (["0 2 * * *", "--tz", "Europe/Berlim"], 'did you mean "Europe/Berlin"?'),
        (['{"type": "corn"}'], 'did you mean "cron"?'),
        (["{"], "the schedule is no JSON"),
        (["{}", "--tz", "UTC"], "--tz is for a cron expression"),
        (["0 0 31 2 *"], "never"),
    ],
)
def test_what_is_no_schedule_is_told_with_the_part_that_is_wrong(run_butler, schedule, told):
    ran = run_butler("schedule", "explain", *schedule)
    assert (ran.code, ran.out) == (EXIT_USAGE, "")
    assert told in ran.err


def test_names_cannot_act_on_a_terminal(run_butler, butler):
    butler.recurring.create("\x1b[2J", beat, Interval(60), request=Beat())
    assert "\x1b" not in run_butler("recurring", "list").out
    ran = run_butler("recurring", "bulk", "pause", "--task", "beat")
    assert "\x1b" not in ran.out + ran.err
    assert json.loads(run_butler("recurring", "list", "--json").out)["jobs"][0]["name"] == "\x1b[2J"
